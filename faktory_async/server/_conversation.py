"""The face of the server towards one client: lines off a link, answers onto it."""

import logging
from typing import Final

import anyio

from faktory_async.errors import ProtocolError
from faktory_async.net import NETWORK_ERRORS, Link
from faktory_async.protocol import ServerSession, State
from faktory_async.server._answers import Answers, Close
from faktory_async.server._connection import Connection
from faktory_async.server._waiting import NOTHING, Waiting

_log: Final = logging.getLogger("faktory_async.server")

HANDSHAKE_SECONDS: Final = 2.0
# Answers are sent together, but a client that asks and does not read must not fill the memory.
_MOST_UNSENT: Final = 64 * 1024


class Conversation:
    """One client, from the greeting to the end.

    Args:
        link: The way to the client.
        answers: What is answered.
        max_line: The longest command accepted, in bytes.
        fetch_wait: Seconds that an empty FETCH takes.

    Attributes:
        connection: What the broker knows of the client.
    """

    def __init__(self, link: Link, answers: Answers, *, max_line: int, fetch_wait: float) -> None:
        self.connection: Connection = answers.open_connection()
        self._link = link
        self._answers = answers
        self._session = ServerSession(max_line=max_line)
        self._fetch_wait = fetch_wait
        self._out = bytearray()

    def hang_up(self) -> None:
        """End the connection from outside; the conversation notices."""
        self._link.abort()

    async def run(self) -> None:
        """Talk until either side ends it. Whatever arrives, nothing is raised.

        Cancelled, the link is ended at once.
        """
        try:
            await self._talk()
        except (*NETWORK_ERRORS, ProtocolError) as error:
            # Gone, or it sends a line without an end: nobody is left to tell.
            _log.debug("a client's connection ended: %s", error)
        finally:
            self._session.closed()
            self._answers.close_connection(self.connection)
            self._link.abort()
            with anyio.CancelScope(shield=True):
                await self._link.aclose()

    async def _talk(self) -> None:
        await self._link.send(self.connection.greeting)
        self._session.greeted()
        with anyio.move_on_after(HANDSHAKE_SECONDS):
            while self._session.state is State.GREETED and await self._hear():
                await self._say_all()
        while self._session.state is State.READY and await self._hear():
            await self._say_all()
        # A goodbye, not a reset: what was said last must not be lost on its way.
        await self._link.aclose()

    async def _hear(self) -> bool:
        """Take in what comes next; False when nothing will."""
        data = await self._link.receive()
        self._session.receive(data)
        return bool(data)

    async def _say_all(self) -> None:
        """Answer every line that is there, one after the other, in as few pieces as may be."""
        while (line := self._session.next_line()) is not None:
            answer = self._answers.answer(self.connection, line)
            if isinstance(answer, Close):
                self._out += answer.data
                self._session.closed()
            else:
                self._out += answer if isinstance(answer, bytes) else await self._wait(answer)
                self._session.answered()
            if len(self._out) > _MOST_UNSENT:
                await self._flush()
        await self._flush()

    async def _wait(self, waiting: Waiting) -> bytes:
        """Wait for a FETCH's job, even when the client has gone: so does the real server."""
        await self._flush()
        if waiting.reply is None:
            answered = anyio.Event()
            waiting.on_reply = lambda _reply: answered.set()
            with anyio.move_on_after(self._fetch_wait):
                await answered.wait()
            waiting.expire()
        return waiting.reply or NOTHING

    async def _flush(self) -> None:
        if self._out:
            data = bytes(self._out)
            self._out.clear()
            await self._link.send(data)
