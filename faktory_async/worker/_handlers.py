"""jobtype → handler. Pure."""

import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol, TypeAlias, TypeVar, cast

from faktory_async.errors import DuplicateJobTypeError, UsageError
from faktory_async.model import Job
from faktory_async.worker._outcome import Ack, Outcome

Handler: TypeAlias = Callable[[Job], Awaitable[object]]
"""A coroutine function that takes the job. Its return ACKs the job, its exception FAILs it."""

Runner: TypeAlias = Callable[[Job], Awaitable[Outcome]]
"""What a worker calls: it works the job and says how that ended."""

H = TypeVar("H", bound=Handler)


class HandlerSource(Protocol):
    """Where a worker finds out what to call for a job."""

    def resolve(self, jobtype: str) -> Runner | None:
        """Return what works jobs of this type; None where nothing does."""
        ...

    def jobtypes(self) -> Collection[str]:
        """Return every jobtype that `resolve` knows."""
        ...

    def running(self) -> AbstractAsyncContextManager[object]:
        """Return what is entered before the first FETCH and left after the last report."""
        ...


class Handlers:
    """The handlers of one worker, by jobtype; a `HandlerSource`."""

    def __init__(self, handlers: Mapping[str, Handler] | None = None) -> None:
        self._handlers: dict[str, Handler] = {}
        for jobtype, handler in (handlers or {}).items():
            self.add(jobtype, handler)

    def add(self, jobtype: str, handler: Handler) -> None:
        """Let the handler work jobs of this type.

        Raises:
            DuplicateJobTypeError: another handler does so already.
            UsageError: it is no coroutine function, or the jobtype is empty.
        """
        if not jobtype:
            raise UsageError("a jobtype is not empty")
        if not _is_coroutine_function(handler):
            raise UsageError(
                f"the handler of {jobtype!r} must be a coroutine function: "
                f"write `async def {_name(handler)}(job: Job) -> None`"
            )
        if jobtype in self._handlers:
            raise DuplicateJobTypeError(
                f"{jobtype!r} is handled twice: by {_place(self._handlers[jobtype])} "
                f"and by {_place(handler)}"
            )
        self._handlers[jobtype] = handler

    def resolve(self, jobtype: str) -> Runner | None:
        """Return what works jobs of this type; None where nothing does."""
        handler = self._handlers.get(jobtype)
        return None if handler is None else _runner(handler)

    def jobtypes(self) -> Collection[str]:
        """Return every registered jobtype."""
        return self._handlers.keys()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Do nothing around the run: plain handlers have no lifespan."""
        yield


def _runner(handler: Handler) -> Runner:
    async def run(job: Job) -> Outcome:
        await handler(job)
        return Ack()

    return run


def _is_coroutine_function(handler: object) -> bool:
    while isinstance(handler, functools.partial):
        handler = cast("functools.partial[object]", handler).func
    if inspect.iscoroutinefunction(handler):
        return True
    # An object with an `async def __call__`; a class has one too, but calling it makes an object.
    call = getattr(handler, "__call__", None)  # noqa: B004 - its kind matters, not its presence
    return not isinstance(handler, type) and inspect.iscoroutinefunction(call)


def _name(handler: object) -> str:
    return getattr(handler, "__name__", "handle")


def _place(handler: object) -> str:
    code = getattr(handler, "__code__", None)
    name = getattr(handler, "__qualname__", repr(handler))
    return f"{name} ({code.co_filename}:{code.co_firstlineno})" if code else name
