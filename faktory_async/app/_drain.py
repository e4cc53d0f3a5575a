"""Work everything that an embedded server holds, and tell how it went: for tests and scripts."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Protocol, TypedDict, Unpack

import anyio
from msgspec import Struct

from faktory_async.app._control import Dead, Discard, Retry
from faktory_async.app._running import alone, the_watch
from faktory_async.errors import UsageError
from faktory_async.model import Job
from faktory_async.net import Link
from faktory_async.server import QueueSnapshot, TimedSnapshot
from faktory_async.worker import Ack, Fail, JobInFlight, Outcome, Worker, exhausted
from faktory_async.worker import Dead as DeadOutcome
from faktory_async.worker import Discard as DiscardOutcome
from faktory_async.worker import Retry as RetryOutcome

if TYPE_CHECKING:
    from faktory_async.app._app import App

_WORDS: Final = (Retry, Discard, Dead)


class Drainable(Protocol):
    """An embedded server, on this thread or another one: what a drain needs of it."""

    @property
    def fetch_wait(self) -> float:
        """Seconds that an empty FETCH waits."""
        ...

    @fetch_wait.setter
    def fetch_wait(self, seconds: float) -> None: ...

    @property
    def url(self) -> str:
        """Its URL."""
        ...

    @property
    def queues(self) -> Mapping[str, QueueSnapshot]:
        """Its queues."""
        ...

    @property
    def scheduled(self) -> Sequence[TimedSnapshot]:
        """The jobs that were pushed for later."""
        ...

    @property
    def retries(self) -> Sequence[TimedSnapshot]:
        """The jobs that failed and will be tried again."""
        ...

    def advance_to_next(self) -> datetime | None:
        """Move its clock to when the next of them is due."""
        ...

    async def dial(self) -> Link:
        """Return a new link to it."""
        ...


class Ran(Struct, frozen=True, kw_only=True):
    """One run of a job.

    Attributes:
        job: The job.
        outcome: How it ended: `Ack`, `Fail`, `Retry`, `Discard` or `Dead` of the worker.
        result: What its handler returned; nobody but a drain keeps that.
        error: What came out of its handler, or of its arguments.
    """

    job: Job
    outcome: Outcome
    result: Any = None
    error: Exception | None = None

    @property
    def attempt(self) -> int:
        """How often the job was tried before."""
        failure = self.job.failure
        return 0 if failure is None else (failure.retry_count or 0) + 1

    @property
    def ok(self) -> bool:
        """Whether the job is done."""
        return isinstance(self.outcome, Ack | DiscardOutcome)


class Drain:
    """One drain of a server.

    Args:
        app: Whose jobs are worked.
        server: Where they are.
        queues: Which queues; by default all that there are.
        retries: Whether the server's clock is moved to whenever a job is tried again.
        raises: Whether a failure is raised.
        max_jobs: How many runs there are at most.
    """

    def __init__(
        self,
        app: "App",
        server: Drainable,
        *,
        queues: Sequence[str] | None,
        retries: bool,
        raises: bool,
        max_jobs: int,
    ) -> None:
        self._app = app
        self._server = server
        self._queues = queues
        self._retries = retries
        self._raises = raises
        self._max_jobs = max_jobs
        self._said: dict[int, tuple[object, Exception | None]] = {}
        self._worker: Worker | None = None
        self._cut: tuple[JobInFlight, ...] = ()
        self._error: Exception | None = None
        self.ran: Final[list[Ran]] = []

    async def run(self) -> None:
        """Work until nothing is left.

        Raises:
            Exception: what a handler raised.
            UsageError: a job that is not worked here, or cannot be worked at all; or more jobs than
                were to be expected.
        """
        with self._at_once(), self._watching():
            await self._work()
            while self._retries and self._is_to_be_retried():
                self._server.advance_to_next()
                await self._work()

    def why_late(self, timeout: float) -> str:
        """Say what was being run when the time was over."""
        names = ", ".join(f"{job.jobtype} {job.jid}" for job in self._cut) or "no handler"
        return f"not drained within {timeout:g} s: {names} was running, {len(self.ran)} had ended"

    async def _work(self) -> None:
        worker = self._worker = Worker(
            self._app,
            url=self._server.url,
            dial=self._server.dial,
            queues=self._names if self._queues is None else self._queues,
            burst=True,
            max_jobs=self._max_jobs - len(self.ran) + 1,
            handle_signals=False,
            grace=1,
            on_job_end=self._ended,
            on_state_change=self._changed,
        )
        await worker.run()
        if self._error is not None:
            raise self._error
        if len(self.ran) > self._max_jobs:
            raise UsageError(
                f"after {self._max_jobs} jobs there are still more: see max_jobs of the drain"
            )

    def _names(self) -> Sequence[str]:
        return sorted({"default", *self._server.queues})

    def _changed(self, phase: str) -> None:
        if phase == "cut" and self._worker is not None:
            self._cut = self._worker.stats.in_flight

    def _watch(self, job: Job, result: object, error: Exception | None) -> None:
        self._said[id(job)] = result, error

    def _ended(self, job: Job, outcome: Outcome) -> None:
        result, error = self._said.pop(id(job), (None, None))
        ran = Ran(job=job, outcome=outcome, result=result, error=error)
        self.ran.append(ran)
        if self._raises and self._error is None and self._is_bad(ran):
            self._error = error or _unexplained(self._app, job, outcome)
            if self._worker is not None:
                self._worker.stop()

    def _is_bad(self, ran: Ran) -> bool:
        """Whether it is a failure, of those that nobody meant and nobody will try again."""
        if isinstance(ran.outcome, Ack | DiscardOutcome) or isinstance(
            ran.error and alone(ran.error), _WORDS
        ):
            return False
        again = self._retries and not isinstance(ran.outcome, DeadOutcome)
        return not again or exhausted(ran.job)

    # -- retries ------------------------------------------------------------------------------

    def _is_to_be_retried(self) -> bool:
        if self._server.retries:
            return True
        seen = {ran.job.jid for ran in self.ran if isinstance(ran.outcome, RetryOutcome)}
        jobs = [entry.job for entry in self._server.scheduled]
        return any(job.jid in seen or job.custom.get("retry_of") in seen for job in jobs)

    # -- the server ---------------------------------------------------------------------------

    @contextmanager
    def _at_once(self) -> Generator[None]:
        """Let an empty FETCH be answered at once."""
        before, self._server.fetch_wait = self._server.fetch_wait, 0
        try:
            yield
        finally:
            self._server.fetch_wait = before

    @contextmanager
    def _watching(self) -> Generator[None]:
        token = the_watch.set(self._watch)
        try:
            yield
        finally:
            the_watch.reset(token)


class DrainOptions(TypedDict, total=False):
    """How a drain is to be.

    Attributes:
        queues: Which queues; by default all that there are, new ones included.
        retries: Whether the server's clock is moved on as long as a job of these is to be tried
            again. What else is due on the way is worked too. By default it is not.
        raises: Whether what a handler raises is raised by the drain, after which nothing more is
            begun; with `retries`, only of a job that failed for the last time. `Retry`, `Discard`
            and `Dead` are never raised. By default it is.
        timeout: Seconds for all of it, 10 by default.
        max_jobs: How many runs there may be, 1,000 by default.
    """

    queues: Sequence[str] | None
    retries: bool
    raises: bool
    timeout: float
    max_jobs: int


async def drain(app: "App", server: Drainable, **options: Unpack[DrainOptions]) -> list[Ran]:
    """Work until the queues of an embedded server are empty.

    Args:
        app: Whose jobs are worked, with its lifespan and middleware. What handlers push goes to
            this server too, whatever the app's URL, and is worked as well.
        server: The server. While the drain lasts, it answers an empty FETCH at once.
        options: See `DrainOptions`.

    Returns:
        Every run, in the order in which they ended.

    Raises:
        Exception: what a handler raised, itself.
        ArgumentsError: a job whose arguments do not fit.
        TimeoutError: it took longer; the jobs that were being run are named.
        TypeError: there is no such option.
        UsageError: a job that is not worked by this app, or more jobs than `max_jobs`.

    Cancelled, handlers are cut short and their jobs are failed.
    """
    for name in options:
        if name not in DrainOptions.__annotations__:
            raise TypeError(f"a drain has no option {name!r}")
    timeout = options.get("timeout", 10)
    drained = Drain(
        app,
        server,
        queues=options.get("queues"),
        retries=options.get("retries", False),
        raises=options.get("raises", True),
        max_jobs=options.get("max_jobs", 1_000),
    )
    with app.aimed_at(server.url, server.dial), anyio.move_on_after(timeout) as scope:
        await drained.run()
    if scope.cancelled_caught:
        raise TimeoutError(drained.why_late(timeout))
    return drained.ran


def _unexplained(app: "App", job: Job, outcome: Outcome) -> Exception:
    """Return the error for a failure that no exception of the app's tells of."""
    if any(binding.stub and binding.jobtype == job.jobtype for binding in app.bindings()):
        return UsageError(
            f"{job.jobtype} is a stub, which another program works: give it a queue of its own, "
            "and leave that out of the drain's `queues`"
        )
    said = f"{outcome.errtype}: {outcome.message}" if isinstance(outcome, Fail) else repr(outcome)
    return UsageError(f"{job.jobtype} {job.jid} failed: {said}")
