"""The face of the server towards one client: lines off a link, answers onto it."""

import logging
from collections.abc import Callable, Collection
from typing import Final, Protocol

import anyio
import anyio.lowlevel

from faktory_async.errors import ProtocolError
from faktory_async.net import NETWORK_ERRORS, Link
from faktory_async.protocol import ServerSession, State
from faktory_async.server._answers import Answer, Answers, Close
from faktory_async.server._broker import Broker
from faktory_async.server._clock import FOREVER, ServerClock
from faktory_async.server._connection import Connection
from faktory_async.server._effects import GREETING, Command, chain, spoiled
from faktory_async.server._faults import Armed, CommandFault
from faktory_async.server._gotime import NANOSECONDS
from faktory_async.server._waiting import NOTHING, Waiting

_log: Final = logging.getLogger("faktory_async.server")

HANDSHAKE_SECONDS: Final = 2.0
# Answers are sent together, but a client that asks and does not read must not fill the memory.
_MOST_UNSENT: Final = 64 * 1024
# How many bytes of commands are answered before other clients have a turn; each command counts
# as this many more.
_TURN: Final = 64 * 1024
_EFFORT: Final = 512
_FETCH: Final = b"FETCH"
_LISTENING: Final = (State.GREETED, State.READY)
# What the real server answers where a command fails by a mistake of its own.
_INTERNAL_ERROR: Final = b"-ERR internal error\r\n"
# And what a FETCH that waits is told when the server ends.
_STORE_CLOSED: Final = b"-ERR redis: client is closed\r\n"


class Setting(Protocol):
    """What conversations need of their server."""

    @property
    def answers(self) -> Answers:
        """What is answered."""
        ...

    @property
    def broker(self) -> Broker:
        """What commands act on."""
        ...

    @property
    def clock(self) -> ServerClock:
        """The server's clock."""
        ...

    @property
    def armed(self) -> Armed:
        """The faults that hold."""
        ...

    @property
    def fetch_wait(self) -> float:
        """Seconds that an empty FETCH takes."""
        ...

    @property
    def watchers(self) -> Collection[object]:
        """Who wants to be told when nothing is left to do."""
        ...

    def look(self) -> None:
        """Note that something was done, after which nothing may be left to do."""
        ...


