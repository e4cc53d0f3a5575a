"""FETCHes that wait for a job."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from faktory_async.server._connection import Connection

FETCH_SECONDS: Final = 2.0
NOTHING: Final = b"$-1\r\n"


class Waiting:
    """A FETCH without an answer yet.

    Whoever serves the connection sets `on_reply`, starts a timer of `seconds` and calls `expire`
    when it has run down. The client may go meanwhile: the FETCH goes on, and a job that comes is
    reserved for nobody, as on the real server.

    Attributes:
        seconds: How long to wait before `expire`.
        connection: The connection that asked.
        queues: The queues waited for; none where the answer will be nil whatever comes.
        since: When it came, in nanoseconds since 1970.
        on_reply: Called once with the answer's bytes.
        reply: The answer, once it is known.
    """

    __slots__ = ("_leave", "connection", "on_reply", "queues", "reply", "since")

    seconds = FETCH_SECONDS

    def __init__(
        self,
        connection: Connection,
        queues: Iterable[str],
        since: int,
        leave: Callable[["Waiting"], None],
    ) -> None:
        self.connection = connection
        self.queues = tuple(dict.fromkeys(queues))
        self.since = since
        self.on_reply: Callable[[bytes], None] | None = None
        self.reply: bytes | None = None
        self._leave = leave

    def expire(self) -> None:
        """Answer nil: the time is over. Nothing happens if a job came before."""
        if self.reply is None:
            self.deliver(NOTHING)

    def deliver(self, reply: bytes) -> None:
        """Answer, and wait no longer."""
        self.reply = reply
        self._leave(self)
        if self.on_reply is not None:
            self.on_reply(reply)


class WaitingRoom:
    """Who waits for which queue, first come, first served."""

    def __init__(self) -> None:
        self._lines: dict[str, OrderedDict[Waiting, None]] = {}
        self._everybody: OrderedDict[Waiting, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._everybody)

    def __iter__(self) -> Iterator[Waiting]:
        """Go through a copy, in the order of arrival."""
        return iter(list(self._everybody))

    def enter(self, waiting: Waiting) -> None:
        """Stand in the line of each of its queues."""
        self._everybody[waiting] = None
        for queue in waiting.queues:
            self._lines.setdefault(queue, OrderedDict())[waiting] = None

    def leave(self, waiting: Waiting) -> None:
        """Leave every line."""
        self._everybody.pop(waiting, None)
        for queue in waiting.queues:
            line = self._lines.get(queue)
            if line is not None:
                line.pop(waiting, None)
                if not line:
                    del self._lines[queue]

    def first(self, queue: str) -> Waiting | None:
        """Return who is to get the next job of a queue."""
        line = self._lines.get(queue)
        return next(iter(line)) if line else None
