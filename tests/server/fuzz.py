"""Send the embedded server traffic that is almost right, for as long as one likes.

    python -m tests.server.fuzz --seconds 1200 [--seed 1] [--loop asyncio|uvloop|trio]

Every exchange of the conformance table is raw material: lines are cut, doubled, spliced, swollen
and spoilt, framed well or badly, sent in any pieces over TCP or in process by many clients at a
time, who read early, late or never, and leave as they like. Whatever arrives, the server answers
or closes the connection: what is sent last is answered in bounded time, every answer is framed
well, nothing is logged as a mistake, no client stays behind, and the memory stays bounded.
"""

import argparse
import logging
import random
import re
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Final

import anyio
import anyio.lowlevel
import pytest

from faktory_async.net import NETWORK_ERRORS
from faktory_async.server import EmbeddedServer, _embedded
from tests.conformance._script import Exchange
from tests.conformance._table import TABLE
from tests.conformance._wire import FramingError, take_reply
from tests.server._wire import HELLO, Wire, by_memory, by_tcp, connected

__all__ = ["Fuzz", "FuzzError", "Tally"]

PATIENCE: Final = 60.0  # seconds that a crowd of clients may take
MAX_LINE: Final = 100_000
CROWD: Final = 8
CROWDS_PER_SERVER: Final = 25
MOST_GROWTH: Final = 400_000  # kB

_MARK: Final = re.compile(rb"@([a-z]+)(\d*)")
_TOKENS: Final = (
    *(bytes([byte]) for byte in b'{}[]":,\\/ \t\r\n019.eE+-*?tfn\x00\x1f\x7f\x80\xc3\xff'),
    *(b"null", b"true", b"-0", b"1.0", b"1e999", b"9" * 40, b"-" * 3, b"1e-7", b"[" * 300),
    *(
        b"\\ud800",
        b"\\u0000",
        b"\\u2028",
        b"\xc3\xa9",
        b"\xed\xa0\x80",
        b"\xf0\x9f\x92\xa9",
        b"<&>",
    ),
    *(b'"jid"', b'"retry":', b'"custom":{},', b'"at":"x",', b'"wid":"', b'"args":[', b"}" * 50),
    *(b"PUSH ", b"PUSHB [", b"FETCH ", b"QUEUE ", b"MUTATE ", b"\r\n", b"\n\n", b"  ", b"*"),
)
# What may bring a raw CRLF into an error's text, as on the real server.
_CRLF_ESCAPE: Final = re.compile(rb"\\r|\\u000d", re.IGNORECASE)


class FuzzError(AssertionError):
    """The server did what it must not do; the message says how to see it again."""


