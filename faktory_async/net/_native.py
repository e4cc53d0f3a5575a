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
        self.event: Callable[[], Event] = _anyio_event
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


class _OneRound:
    """What `asyncio.sleep(0)` awaits: one round of the event loop."""

    __slots__ = ()

    def __await__(self) -> Generator[None]:
        yield


def _anyio_event() -> Event:
    return anyio.Event()
