"""What has failed is freed at once: no circle of it waits for the garbage collector."""

import asyncio
import gc
import socket
import struct
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from faktory_async import Client, FaktoryError, Job, ProtocolError, Timeouts
from faktory_async.client._waiter import Frame, Waiter
from faktory_async.errors import CommandTimeoutError, ConnectionLostError, ServerBusyError
from faktory_async.net import AsyncioLink, Connection
from faktory_async.protocol import ClientSession, Ticket

pytestmark = pytest.mark.anyio

_LOOPS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "asyncio": ("asyncio", {"use_uvloop": False}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
}
_KINDS: Final = (Waiter, Frame, Connection, AsyncioLink, Ticket, ClientSession)
_AT_ONCE: Final = struct.pack("ii", 1, 0)  # for SO_LINGER: a close is a reset


@pytest.fixture(params=_LOOPS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, Mapping[str, Any]]:
    return _LOOPS[request.param]


class Server:
    """Takes a HELLO, gives one answer to every PUSHB, and then ends the connection.

    Args:
        hello: What it answers to HELLO.
        answer: What it answers to PUSHB; None for nothing at all.
        reset: Whether it ends the connection by a reset.
    """

    def __init__(self, hello: bytes, answer: bytes | None, *, reset: bool) -> None:
        self._hello = hello
        self._answer = answer
        self._reset = reset

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(b'+HI {"v":2}\r\n')
            await reader.readline()
            writer.write(self._hello)
            line = await reader.readline()
            if line.startswith(b"PUSHB") and self._answer is None:
                await reader.readline()
            elif line.startswith(b"PUSHB"):
                writer.write(self._answer or b"")
            if self._reset:
                sock: socket.socket = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                writer.transport.abort()
        finally:
            writer.close()


@asynccontextmanager
async def serving(server: Server) -> AsyncGenerator[str]:
    async with await asyncio.start_server(server, "127.0.0.1", 0) as listener:
        yield f"tcp://127.0.0.1:{listener.sockets[0].getsockname()[1]}"


def alive() -> list[object]:
    return [each for each in gc.get_objects() if isinstance(each, _KINDS)]


async def failures(client: Client) -> set[type[BaseException]]:
    """Push three jobs at once, twice, and return what kinds of errors that gives."""
    kinds: set[type[BaseException]] = set()
    for _ in range(2):
        pushes = (client.push(Job("order")) for _ in range(3))
        for outcome in await asyncio.gather(*pushes, return_exceptions=True):
            assert isinstance(outcome, FaktoryError)
            kinds.add(type(outcome))
    return kinds


@pytest.mark.parametrize(
    ("server", "kind"),
    [
        (Server(b"+OK\r\n", b"", reset=False), ConnectionLostError),
        (Server(b"+OK\r\n", b"", reset=True), ConnectionLostError),
        (Server(b"+OK\r\n", None, reset=False), CommandTimeoutError),
        (Server(b"+OK\r\n", b"*3\r\n", reset=False), ProtocolError),
        (Server(b"+OK\r\n", b"+OK\r\n+OK\r\n", reset=False), ProtocolError),
        (Server(b"+OK\r\n", b"-ERR the disk is full\r\n", reset=False), ServerBusyError),
        (Server(b"*3\r\n", b"", reset=False), ProtocolError),
    ],
    ids=["end", "reset", "silence", "rubbish", "too much", "refusal", "no handshake"],
)
async def test_nothing_of_what_has_failed_is_left(server: Server, kind: type[FaktoryError]) -> None:
    async with serving(server) as url:
        gc.collect()
        before = alive()  # other tests may keep theirs
        gc.disable()
        try:
            async with Client(url, timeouts=Timeouts(command=0.1)) as client:
                assert await failures(client) == {kind}
            del client
            await asyncio.sleep(0)  # the loop lets go of the transports
            assert [each for each in alive() if each not in before] == []
        finally:
            gc.enable()