class Conversation:
    """One client, from the greeting to the end.

    Args:
        link: The way to the client.
        setting: The server's side of it.
        max_line: The longest command accepted, in bytes.
        handshake_wait: Seconds that the client has for its HELLO.

    Attributes:
        connection: What the broker knows of the client.
    """

    def __init__(
        self,
        link: Link,
        setting: Setting,
        *,
        max_line: int,
        handshake_wait: float = HANDSHAKE_SECONDS,
    ) -> None:
        answers = setting.answers
        self.connection: Connection = answers.open_connection()
        self._link = link
        self._setting = setting
        # Looked at with every command, and nearly always empty.
        self._faults = setting.armed.faults
        self._watchers = setting.watchers
        self._answers = answers
        self._session = ServerSession(max_line=max_line)
        self._handshake_wait = handshake_wait
        self._out = bytearray()
        self._spent = 0
        self._answering = False
        self._dismissed = False

    @property
    def has_unread(self) -> bool:
        """Whether the client has said something that is not answered yet; a FETCH may wait."""
        if self._answering or self._session.buffered > 0:
            return True
        return self._link.readable() or self._link.unsent() > 0

    def hang_up(self) -> None:
        """End the connection from outside; nothing more is carried out."""
        self._dismissed = True
        self._link.abort()
        self._setting.clock.nudge()

    def dismiss(self) -> None:
        """End the connection because the server ends: a FETCH that waits is told so first."""
        self._dismissed = True
        waiting = self.connection.waiting
        if waiting is None:
            self.hang_up()
        else:
            waiting.deliver(_STORE_CLOSED)

    async def run(self) -> None:
        """Talk until either side ends it. Whatever arrives, nothing is raised.

        Cancelled, the link is ended at once.
        """
        try:
            await self._talk()
            self._leave()
            # A goodbye, not a reset: what was said last must not be lost on its way.
            await self._link.aclose()
        except BaseException as error:
            await self.end()
            if not isinstance(error, NETWORK_ERRORS):
                raise
            _log.debug("a client is gone: %s", error)

    async def end(self) -> None:
        """End the connection at once. May be called again, and where `run` never was."""
        self._leave()
        self._link.abort()
        with anyio.CancelScope(shield=True):
            await self._link.aclose()

    def _leave(self) -> None:
        """Free the client's place. It can see the end of the stream only after this."""
        self._session.closed()
        self._answers.close_connection(self.connection)

    async def _talk(self) -> None:
        try:
            line = await self._first_line()
            while line is not None:
                await self._answer_all(line)
                line = await self._line()
        except ProtocolError as error:
            # A line over its limit. What stands before it was answered.
            _log.warning("a client is sent away: %s", error)
            await self._flush()

    # -- in -----------------------------------------------------------------------------------

    async def _first_line(self) -> bytes | None:
        greeting = await self._misgreeting() if self._faults else self.connection.greeting
        with anyio.move_on_after(self._handshake_wait):
            await self._link.send(greeting.data if isinstance(greeting, Close) else greeting)
            if isinstance(greeting, Close):
                return None
            self._session.greeted()
            return await self._line()
        return None

    async def _line(self) -> bytes | None:
        """Wait for a line to come; None when none will, or none is heard any more."""
        while self._session.state in _LISTENING:
            data = await self._link.receive()
            self._session.receive(data)
            if not data:
                break
            if (line := self._session.next_line()) is not None:
                return line
        return None

    # -- out ----------------------------------------------------------------------------------

    async def _answer_all(self, line: bytes | None) -> None:
        """Answer a line and those that are there behind it, in as few pieces as may be."""
        self._answering = True
        while line is not None:
            if self._out and line.startswith(_FETCH):
                # It may wait, and must not take a job for a client that cannot even be told this.
                await self._flush()
            if self._dismissed:
                break
            answer = await self._misanswer(line) if self._faults else self._answer(line)
            if isinstance(answer, Close):
                self._out += answer.data
                self._session.closed()
                break
            self._out += answer if isinstance(answer, bytes) else await self._wait(answer)
            if self._dismissed:
                break
            self._session.answered()
            self._spent += len(line) + _EFFORT
            if self._spent > _TURN or len(self._out) > _MOST_UNSENT:
                await self._take_a_break()
            line = self._session.next_line()
        # What was asked is answered; who waits for that must not see it before it is so.
        self._answering = False
        await self._flush()
        if self._watchers:
            self._setting.look()

    def _answer(self, line: bytes) -> Answer:
        try:
            return self._answers.answer(self.connection, line)
        except Exception:  # noqa: BLE001 - whatever it is, the server goes on, as the real one does
            _log.exception("the embedded server failed at %r", line.partition(b" ")[0][:20])
            return _INTERNAL_ERROR if self.connection.identified else Close()

    async def _wait(self, waiting: Waiting) -> bytes:
        """Wait for a FETCH's job, even when the client has gone: so does the real server."""
        answered = anyio.Event()
        waiting.on_reply = lambda _reply: answered.set()
        self._answering = False
        try:
            with anyio.move_on_after(self._setting.fetch_wait):
                await answered.wait()
        finally:
            waiting.expire()
        self._answering = True
        return waiting.reply or NOTHING

    async def _take_a_break(self) -> None:
        self._spent = 0
        await self._flush()
        await anyio.lowlevel.checkpoint()

    async def _flush(self) -> None:
        if self._out:
            data = bytes(self._out)
            self._out.clear()
            await self._link.send(data)

    # -- faults -------------------------------------------------------------------------------

    async def _misgreeting(self) -> bytes | Close:
        """Return what is said for a greeting, as the faults that hold let it."""
        struck = self._setting.armed.struck_by(GREETING, "")
        return await self._suffer(struck, GREETING.encode(), lambda: self.connection.greeting)

    async def _misanswer(self, line: bytes) -> Answer:
        """Answer as the faults that hold let it."""
        verb = line.partition(b" ")[0].decode("latin-1")
        struck = self._setting.armed.struck_by(verb, self.connection.wid)
        if not struck:
            return self._answer(line)
        return await self._suffer(struck, line, lambda: self._answer(line))

    async def _suffer(
        self, struck: list[CommandFault], line: bytes, answer: Callable[[], Answer]
    ) -> bytes | Close:
        """Answer with all that some faults do to it; what was answered before is sent first."""
        await self._flush()
        effects = [fault.effect for fault in struck]
        verb = line.partition(b" ")[0].decode("latin-1")
        command = Command(verb, line, self.connection, self._setting.broker)
        answered = chain(effects, command, answer)
        if isinstance(answered, Waiting):
            answered = await self._wait(answered)
        if any(effect.silent for effect in effects):
            self._answering = False
            await self._hold(FOREVER, [fault for fault in struck if fault.effect.silent])
            return Close()
        late = sum(effect.seconds for effect in effects)
        if late:
            await self._hold(late, [fault for fault in struck if fault.effect.seconds])
        reply, ends = spoiled(effects, answered.data if isinstance(answered, Close) else answered)
        return Close(reply) if ends or isinstance(answered, Close) else reply

    async def _hold(self, seconds: float, faults: list[CommandFault]) -> None:
        """Do nothing for so long on the server's clock, or until one of the faults has ended."""
        clock = self._setting.clock
        await clock.wait_until(
            clock() + seconds * NANOSECONDS,
            unless=lambda: self._dismissed or not all(fault.holds for fault in faults),
        )
