"""Clock and events for what happens with every job: anyio's own cost more than the work.

On asyncio anyio asks, with each call, which library it is called from.
"""

import asyncio
import math
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import cache
from typing import Any, Protocol

import anyio
from anyio.lowlevel import checkpoint, current_token

from faktory_async.net._dial import on_asyncio


class Event(Protocol):
    """Wakes one task, once: whoever awaits it goes on when it is done. On asyncio it is a future.

    Not a subclass, which a task of asyncio awaits more slowly.
    """

    def done(self) -> bool:
        """Return whether whoever waits was woken, or has left."""
        ...

    def set_result(self, result: None, /) -> None:
        """Wake whoever waits, or will: see `wake`."""
        ...

    def __await__(self) -> Generator[Any, None, None]:
        """Return once it is set."""
        ...


def wake(event: Event) -> None:
    """Wake whoever awaits the event, or will; may be called again."""
    if not event.done():
        event.set_result(None)


def here() -> object:
    """Return what tells the running event loop from others.

    Raises:
        RuntimeError: none runs in this thread.
    """
    return _asyncios_loop() or current_token()


def current_time() -> float:
    """Return the time of anyio's clock.

    Raises:
        RuntimeError: no event loop runs in this thread.
    """
    loop = _asyncios_loop()
    return anyio.current_time() if loop is None else loop.time()


def _asyncios_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop of asyncio that runs the calling task or callback, if one does."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    # Trio may run the caller, as a guest in a callback; asked last, since asking is not free.
    if "trio" in sys.modules and asyncio.current_task(loop) is None and _trios_question()():
        return None
    return loop


@cache
def _trios_question() -> Callable[[], bool]:
    """Return what tells whether trio runs the calling task."""
    from trio.lowlevel import in_trio_task  # noqa: PLC0415 - exists where trio runs

    return in_trio_task


class Native:
    """The running event loop's clock and events.

    Attributes:
        now: anyio's clock.
        event: Makes an event; for one task that waits.
        wait_until: Awaits such an event, at most until a time on anyio's clock.
        others_first: Lets every other task that is ready go on first; may be cancelled.
    """

    __slots__ = ("event", "now", "others_first", "wait_until")

    def __init__(self) -> None:
        self.now: Callable[[], float] = anyio.current_time
        self.event: Callable[[], Event] = _AnyioEvent
        self.wait_until: Callable[[Event, float], Coroutine[Any, Any, None]] = _wait_until
        self.others_first: Callable[[], Awaitable[None]] = checkpoint
        if on_asyncio():
            loop = asyncio.get_running_loop()
            self.now = loop.time
            self.event = loop.create_future
            self.wait_until = _Alarm(loop).wait
            self.others_first = _OneRound


class _Alarm:
    """One timer for all who wait until some time.

    Nearly all of them are woken long before. So where the timer rings early enough it is left
    alone, and set anew when it has rung.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: dict[Event, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = math.inf

    async def wait(self, event: Event, deadline: float) -> None:
        self._waiting[event] = deadline
        try:
            if deadline < self._rings_at:
                self._ring_at(deadline)
            await event
        finally:
            del self._waiting[event]

    def _ring_at(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._ring)
        self._rings_at = deadline

    def _ring(self) -> None:
        self._timer = None
        self._rings_at = math.inf
        now, later = self._loop.time(), math.inf
        for event, deadline in self._waiting.items():
            if deadline <= now:
                wake(event)
            elif deadline < later:
                later = deadline
        if later < math.inf:
            self._ring_at(later)


class _AnyioEvent:
    """An event of anyio, for one task."""

    __slots__ = ("_event", "done")

    def __init__(self) -> None:
        self._event = anyio.Event()
        self.done = self._event.is_set

    def set_result(self, result: None, /) -> None:
        del result
        self._event.set()

    def __await__(self) -> Generator[Any, None, None]:
        return self._event.wait().__await__()


async def _wait_until(event: Event, deadline: float) -> None:
    with anyio.CancelScope(deadline=deadline):
        await event


class _OneRound:
    """What `asyncio.sleep(0)` awaits: one round of the event loop."""

    __slots__ = ()

    def __await__(self) -> Generator[None]:
        yield
