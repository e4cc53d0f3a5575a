"""A Faktory whose every word a test can script, reached through in-memory links.

Left alone it answers as a server with one list of jobs would. A test can queue other answers for a
verb, hold answers back, drop connections and refuse new ones.
"""

from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import anyio
import anyio.lowlevel
import msgspec

from faktory_async import Job
from faktory_async.net import MemoryLink, memory_links
from faktory_async.protocol import (
    NULL,
    OK,
    BulkReply,
    ErrorReply,
    ServerSession,
    encode_reply,
    password_hash,
)

NIL_AFTER: Final = 2.0  # seconds; an empty FETCH takes as long
SALT: Final = "5a17"
_ITERATIONS: Final = 2


class Line:
    """One command that arrived.

    Attributes:
        connection: The connection that brought it, counted from 0.
        at: When it came, on anyio's clock.
    """

    def __init__(self, connection: "PeerConnection", data: bytes, at: float) -> None:
        self.connection = connection
        self.data = data
        self.at = at

    @property
    def verb(self) -> str:
        return self.data.partition(b" ")[0].decode()

    @property
    def payload(self) -> bytes:
        return self.data.partition(b" ")[2]

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.payload)

    def __repr__(self) -> str:
        return f"<{self.connection.number} {self.at:g} s: {self.data[:200]!r}>"


Answer: TypeAlias = bytes | Callable[[Line], Awaitable[bytes | None]] | None
"""Bytes to send, None to drop the connection, or what awaits the one or the other."""


def error(text: str) -> bytes:
    return encode_reply(ErrorReply("ERR", text))


def bulk(data: bytes) -> bytes:
    return encode_reply(BulkReply(data))


OKAY: Final = encode_reply(OK)
NIL: Final = encode_reply(NULL)


class Gate:
    """Holds answers back until it is opened."""

    def __init__(self, answer: Answer = OKAY) -> None:
        self.reached = anyio.Event()
        self._open = anyio.Event()
        self._answer = answer

    async def __call__(self, line: Line) -> bytes | None:
        self.reached.set()
        await self._open.wait()
        return await self._answer(line) if callable(self._answer) else self._answer

    def open(self) -> None:
        self._open.set()


class PeerConnection:
    """The peer's end of one connection."""

    def __init__(self, number: int, link: MemoryLink) -> None:
        self.number = number
        self.link = link
        self.session = ServerSession()
        self.hello: dict[str, Any] = {}
        self.over = False


