"""A link over an asyncio transport, at half the CPU of a generic stream.

It works the same under asyncio and uvloop. With `set_write_buffer_limits(high=0)` both write to the
socket at once and pause the protocol exactly when bytes stay behind: that state tells what was
surely not handed over, and it outlives the transport's own count, which is cleared on a loss.

What arrives is read into one buffer and copied out of it. For a protocol without a buffer asyncio
asks for 256 KiB with every read, and where the heap happens to end there, the kernel maps and
clears them each time: a push then takes twice the CPU.
"""

import asyncio
import contextlib
import copy
import math
import socket
import sys
import threading
from collections.abc import Callable
from typing import cast

from faktory_async.net._link import Link
from faktory_async.net._stream_link import look_at, shut_down

# What one peer may have waiting here before it is asked to wait itself.
_READ_LIMIT = 256 * 1024


class _Buffer(threading.local):
    """What all links of a thread read into, one at a time."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(_READ_LIMIT))


_buffer = _Buffer()


class AsyncioLink(asyncio.BufferedProtocol, Link):
    """Both the protocol of a transport and the link above it."""

    def __init__(self, on_connect: "Callable[[AsyncioLink], None] | None" = None) -> None:
        self._on_connect = on_connect
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._socket: socket.socket | None = None
        self._look: Callable[[], object] | None = None
        self._encrypted = False
        self._exact = False
        self._buffer = _buffer.view
        self._chunks: list[bytes] = []
        self._size = 0
        self._reading_paused = False
        self._eof = False
        self._lost: Exception | None = None
        self._over = False
        self._aborted = False
        self._writing_paused = False
        self._kept = 0
        self._take: Callable[[bytes], bool] | None = None  # of who pumps or listens
        self._reader: asyncio.Future[bool] | None = None  # of who pumps
        self._quits: Callable[[], None] | None = None  # of who listens
        self._deadline = math.inf  # of either
        self._alarm: asyncio.TimerHandle | None = None
        self._rings_at = math.inf
        self._writers: list[asyncio.Future[None]] = []
        self._closed: asyncio.Future[None] | None = None

    # -- called by the transport --------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's, so there is nothing to check.
        transport = self._transport = cast(asyncio.Transport, transport)
        self._socket = transport.get_extra_info("socket")
        self._encrypted = transport.get_extra_info("sslcontext") is not None
        if self._socket is not None:
            look = look_at(self._socket)
            # Of a loss TLS tells one round after the socket is closed, and is closing until then.
            self._look = (lambda: transport.is_closing() or look()) if self._encrypted else look
        # TLS holds bytes of its own, and Windows writes behind the loop's back.
        self._exact = not self._encrypted and sys.platform != "win32"
        self._closed = self._loop.create_future()
        if not self._encrypted:
            transport.set_write_buffer_limits(high=0)
        if self._on_connect is not None:
            self._on_connect(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        del sizehint  # which asyncio does not know either
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(self._buffer[:nbytes])
        if self._take is not None:
            reader = self._reader
            if self._take(data) and reader is not None and not reader.done():
                reader.set_result(True)
            return
        self._chunks.append(data)
        self._size += len(data)
        if self._size > _READ_LIMIT and not self._reading_paused and self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()
        self._disturb_reader()

    def eof_received(self) -> bool:
        self._eof = True
        self._disturb_reader()
        # A half-closed peer may still be owed replies; TLS has no half-close.
        return not self._encrypted

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        self._wake_writers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._over = True
        self._lost = exc
        if self._writing_paused and self._exact and not (self._kept or self._aborted):
            self._kept = 1  # the count is gone with the buffer, but the last byte stayed here
        self._eof = True
        self._disturb_reader()
        self._wake_writers()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)

    # -- the link -----------------------------------------------------------------------------

    def start(self, data: bytes) -> bool:
        transport = self._transport
        if (
            transport is None
            or self._over
            or (self._encrypted and (self._eof or transport.is_closing()))
        ):
            self._kept += len(data)  # of TLS too: the transport never had them
            raise self._why("the connection is closed")
        empty = not self._writing_paused
        transport.write(data)
        if empty and not self._writing_paused and transport.is_closing():
            # The first write to the socket failed, so the kernel has none of these bytes.
            self._kept = len(data) if self._exact else 0
            raise self._why("the connection was lost while sending")
        return True

    async def send(self, data: bytes) -> None:
        self.start(data)
        if self._writing_paused:
            await self._drained()

    async def receive(self) -> bytes:
        while not self._chunks:
            if self._is_at_end():
                return b""
            try:
                await self._news(math.inf)
            finally:
                self._reader = None
        return self._taken()

    async def pump(self, take: Callable[[bytes], bool], deadline: float) -> bool:
        """Pump with one timer for many calls: where it is early, it is set anew."""
        if self._chunks and take(self._taken()):
            return True
        while not self._eof:
            if self._loop.time() >= deadline:
                return False
            self._take = take
            reader = self._news(deadline)
            try:
                if await reader:
                    return True
            finally:
                if self._reader is reader:
                    self.had_enough()
        self._is_at_end()
        return take(b"")

    def listen(
        self, take: Callable[[bytes], bool], quits: Callable[[], None], deadline: float
    ) -> bool:
        if self._chunks or self._eof:
            return False
        self._take, self._quits = take, quits
        self._wait_until(deadline)
        return True

    def had_enough(self) -> None:
        self._reader = self._take = self._quits = None
        self._deadline = math.inf

    def _news(self, deadline: float) -> asyncio.Future[bool]:
        """Return what the reader waits for: its result is whether a `take` has enough."""
        self._quits = None
        self._wait_until(deadline)
        reader = self._reader = self._loop.create_future()
        return reader

    def _wait_until(self, deadline: float) -> None:
        self._deadline = deadline
        if deadline < self._rings_at:
            self._ring_at(deadline)

    def _is_at_end(self) -> bool:
        if self._eof and self._lost is not None:
            raise self._why("")
        return self._eof

    def _why(self, otherwise: str) -> OSError:
        """Return why the connection is over; a new error each time, since one knows who raised it.

        Were it kept, link and error would be a circle, left to the garbage collector with all who
        had waited.
        """
        if isinstance(self._lost, OSError):
            return copy.copy(self._lost)
        return ConnectionResetError(str(self._lost or otherwise))

    def _taken(self) -> bytes:
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        if self._reading_paused and self._transport is not None:
            self._reading_paused = False
            self._transport.resume_reading()
        return data

    def readable(self) -> bool:
        if self._chunks or self._eof or self._over:
            return True
        return self._look is not None and bool(self._look())

    def unsent(self) -> int:
        if self._kept or not self._writing_paused or not self._exact or self._transport is None:
            return self._kept
        return self._transport.get_write_buffer_size()

    def abort(self) -> None:
        if self._transport is None or self._aborted or self._is_closed():
            return
        self._kept = self.unsent()
        self._aborted = self._over = True
        if self._kept and self._socket is not None:
            # uvloop ends a transport one round later, and would go on writing until then.
            shut_down(self._socket, socket.SHUT_WR)
        self._transport.abort()

    async def aclose(self) -> None:
        if self._transport is None or self._closed is None:
            return
        self._over = True
        self._transport.close()
        try:
            # Waits for what is still to be written; a shield, since the future is not this task's.
            await asyncio.shield(self._closed)
        finally:
            self.abort()

    def _is_closed(self) -> bool:
        return self._closed is not None and self._closed.done()

    # -- waiting ------------------------------------------------------------------------------

    async def _drained(self) -> None:
        while self._writing_paused and not self._over:
            writer: asyncio.Future[None] = self._loop.create_future()
            self._writers.append(writer)
            try:
                await writer
            finally:
                self._writers.remove(writer)
        if self._writing_paused:
            raise self._why("the connection was lost while sending")

    def _ring_at(self, deadline: float) -> None:
        """Disturb the reader at that time, should it wait until then."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._loop.call_at(deadline, self._ring)
        self._rings_at = deadline

    def _ring(self) -> None:
        self._alarm = None
        self._rings_at = math.inf
        if self._deadline <= self._loop.time():
            self._disturb_reader()
        elif self._deadline < math.inf:
            self._ring_at(self._deadline)

    def _disturb_reader(self) -> None:
        if self._quits is not None:
            quits = self._quits
            self.had_enough()
            quits()
        elif self._reader is not None and not self._reader.done():
            self._reader.set_result(False)

    def _wake_writers(self) -> None:
        for writer in self._writers:
            if not writer.done():
                writer.set_result(None)


def keep_alive(sock: socket.socket) -> None:
    """Make a socket send at once and notice within about 20 s that its peer is gone."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 3), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            with contextlib.suppress(OSError):  # a kernel that knows the name but not the option
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
