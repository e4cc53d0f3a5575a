"""Clock and events for what happens with every job: anyio's own cost more than the work.

On asyncio anyio asks, with each call, which library it is called from.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import Protocol

import anyio
from anyio.lowlevel import checkpoint, current_token

from faktory_async.net._dial import on_asyncio


class Event(Protocol):
    """Wakes one task, once."""

    def set(self) -> None:
        """Wake whoever waits, or will."""
        ...

    async def wait(self) -> None:
        """Return once it is set."""
        ...

    async def wait_until(self, deadline: float) -> None:
        """Return once it is set, or at that time on anyio's clock."""
        ...


def here() -> object:
    """Return what tells the running event loop from others."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return current_token()


def current_time() -> float:
    """Return the time of anyio's clock."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return anyio.current_time()


class Native:
    """The running event loop's clock and events.

    Attributes:
        now: anyio's clock.
        event: Makes an event; for one task that waits.
        others_first: Lets every other task that is ready go on first; may be cancelled.
    """

    __slots__ = ("event", "now", "others_first")

    def __init__(self) -> None:
        self.now: Callable[[], float] = anyio.current_time
        self.event: Callable[[], Event] = _AnyioEvent
        self.others_first: Callable[[], Awaitable[None]] = checkpoint
        if on_asyncio():
            self.now = asyncio.get_running_loop().time
            self.event = _FutureEvent
            self.others_first = _OneRound


class _FutureEvent:
    """An event for one task on asyncio."""

    __slots__ = ("_future",)

    def __init__(self) -> None:
        self._future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def set(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self) -> None:
        await self._future

    async def wait_until(self, deadline: float) -> None:
        alarm = self._future.get_loop().call_at(deadline, self.set)
        try:
            await self._future
        finally:
            alarm.cancel()


class _AnyioEvent:
    """An event of anyio, for one task."""

    __slots__ = ("_event", "set", "wait")

    def __init__(self) -> None:
        self._event = anyio.Event()
        self.set = self._event.set
        self.wait = self._event.wait

    async def wait_until(self, deadline: float) -> None:
        with anyio.CancelScope(deadline=deadline):
            await self._event.wait()


class _OneRound:
    """What `asyncio.sleep(0)` awaits: one round of the event loop."""

    __slots__ = ()

    def __await__(self) -> Generator[None]:
        yield
