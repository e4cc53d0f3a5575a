"""A link that brings what arrives by a call, as a transport of asyncio does, on any event loop."""

import copy
import math
from collections.abc import Callable

import anyio
import anyio.abc

from faktory_async.net import NETWORK_ERRORS, Link, MemoryLink


class BringingLink(Link):
    """A `MemoryLink` that a task of its own reads.

    Args:
        inner: What it reads.
        readers: Where that task runs; it ends with the link.
    """

    def __init__(self, inner: MemoryLink, readers: anyio.abc.TaskGroup) -> None:
        self._inner = inner
        self._arrived = b""
        self._over = False
        self._lost: BaseException | None = None
        self._take: Callable[[bytes], bool] | None = None
        self._quits: Callable[[], None] | None = None
        self._deadline = math.inf
        self._scope = anyio.CancelScope()
        self._news = anyio.Event()
        readers.start_soon(self._run)

    async def _run(self) -> None:
        while not self._over:
            data: bytes | None = None
            with anyio.CancelScope(deadline=self._deadline) as self._scope:
                data = await self._read()
            if data:
                self._bring(data)
            else:
                self._over = data == b""
                self._quit()
            self._wake()

    async def _read(self) -> bytes:
        try:
            return await self._inner.receive()
        except NETWORK_ERRORS as error:
            self._lost = error
            return b""

    def _bring(self, data: bytes) -> None:
        if self._take is None:
            self._arrived += data
        else:
            self._take(data)

    def _quit(self) -> None:
        quits = self._quits
        self.had_enough()
        if quits is not None:
            quits()

    def _wake(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    def _wait_until(self, deadline: float) -> None:
        self._deadline = self._scope.deadline = deadline

    # -- the link -----------------------------------------------------------------------------

    def listen(
        self, take: Callable[[bytes], bool], quits: Callable[[], None], deadline: float
    ) -> bool:
        if self._arrived or self._over:
            return False
        self._take, self._quits = take, quits
        self._wait_until(deadline)
        return True

    def had_enough(self) -> None:
        self._take = self._quits = None
        self._wait_until(math.inf)

    async def pump(self, take: Callable[[bytes], bool], deadline: float) -> bool:
        self.had_enough()
        return await super().pump(take, deadline)

    async def receive(self) -> bytes:
        while not self._arrived:
            if self._lost is not None:
                raise copy.copy(self._lost)
            if self._over:
                return b""
            await self._news.wait()
        data, self._arrived = self._arrived, b""
        return data

    def start(self, data: bytes) -> bool:
        if self._inner.start(data):  # a test's own
            return True
        pipe = self._inner._outgoing
        if len(pipe.data) + len(data) > pipe.room:
            return False
        self._inner._kept = len(data)
        self._inner._put(data)
        return True

    async def send(self, data: bytes) -> None:
        await self._inner.send(data)

    def readable(self) -> bool:
        return bool(self._arrived) or self._over or self._inner.readable()

    def unsent(self) -> int:
        return self._inner.unsent()

    def abort(self) -> None:
        self._inner.abort()

    async def aclose(self) -> None:
        await self._inner.aclose()
