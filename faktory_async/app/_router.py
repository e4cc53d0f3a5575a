"""Decorators that make jobs of functions."""

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import tzinfo
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar, cast, overload

import msgspec

from faktory_async.app._context import JobContext
from faktory_async.app._cron import Cron, cron_of, with_options
from faktory_async.app._function import Function
from faktory_async.app._options import Duration, JobOptions, ReserveFor, Stamp
from faktory_async.app._policy import RetryOption
from faktory_async.app._typed import Binding, ContextJob, JobType, TypedJob
from faktory_async.errors import DuplicateJobTypeError, UsageError
from faktory_async.model import Job
from faktory_async.worker import Outcome, RunIn

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
J = TypeVar("J", bound=JobType[...])

OnExhausted = Callable[[Job, Outcome], object]


class JobDecorator(Protocol):
    """What `job(...)` returns: it makes a job of a function."""

    @overload
    def __call__(  # pyright: ignore[reportOverlappingOverload]  # the first that fits is meant
        self, function: Callable[Concatenate[JobContext[S], P], R], /
    ) -> ContextJob[S, P, R]: ...

    @overload
    def __call__(self, function: Callable[P, R], /) -> TypedJob[P, R]: ...

    def __call__(self, function: Callable[..., Any], /) -> JobType[...]:
        """Make a job of a function."""
        ...


class CronDecorator(Protocol):
    """What `cron(...)` returns: it takes a job, or makes one of a function."""

    @overload
    def __call__(self, job: J, /) -> J: ...

    @overload
    def __call__(  # pyright: ignore[reportOverlappingOverload]  # the first that fits is meant
        self, function: Callable[Concatenate[JobContext[S], P], R], /
    ) -> ContextJob[S, P, R]: ...

    @overload
    def __call__(self, function: Callable[P, R], /) -> TypedJob[P, R]: ...

    def __call__(self, function: Any, /) -> Any:
        """Let a job be pushed at its times."""
        ...


