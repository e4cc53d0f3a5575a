"""A Faktory that a test plays itself, over any link, and a command that it can answer."""

import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import ClassVar

import anyio

from faktory_async.net import Connection, Link, memory_links
from faktory_async.protocol import BulkReply, Command, Reply, SimpleReply, encode_reply

__all__ = ["HI", "Echo", "Recorder", "Server", "conversation", "echoed", "opened", "trickle"]

HI = b'+HI {"v":2}\r\n'


class Echo(Command[str], frozen=True):
    """A command whose reply is its own text, so that no reply can be taken for another's."""

    verb: ClassVar[bytes] = b"ECHO"
    text: str

    def payload(self) -> bytes:
        return self.text.encode()

    def understand(self, reply: Reply) -> str:
        assert isinstance(reply, BulkReply)
        return reply.data.decode()


def echoed(text: str) -> bytes:
    """Return the bytes of the reply to an `Echo`."""
    return encode_reply(BulkReply(text.encode()))


class Server:
    """The server's end of a link."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.lines: list[str] = []
        self._buffer = b""

    async def line(self) -> str:
        """Read one line, without its end."""
        while b"\r\n" not in self._buffer:
            if not (data := await self.link.receive()):
                raise EOFError
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\r\n", 1)
        self.lines.append(line.decode())
        return self.lines[-1]

    async def greet(self) -> None:
        """Say HI and accept the HELLO."""
        await self.link.send(HI)
        assert re.match("HELLO {", await self.line())
        await self.link.send(encode_reply(SimpleReply("OK")))

    async def echo(self) -> None:
        """Answer one `Echo`."""
        verb, _, text = (await self.line()).partition(" ")
        assert verb == "ECHO"
        await self.link.send(echoed(text))

    async def serve(self) -> None:
        """Greet, and answer until END or the end of the stream."""
        try:
            await self.greet()
            while (line := await self.line()) != "END":
                await self.link.send(echoed(line.partition(" ")[2]))
        except (OSError, EOFError):
            self.link.abort()
        else:
            await self.link.aclose()


async def trickle(server: Server, data: bytes, pause: float = 0.1) -> None:
    """Send data byte by byte, after a pause each."""
    for byte in data:
        await anyio.sleep(pause)
        await server.link.send(bytes([byte]))


class Recorder(Link):
    """A link that notes what is done to it and passes it on."""

    def __init__(self, link: Link, send: Callable[[bytes], Awaitable[None]] | None = None) -> None:
        self._link = link
        self._send = link.send if send is None else send
        self.calls: list[str] = []

    async def send(self, data: bytes) -> None:
        self.calls.append("send")
        await self._send(data)

    async def receive(self) -> bytes:
        return await self._link.receive()

    def readable(self) -> bool:
        return self._link.readable()

    def unsent(self) -> int:
        self.calls.append("unsent")
        return self._link.unsent()

    def abort(self) -> None:
        self.calls.append("abort")
        self._link.abort()

    async def aclose(self) -> None:
        self.calls.append("aclose")
        await self._link.aclose()


async def opened(link: Link, server: Server, *, patience: float = 7.0) -> Connection:
    """Shake hands with a server that a test plays."""
    connections: list[Connection] = []
    async with anyio.create_task_group() as tg:
        tg.start_soon(server.greet)
        connections.append(await Connection.open(link, timeout=patience))
    return connections[0]


@asynccontextmanager
async def conversation(
    *, room: int = 65_536, patience: float = 7.0
) -> AsyncGenerator[tuple[Connection, Server]]:
    """Open a connection in memory, and give it with the server that a test plays."""
    ours, theirs = memory_links(room)
    server = Server(theirs)
    connection = await opened(ours, server, patience=patience)
    try:
        yield connection, server
    finally:
        connection.abort()
