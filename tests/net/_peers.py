"""The other end of a link, held by a test: a raw socket that does only what it is told."""

import contextlib
import socket
import struct
import time
from collections.abc import Callable, Generator
from typing import Final

import anyio
from anyio.lowlevel import checkpoint

__all__ = ["HOST", "Peer", "listener", "pair", "when"]

HOST: Final = "127.0.0.1"
_PATIENCE: Final = 30.0  # real seconds; while a condition is looked at, virtual time stands still


class Peer:
    """A connected, non-blocking socket."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.socket = sock
        self.received = bytearray()

    def take(self) -> bool:
        """Read what is there without waiting; tell whether the stream goes on."""
        while True:
            try:
                data = self.socket.recv(1 << 20)
            except BlockingIOError:
                return True
            except ConnectionResetError:
                return False
            if not data:
                return False
            self.received += data

    async def read(self, size: int) -> bytes:
        """Read until that many bytes are there, and take them."""
        while len(self.received) < size:
            await anyio.wait_readable(self.socket)
            assert self.take(), f"the stream ended after {bytes(self.received)!r}"
        data = bytes(self.received[:size])
        del self.received[:size]
        return data

    async def read_line(self) -> bytes:
        """Read one line and take it, its end included."""
        while (end := self.received.find(b"\n")) < 0:
            await anyio.wait_readable(self.socket)
            assert self.take(), f"the stream ended after {bytes(self.received)!r}"
        return await self.read(end + 1)

    async def read_to_end(self) -> bytes:
        """Read until the stream ends, and return all that is not taken yet."""
        while self.take():
            await anyio.wait_readable(self.socket)
        return bytes(self.received)

    def send(self, data: bytes) -> None:
        """Send a little data at once."""
        assert self.socket.send(data) == len(data)

    def half_close(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close so that the other end sees a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        self.socket.close()


@contextlib.contextmanager
def listener(*, port: int = 0, small: bool = False) -> Generator[socket.socket]:
    """Listen on loopback; `small` gives accepted connections the smallest buffers there are."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if small:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        sock.bind((HOST, port))
        sock.listen()
        yield sock


@contextlib.contextmanager
def pair(*, small: bool = False) -> Generator[tuple[socket.socket, Peer]]:
    """Give a connected socket that is not blocking, for a link, and its peer."""
    with listener(small=small) as listening, socket.socket() as sock:
        if small:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        sock.connect(listening.getsockname())
        sock.setblocking(False)
        accepted, _ = listening.accept()
        with accepted:
            yield sock, Peer(accepted)


async def when(condition: Callable[[], bool]) -> None:
    """Let the loop run until a condition holds."""
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        await checkpoint()
