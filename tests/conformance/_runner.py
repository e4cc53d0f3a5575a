"""Runs a scripted exchange against a server: sockets, deadlines and a failure that shows all."""

import asyncio
from collections.abc import Iterable, Sequence

from tests.conformance._marks import Bindings
from tests.conformance._script import (
    GREETING,
    OK,
    Admitted,
    Crowd,
    Dial,
    Disturbance,
    Exchange,
    HalfClose,
    HangUp,
    Restart,
    Row,
    Silence,
    Step,
    Stop,
    Wait,
)
from tests.conformance._stream import DEADLINE, Stream, Target
from tests.conformance._wire import FramingError

__all__ = ["DifferenceError", "Target", "run_row", "run_together"]

ENTERPRISE = b"-ERR tracking subsystem is only available in Faktory Enterprise\r\n"
TOO_MANY = b"-ERR too many connections: 2001\r\n"
SHUTDOWN = b"-ERR shutdown in progress\r\n"
SHOWN = 2000
# What stays when a test has pushed and failed: names, sets, and the default of `retry`, which a
# PUSH sets even when it is refused.
SCRUB = (
    (b"QUEUE RESUME *", OK),
    (b"FLUSH", OK),
    (b"QUEUE REMOVE *", OK),
)
RESET_RETRY = (b'PUSH {"retry":25}', b"-ERR jobs must have a reasonable jid parameter\r\n")


class DifferenceError(AssertionError):
    """A server did not answer as the row says."""


async def run_row(row: Row, target: Target) -> None:
    """Play one row, and leave nothing of it on the server.

    Raises:
        DifferenceError: A reply differs, is missing, comes too early or too late, or there is
            one too many.
    """
    if row.clean:
        await _command(target, SCRUB)
    conversation = _Conversation(row, target)
    try:
        await conversation.play()
    finally:
        await conversation.tidy()


async def run_together(rows: Sequence[Row], target: Target) -> list[str]:
    """Play rows beside each other, then tidy up after each; return what differed."""
    conversations = [_Conversation(row, target) for row in rows]
    ends = await asyncio.gather(*(c.play() for c in conversations), return_exceptions=True)
    for conversation in conversations:
        await conversation.tidy()
    for end in ends:
        if isinstance(end, BaseException) and not isinstance(end, DifferenceError):
            raise end
    return [str(end) for end in ends if end is not None]


