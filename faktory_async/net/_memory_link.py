"""Two links that are each other's peer, inside one process; each on an event loop of its own."""

import contextlib
import threading

import anyio

from faktory_async.net._home import Home
from faktory_async.net._link import Link

# What one side may have waiting before the other side has to wait.
_ROOM = 64 * 1024


class _Sleeper:
    """A task that waits for a pipe, and may be woken from any thread."""

    __slots__ = ("_event", "_home")

    def __init__(self, home: Home) -> None:
        self._home = home
        self._event = anyio.Event()

    def wake(self) -> None:
        if self._home.is_here():
            self._event.set()
        else:
            with contextlib.suppress(RuntimeError):  # its loop is closed: nobody sleeps there
                self._home.post(self._event.set)

    async def sleep(self) -> None:
        await self._event.wait()


class _Pipe:
    """One direction: bytes on their way, and how it ends. Whoever touches it holds its lock."""

    def __init__(self, room: int) -> None:
        self.lock = threading.Lock()
        self.room = room
        self.data = bytearray()
        self.ended = False
        self.broken = False
        self.reader: _Sleeper | None = None
        self.writer: _Sleeper | None = None

    def changed(self) -> None:
        sleepers = (self.reader, self.writer)
        self.reader = self.writer = None
        for sleeper in sleepers:
            if sleeper is not None:
                sleeper.wake()


class MemoryLink(Link):
    """One end of a pair made by `memory_links`."""

    def __init__(self, incoming: _Pipe, outgoing: _Pipe) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._kept = 0
        self._home: Home | None = None

    async def send(self, data: bytes) -> None:
        self._kept = len(data)
        while self._kept:
            sleeper = self._put(data)
            if sleeper is not None:
                await sleeper.sleep()

    def _put(self, data: bytes) -> _Sleeper | None:
        """Hand over what there is room for; where there is none, say what to wait for."""
        pipe = self._outgoing
        with pipe.lock:
            if pipe.broken or pipe.ended:
                raise BrokenPipeError("the other end is closed")
            start = len(data) - self._kept
            piece = data[start : start + pipe.room - len(pipe.data)]
            if piece:
                pipe.data += piece
                self._kept -= len(piece)
                pipe.changed()
                return None
            pipe.writer = self._sleeper()
            return pipe.writer

    async def receive(self) -> bytes:
        while not isinstance(taken := self._take(), bytes):
            await taken.sleep()
        return taken

    def _take(self) -> bytes | _Sleeper:
        """Take what has arrived; where nothing has, say what to wait for."""
        pipe = self._incoming
        with pipe.lock:
            if pipe.data:
                data = bytes(pipe.data)
                pipe.data.clear()
                pipe.changed()
                return data
            if pipe.broken:
                raise ConnectionResetError("the other end was aborted")
            if pipe.ended:
                return b""
            pipe.reader = self._sleeper()
            return pipe.reader

    def _sleeper(self) -> _Sleeper:
        if self._home is None:
            self._home = Home.of_this_task()
        return _Sleeper(self._home)

    def readable(self) -> bool:
        return bool(self._incoming.data) or self.is_left

    @property
    def is_left(self) -> bool:
        """Whether the other end is closed, though perhaps not all was received that it had sent."""
        return self._incoming.ended or self._incoming.broken

    def unsent(self) -> int:
        return self._kept

    def abort(self) -> None:
        for pipe in (self._incoming, self._outgoing):
            with pipe.lock:
                pipe.broken = True
                pipe.changed()

    async def aclose(self) -> None:
        with self._outgoing.lock:
            self._outgoing.ended = True
            self._outgoing.changed()
        with self._incoming.lock:
            self._incoming.broken = True
            self._incoming.changed()


def memory_links(room: int = _ROOM) -> tuple[MemoryLink, MemoryLink]:
    """Return two links; what one sends the other receives. They may be on different threads.

    Args:
        room: How many bytes may be on their way in one direction.
    """
    there, back = _Pipe(room), _Pipe(room)
    return MemoryLink(back, there), MemoryLink(there, back)
