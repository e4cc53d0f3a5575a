"""Work one job: from a run to its outcome. Nothing a handler does gets past this."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

import anyio

from faktory_async.errors import UsageError
from faktory_async.model import Job
from faktory_async.worker._failure import bounded, failure
from faktory_async.worker._handlers import HandlerSource, Runner
from faktory_async.worker._outcome import (
    INTERRUPTED,
    Ack,
    Dead,
    Discard,
    Fail,
    Outcome,
    Retry,
)
from faktory_async.worker._run import Run

_current: Final[ContextVar[Job]] = ContextVar("faktory_async_current_job")


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
    raises, is cancelled by somebody else, or is cut short.

    Cutting the run cancels the handler. Any other cancellation that reaches the handler counts as
    its failure.
    """
    if run.was_cut:
        return INTERRUPTED
    try:
        job = run.job()
        runner = handlers.resolve(job.jobtype) or _unknown(handlers)
    except Exception as error:  # noqa: BLE001 - bytes that are no job, a source that is broken
        return failure(error)
    return await _guarded(runner, job, run)


async def _guarded(runner: Runner, job: Job, run: Run) -> Outcome:
    run.begin()
    outcome: Outcome = INTERRUPTED
    try:
        with run.scope, _as_current(job):
            outcome = _sound(await runner(job))
    except (KeyboardInterrupt, GeneratorExit):
        raise  # meant for the whole process, or for this very coroutine
    except anyio.get_cancelled_exc_class() as error:
        outcome = INTERRUPTED if run.was_cut else failure(error, job)
    except BaseException as error:  # noqa: BLE001 - the job's failure, not ours
        outcome = failure(error, job)
    await run.end()
    return outcome


def _sound(outcome: object) -> Outcome:
    """Return what a runner returned, cut to what the server keeps.

    Raises:
        TypeError: it is no outcome at all.
    """
    match outcome:
        case Ack() | Discard():
            return outcome
        case Fail() | Retry() | Dead():
            return bounded(outcome)
        case _:
            raise TypeError(f"a runner must return an Outcome, not {type(outcome).__name__}")


def _unknown(handlers: HandlerSource) -> Runner:
    """Return what fails a job that nothing handles, naming what is handled."""

    async def fail(job: Job) -> Outcome:
        known = ", ".join(sorted(map(repr, handlers.jobtypes()))) or "none"
        message = f"no handler for {job.jobtype!r}; registered here: {known}"
        return Fail(errtype="UnknownJobType", message=message)

    return fail


@contextmanager
def _as_current(job: Job) -> Generator[None]:
    token = _current.set(job)
    try:
        yield
    finally:
        _current.reset(token)
