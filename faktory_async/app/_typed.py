"""Typed jobs: functions that are pushed with their own signature."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, ParamSpec, Protocol, TypeVar, Unpack

from faktory_async.app._context import JobContext
from faktory_async.app._cron import Cron
from faktory_async.app._function import Function
from faktory_async.app._options import JobOptions, Stamp, UsingOptions
from faktory_async.client import Client
from faktory_async.errors import ArgumentsError, InvalidJobError, UsageError
from faktory_async.model import Job

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")


class Pushing(Protocol):
    """What pushes the jobs of an app."""

    def client(self) -> Client:
        """Return the app's client in this event loop."""
        ...

    def push_sync(self, job: Job) -> Job:
        """Push a job from code that is not async."""
        ...


class Binding:
    """The app that a job belongs to, and what it is called there.

    One for a job and all that `using` makes of it; a router's jobs have no app until it is
    included.

    Attributes:
        crons: When it is pushed by itself.
        timed_by: The app that said so, of a router's job that may not belong to it yet.

    Args:
        jobtype: The job's type.
        function: Its function.
        options: What the job itself says.
        custom: Custom data of each of its jobs.
        on_exhausted: Called when a job has failed for the last time.
        stub: Whether another program works it.
    """

    def __init__(
        self,
        jobtype: str,
        function: Function,
        options: JobOptions,
        custom: Mapping[str, Any],
        on_exhausted: Callable[..., object] | None,
        *,
        stub: bool,
    ) -> None:
        self.jobtype = jobtype
        self.function: Final = function
        self.options = options
        self.on_exhausted: Final = on_exhausted
        self.stub: Final = stub
        self.stamp = Stamp.of(options, custom)
        self.crons: list[Cron] = []
        self.timed_by: Pushing | None = None
        self._custom = custom
        self._app: Pushing | None = None

    @property
    def bound(self) -> bool:
        """Whether it belongs to an app."""
        return self._app is not None

    @property
    def app(self) -> Pushing:
        """What it is pushed by.

        Raises:
            UsageError: the router was not included in an app.
        """
        if self._app is None:
            raise UsageError(
                f"{self.jobtype} belongs to a router that no app includes: write "
                "`app.include(router)`"
            )
        return self._app

    def inherit(self, options: JobOptions, prefix: str = "") -> None:
        """Take from a router or app what the job itself does not say."""
        self.jobtype = prefix + self.jobtype
        self.options = self.options.over(options)
        self.stamp = Stamp.of(self.options, self._custom)

    def check_inherits(self, options: JobOptions) -> None:
        """Check that it could take these from what includes it.

        Raises:
            UsageError: what it would have then makes no sense.
        """
        Stamp.of(self.options.over(options), self._custom)

    def check_times(self, *crons: Cron) -> None:
        """Check that the arguments of its timetables, and of those here, fit.

        Raises:
            ArgumentsError: they do not.
            InvalidJobError: they cannot be sent intact.
            TypeError: there are too many, or too few.
            UsageError: an annotation means nothing.
        """
        for cron in (*self.crons, *crons):
            where = f"by the timetable of {self.function.place}"
            arguments = self.function.arguments
            try:
                Job(self.jobtype, arguments.encode(cron.args, {}))
            except (ArgumentsError, InvalidJobError) as error:
                raise type(error)(f"{error.args[0]}, {where}", path=error.path) from None
            except TypeError as error:
                raise TypeError(f"{error}, {where}") from None

    def check_known_times(self, *crons: Cron) -> None:
        """Do so where it is known yet what the function takes; raises the same."""
        try:
            self.check_times(*crons)
        except UsageError as error:
            # The module may define further down what its annotations name.
            if not isinstance(error.__cause__, NameError | AttributeError):
                raise

    def bind(self, app: Pushing) -> None:
        """Belong to an app."""
        self._app = app


class JobType(Generic[P]):
    """What pushes jobs of one type, with the signature of their function.

    Attributes:
        function: The function itself.
    """

    def __init__(self, binding: Binding, used: tuple[UsingOptions, ...] = ()) -> None:
        self._binding = binding
        self._used = used
        # What it was made from: a router's jobs inherit more when an app includes it.
        self._made_of = binding.stamp
        self._stamp = self._stamped()
        self.function: Final = binding.function.function
        self.__doc__ = self.function.__doc__
        self.__name__ = self.function.__name__
        self.__qualname__ = self.function.__qualname__
        self.__module__ = self.function.__module__
        self.__wrapped__ = self.function

    def __repr__(self) -> str:
        return f"<job {self._binding.jobtype}>"

    @property
    def jobtype(self) -> str:
        """The name by which a worker knows it."""
        return self._binding.jobtype

    @property
    def binding(self) -> Binding:
        """The app that it belongs to, and its function."""
        return self._binding

    @property
    def used(self) -> tuple[UsingOptions, ...]:
        """What `using` was given, in order."""
        return self._used

    async def push(self, *args: P.args, **kwargs: P.kwargs) -> Job:
        """Store a job, and return it once the server has it.

        Raises:
            ArgumentsError: a value does not fit the signature; with its path. Nothing was sent.
            ClientStateError: the app is not open: write `async with app:` around the program.
            FaktoryError: as `Client.push`.

        Cancelled before its bytes left, the job is not stored; after that, nobody knows.
        """
        return await self._binding.app.client().push(self._job(args, kwargs))

    def push_sync(self, *args: P.args, **kwargs: P.kwargs) -> Job:
        """Store a job from code that is not async, such as a Django view or a script.

        The app need not be open: connections are kept by a thread of their own. From any thread,
        but not from inside of an event loop, which it would block.

        Raises:
            UsageError: it is called on the thread of a running event loop.
            FaktoryError: as `push`.
        """
        return self._binding.app.push_sync(self._job(args, kwargs))

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Job:
        """Return a job that is not pushed yet, for `App.push_many` and batches.

        Raises:
            ArgumentsError: a value does not fit the signature; with its path.
        """
        return self._job(args, kwargs)

    def using(self, **options: Unpack[UsingOptions]) -> "JobType[P]":
        """Return the same with other options, for one push or many.

            await send_welcome.using(delay="10m", queue="slow").push("a@b.c")

        Args:
            options: See `UsingOptions`.

        Raises:
            UsageError: an option that makes no sense.
        """
        return JobType(self._binding, (*self._used, options))

    def _stamped(self) -> Stamp:
        stamp = self._binding.stamp
        for options in self._used:
            stamp = stamp.using(options)
        return stamp

    def _job(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Job:
        binding = self._binding
        encoded = binding.function.arguments.encode(args, kwargs)
        if self._made_of is not binding.stamp:
            self._made_of, self._stamp = binding.stamp, self._stamped()
        return self._stamp.job(binding.jobtype, encoded)


class TypedJob(JobType[P], Generic[P, R_co]):
    """A function that is a job: still callable, and pushed by `push`."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function here and now."""
        result: R_co = _callable(self)(*args, **kwargs)
        return result


class ContextJob(JobType[P], Generic[S, P, R_co]):
    """The same for a function whose first parameter is a `JobContext`, which is not pushed."""

    def __call__(self, context: JobContext[S], /, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function here and now."""
        result: R_co = _callable(self)(context, *args, **kwargs)
        return result


def _callable(job: JobType[...]) -> Callable[..., Any]:
    if job.binding.stub:
        raise UsageError(f"{job.jobtype} is a stub: another program works it")
    return job.function