def material() -> list[bytes]:
    """Return every line of the conformance table, its marks made names."""
    sent = b"\n".join(
        step.sent for row in TABLE for step in row.steps if isinstance(step, Exchange)
    )
    lines = {line.rstrip(b"\r") for line in _MARK.sub(rb"mark-\1-\2", sent).split(b"\n")}
    return sorted(line for line in lines if 0 < len(line) < MAX_LINE // 10)


class Writer:
    """Makes up what one client sends.

    Args:
        rng: Where every choice comes from.
        lines: The material.
    """

    def __init__(self, rng: random.Random, lines: list[bytes]) -> None:
        self._rng = rng
        self._lines = lines

    def hello(self) -> bytes:
        """Return a first line, most often a good one."""
        roll = self._rng.random()
        if roll < 0.5:
            return HELLO
        if roll < 0.85:
            return b'HELLO {"v":2,"wid":"mark-w-%d","pid":1}\r\n' % self._rng.randrange(3)
        return self._spoil(b'HELLO {"v":2,"wid":"mark-w-1","labels":["a"],"pid":5}') + b"\r\n"

    def text(self) -> bytes:
        """Return some lines, good and spoilt."""
        rng = self._rng
        out = bytearray()
        for _ in range(rng.randrange(1, 40)):
            line = rng.choice(self._lines)
            if line.startswith(b"END") and rng.random() < 0.9:
                continue  # or nobody would stay for long
            while rng.random() < 0.6:
                line = self._spoil(line)
            out += line + (b"\n" if rng.random() < 0.1 else b"\r\n")
        return bytes(out)

    def pieces(self, text: bytes) -> Iterator[bytes]:
        """Cut a text anywhere."""
        most = self._rng.choice((1, 7, 100, 5_000, 100_000)) if len(text) < 2_000 else 100_000
        while text:
            size = self._rng.randrange(1, most + 1)
            yield text[:size]
            text = text[size:]

    def _spoil(self, line: bytes) -> bytes:
        rng = self._rng
        place = rng.randrange(len(line) + 1)
        other = rng.choice(self._lines)
        length = min(rng.choice((1, 1, 2, 8, 50)), len(line) - place)
        spoilt: tuple[Callable[[], bytes], ...] = (
            lambda: line[:place] + rng.choice(_TOKENS) + line[place:],
            lambda: line[:place] + rng.choice(_TOKENS) + line[place + length :],
            lambda: line[:place] + line[place + length :],
            lambda: line[:place],
            lambda: line[:place] + line[place : place + length] * rng.choice((2, 3, 100)),
            lambda: line[:place] + other[rng.randrange(len(other)) :],
            lambda: line[:place] + rng.randbytes(length) + line[place + length :],
            lambda: line[:place] + b"x" * rng.choice((100, 1_000, 30_000)) + line[place:],
        )
        # Swelling makes lines long and slow, so it is rare.
        weights = (4, 4, 4, 1, 3, 4, 3, 0.1)
        return rng.choices(spoilt, weights)[0]()[: MAX_LINE + 100]


@dataclass(slots=True)
class Tally:
    """What was done so far."""

    sent: int = 0
    replies: int = 0
    errors: int = 0
    clients: int = 0
    closed: int = 0
    servers: int = 0
    seconds: float = 0.0
    growth: int = 0

    def __str__(self) -> str:
        return (
            f"{self.sent / 1e6:.1f} MB sent by {self.clients} clients to {self.servers} servers in "
            f"{self.seconds:.0f} s: {self.replies} replies, {self.errors} of them errors; "
            f"{self.closed} connections closed by the server; memory grew by {self.growth} kB"
        )


class _Mistakes(logging.Handler):
    """Keeps what the server logs as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@dataclass(slots=True)
class _Clock:
    """Real time, and some."""

    offset: int = 0

    def time_ns(self) -> int:
        return time.time_ns() + self.offset


@dataclass
class Fuzz:
    """One run.

    Attributes:
        seed: What it begins with; the same seed makes the same clients.
        tally: What was done so far.
    """

    seed: int = 1
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self._lines = material()
        self._clock = _Clock()
        self._mistakes = _Mistakes()
        self._misread: list[str] = []

    async def run(self, goes_on: Callable[[Tally], bool]) -> None:
        """Go on as long as one says, asked after each crowd.

        Raises:
            FuzzError: the server did what it must not do.
        """
        logger = logging.getLogger("faktory_async.server")
        before, start = _memory(), time.monotonic()
        logger.addHandler(self._mistakes)
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(_embedded, "time", SimpleNamespace(time_ns=self._clock.time_ns))
                while await self._serve(goes_on):
                    self.tally.growth = _memory() - before
                    if self.tally.growth > MOST_GROWTH:
                        raise FuzzError(f"the memory grew: {self.tally}")
        finally:
            self.tally.seconds = time.monotonic() - start
            self.tally.growth = _memory() - before
            logger.removeHandler(self._mistakes)

    async def _serve(self, goes_on: Callable[[Tally], bool]) -> bool:
        """Let some crowds come to one server; return whether to go on."""
        self.tally.servers += 1
        rng = random.Random(f"{self.seed}/{self.tally.servers}")  # noqa: S311 - no secret
        server = EmbeddedServer(fetch_wait=0.002, grace=0, max_line=MAX_LINE, max_connections=7)
        async with server:
            for _ in range(CROWDS_PER_SERVER):
                await self._crowd(server, rng)
                if not goes_on(self.tally):
                    return False
            async with anyio.create_task_group() as tasks:
                for _ in range(CROWD):
                    tasks.start_soon(self._client, server, rng.getrandbits(64))
                for _ in range(rng.randrange(30)):
                    await anyio.lowlevel.checkpoint()
                await server.aclose()  # in the middle of it all
        return True

    async def _crowd(self, server: EmbeddedServer, rng: random.Random) -> None:
        number = f"seed {self.seed}, server {self.tally.servers}"
        try:
            with anyio.fail_after(PATIENCE):
                async with anyio.create_task_group() as tasks:
                    for _ in range(CROWD):
                        tasks.start_soon(self._client, server, rng.getrandbits(64))
                while server._core.conversations:
                    await anyio.lowlevel.checkpoint()
        except TimeoutError:
            raise FuzzError(f"{number}: no end in {PATIENCE} s") from None
        self._complain(number)
        self._clock.offset += rng.choice((0, 0, 1, 10, 100, 5_000)) * 1_000_000_000
        server._core.catch_up()
        await self._look(server)
        self._complain(number)

    def _complain(self, number: str) -> None:
        mistakes = [logging.Formatter().format(record) for record in self._mistakes.records]
        for text in self._misread + mistakes:
            raise FuzzError(f"{number}: {text}")

    async def _look(self, server: EmbeddedServer) -> None:
        """Prove that a well-behaved client is served after all that."""
        async with connected(server, by_memory) as wire:
            assert (await wire.ask(b"INFO")).startswith(b"$")
        while server._core.conversations:
            await anyio.lowlevel.checkpoint()
        if server.counters.connections or server.workers:
            raise FuzzError(f"somebody stays behind: {server.counters}, {server.workers}")
        for take in (lambda: server.queues, lambda: server.retries, lambda: server.working):
            take()

    # -- one client ---------------------------------------------------------------------------

    async def _client(self, server: EmbeddedServer, seed: int) -> None:
        rng = random.Random(seed)  # noqa: S311 - no secret
        writer = Writer(rng, self._lines)
        try:
            wire = Wire(await rng.choice((by_tcp, by_memory))(server))
        except NETWORK_ERRORS:
            return  # the server has ended meanwhile
        self.tally.clients += 1
        text = writer.hello() + writer.text()
        try:
            async with anyio.create_task_group() as tasks:
                done = anyio.Event()
                tasks.start_soon(self._read, wire, text, done)
                await self._write(wire, writer.pieces(text), rng, done)
        finally:
            wire.link.abort()
            with anyio.CancelScope(shield=True):
                await wire.link.aclose()

    async def _write(
        self, wire: Wire, pieces: Iterator[bytes], rng: random.Random, done: anyio.Event
    ) -> None:
        patience = rng.random() < 0.9
        try:
            for piece in pieces:
                await wire.send(piece)
                self.tally.sent += len(piece)
                if rng.random() < 0.1:
                    await anyio.lowlevel.checkpoint()
            if patience:
                await wire.send(b"\r\nLAST\r\nEND\r\n")
            else:
                wire.link.abort()
        except NETWORK_ERRORS:
            pass  # closed already; the reader saw it
        await done.wait()

    async def _read(self, wire: Wire, text: bytes, done: anyio.Event) -> None:
        """Read to the end, which must come."""
        try:
            while data := await wire.link.receive():
                wire.buffer += data
                self._check(wire.buffer, text)
        except NETWORK_ERRORS:
            pass
        finally:
            done.set()
        self.tally.closed += 1

    def _check(self, buffer: bytearray, text: bytes) -> None:
        try:
            while (reply := take_reply(buffer)) is not None:
                self.tally.replies += 1
                self.tally.errors += reply.startswith(b"-")
        except FramingError as error:
            if not _CRLF_ESCAPE.search(text):
                self._misread.append(f"{error}; what was sent is {text!r}")
            buffer.clear()


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> int:
    """Fuzz from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.server.fuzz")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--loop", choices=("asyncio", "uvloop", "trio"), default="asyncio")
    options = parser.parse_args()
    logging.getLogger("faktory_async").addHandler(logging.NullHandler())
    fuzz = Fuzz(options.seed)
    end: float = time.monotonic() + options.seconds

    def goes_on(_: Tally) -> bool:
        return time.monotonic() < end

    backend = "trio" if options.loop == "trio" else "asyncio"
    loop: dict[str, Any] = {"use_uvloop": True} if options.loop == "uvloop" else {}
    try:
        anyio.run(fuzz.run, goes_on, backend=backend, backend_options=loop)
    finally:
        print(fuzz.tally)  # noqa: T201 - a command
    return 0


if __name__ == "__main__":
    sys.exit(main())
