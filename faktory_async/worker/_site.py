"""Where a job is worked: what a `HandlerSource` may use of the worker that runs it."""

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from typing import Final, ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

from faktory_async.client import when_prolonged
from faktory_async.errors import UsageError
from faktory_async.model import Job
from faktory_async.worker._connected import Target
from faktory_async.worker._current import current_run, the_run
from faktory_async.worker._events import Event, Events
from faktory_async.worker._kinds import Kinds
from faktory_async.worker._lifecycle import Lifecycle, Phase
from faktory_async.worker._outcome import Ack, Outcome

P = ParamSpec("P")
R = TypeVar("R")

_site: Final[ContextVar["Site"]] = ContextVar("faktory_async_site")


class Site:
    """A worker, as what it runs may use it.

    Args:
        kinds: Its threads and processes.
        lifecycle: How far it is on its way out.
        events: Its listeners.
        target: Where its server is.

    Attributes:
        target: Where its server is, and how it is reached.
        schedules: What runs as long as the worker does and pushes jobs at their times; to be added
            while the source is being entered.
    """

    def __init__(self, kinds: Kinds, lifecycle: Lifecycle, events: Events, target: Target) -> None:
        self._kinds = kinds
        self._lifecycle = lifecycle
        self._events = events
        self.target: Final = target
        self.schedules: list[Callable[[], Awaitable[None]]] = []

    @property
    def stopping(self) -> bool:
        """Whether it fetches nothing any more."""
        return self._lifecycle.phase > Phase.RUNNING

    @property
    def threads(self) -> CapacityLimiter:
        """How many threads there are for `def` handlers."""
        return self._kinds.threads

    def listen(self, event: Event, listener: Callable[..., object]) -> None:
        """Have a listener told of an event, beside those that the worker has."""
        self._events.add(event, listener)

    async def in_thread(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a `def` handler in a thread, which keeps the job's slot until it returns.

        Once in each run, in the handler's own task.

        Raises:
            JobTimeoutError: it heeded the end of its time.
            Exception: whatever it raises.
        """
        return await self._kinds.in_thread(partial(function, *args, **kwargs))

    async def in_process(
        self, handler: Callable[[Job], object], job: Job, tell: Callable[[BaseException, Job], R]
    ) -> Ack | R:
        """Call a `def` handler in a process, and return how that ended. Cancelled, it is killed.

        Args:
            handler: What is called with the job.
            job: The job.
            tell: Called there with what the handler has raised, and the job; what it returns comes
                back.

        Raises:
            ChildProcessError: the process died.
        """
        return await self._kinds.in_process(handler, job, tell)

    @contextmanager
    def current(self) -> Generator[None]:
        """Let `current_site` return it within the block, and in tasks that it starts."""
        token = _site.set(self)
        prolonged = when_prolonged.set(_prolonged)
        try:
            yield
        finally:
            when_prolonged.reset(prolonged)
            _site.reset(token)


def current_site() -> Site:
    """Return the worker that runs what calls, also while its source is being entered.

    Raises:
        UsageError: there is none.
    """
    try:
        return _site.get()
    except LookupError:
        raise UsageError("no worker is running this") from None


def limit_run(timeout: float) -> None:
    """Let the handler that is being run take no longer than `timeout` seconds from now on."""
    current_run().limit(timeout)


def judge_timeout(judge: Callable[[Exception, Job], Outcome]) -> None:
    """Let the end of the time of the handler that is being run mean what this says."""
    current_run().judge = judge


def due() -> datetime:
    """Return when the handler that is being run is cancelled, in UTC; in any thread."""
    return datetime.fromtimestamp(current_run().due_by_the_wall, UTC)


async def to_worker_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function in one of the worker's threads; without a worker, in any.

    Cancelled, nobody waits for it any more, but it goes on to its end.
    """
    site = _site.get(None)
    limiter = None if site is None else site.threads
    return await to_thread.run_sync(partial(function, *args, **kwargs), limiter=limiter)


def _prolonged(jid: str, until: datetime) -> None:
    """Move the deadline of the run whose reservation the server has moved."""
    run = the_run.get(None)
    if run is not None and run.jid == jid:
        run.extend(until.timestamp())