class Router:
    """Jobs of a module, without a connection; `App.include` makes them an app's.

        router = Router(queue="mail")

        @router.job
        async def send_welcome(email: str) -> None: ...

    Args:
        queue: What its jobs have where they do not say it themselves; and so for the others. What
            the router does not say either is the app's to say.
        retry: How often a failed job is tried again, see `Retries`.
        timeout: How long a handler may take.
        reserve_for: How long a worker has a job.

    Attributes:
        options: What its jobs have where they do not say it themselves.

    Raises:
        UsageError: for what is no such option.
    """

    def __init__(
        self,
        *,
        queue: str | None = None,
        retry: RetryOption | None = None,
        timeout: Duration | None = None,
        reserve_for: ReserveFor = None,
    ) -> None:
        self.options: Final = JobOptions(
            queue=queue, retry=retry, timeout=timeout, reserve_for=reserve_for
        )
        self.options.check()
        self._bindings: dict[str, Binding] = {}
        self._given_away = False

    # -- jobs ---------------------------------------------------------------------------------

    @overload
    def job(  # pyright: ignore[reportOverlappingOverload]  # the first that fits is meant
        self, function: Callable[Concatenate[JobContext[S], P], R], /
    ) -> ContextJob[S, P, R]: ...

    @overload
    def job(self, function: Callable[P, R], /) -> TypedJob[P, R]: ...

    @overload
    def job(
        self,
        name: str | None = None,
        /,
        *,
        queue: str | None = None,
        retry: RetryOption | None = None,
        timeout: Duration | None = None,
        reserve_for: ReserveFor = None,
        run_in: RunIn | None = None,
        strict: bool = True,
        redact: Collection[str] = (),
        on_exhausted: OnExhausted | None = None,
        custom: Mapping[str, Any] | None = None,
    ) -> JobDecorator: ...

    def job(
        self,
        function: Callable[..., Any] | str | None = None,
        /,
        *,
        queue: str | None = None,
        retry: RetryOption | None = None,
        timeout: Duration | None = None,
        reserve_for: ReserveFor = None,
        run_in: RunIn | None = None,
        strict: bool = True,
        redact: Collection[str] = (),
        on_exhausted: OnExhausted | None = None,
        custom: Mapping[str, Any] | None = None,
    ) -> JobType[...] | JobDecorator:
        """Make a job of a function; a decorator, with or without options.

        An `async def` runs on the event loop, a `def` in a thread. The function stays callable.
        Where its first parameter is a `JobContext`, that is given by the worker and no part of what
        is pushed.

        Args:
            function: The function; or the job's type, which is the function's name by default.
            queue: Where its jobs go.
            retry: How often a failed job is tried again: a number, `"dead"`, `"discard"`, or a
                `Retries`.
            timeout: How long the handler may take: seconds, `"2m"` or a `timedelta`. Then it is
                cancelled and its job fails with `JobTimeoutError`.
            reserve_for: How long a worker has a job before the server gives it to another one, in
                seconds. By default 600, with a timeout that and 30 s more, at least 60.
                `SERVER_DEFAULT` leaves it to the server.
            run_in: `"process"` for a `def` that would keep the interpreter busy; it takes no
                `JobContext`.
            strict: Whether a worker takes arguments of exactly these types. Else texts of numbers
                will do for numbers, and the like: for neighbours without types.
            redact: Names of parameters that logs do not show.
            on_exhausted: Called in the worker, as `(job, outcome)`, when a job has failed for the
                last time; a function or a coroutine function.
            custom: Data beside the arguments, in each of its jobs.

        Raises:
            DuplicateJobTypeError: the type is another function's; both places are named.
            UsageError: it is no function that can be a job, or an option makes no sense.
        """
        options = JobOptions(queue=queue, retry=retry, timeout=timeout, reserve_for=reserve_for)
        own = _checked(options, custom)
        hidden = _names(redact)
        _check_on_exhausted(on_exhausted)
        name = function if isinstance(function, str) else None
        _check_name(name)

        def make(function: Callable[..., Any], /) -> JobType[...]:
            _check_is_no_method(function)
            jobtype = _jobtype(name, function)
            made = Function(function, jobtype, strict=strict, run_in=run_in, redact=hidden)
            return self._make(Binding(jobtype, made, options, own, on_exhausted, stub=False))

        if function is None or isinstance(function, str):
            decorator: Any = make
            return decorator  # type: ignore[no-any-return]  # its overloads are the protocol's
        return make(function)

    def stub(
        self,
        name: str | None = None,
        /,
        *,
        queue: str | None = None,
        retry: RetryOption | None = None,
        reserve_for: ReserveFor = None,
        custom: Mapping[str, Any] | None = None,
    ) -> JobDecorator:
        """Type a job that another program works, in whatever language: it is pushed, not worked.

            @app.stub("Resize")
            def resize(image: int, size: str = "large") -> None: ...

        Args:
            name: The job's type; by default the function's name.
            queue: As in `job`, and so the others.
            retry: How often a failed job is tried again.
            reserve_for: How long a worker has a job.
            custom: Data beside the arguments.

        Raises:
            DuplicateJobTypeError: the type is another function's.
            UsageError: it is no function that can be a job, or an option makes no sense.
        """
        options = JobOptions(queue=queue, retry=retry, reserve_for=reserve_for)
        own = _checked(options, custom)
        if callable(name):
            raise UsageError('write @app.stub() or @app.stub("Resize") above a function')
        _check_name(name)

        def make(function: Callable[..., Any], /) -> JobType[...]:
            _check_is_no_method(function)
            jobtype = _jobtype(name, function)
            made = Function(function, jobtype, strict=True, run_in=None, redact=frozenset())
            return self._make(Binding(jobtype, made, options, own, None, stub=True))

        decorator: Any = make
        return decorator  # type: ignore[no-any-return]  # likewise

    def cron(
        self, expression: str, /, *, tz: str | tzinfo = "UTC", args: Sequence[Any] = ()
    ) -> CronDecorator:
        """Let a job be pushed at its times, by the workers themselves; a decorator.

            @app.cron("0 3 * * *", tz="Europe/Paris")
            async def clean_up() -> None: ...

        More than one may stand above a job, and above `@app.job(...)`; for other options at one of
        its times call it: `app.cron("0 3 * * *")(report.using(queue="night"))`. Any number of
        workers and of `App.run_cron` may run the timetable at the same time: each tick is one job,
        since all push the same one, up to two minutes ahead, to the server's scheduled set. A tick
        runs twice only where a push stalls for more than 15 s just before it, or where in a rolling
        deploy the job means something else to the old workers: other arguments, queue or options.

        A tick that is less than 15 s away when the first worker starts is left out. When a job is
        removed, its ticks of the next two minutes are on the server already: they fail as unknown.

        Args:
            expression: Minute, hour, day, month and weekday, as in a crontab.
            tz: The time zone that it is meant in. Of an hour that is left out or comes twice for
                daylight saving time, a job runs once; but what runs in every hour of the day, or
                has a `*` for its minutes, goes on through both.
            args: What the job is called with, as a tuple or list.

        Raises:
            ArgumentsError: `args` do not fit the function; if its annotations name what is not
                defined yet, that is raised when the job is included, or when a worker starts.
            TypeError: there are too few or too many of them.
            UsageError: no such timetable or time zone; `using` was given a time, a jid or an
                expiry, which a tick has from its timetable; the job is one of another app; or
                `cronsim` is not installed, which comes with `faktory-async[cron]`.
        """
        cron = cron_of(expression, tz, args)

        def add(function: object, /) -> JobType[...]:
            made: object = function
            if not isinstance(function, JobType):
                decorate: Any = self.job()
                made = decorate(function)
            job = cast("JobType[...]", made)
            self._add_cron(job.binding, with_options(cron, job.used))
            return job

        decorator: Any = add
        return decorator  # type: ignore[no-any-return]  # its overloads are the protocol's

    def include(self, router: "Router", prefix: str = "") -> None:
        """Take in the jobs of a router.

        Args:
            router: Any but one that belongs to something already.
            prefix: What their types begin with from now on, such as `mail.`.

        Raises:
            ArgumentsError: those of a timetable do not fit their job.
            DuplicateJobTypeError: a type is another function's.
            UsageError: it is no router, was included already, or is an app; or this one was
                included; or another app's `cron` stands above one of its jobs.
        """
        self._check_is_open()
        _check_inclusion(router, prefix)
        if router is self:
            raise UsageError("a router does not include itself")
        inherited = router.options.over(self.options)

        def check(binding: Binding) -> None:
            self._check(prefix + binding.jobtype, binding)
            binding.check_inherits(inherited)

        for binding in router.hand_over(check):
            binding.inherit(router.options, prefix)
            self._add(binding)

    def hand_over(self, check: Callable[[Binding], None]) -> Collection[Binding]:
        """Give the jobs away, for good, to what includes this one.

        Args:
            check: Raises where a job cannot be taken; then none is given away.

        Raises:
            UsageError: they were given away before.
        """
        if self._given_away:
            raise UsageError("a router is included once")
        for binding in self._bindings.values():
            check(binding)
        self._given_away = True
        bindings, self._bindings = self._bindings, {}
        return bindings.values()

    # -- inside -------------------------------------------------------------------------------

    def _check_is_open(self) -> None:
        if self._given_away:
            # It was included before its module was read to the end.
            raise UsageError("the router was included already: include it when all jobs are there")

    def _make(self, binding: Binding) -> JobType[...]:
        self._check_is_open()
        self._add(binding)
        # Whether it takes a context is the type checker's affair: perhaps it is not known yet.
        made: TypedJob[..., Any] = TypedJob(binding)
        return made

    def _add(self, binding: Binding) -> None:
        self._check(binding.jobtype, binding)
        self._bindings[binding.jobtype] = binding

    def _add_cron(self, binding: Binding, cron: Cron) -> None:
        binding.check_known_times(cron)
        binding.crons.append(cron)

    def _check(self, jobtype: str, binding: Binding) -> None:
        other = self._bindings.get(jobtype)
        if other is not None:
            raise DuplicateJobTypeError(
                f"{jobtype!r} is handled twice: by {other.function.place} and by "
                f"{binding.function.place}"
            )
        binding.check_known_times()


