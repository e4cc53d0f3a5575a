"""What the server knows of one connection."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faktory_async.server._waiting import Waiting
    from faktory_async.server._workers import WorkerRecord


class Connection:
    """One connection: made for each that is accepted, and told when it is over.

    Attributes:
        greeting: The bytes to send first.
        salt: What the password is hashed with; None where none is asked for.
        iterations: How often it is hashed.
        identified: Whether HELLO was accepted.
        wid: The worker's id, "" for none.
        own_record: The worker record that this connection's HELLO made, if it made one: only
            here quiet and terminate keep FETCH from answering.
        waiting: The FETCH that it waits for.
        closed: Whether it is over.
    """

    __slots__ = (
        "closed",
        "greeting",
        "identified",
        "iterations",
        "own_record",
        "salt",
        "waiting",
        "wid",
    )

    def __init__(self, greeting: bytes, salt: str | None = None, iterations: int = 1) -> None:
        self.greeting = greeting
        self.salt = salt
        self.iterations = iterations
        self.identified = False
        self.wid = ""
        self.own_record: WorkerRecord | None = None
        self.waiting: Waiting | None = None
        self.closed = False
