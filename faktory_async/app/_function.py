"""The function of a typed job: what it takes, and how it is called."""

import contextlib
import inspect
import typing
from collections.abc import Callable
from importlib import import_module
from types import SimpleNamespace
from typing import Any, Final, get_origin

from msgspec import Struct

from faktory_async.app._arguments import Arguments, parameters_of
from faktory_async.app._context import JobContext, the_context
from faktory_async.errors import UsageError
from faktory_async.model import Job
from faktory_async.worker import RunIn

_LATER: Final = (NameError, AttributeError)  # of names that are not there yet


class Function:
    """A job's function.

    What its annotations mean is found out when it is first needed, so that they may name what the
    module defines further down.

    Args:
        function: `async def`, or `def`.
        jobtype: The job's type, for the errors.
        strict: See `Arguments`.
        run_in: Where a `def` runs.
        redact: Which parameters are nobody's business: logs hide them.

    Attributes:
        function: The same.
        run_in: None for what runs on the event loop.

    Raises:
        UsageError: it is no function, or cannot be a job's.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        jobtype: str,
        *,
        strict: bool,
        run_in: RunIn | None,
        redact: frozenset[str],
    ) -> None:
        self.function: Final = function
        self._jobtype = jobtype
        self._strict = strict
        self._redact = redact
        self.run_in: Final = _where(function, jobtype, run_in)
        self._compiled: tuple[Arguments, bool] | None = None
        signature = inspect.signature(function)
        parameters_of(jobtype, signature, {})  # what is wrong with it is said at once
        unknown = redact - signature.parameters.keys()
        if unknown:
            raise UsageError(f"{jobtype} has no parameter {', '.join(sorted(unknown))} to redact")
        with contextlib.suppress(*_LATER):  # defined later: it is looked for again when needed
            self._compile()

    @property
    def arguments(self) -> Arguments:
        """What it takes.

        Raises:
            UsageError: an annotation that means nothing, or that JSON cannot carry.
        """
        return self._ready()[0]

    @property
    def takes_context(self) -> bool:
        """Whether its first parameter is a `JobContext`."""
        return self._ready()[1]

    @property
    def place(self) -> str:
        """Where it was written."""
        code = self.function.__code__
        return f"{self.function.__qualname__} ({code.co_filename}:{code.co_firstlineno})"

    def describe(self, args: list[Any]) -> str:
        """Return the arguments of a job for people, without what is redacted."""
        names = self.arguments.names
        shown = [
            "***" if names and names[min(number, len(names) - 1)] in self._redact else repr(value)
            for number, value in enumerate(args)
        ]
        return ", ".join(shown)

    def _ready(self) -> tuple[Arguments, bool]:
        if self._compiled is None:
            try:
                self._compile()
            except _LATER as error:
                raise UsageError(f"{self.place}: an annotation cannot be read: {error}") from error
        return self._compiled or (self.arguments, False)

    def _compile(self) -> None:
        hints = _hints(self.function)
        signature = inspect.signature(self.function)
        names = list(signature.parameters)
        context = [name for name in names if _is_context(hints.get(name))]
        if context and context != names[:1]:
            raise UsageError(f"{self._jobtype}: the JobContext is the first parameter, and only it")
        if context and self.run_in == "process":
            raise UsageError(f"{self._jobtype}: a JobContext does not reach a worker process")
        if context:
            plain = [signature.parameters[name] for name in names[1:]]
            signature = signature.replace(parameters=plain)
        parameters = parameters_of(self._jobtype, signature, hints)
        arguments = Arguments(self._jobtype, parameters, strict=self._strict, redact=self._redact)
        self._compiled = arguments, bool(context)


class Remote(Struct, frozen=True):
    """A `def` to be called in another process, which finds it by its name.

    Under that name the module has the job, not the function, so that the function itself cannot
    be pickled.

    Attributes:
        module: Where it is.
        name: What it is called there.
        args: What it is called with.
    """

    module: str
    name: str
    args: tuple[Any, ...]

    def __call__(self, _job: Job) -> object:
        """Call it."""
        found: Any = import_module(self.module)
        for part in self.name.split("."):
            found = getattr(found, part)
        return getattr(found, "function", found)(*self.args)


def remote(function: Callable[..., Any], args: tuple[Any, ...]) -> Remote:
    """Return what calls the function in another process."""
    return Remote(function.__module__, function.__qualname__, args)


def in_context(
    function: Callable[..., Any], context: JobContext[Any], args: tuple[Any, ...]
) -> Callable[[], Any]:
    """Return what calls the function with its context current, in a thread too."""

    def call() -> Any:
        the_context.set(context)
        result = function(*args)
        if inspect.isawaitable(result):
            if inspect.iscoroutine(result):
                result.close()
            raise TypeError(
                "the handler returned an awaitable: write `async def` to have it awaited"
            )
        return result

    return call


def _where(function: object, jobtype: str, run_in: RunIn | None) -> RunIn | None:
    if isinstance(function, type) or not inspect.isfunction(function):
        raise UsageError(f"{jobtype}: a job is made of a function, not of {function!r}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise UsageError(f"{jobtype} is a generator, which does nothing when it is called")
    if run_in not in (None, "thread", "process"):
        raise UsageError(f"{jobtype} runs in a 'thread' or in a 'process', not in {run_in!r}")
    if inspect.iscoroutinefunction(function):
        if run_in is not None:
            raise UsageError(
                f"{jobtype} is a coroutine function, which runs on the event loop: write `def` to "
                f"run it in a {run_in}"
            )
        return None
    if run_in == "process" and "<" in function.__qualname__:  # <locals>, <lambda>
        raise UsageError(
            f"{jobtype}: a worker process must be able to import {function.__qualname__}: write "
            "`def` at the top of a module"
        )
    return run_in or "thread"


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Return what the annotations of the parameters mean; what it returns is nobody's business."""
    written = {name: hint for name, hint in function.__annotations__.items() if name != "return"}
    scope: dict[str, Any] = getattr(inspect.unwrap(function), "__globals__", {})
    return typing.get_type_hints(
        SimpleNamespace(__annotations__=written), scope, include_extras=True
    )


def _is_context(annotation: object) -> bool:
    return annotation is JobContext or get_origin(annotation) is JobContext
