"""One raw connection to an embedded server, by a socket or in process: bytes out, replies in."""

import contextlib
import os
import socket
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable

import anyio

from faktory_async.net import NETWORK_ERRORS, Address, AsyncioLink, Link, StreamLink, open_link
from faktory_async.server import EmbeddedServer
from tests.conformance._wire import take_reply

__all__ = ["GREETING", "HELLO", "NIL", "OK", "Dial", "Wire", "by_memory", "by_tcp", "connected"]

GREETING = b'+HI {"v":2}\r\n'
HELLO = b'HELLO {"v":2}\r\n'
OK = b"+OK\r\n"
NIL = b"$-1\r\n"

Dial = Callable[[EmbeddedServer], Awaitable[Link]]


async def by_tcp(server: EmbeddedServer) -> Link:
    return await open_link(Address(host=server.host, port=server.port), None)


async def by_memory(server: EmbeddedServer) -> Link:
    return await server.dial()


class Wire:
    """What a client sees of its connection.

    Attributes:
        buffer: What arrived and was not taken.
    """

    def __init__(self, link: Link) -> None:
        self.link = link
        self.buffer = bytearray()

    async def send(self, data: bytes) -> None:
        await self.link.send(data)

    async def reply(self) -> bytes:
        """Take the next whole reply."""
        while (reply := take_reply(self.buffer)) is None:
            data = await self.link.receive()
            assert data, f"the stream ended after {bytes(self.buffer)!r}"
            self.buffer += data
        return reply

    async def replies(self, count: int) -> list[bytes]:
        return [await self.reply() for _ in range(count)]

    async def ask(self, line: bytes) -> bytes:
        """Send a line, and take the next reply."""
        await self.send(line + b"\r\n")
        return await self.reply()

    async def enter(self, hello: bytes = HELLO) -> None:
        """Shake hands."""
        assert (await self.reply()).startswith(b"+HI ")
        await self.send(hello)
        assert await self.reply() == OK

    async def rest(self) -> bytes:
        """Read until the stream ends, and take all that came."""
        while data := await self.link.receive():
            self.buffer += data
        return self._take_all()

    async def end(self) -> bytes:
        """As `rest`, but the stream may also break, as one does that is cut with bytes unread."""
        with contextlib.suppress(*NETWORK_ERRORS):
            return await self.rest()
        return self._take_all()

    def _take_all(self) -> bytes:
        data = bytes(self.buffer)
        self.buffer.clear()
        return data

    def raw(self) -> socket.socket:
        """Return a copy of the socket; over TCP alone."""
        assert isinstance(self.link, AsyncioLink | StreamLink)
        assert self.link._socket is not None
        return socket.socket(fileno=os.dup(self.link._socket.fileno()))

    def half_close(self) -> None:
        """Say that nothing more will be sent; over TCP alone."""
        with self.raw() as sock:
            sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Vanish; over TCP alone."""
        with self.raw() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.link.abort()


@contextlib.asynccontextmanager
async def connected(
    server: EmbeddedServer, dial: Dial = by_tcp, *, hello: bytes | None = HELLO
) -> AsyncGenerator[Wire]:
    """Give a connection, which has shaken hands unless `hello` is None."""
    wire = Wire(await dial(server))
    try:
        if hello is not None:
            await wire.enter(hello)
        yield wire
    finally:
        wire.link.abort()
        with anyio.CancelScope(shield=True):
            await wire.link.aclose()
