"""jobtype → handler. Pure."""

import functools
import inspect
import math
import pickle
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from types import FunctionType
from typing import Any, Final, Literal, Protocol, TypeAlias, TypeVar, cast, runtime_checkable

from msgspec import Struct

from faktory_async.errors import DuplicateJobTypeError, UsageError
from faktory_async.model import Job
from faktory_async.worker._outcome import Outcome

Handler: TypeAlias = Callable[[Job], object]
"""Takes the job: `async def` on the event loop, `def` in a thread, or in a process where asked.

Its return ACKs the job, whatever it returns; its exception FAILs it.
"""

Runner: TypeAlias = Callable[[Job], Awaitable[Outcome]]
"""What a worker calls: it works the job and says how that ended."""

RunIn: TypeAlias = Literal["thread", "process"]
"""Where a `def` handler runs."""

H = TypeVar("H", bound=Handler)


@runtime_checkable
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


class Registration(Struct, frozen=True):
    """A handler and how it is run.

    Attributes:
        handler: What takes the job.
        run_in: Where it runs; None for a coroutine function, which runs on the event loop.
        timeout: How many seconds it may take; None for as long as the job is reserved.
    """

    handler: Handler
    run_in: RunIn | None
    timeout: float | None


class Handlers:
    """The handlers of one worker, by jobtype; a `HandlerSource`.

    Args:
        make: Makes what works a job by a registered handler.
        handlers: The first ones.
    """

    def __init__(
        self, make: Callable[[Registration], Runner], handlers: Mapping[str, Handler] | None = None
    ) -> None:
        self._make = make
        self._registrations: dict[str, Registration] = {}
        self._runners: dict[str, Runner] = {}
        for jobtype, handler in (handlers or {}).items():
            self.add(jobtype, handler)

    def add(
        self,
        jobtype: str,
        handler: Handler,
        *,
        run_in: RunIn | None = None,
        timeout: float | timedelta | None = None,
    ) -> None:
        """Let the handler work jobs of this type.

        Raises:
            DuplicateJobTypeError: another handler does so already.
            UsageError: it is no handler, cannot run there, or the jobtype is none.
        """
        check_jobtype(jobtype)
        registration = registered(repr(jobtype), handler, run_in=run_in, timeout=timeout)
        if jobtype in self._registrations:
            raise DuplicateJobTypeError(
                f"{jobtype!r} is handled twice: by {_place(self._registrations[jobtype].handler)} "
                f"and by {_place(handler)}"
            )
        self._registrations[jobtype] = registration
        self._runners[jobtype] = self._make(registration)

    def resolve(self, jobtype: str) -> Runner | None:
        """Return what works jobs of this type; None where nothing does."""
        return self._runners.get(jobtype)

    def jobtypes(self) -> Collection[str]:
        """Return every registered jobtype."""
        return self._runners.keys()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Check, before the first FETCH, what could not be checked before.

        Raises:
            UsageError: a worker process could not find a handler.
        """
        for jobtype, registration in self._registrations.items():
            if registration.run_in == "process":
                _check_pickle(repr(jobtype), registration.handler)
        yield


def check_jobtype(jobtype: object) -> None:
    """Refuse what can be no jobtype.

    Raises:
        UsageError: it is empty, or no text, such as the function in `@worker.register`.
    """
    if not isinstance(jobtype, str):
        raise UsageError('a jobtype is text: write `@worker.register("order")`')
    if not jobtype:
        raise UsageError("a jobtype is not empty")


def registered(
    what: str,
    handler: Handler,
    *,
    run_in: RunIn | None = None,
    timeout: float | timedelta | None = None,
) -> Registration:
    """Return the handler with how it is run.

    Args:
        what: What it handles, for the errors.
        handler: What takes the job.
        run_in: Where it is to run; by default where its kind does.
        timeout: How long it may take.

    Raises:
        UsageError: it is no handler, or cannot run there.
    """
    who = f"the handler of {what}"
    _check_callable(who, handler)
    if run_in not in (None, "thread", "process"):
        raise UsageError(f"{who} runs in a 'thread' or in a 'process', not in {run_in!r}")
    if _is_coroutine_function(handler):
        if run_in is not None:
            raise UsageError(
                f"{who} is a coroutine function, which runs on the event loop: "
                f"write `def {_name(handler)}(job: Job)` to run it in a {run_in}"
            )
        return Registration(handler, None, _seconds(who, timeout))
    if run_in == "process":
        _check_importable(who, handler)
    return Registration(handler, run_in or "thread", _seconds(who, timeout))


# -- what a handler is ------------------------------------------------------------------------


def _check_callable(who: str, handler: object) -> None:
    write = f"write `async def {_name(handler)}(job: Job) -> None`, or `def` to run it in a thread"
    if isinstance(handler, type) or not callable(handler):
        raise UsageError(f"{who} must be a function: {write}")
    function = _innermost(handler)
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise UsageError(f"{who} is a generator, which does nothing when it is called: {write}")
    try:
        inspect.signature(handler).bind(None)
    except TypeError as error:
        raise UsageError(f"{who} must take the job and nothing else ({error}): {write}") from None
    except ValueError:
        pass  # a builtin that does not say what it takes


def _is_coroutine_function(handler: object) -> bool:
    function = _innermost(handler)
    if inspect.iscoroutinefunction(function):
        return True
    # An object with an `async def __call__`.
    return inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004 - its kind matters


def _innermost(handler: object) -> object:
    while isinstance(handler, functools.partial):
        handler = cast("functools.partial[object]", handler).func
    return handler


def _seconds(who: str, timeout: float | timedelta | None) -> float | None:
    if timeout is None:
        return None
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else float(timeout)
    if not 0 < seconds < math.inf:
        raise UsageError(f"the timeout of {who} is more than 0 seconds, and finite")
    return seconds


# -- worker processes -------------------------------------------------------------------------

_TO_IMPORT: Final = "a worker process must be able to import it: write `def` at the top of a module"


def _check_importable(who: str, handler: object) -> None:
    """Refuse what no other process can find by its name.

    A decorator sees the function before its module does, so it cannot be pickled yet.
    """
    function = _innermost(handler)
    if isinstance(function, FunctionType):
        name = function.__qualname__
        if "<" in name:  # <locals>, <lambda>
            raise UsageError(f"{who}, {name}, is not known by that name elsewhere; {_TO_IMPORT}")
    else:
        _check_pickle(who.removeprefix("the handler of "), handler)


def _check_pickle(what: str, handler: object) -> None:
    try:
        pickle.dumps(handler)
    except Exception as error:
        raise UsageError(
            f"the handler of {what} cannot be pickled ({error}); {_TO_IMPORT}"
        ) from error


# -- for the errors ---------------------------------------------------------------------------


def _name(handler: object) -> str:
    return getattr(handler, "__name__", "handle")


def _place(handler: object) -> str:
    code: Any = getattr(handler, "__code__", None)
    name: str = getattr(handler, "__qualname__", repr(handler))
    return f"{name} ({code.co_filename}:{code.co_firstlineno})" if code else name