def _check_name(name: str | None) -> None:
    if name == "":
        raise UsageError("a jobtype is not empty")
    if name is not None:
        Job(name)  # says what is wrong


def _check_is_no_method(function: object) -> None:
    """Refuse what is being defined in a class, for which a worker would have no instance."""
    if not inspect.isfunction(function):
        return
    owner = function.__qualname__.rpartition(".")[0]
    first = next(iter(inspect.signature(function).parameters), None)
    if owner and not owner.endswith("<locals>") and first in ("self", "cls"):
        raise UsageError(
            f"{function.__name__} is a method of {owner}, and a job has no {first}: write it at "
            "the top of a module"
        )


def _check_inclusion(router: object, prefix: object) -> None:
    if not isinstance(router, Router):
        raise UsageError(f"include takes a Router, not {router!r}")
    if not isinstance(prefix, str):
        shown = "None" if prefix is None else type(prefix).__name__
        raise UsageError(f"a prefix is a str such as 'mail.', not {shown}")
    if prefix:
        Job(prefix)  # says what is wrong with the text


def _jobtype(name: str | None, function: object) -> str:
    return name or str(getattr(function, "__name__", function))


def _checked(options: JobOptions, custom: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return the custom data; what is wrong with any of it is said before there is a function."""
    own: Mapping[str, Any] = {} if custom is None else custom
    options.check()
    Stamp.of(JobOptions(), own)
    return own


def _names(redact: Collection[str]) -> frozenset[str]:
    if isinstance(redact, str):  # "secret" would be six parameters
        shown = msgspec.json.encode(redact).decode()
        raise UsageError(f"redact is several names: write redact=({shown},)")
    are_names = isinstance(redact, Collection) and all(isinstance(name, str) for name in redact)  # type: ignore[redundant-expr]  # pyright: ignore[reportUnnecessaryIsInstance]  # programs without types
    if not are_names:
        raise UsageError(f"redact is several names of parameters, not {redact!r}")
    return frozenset(redact)


def _check_on_exhausted(on_exhausted: object) -> None:
    if on_exhausted is not None and not callable(on_exhausted):
        raise UsageError(
            f"on_exhausted is a function, called with (job, outcome), not {on_exhausted!r}"
        )
