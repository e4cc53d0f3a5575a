"""A link over any byte stream of anyio: for trio, and for users' own transports."""

import contextlib
import select
import socket

import anyio
from anyio.abc import ByteStream, SocketAttribute

from faktory_async.net._link import Link

_CHUNK = 65_536


class StreamLink(Link):
    """Wraps an anyio stream.

    It cannot know what stayed on this side, so `unsent` is 0; where the stream has no socket to
    ask, `readable` is False, and an idle connection that died is noticed only by its next use.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._over = False
        self._socket: socket.socket | None = stream.extra(SocketAttribute.raw_socket, None)

    async def send(self, data: bytes) -> None:
        await self._stream.send(data)

    async def receive(self) -> bytes:
        try:
            return await self._stream.receive(_CHUNK)
        except anyio.EndOfStream:
            return b""

    def readable(self) -> bool:
        return self._over or (self._socket is not None and socket_readable(self._socket))

    def unsent(self) -> int:
        return 0

    def abort(self) -> None:
        self._over = True
        if self._socket is not None:
            with contextlib.suppress(OSError):  # closed already: that is what was wanted
                self._socket.shutdown(socket.SHUT_RDWR)

    async def aclose(self) -> None:
        self._over = True
        await self._stream.aclose()


def socket_readable(sock: socket.socket) -> bool:
    """Tell without waiting whether a read would not block: data, end of stream or an error."""
    if sock.fileno() < 0:
        return True
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
