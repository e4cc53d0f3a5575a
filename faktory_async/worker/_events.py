"""Tell listeners what happens in a worker; nothing that they do can harm it."""

import inspect
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal, TypeAlias, TypedDict, cast

import anyio

from faktory_async.errors import UsageError
from faktory_async.model import Job
from faktory_async.worker._outcome import Outcome
from faktory_async.worker._stop import StopDetails

_log: Final = logging.getLogger("faktory_async.worker")

_PATIENCE: Final = 5.0  # seconds for one listener
LAST: Final = 1.0  # seconds for all that is left at the end
_MOST: Final = 1_000  # calls that wait

Event: TypeAlias = Literal[
    "on_start",
    "on_stop",
    "on_state_change",
    "on_job_start",
    "on_job_end",
    "on_connect",
    "on_disconnect",
    "on_exhausted",
]


class Listeners(TypedDict, total=False):
    """Who is told of what; plain functions or coroutine functions.

    Attributes:
        on_start: The run begins; awaited before the first FETCH.
        on_stop: It has ended, and how. What still waits has 1 s before `run` returns.
        on_state_change: The worker is `quiet`, `terminating`, `cut` or `stopped` from now on.
        on_job_start: A job's handler is about to be called.
        on_job_end: A job has ended, and how. A job that cannot be decoded has neither event.
        on_connect: The server has answered for the first time, or again.
        on_disconnect: The server is away, and why.
        on_exhausted: A job has failed for the last time: the server drops it, or moves it to the
            dead set.
    """

    on_start: Callable[[], object]
    on_stop: Callable[[StopDetails], object]
    on_state_change: Callable[[str], object]
    on_job_start: Callable[[Job], object]
    on_job_end: Callable[[Job, Outcome], object]
    on_connect: Callable[[], object]
    on_disconnect: Callable[[Exception], object]
    on_exhausted: Callable[[Job, Outcome], object]


def check_listeners(listeners: Listeners) -> None:
    """Refuse what listens to nothing, or cannot listen.

    Raises:
        TypeError: there is no such option.
        UsageError: it is no function.
    """
    for name, listener in listeners.items():
        if name not in Listeners.__annotations__:
            raise TypeError(f"a worker has no option {name!r}")
        if not callable(listener):
            raise UsageError(f"{name} is a function, or a coroutine function")


class Events:
    """Calls the listeners of one run.

    Plain functions are called at once. Coroutine functions are awaited one after the other, each in
    a task of its own, for 5 s at most; while more than 1,000 calls wait, further ones are left
    out, with a line in the log.

    Args:
        listeners: Who listens to what.

    """

    def __init__(self, listeners: Listeners) -> None:
        given = cast("dict[str, Callable[..., object]]", listeners)
        self._listeners = {event: [listener] for event, listener in given.items()}
        self._waiting: deque[tuple[str, Awaitable[object]]] = deque()
        self._news = anyio.Event()
        self._full = False
        self._over = False

    def __bool__(self) -> bool:
        return bool(self._listeners)

    def __contains__(self, event: Event) -> bool:
        return event in self._listeners

    def add(self, event: Event, listener: Callable[..., object]) -> None:
        """Have one more listener told of an event, after the others."""
        self._listeners.setdefault(event, []).append(listener)

    def emit(self, event: Event, *args: Any) -> None:
        """Tell of an event, now or soon. On the worker's event loop."""
        for listener in self._listeners.get(event, ()):
            if (awaitable := _call(event, listener, args)) is not None:
                self._queue(event, awaitable)

    async def tell(self, event: Event, *args: Any) -> None:
        """Tell of an event and wait until that is done; for 5 s each at most."""
        for listener in self._listeners.get(event, ()):
            if (awaitable := _call(event, listener, args)) is not None:
                await self._await(event, awaitable)

    async def run(self) -> None:
        """Await what waits until `end` was called and nothing waits any more.

        Cancelled, what is left is forgotten.
        """
        try:
            while not self._over or self._waiting:
                while self._waiting:
                    await self._await(*self._waiting.popleft())
                await self._news.wait()
                if not self._over:
                    self._news = anyio.Event()
        finally:
            while self._waiting:
                _close(self._waiting.popleft()[1])

    def end(self) -> None:
        """Let `run` end when nothing waits any more."""
        self._over = True
        self._news.set()

    def _queue(self, event: Event, awaitable: Awaitable[object]) -> None:
        if len(self._waiting) < _MOST:
            self._full = False
            self._waiting.append((event, awaitable))
            self._news.set()
            return
        _close(awaitable)
        if not self._full:
            self._full = True
            _log.error("the listeners are too slow: %s and others after it are left out", event)

    async def _await(self, event: str, awaitable: Awaitable[object]) -> None:
        with anyio.move_on_after(_PATIENCE) as scope:
            # A task that cancels itself takes nobody along.
            async with anyio.create_task_group() as own:
                own.start_soon(_listen, event, awaitable)
        if scope.cancelled_caught:
            _log.error("the listener %s took longer than %g s and was cancelled", event, _PATIENCE)


def _call(
    event: Event, listener: Callable[..., object], args: tuple[Any, ...]
) -> Awaitable[object] | None:
    try:
        result = listener(*args)
    except BaseException:  # noqa: BLE001 - whatever it is, it is not the worker's affair
        _log.exception("the listener %s failed", event)
        return None
    return result if inspect.isawaitable(result) else None


async def _listen(event: str, awaitable: Awaitable[object]) -> None:
    try:
        await awaitable
    except BaseException as error:
        # Whether somebody cancels what calls, or a listener only says so, of something of its own.
        meant = anyio.current_effective_deadline() == -math.inf
        if isinstance(error, anyio.get_cancelled_exc_class()) and meant:
            raise
        _log.exception("the listener %s failed", event)


def exhausted(job: Job) -> bool:
    """Tell whether one more failure of the job is its last: the server will not retry it."""
    if job.retry <= 0:
        return True
    return job.failure is not None and (job.failure.retry_count or 0) + 1 >= job.retry


def _close(awaitable: Awaitable[object]) -> None:
    """Forget a coroutine that nobody will await."""
    if inspect.iscoroutine(awaitable):
        awaitable.close()
