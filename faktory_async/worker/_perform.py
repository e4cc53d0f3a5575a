"""Work one job: from a run to its outcome. Nothing a handler does gets past this."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

import anyio

from faktory_async.errors import InvalidJobError, UsageError
from faktory_async.model import Job
from faktory_async.worker._failure import MAX_MESSAGE, cut, failure
from faktory_async.worker._handlers import HandlerSource
from faktory_async.worker._outcome import Fail, Outcome
from faktory_async.worker._run import Run

_current: Final[ContextVar[Job]] = ContextVar("faktory_async_current_job")

INTERRUPTED: Final = Fail(
    errtype="Interrupted", message="the worker stopped before the job was finished"
)


def current_job() -> Job:
    """Return the job that is being worked, inside its handler and whatever that calls.

    Raises:
        UsageError: outside of a handler.
    """
    try:
        return _current.get()
    except LookupError:
        raise UsageError("there is no current job outside of a handler") from None


async def perform(run: Run, handlers: HandlerSource) -> Outcome:
    """Work a job and return how that ended.

    It ends in a `Fail` where the job cannot be decoded, nothing handles its type, the handler
    raises, is cancelled by somebody else, or is cut short by the run's scope.

    Cancelling `run.scope` cuts the handler short. Any other cancellation that reaches the handler
    counts as its failure.
    """
    try:
        job = run.job()
    except InvalidJobError as error:
        return failure(error)
    runner = handlers.resolve(job.jobtype)
    if runner is None:
        return unknown_jobtype(job, handlers)
    with run.scope, _as_current(job):
        try:
            return await runner(job)
        except anyio.get_cancelled_exc_class() as error:
            if run.scope.cancel_called:
                raise
            return failure(error, job)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the job's failure, not ours
            return failure(error, job)
    return INTERRUPTED


def unknown_jobtype(job: Job, handlers: HandlerSource) -> Fail:
    """Return the failure of a job that nothing handles, naming what is handled."""
    known = ", ".join(sorted(map(repr, handlers.jobtypes()))) or "none"
    message = f"no handler for {job.jobtype!r}; registered here: {known}"
    return Fail(errtype="UnknownJobType", message=cut(message, MAX_MESSAGE))


@contextmanager
def _as_current(job: Job) -> Generator[None]:
    token = _current.set(job)
    try:
        yield
    finally:
        _current.reset(token)