class Peer:
    """The scripted server.

    Attributes:
        lines: Every command that arrived, in order.
        refusing: Whether new connections are refused.
        epoch: What its own clock, in Unix seconds, said when anyio's was at 0.
        password: What clients must prove to know.
        nil_after: How many seconds an empty FETCH takes.
    """

    def __init__(self, *, password: str | None = None, room: int = 1 << 20) -> None:
        self.lines: list[Line] = []
        self.connections: list[PeerConnection] = []
        self.most_open = 0
        self.dials = 0
        self.refusing = False
        self.epoch = 1_800_000_000.0
        self.password = password
        self.nil_after = NIL_AFTER
        self._room = room
        self._jobs: deque[bytes] = deque()
        self._scripts: dict[str, deque[Answer]] = defaultdict(deque)
        self._always: dict[str, Answer] = {}
        self._news = anyio.Event()
        self._group: anyio.abc.TaskGroup | None = None

    # -- what a test says -----------------------------------------------------------------------

    def offer(self, *jobs: Job | bytes) -> None:
        """Let FETCH find these jobs."""
        self._jobs += (job if isinstance(job, bytes) else job.to_json() for job in jobs)
        self._changed()

    def answer(self, verb: str, *answers: Answer) -> None:
        """Give these answers to the next commands of that verb."""
        self._scripts[verb] += answers

    def always(self, verb: str, answer: Answer) -> None:
        """Give this answer to every command of that verb for which none is queued."""
        self._always[verb] = answer

    def hold(self, verb: str, answer: Answer = OKAY) -> Gate:
        """Hold the answer to the next command of that verb back."""
        gate = Gate(answer)
        self.answer(verb, gate)
        return gate

    def cut(self) -> None:
        """End every connection without a goodbye."""
        for connection in self.connections:
            connection.link.abort()

    def go_away(self) -> None:
        """End every connection and refuse new ones."""
        self.refusing = True
        self.cut()

    def come_back(self) -> None:
        self.refusing = False

    def now(self) -> datetime:
        """What time it is for the peer."""
        return datetime.fromtimestamp(self.epoch + anyio.current_time(), UTC)

    # -- what a test sees -----------------------------------------------------------------------

    def of(self, verb: str) -> list[Line]:
        """The commands of that verb."""
        return [line for line in self.lines if line.verb == verb]

    def reports(self) -> list[tuple[str, str]]:
        """Verb and jid of each ACK and FAIL, in order."""
        return [(line.verb, line.json["jid"]) for line in self.lines if line.verb in _REPORTS]

    async def saw(self, verb: str, count: int = 1) -> Line:
        """Return the `count`-th command of that verb once it has arrived."""
        await self.until(lambda: len(self.of(verb)) >= count)
        return self.of(verb)[count - 1]

    async def until(self, true: Callable[[], bool]) -> None:
        """Return once something that depends on what arrived is so."""
        while not true():
            await self._news.wait()

    @property
    def open_connections(self) -> int:
        # A connection that the client has ended counts no more, also before its task here sees it.
        return sum(not (each.over or each.link.is_left) for each in self.connections)

    # -- serving --------------------------------------------------------------------------------

    async def dial(self) -> MemoryLink:
        """The client's way here."""
        self.dials += 1
        await anyio.lowlevel.checkpoint()
        if self.refusing or self._group is None:
            raise ConnectionRefusedError("the peer refuses connections")
        near, far = memory_links(self._room)
        connection = PeerConnection(len(self.connections), far)
        self.connections.append(connection)
        self.most_open = max(self.most_open, self.open_connections)
        self._group.start_soon(self._serve, connection)
        return near

    def serve_in(self, group: anyio.abc.TaskGroup) -> None:
        self._group = group

    async def _serve(self, connection: PeerConnection) -> None:
        try:
            await self._converse(connection)
        except OSError:
            pass  # the client ended the connection: that is its right
        finally:
            connection.over = True
            connection.link.abort()
            self._changed()

    async def _converse(self, connection: PeerConnection) -> None:
        session, link = connection.session, connection.link
        await link.send(self._greeting())
        session.greeted()
        while (line := await self._next(connection)) is not None:
            self.lines.append(line)
            self._changed()
            answer = await self._answer(line)
            if answer is None:
                return
            session.answered()
            await link.send(answer)

    async def _next(self, connection: PeerConnection) -> Line | None:
        session = connection.session
        while (data := session.next_line()) is None:
            if not (received := await connection.link.receive()):
                return None
            session.receive(received)
        return Line(connection, data, anyio.current_time())

    async def _answer(self, line: Line) -> bytes | None:
        script = self._scripts[line.verb]
        answer = script.popleft() if script else self._always.get(line.verb, self._usual)
        return await answer(line) if callable(answer) else answer

    async def _usual(self, line: Line) -> bytes | None:
        match line.verb:
            case "HELLO":
                line.connection.hello = line.json
                return OKAY if self._accepts(line.json) else error("Invalid password")
            case "PUSHB":
                return bulk(b"{}")
            case "FETCH":
                return await self.fetch(line)
            case "INFO":
                rest = b'"faktory":{"queues":{"a":2},"total_processed":7}'
                return bulk(b'{"now":"%b",%b}' % (self.now().isoformat().encode(), rest))
            case "END":
                return None
            case _:
                return OKAY

    async def fetch(self, line: Line) -> bytes:
        """Answer a FETCH as usual: a job as soon as there is one, nil after a while."""
        with anyio.move_on_after(self.nil_after):
            await self.until(lambda: bool(self._jobs))
            return bulk(self._jobs.popleft())
        return NIL

    def _greeting(self) -> bytes:
        if self.password is None:
            return b'+HI {"v":2}\r\n'
        return b'+HI {"v":2,"i":%d,"s":"%b"}\r\n' % (_ITERATIONS, SALT.encode())

    def _accepts(self, hello: dict[str, Any]) -> bool:
        if self.password is None:
            return True
        return bool(hello.get("pwdhash") == password_hash(self.password, SALT, _ITERATIONS))

    def _changed(self) -> None:
        self._news.set()
        self._news = anyio.Event()


_REPORTS: Final = ("ACK", "FAIL")


@asynccontextmanager
async def peering(*, password: str | None = None, room: int = 1 << 20) -> AsyncGenerator[Peer]:
    """Run a peer for the length of a block that takes at most a two (virtual) hours."""
    peer = Peer(password=password, room=room)
    with anyio.fail_after(2 * 3_600):
        async with anyio.create_task_group() as group:
            peer.serve_in(group)
            try:
                yield peer
            finally:
                group.cancel_scope.cancel()


def jobs_of(line: Line) -> Sequence[dict[str, Any]]:
    """The jobs that a PUSHB brought."""
    pushed: list[dict[str, Any]] = line.json
    return pushed
