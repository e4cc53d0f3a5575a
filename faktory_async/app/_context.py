"""What a typed handler is told beside its arguments."""

import logging
from collections.abc import Callable, MutableMapping
from contextvars import ContextVar
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, overload

from faktory_async.errors import EnterpriseRequiredError, UsageError
from faktory_async.model import Job, check_progress
from faktory_async.worker import current_site, job_client, to_worker_thread

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from faktory_async.app._app import App

    # None and not Any: with Any, mypy resolves the decorators' overloads to nothing and checks no
    # push at all.
    S = TypeVar("S", default=None)
else:
    from typing import TypeVar

    S = TypeVar("S")

P = ParamSpec("P")
R = TypeVar("R")

_NONE: Any = None
_log: Final = logging.getLogger("faktory_async.jobs")
_NOBODY: Final = "there is no {} here: give JobContext.fake one"


class JobLogger(logging.LoggerAdapter[logging.Logger]):
    """Adds to each record what is known of the job; what the caller says of it comes first."""

    def process(
        self, msg: object, kwargs: MutableMapping[str, Any]
    ) -> tuple[object, MutableMapping[str, Any]]:
        """Return what is logged."""
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


class JobContext(Generic[S]):
    """The job that a handler works, and what surrounds it.

        @app.job
        async def send_welcome(ctx: JobContext[State], email: str) -> None: ...

    A handler that wants one takes it as its first parameter, which is found by its annotation and
    is no part of what is pushed. A test makes one by `JobContext.fake`.

    Attributes:
        job: The job as it was fetched.
        state: What the app's `lifespan` gave; None without one.
    """

    __slots__ = ("_app", "_deadline", "_log", "job", "state")

    def __init__(
        self,
        job: Job,
        state: S,
        app: "App | None" = None,
        deadline: Callable[[], datetime] | None = None,
    ) -> None:
        self.job: Final = job
        self.state: Final = state
        self._app = app
        self._deadline = deadline
        self._log: logging.LoggerAdapter[logging.Logger] | None = None

    @overload
    @staticmethod
    def fake(*, job: Job | None = None, app: "App | None" = None) -> "JobContext[None]": ...

    @overload
    @staticmethod
    def fake(state: R, *, job: Job | None = None, app: "App | None" = None) -> "JobContext[R]": ...

    @staticmethod
    def fake(
        state: R = _NONE, *, job: Job | None = None, app: "App | None" = None
    ) -> "JobContext[R]":
        """Return a context for calling a handler directly, in a test.

        Args:
            state: What the handler finds as `state`.
            job: What it finds as `job`; by default one of type `fake`.
            app: What it finds as `app`.
        """
        return JobContext(Job("fake") if job is None else job, state, app)

    def __repr__(self) -> str:
        return f"<JobContext {self.job!r}>"

    # -- the job ------------------------------------------------------------------------------

    @property
    def jid(self) -> str:
        """The job's id."""
        return self.job.jid

    @property
    def attempt(self) -> int:
        """How often the job was tried before: 0 the first time."""
        failure = self.job.failure
        return 0 if failure is None else (failure.retry_count or 0) + 1

    @property
    def retries_left(self) -> int:
        """How many more tries there are if this one fails."""
        return max(self.job.retry - self.attempt, 0)

    # -- its surroundings ---------------------------------------------------------------------

    @property
    def app(self) -> "App":
        """The app that the job belongs to.

        Raises:
            UsageError: the context is a fake without one.
        """
        if self._app is None:
            raise UsageError(_NOBODY.format("app"))
        return self._app

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger, `faktory_async.jobs`, whose records carry jid, jobtype, queue and attempt."""
        if self._log is None:
            self._log = JobLogger(
                _log,
                {
                    "jid": self.jid,
                    "jobtype": self.job.jobtype,
                    "queue": self.job.queue,
                    "attempt": self.attempt,
                },
            )
        return self._log

    @property
    def deadline(self) -> datetime | None:
        """When the handler is cancelled, in UTC; None where no worker runs it."""
        return None if self._deadline is None else self._deadline()

    @property
    def shutting_down(self) -> bool:
        """Whether the worker is about to stop: a long handler may save where it is, and end."""
        return self._deadline is not None and current_site().stopping

    async def progress(
        self,
        percent: int,
        description: str | None = None,
        *,
        reserve_until: datetime | None = None,
    ) -> None:
        """Tell how far the job is, for whoever asks for it by `Client.track_get` (Enterprise).

        The job must have been pushed with `tracked=True`. The free server knows no progress: there
        it goes into the log, at level DEBUG.

        Args:
            percent: From 0 to 100.
            description: What is being done.
            reserve_until: Until when the job is to stay reserved; the handler's own deadline moves
                with it. An aware `datetime`.

        Raises:
            UsageError: a percent or time out of range.
            UnavailableError: no answer.
        """
        check_progress(percent, reserve_until)
        self.log.debug("%s is at %d %%: %s", self.job.jobtype, percent, description or "")
        if self._deadline is None or "track" not in self.job.custom:
            return
        try:
            await job_client().track_set(
                self.jid, percent=percent, desc=description, reserve_until=reserve_until
            )
        except EnterpriseRequiredError:
            self.log.debug("this Faktory knows no progress")

    async def to_thread(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a blocking function in one of the worker's threads, and return what it returns.

        Cancelled, nobody waits for it any more, but it goes on to its end: a thread cannot be
        stopped.
        """
        return await to_worker_thread(function, *args, **kwargs)


the_context: Final[ContextVar[JobContext[Any]]] = ContextVar("faktory_async_current_context")


def current_context() -> JobContext[Any]:
    """Return the context of the job that is being worked, from whatever its handler calls.

    In threads too.

    Raises:
        UsageError: outside of a typed handler, or in a worker process.
    """
    try:
        return the_context.get()
    except LookupError:
        raise UsageError("there is no current context outside of a typed handler") from None
