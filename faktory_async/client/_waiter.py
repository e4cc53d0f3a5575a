"""One push on its way, and the frame that carries it."""

import anyio
from msgspec import Struct

from faktory_async.errors import FaktoryError
from faktory_async.net import Connection, Event, Right, wake
from faktory_async.protocol import PushBulk, Ticket


class Waiter(Struct, eq=False):
    """One push: a job, what became of it, and what its task has to do meanwhile.

    Args:
        jid: The job's id.
        data: The encoded job.
        number: How many pushes came before.
        seconds: How long it was given.
        deadline: The end of that time, on anyio's clock.
        strict: Whether that is the time for everything, and its own task keeps it; otherwise it is
            the time until the job leaves, and whoever is in front keeps it.

    Attributes:
        slot: The baton of who leads the next frame.
        duty: The baton of who sees to a frame's reply; it is always the frame that carries the job.
        frame: What carries the job.
        group: With whom it has to leave, after a refusal of all of them.
        done: Whether the outcome is known; `error` is None where the job is stored.
        resent: Whether the job was handed back once by a dead connection.
        gone: Whether its task has left.
        dialling: What ends its dial.
        event: What wakes its task, once it has waited.
    """

    jid: str
    data: bytes
    number: int
    seconds: float
    deadline: float
    strict: bool
    slot: Connection | Right | None = None
    duty: "Frame | None" = None
    frame: "Frame | None" = None
    group: "list[Waiter] | None" = None
    done: bool = False
    error: FaktoryError | None = None
    resent: bool = False
    gone: bool = False
    dialling: anyio.CancelScope | None = None
    event: Event | None = None

    def __repr__(self) -> str:
        return f"<Waiter {self.jid}>"  # not the job, which is nobody's business

    @property
    def is_free(self) -> bool:
        """Whether it holds no baton."""
        return self.slot is None and self.duty is None

    @property
    def is_there(self) -> bool:
        """Whether somebody still waits for its outcome."""
        return not self.gone and not self.done

    def settle(self, error: FaktoryError | None) -> None:
        """Tell it the outcome."""
        self.done = True
        self.error = error
        if self.dialling is not None:
            self.dialling.cancel()
        if self.event is not None:
            wake(self.event)

    def lead(self, slot: Connection | Right) -> None:
        """Hand it a slot."""
        self.slot = slot
        self.wake()

    def see_to(self, frame: "Frame") -> None:
        """Hand it the duty for a frame's reply."""
        self.duty = frame
        self.wake()

    def wake(self) -> None:
        """Let it look around."""
        if self.event is not None:
            wake(self.event)


class Frame(Struct, eq=False):
    """Jobs that are sent together, jids distinct, and the reply that is due.

    Args:
        waiters: Whose jobs they are.
        connection: Where they are sent.

    Attributes:
        ticket: What the reply comes to, once the command is posted.
        sent_at: When that was, on anyio's clock.
        usual_end: Until when those who asked for no time of their own wait.
        early: When those who asked for no time of their own wait no longer, where that is before
            the ticket's deadline.
    """

    waiters: list[Waiter]
    connection: Connection
    command: PushBulk
    sent_at: float
    usual_end: float
    ticket: Ticket | None = None
    early: float | None = None

    def __repr__(self) -> str:
        return f"<Frame of {len(self.waiters)} jobs>"

    def ends_for(self, waiter: Waiter) -> float:
        """Return until when that push waits for the frame, on anyio's clock."""
        return waiter.deadline if waiter.strict else self.usual_end
