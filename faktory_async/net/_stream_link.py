"""A link over any byte stream of anyio: for trio, and for users' own transports."""

import contextlib
import select
import socket
import ssl
from collections.abc import Callable, Generator, Sequence
from functools import partial

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSAttribute, TLSStream

from faktory_async.net._link import Link

_CHUNK = 65_536


class StreamLink(Link):
    """Wraps an anyio stream.

    It cannot know what stayed on this side, so `unsent` is 0; where the stream has no socket to
    ask, `readable` is False, and an idle connection that died is noticed only by its next use.
    What a stream of anyio's TLS has taken in counts as what is in its socket.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._over = False
        self._at_work: set[anyio.CancelScope] = set()
        raw = stream.extra(SocketAttribute.raw_socket, None)
        # What asyncio's transports show is a stand-in. uvloop's does not even notice that its
        # descriptor was closed and given to another socket, so it is looked at by a copy.
        self._copy = None if raw is None or type(raw) is socket.socket else raw.dup()
        self._socket = self._copy or raw
        # With what it reads of a socket TLS takes in more than it gives at once.
        is_tls = isinstance(stream, TLSStream)
        self._tls = stream.extra(TLSAttribute.ssl_object) if is_tls else None
        self._ahead = b""  # what was read out of TLS before anybody asked for it

    async def send(self, data: bytes) -> None:
        with self._until_aborted():
            return await self._stream.send(data)
        raise anyio.ClosedResourceError

    async def receive(self) -> bytes:
        with self._until_aborted():
            if self._ahead:
                data, self._ahead = self._ahead, b""
                return data
            try:
                return await self._stream.receive(_CHUNK)
            except anyio.EndOfStream:
                return b""
        raise anyio.ClosedResourceError

    def readable(self) -> bool:
        return (
            self._over
            or (self._socket is not None and socket_readable(self._socket))
            or (self._tls is not None and self._reads_ahead(self._tls))
        )

    def _reads_ahead(self, tls: ssl.SSLObject) -> bool:
        """Read what TLS has taken in already, which the socket does not have any more."""
        if not self._ahead:
            try:
                self._ahead = tls.read(_CHUNK)
            except ssl.SSLWantReadError:
                return False
            except ssl.SSLError:
                return True  # `receive` comes to an end too, as it does to that of the stream
        return True

    def unsent(self) -> int:
        return 0

    def abort(self) -> None:
        self._over = True
        for scope in self._at_work:
            scope.cancel()
        if self._socket is not None:
            shut_down(self._socket, socket.SHUT_RDWR)

    async def aclose(self) -> None:
        self._over = True
        try:
            await self._stream.aclose()
        except BaseException:
            self.abort()  # a transport that still had bytes to write would otherwise go on
            raise
        finally:
            if self._copy is not None:
                self._copy.close()

    @contextlib.contextmanager
    def _until_aborted(self) -> Generator[None]:
        if self._over:
            raise anyio.ClosedResourceError
        with anyio.CancelScope() as scope:
            self._at_work.add(scope)
            try:
                yield
            finally:
                self._at_work.remove(scope)


def socket_readable(sock: socket.socket) -> bool:
    """Tell without waiting whether a read would not block: data, end of stream or an error."""
    return sock.fileno() < 0 or bool(look_at(sock)())


def look_at(sock: socket.socket) -> Callable[[], Sequence[object]]:
    """Return what tells, by anything or nothing, `socket_readable` of one socket, for less.

    It knows the socket by its descriptor, which may be another one's once this one is closed: from
    then on it must not be asked.
    """
    if not hasattr(select, "poll"):  # Windows
        return lambda: select.select([sock], [], [], 0)[0]
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return partial(poll.poll, 0)  # to make a poll costs more than to ask it


def shut_down(sock: socket.socket, how: int) -> None:
    """Shut a connected socket down, also where a transport of uvloop only lends a stand-in."""
    with contextlib.suppress(OSError), sock.dup() as duplicate:  # an end that came first is fine
        duplicate.shutdown(how)
