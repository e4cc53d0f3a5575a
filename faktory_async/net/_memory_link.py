"""Two links that are each other's peer, inside one process and one event loop."""

import anyio

from faktory_async.net._link import Link

# What one side may have waiting before the other side has to wait.
_ROOM = 64 * 1024


class _Pipe:
    """One direction: bytes on their way, and how it ends."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.data = bytearray()
        self.ended = False
        self.broken = False
        self._changed: anyio.Event | None = None

    def changed(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    async def change(self) -> None:
        if self._changed is None:
            self._changed = anyio.Event()
        await self._changed.wait()


class MemoryLink(Link):
    """One end of a pair made by `memory_links`."""

    def __init__(self, incoming: _Pipe, outgoing: _Pipe) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._kept = 0

    async def send(self, data: bytes) -> None:
        pipe = self._outgoing
        self._kept = len(data)
        while self._kept:
            if pipe.broken or pipe.ended:
                raise BrokenPipeError("the other end is closed")
            start = len(data) - self._kept
            piece = data[start : start + pipe.room - len(pipe.data)]
            if piece:
                pipe.data += piece
                self._kept -= len(piece)
                pipe.changed()
            else:
                await pipe.change()

    async def receive(self) -> bytes:
        pipe = self._incoming
        while not pipe.data:
            if pipe.broken:
                raise ConnectionResetError("the other end was aborted")
            if pipe.ended:
                return b""
            await pipe.change()
        data = bytes(pipe.data)
        pipe.data.clear()
        pipe.changed()
        return data

    def readable(self) -> bool:
        return bool(self._incoming.data) or self._incoming.ended or self._incoming.broken

    def unsent(self) -> int:
        return self._kept

    def abort(self) -> None:
        for pipe in (self._incoming, self._outgoing):
            pipe.broken = True
            pipe.changed()

    async def aclose(self) -> None:
        self._outgoing.ended = True
        self._incoming.broken = True
        self._outgoing.changed()
        self._incoming.changed()


def memory_links(room: int = _ROOM) -> tuple[MemoryLink, MemoryLink]:
    """Return two links; what one sends the other receives.

    Args:
        room: How many bytes may be on their way in one direction.
    """
    there, back = _Pipe(room), _Pipe(room)
    return MemoryLink(back, there), MemoryLink(there, back)
