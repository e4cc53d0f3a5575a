"""A server under test, and one connection to it."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.conformance._wire import take_reply

__all__ = ["DEADLINE", "Stream", "Target"]

DEADLINE = 6.0


async def real_time(seconds: float) -> None:
    """Let so much real time pass."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.get_running_loop().create_future()


async def _is_shared() -> None:
    raise RuntimeError("this server is shared and must not be stopped")


@dataclass(frozen=True, slots=True)
class Target:
    """A server under test: its address, its clock, and how to let its clock run or to stop it.

    `wait` takes seconds. A real server's clock runs by itself; one with an injected clock is
    advanced by `wait` and read by `now` (a Unix time).
    """

    host: str
    port: int
    now: Callable[[], float] = time.time
    wait: Callable[[float], Awaitable[None]] = real_time
    stop: Callable[[], Awaitable[None]] = _is_shared
    restart: Callable[[], Awaitable[None]] = _is_shared


class Stream:
    """One connection of a row: bytes out, whole replies in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.buffer = bytearray()
        self.ended = False

    @classmethod
    async def open(cls, target: Target) -> "Stream":
        async with asyncio.timeout(DEADLINE):
            return cls(*await asyncio.open_connection(target.host, target.port))

    async def send(self, data: bytes) -> None:
        # A server that closes while bytes are under way breaks the pipe; how the stream ended
        # is told by the read that follows.
        with contextlib.suppress(ConnectionError):
            self._writer.write(data)
            await self._writer.drain()

    async def reply(self) -> bytes | None:
        """Return the next reply, or None when the stream ends before it is whole."""
        while (reply := take_reply(self.buffer)) is None:
            if not await self._more():
                return None
        return reply

    async def end(self) -> bytes:
        """Read until the stream ends and return what still came."""
        while await self._more():
            pass
        return bytes(self.buffer)

    async def silent(self, seconds: float) -> bool:
        """Tell whether for so long neither a byte nor the end comes."""
        if self.buffer or self.ended:
            return False
        try:
            async with asyncio.timeout(seconds):
                await self._more()
        except TimeoutError:
            return True
        return False

    async def _more(self) -> bool:
        try:
            data = await self._reader.read(1 << 16)
        except ConnectionResetError:  # a close with bytes under way; as final as a plain one
            data = b""
        self.buffer += data
        self.ended = self.ended or not data
        return bool(data)

    def half_close(self) -> None:
        self._writer.write_eof()

    async def close(self) -> None:
        self._writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()
