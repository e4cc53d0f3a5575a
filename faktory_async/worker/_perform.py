"""Work one job: from a run to its outcome. Nothing a handler does gets past this."""

import asyncio
from collections.abc import Callable
from typing import Final, cast

import anyio

from faktory_async.errors import JobTimeoutError
from faktory_async.model import Job
from faktory_async.protocol import message_of
from faktory_async.worker._current import the_job, the_run
from faktory_async.worker._failure import bounded, failure
from faktory_async.worker._fatal import ends_the_program
from faktory_async.worker._handlers import Runner
from faktory_async.worker._kinds import CutShort
from faktory_async.worker._outcome import INTERRUPTED, Ack, Dead, Discard, Fail, Outcome, Retry
from faktory_async.worker._reservation import Moment
from faktory_async.worker._run import Run, present


async def perform(
    run: Run, dispatch: Callable[[str], Runner], now: Callable[[], Moment] = present
) -> Outcome | None:
    """Work a job and return how that ended.

    Args:
        run: The job.
        dispatch: Returns what works jobs of a type.
        now: Tells the present moment.

    Returns:
        A `Fail` where the job cannot be decoded, or its handler raises, takes too long, is
        cancelled by somebody else, or is cut short. None where the job came too late to be begun:
        then nothing may be reported either, since the server gives it to somebody else.

    A cancellation by the run itself ends the handler. Any other one that reaches the handler counts
    as its failure.
    """
    if run.was_cut:
        return INTERRUPTED
    try:
        job = run.decode()
        if not run.expect(now()):
            return None
        runner = dispatch(job.jobtype)
    except BaseException as error:  # noqa: BLE001 - bytes that are no job, a source that is broken
        return _failed(error, None, run)
    the_job.set(job)  # never reset: each run has a task, and so a context, of its own
    the_run.set(run)
    if run.on_begin is not None:
        run.on_begin(job)
    outcome: Outcome | None = None
    try:
        if (scope := run.begin()) is None:
            outcome = sound(await runner(job))
        else:
            with scope:
                outcome = sound(await runner(job))
    except BaseException as error:
        if is_closed_by(error, run):
            raise
        outcome = _raised(error, job, run)  # the job's failure, not ours
    run.end()
    return _cancelled(None, job, run) if outcome is None else outcome


def sound(outcome: object) -> Outcome:
    """Return what a runner returned, cut to what the server keeps.

    Raises:
        TypeError: it is no outcome at all.
    """
    match outcome:
        case Ack():
            return outcome
        case Discard():
            return outcome if type(outcome.reason) is str else Discard(reason=_text(outcome.reason))
        case Fail() | Retry() | Dead():
            return bounded(outcome)
        case _:
            raise TypeError(f"a runner must return an Outcome, not {type(outcome).__name__}")


def _text(value: object) -> str:
    """Return what a value says, for the log; it may be an exception that says nothing."""
    return message_of(value) if isinstance(value, BaseException) else str(value)


def is_closed_by(error: BaseException, run: Run) -> bool:
    """Tell whether somebody closes this very coroutine, which he does in a context of his own."""
    return type(error) is GeneratorExit and the_run.get(None) is not run


def _failed(error: BaseException, job: Job | None, run: Run) -> Outcome:
    if ends_the_program(error):
        run.fatal = error
    return failure(error, job)


def _raised(error: BaseException, job: Job, run: Run) -> Outcome:
    # asyncio's on trio too: a library may bring it along.
    cancelled = (anyio.get_cancelled_exc_class(), asyncio.CancelledError)
    kind = type(error)  # `isinstance` would ask the exception, which may do anything
    if issubclass(kind, BaseExceptionGroup):
        # Tasks of the handler that were cancelled with it say nothing of their own.
        group = cast("BaseExceptionGroup[BaseException]", error)
        rest = _without(group, cancelled)
        if rest is None:
            return _cancelled(group, job, run)
        error = rest
    elif issubclass(kind, (*cancelled, CutShort)):
        return _cancelled(error, job, run)
    return _failed(error, job, run)


def _without(
    group: BaseExceptionGroup[BaseException], cancelled: tuple[type[BaseException], ...]
) -> BaseException | None:
    try:
        return group.split(cancelled)[1]
    except Exception:  # noqa: BLE001 - a group's own `derive` may do anything
        return group


def _cancelled(error: BaseException | None, job: Job, run: Run) -> Outcome:
    if run.was_cut:
        return INTERRUPTED
    if run.timed_out:
        # The traceback of the cancellation tells where the handler was.
        trace = None if error is None else error.__traceback__
        return too_late(run, run.timeout_error().with_traceback(trace), job)
    if error is None:
        return Fail(errtype="Cancelled", message=_BY_SOMEBODY_ELSE)
    failed = failure(error, job)
    return failed if failed.message else _explained(failed)


def too_late(run: Run, error: JobTimeoutError, job: Job) -> Outcome:
    """Return what is reported of a handler whose deadline has passed, whatever its judge does."""
    try:
        return sound(run.judge(error, job))
    except BaseException as raised:  # noqa: BLE001 - by a policy of the program's own
        return _failed(raised, job, run)


def _explained(failed: Fail) -> Fail:
    return Fail(errtype=failed.errtype, message=_BY_SOMEBODY_ELSE, backtrace=failed.backtrace)


_BY_SOMEBODY_ELSE: Final = "the handler was cancelled, but not by the worker"
