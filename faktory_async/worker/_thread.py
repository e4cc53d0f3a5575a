"""Calls in threads and starts of processes, which no cancellation can undo: they are waited for."""

import math
import threading
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import anyio
from anyio import CapacityLimiter, to_thread

R = TypeVar("R")


class Raised:
    """What a thread has raised, to be taken out once: those it went through may keep this."""

    def __init__(self, error: BaseException) -> None:
        self._errors = [error]

    def take(self) -> BaseException:
        """Return it, for the first and last time."""
        return self._errors.pop()


async def to_its_end(what: Callable[[], Awaitable[object]]) -> None:
    """Await what must not be left half done, whatever cancels the caller, and however often.

    A shield keeps scopes off; `Task.cancel`, as `asyncio.timeout` calls it, does not get into a
    task that this one waits for. Cancelled, it raises that in the end.
    """

    async def shielded() -> None:
        with anyio.CancelScope(shield=True):
            await what()

    async with anyio.create_task_group() as group:
        group.start_soon(shielded)


async def in_thread(function: Callable[[], R], limiter: CapacityLimiter) -> R | Raised:
    """Call a function in a thread, and return what it returns or raises.

    Raised in the thread, an exception would be kept by the frames that brought it here and that it
    knows: a circle. And a task to which a future brings a GeneratorExit is closed by Python.

    Args:
        function: What blocks.
        limiter: How many may do so; the place is kept until the thread has ended.

    Cancelled before a thread has taken the call, it is never made. After that nothing ends the
    wait for it.
    """
    call = _Call(function)
    async with limiter:
        try:
            return await to_thread.run_sync(call, limiter=_unlimited())
        except anyio.get_cancelled_exc_class():
            if not call.given_up():
                await to_its_end(call.over)  # `Task.cancel` ends the wait, but not the thread
            raise


class _Call(Generic[R]):
    """A call in a thread, unless it was given up before."""

    def __init__(self, function: Callable[[], R]) -> None:
        self._function = function
        self._first = threading.Lock()  # who has it, decides
        self._over = threading.Event()

    def __call__(self) -> R | Raised:
        if not self._first.acquire(blocking=False):
            return Raised(RuntimeError("the call was given up"))
        try:
            return self._function()
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits for it
            return Raised(error)
        finally:
            self._over.set()

    def given_up(self) -> bool:
        """Give it up; False where a thread has begun it."""
        return self._first.acquire(blocking=False)

    async def over(self) -> None:
        """Return when the thread that has begun it has ended it."""
        await to_thread.run_sync(self._over.wait, limiter=_unlimited())


def _unlimited() -> CapacityLimiter:
    return CapacityLimiter(math.inf)
