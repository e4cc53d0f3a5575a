"""One push on its way, and the frame that carries it."""

from collections.abc import Callable

import anyio

from faktory_async.errors import FaktoryError
from faktory_async.net import Connection, Event, Right
from faktory_async.protocol import PushBulk, Ticket


class Waiter:
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
        duty: The baton of who reads a frame's reply; it is always the frame that carries the job.
        frame: What carries the job.
        group: With whom it has to leave, after a refusal of all of them.
        done: Whether the outcome is known; `error` is None where the job is stored.
        resent: Whether the job was handed back once by a dead connection.
        gone: Whether its task has left.
        dialling: What ends its dial.
    """

    __slots__ = (
        "_event",
        "data",
        "deadline",
        "dialling",
        "done",
        "duty",
        "error",
        "frame",
        "gone",
        "group",
        "jid",
        "number",
        "resent",
        "seconds",
        "slot",
        "strict",
    )

    def __init__(
        self, jid: str, data: bytes, number: int, seconds: float, deadline: float, *, strict: bool
    ) -> None:
        self.jid = jid
        self.data = data
        self.number = number
        self.seconds = seconds
        self.deadline = deadline
        self.strict = strict
        self.slot: Connection | Right | None = None
        self.duty: Frame | None = None
        self.frame: Frame | None = None
        self.group: list[Waiter] | None = None
        self.done = False
        self.error: FaktoryError | None = None
        self.resent = False
        self.gone = False
        self.dialling: anyio.CancelScope | None = None
        self._event: Event | None = None

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
            self.dialling.cancel()  # somebody else's connection was faster
        self.wake()

    def lead(self, slot: Connection | Right) -> None:
        """Hand it a slot."""
        self.slot = slot
        self.wake()

    def read(self, frame: "Frame") -> None:
        """Hand it the duty to read."""
        self.duty = frame
        if self.dialling is not None:
            self.dialling.cancel()  # the reply is worth more; the right goes to somebody else
        self.wake()

    def wake(self) -> None:
        """Let it look around."""
        if self._event is not None:
            self._event.set()

    async def woken(self, make_event: Callable[[], Event]) -> None:
        """Return when it is to look around."""
        event = self._event = make_event()
        try:
            await event.wait()
        finally:
            self._event = None


class Frame:
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

    __slots__ = ("command", "connection", "early", "sent_at", "ticket", "usual_end", "waiters")

    def __init__(self, waiters: list[Waiter], connection: Connection) -> None:
        self.waiters = waiters
        self.connection = connection
        self.command = PushBulk([waiter.data for waiter in waiters])
        self.ticket: Ticket | None = None
        self.sent_at = 0.0
        self.usual_end = 0.0
        self.early: float | None = None

    def ends_for(self, waiter: Waiter) -> float:
        """Return until when that push waits for the frame, on anyio's clock."""
        return waiter.deadline if waiter.strict else self.usual_end

    @property
    def longest(self) -> float:
        """The longest time that any of its pushes asked for, 0 where none did."""
        return max((waiter.seconds for waiter in self.waiters if waiter.strict), default=0.0)