class _Conversation:
    """One run of one row."""

    def __init__(self, row: Row, target: Target) -> None:
        self._row = row
        self._target = target
        self._marks = Bindings(target.now, tolerance=90.0 if row.timer else 5.0)
        self._streams: dict[str, Stream] = {}
        self._crowd: list[Stream] = []
        self._began = target.now()

    async def play(self) -> None:
        self._began = self._target.now()
        try:
            for number, step in enumerate(self._row.steps, 1):
                await self._step(number, step)
            await self._part()
        finally:
            for stream in [*self._streams.values(), *self._crowd]:
                await stream.close()

    async def tidy(self) -> None:
        """Remove what this run has left on the server."""
        if self._row.private or self._row.password:
            return
        lines = [(b'ACK {"jid":"%b"}' % jid, OK) for jid in self._marks.names(b"j")]
        lines += _discards(self._marks.names(b"j"))
        if queues := b" ".join(self._marks.names(b"q")):
            lines += [(b"QUEUE REMOVE " + queues, OK)]
        lines += SCRUB if self._row.clean else ()
        await _command(self._target, [*lines, RESET_RETRY])

    async def _step(self, number: int, step: Step) -> None:
        match step:
            case Dial():
                self._streams[step.on] = await Stream.open(self._target)
                await self._exchange(number, Exchange(step.on, b"", (step.greeting,)))
            case Exchange():
                await self._exchange(number, step)
            case Silence():
                stream = await self._stream(step.on)
                if not await stream.silent(step.seconds):
                    raise self._difference(number, step, bytes(stream.buffer), "not silent")
            case HalfClose():
                (await self._stream(step.on)).half_close()
            case HangUp():
                await self._streams.pop(step.on).close()
            case _:
                await self._disturb(number, step)

    async def _disturb(self, number: int, step: Disturbance) -> None:
        match step:
            case Wait():
                elapsed = self._target.now() - self._began
                await self._target.wait(max(0.0, step.until - elapsed))
            case Crowd():
                await self._gather_crowd(number, step)
            case Admitted():
                await self._be_admitted(number, step)
            case Stop(under_load=""):
                await self._target.stop()
            case Stop():
                await self._stop_under_load(number, step)
            case Restart():
                await self._target.restart()
                for stream in self._streams.values():
                    await stream.close()
                self._streams.clear()

    async def _stream(self, name: str) -> Stream:
        if name not in self._streams:
            stream = self._streams[name] = await Stream.open(self._target)
            await stream.send(b'HELLO {"v":2}\r\n')
            async with asyncio.timeout(DEADLINE):
                replies = [await stream.reply(), await stream.reply()]
            if replies != [GREETING, OK]:
                raise DifferenceError(f"row {self._row.id}: HELLO was answered by {replies!r}")
        return self._streams[name]

    async def _exchange(self, number: int, step: Exchange) -> None:
        stream = await self._stream(step.on)
        got = bytearray()
        try:
            async with asyncio.timeout(step.within):
                why = await self._converse(stream, step, got)
        except TimeoutError:
            why = f"late: {step.within} s passed"
        except FramingError as fault:
            why = str(fault)
        if why is None and (step.replies or step.closes) and stream.buffer:
            why = "something extra came"
        if why is not None:
            raise self._difference(number, step, bytes(got + stream.buffer), why)

    async def _converse(self, stream: Stream, step: Exchange, got: bytearray) -> str | None:
        """Send and read what `step` says into `got`; return what was wrong with it."""
        clock = asyncio.get_running_loop().time
        began = clock()
        if step.sent:
            await stream.send(self._marks.fill(step.sent))
        for template in step.replies:
            reply = await self._reply(stream, step, template)
            if reply is None:
                return "the stream ended"
            got += reply
            if clock() - began < step.after:
                return f"too early, after {clock() - began:.2f} s"
            if (complaint := self._marks.mismatch(template, reply)) is not None:
                return complaint
        if step.closes:
            await stream.end()
            if clock() - began < step.after:
                return f"closed too early, after {clock() - began:.2f} s"
        return None

    async def _reply(self, stream: Stream, step: Exchange, template: bytes) -> bytes | None:
        reply = await stream.reply()
        while step.patient and reply and self._marks.mismatch(template, reply):
            await stream.send(self._marks.fill(step.sent))
            reply = await stream.reply()
        return reply

    async def _gather_crowd(self, number: int, step: Crowd) -> None:
        accepted = step.others
        while await self._accepts_one_more(number, step):
            accepted += 1
        if accepted != step.size:
            raise self._difference(number, step, b"", f"refused after {accepted}")

    async def _be_admitted(self, number: int, step: Admitted) -> None:
        async with asyncio.timeout(DEADLINE):
            while not await self._accepts_one_more(number, step):
                pass

    async def _accepts_one_more(self, number: int, step: Step) -> bool:
        stream = await Stream.open(self._target)
        self._crowd.append(stream)
        await stream.send(b'HELLO {"v":2}\r\nTRACK\r\n')
        async with asyncio.timeout(DEADLINE):
            replies = [await stream.reply() for _ in range(3)]
        if replies == [GREETING, OK, ENTERPRISE]:
            return True
        got = b"".join(reply or b"" for reply in replies)
        if got != GREETING + OK + TOO_MANY or await stream.end():
            raise self._difference(number, step, got, "neither accepted nor refused")
        return False

    async def _stop_under_load(self, number: int, step: Stop) -> None:
        stream = await self._stream(step.under_load)
        stopping = asyncio.ensure_future(self._target.stop())
        try:
            async with asyncio.timeout(DEADLINE):
                reply: bytes | None = ENTERPRISE
                while reply == ENTERPRISE:
                    await stream.send(b"TRACK\r\n")
                    reply = await stream.reply()
                extra = await stream.end()
                last = await self._be_refused(step.under_load + "b", step.last)
        finally:
            await stopping
        if (reply, extra, last) != (SHUTDOWN, b"", SHUTDOWN):
            got = (reply or b"") + extra + last
            raise self._difference(number, step, got, "no refusal, then the end")

    async def _be_refused(self, name: str, line: bytes) -> bytes:
        stream = await self._stream(name)
        await stream.send(self._marks.fill(line) + b"\r\n")
        return (await stream.reply() or b"") + await stream.end()

    async def _part(self) -> None:
        """End every connection with END, so that a reply too many cannot hide."""
        for name, stream in self._streams.items():
            if not stream.ended:
                await stream.send(b"END\r\n")
                async with asyncio.timeout(DEADLINE):
                    extra = await stream.end()
                if extra:
                    raise DifferenceError(f"row {self._row.id}: {name} got {extra!r} too many")

    def _difference(self, number: int, step: Step, got: bytes, why: str) -> DifferenceError:
        text = f"row {self._row.section} '{self._row.name}', step {number}: {why}\n  {step!r:.300}"
        if isinstance(step, Exchange):
            sent = self._marks.fill(step.sent)
            expected = self._marks.shown(b"".join(step.replies))
            text = (
                f"row {self._row.section} '{self._row.name}', step {number} on {step.on}: {why}\n"
                f"  sent:     {_short(sent)}\n"
                f"  expected: {_short(expected)}{' then the end' if step.closes else ''}"
            )
        return DifferenceError(f"{text}\n  got:      {_short(got)}")


def _short(data: bytes) -> str:
    text = repr(data)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(data)} bytes)"


def _discards(jids: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    if not jids:
        return []
    listed = b",".join(b'"%b"' % jid for jid in jids)
    line = b'MUTATE {"cmd":"discard","target":"%b","filter":{"jids":[%b]}}'
    return [(line % (target, listed), OK) for target in (b"scheduled", b"retries", b"dead")]


async def _command(target: Target, lines: Iterable[tuple[bytes, bytes]]) -> None:
    stream = await Stream.open(target)
    try:
        async with asyncio.timeout(DEADLINE):
            await stream.send(b'HELLO {"v":2}\r\n')
            greeted = [await stream.reply(), await stream.reply()]
            if greeted != [GREETING, OK]:
                raise DifferenceError(f"HELLO was answered by {greeted!r}")
            for line, expected in lines:
                await stream.send(line + b"\r\n")
                if (reply := await stream.reply()) != expected:
                    raise DifferenceError(f"{line!r} was answered by {reply!r}")
    finally:
        await stream.close()
