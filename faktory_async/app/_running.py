"""How a typed job is worked: from a fetched job to its outcome."""

import pickle
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from msgspec import Struct
from msgspec.structs import replace

from faktory_async.app._context import JobContext, the_context
from faktory_async.app._control import Dead, Discard, Retry
from faktory_async.app._function import Function, in_context, remote
from faktory_async.app._policy import Retries
from faktory_async.app._typed import Binding
from faktory_async.errors import ArgumentsError
from faktory_async.model import Job
from faktory_async.worker import (
    Ack,
    Fail,
    Outcome,
    Runner,
    current_site,
    due,
    failure,
    judge_timeout,
    limit_run,
)
from faktory_async.worker import Dead as DeadOutcome
from faktory_async.worker import Discard as DiscardOutcome
from faktory_async.worker import Retry as RetryOutcome

if TYPE_CHECKING:
    from faktory_async.app._app import App

Args: TypeAlias = tuple[Any, ...]

CallNext: TypeAlias = Callable[[JobContext[Any]], Awaitable[object]]
"""What a middleware calls to go on: the next one, or the handler, whose result it returns."""

RunMiddleware: TypeAlias = Callable[[JobContext[Any], CallNext], Awaitable[object]]
"""Runs around every handler of an app, whatever kind it is.

What the handler raises comes out of `call_next`, `Retry`, `Discard` and `Dead` among it; what the
middleware raises, or does not let through, decides how the job ends.
"""

the_state: Final[ContextVar[Any]] = ContextVar("faktory_async_state", default=None)

Watch: TypeAlias = Callable[[Job, object, Exception | None], object]
"""Told how the work on a job ended: what it returned, or what it raised."""

the_watch: Final[ContextVar[Watch | None]] = ContextVar("faktory_async_watch", default=None)

_DONE: Final = Ack()


def runner_of(app: "App", binding: Binding, middleware: Sequence[RunMiddleware]) -> Runner:
    """Return what works jobs of this type."""
    timeout = binding.options.seconds
    policy = binding.options.policy
    function = binding.function

    def too_late(error: Exception, job: Job) -> Outcome:
        return outcome_of(error, job, policy) or failure(error, job)

    async def run(job: Job) -> Outcome:
        judge_timeout(too_late)
        if timeout is not None:
            limit_run(timeout)
        try:
            args = function.arguments.decode(job.args)
        except ArgumentsError as error:
            _tell(job, None, error)
            return _misfit(error)
        context = JobContext(job, the_state.get(), app, due)
        the_context.set(context)
        elsewhere = Elsewhere()
        call = _call(function, args, elsewhere)
        for layer in reversed(middleware):
            call = _around(layer, call)
        try:
            result = await call(context)
        except Exception as error:
            _tell(job, None, error)
            outcome = _meaning(error, job, policy, elsewhere)
            if outcome is None:
                raise
            return outcome
        _tell(job, result, None)
        return _DONE

    return run


def _tell(job: Job, result: object, error: Exception | None) -> None:
    watch = the_watch.get()
    if watch is not None:
        watch(job, result, error)


def _misfit(error: ArgumentsError) -> Fail:
    return Fail(errtype="ArgumentsError", message=str(error))


def _call(function: Function, args: Args, elsewhere: "Elsewhere") -> CallNext:
    async def on_the_loop(context: JobContext[Any]) -> object:
        given = (context, *args) if function.takes_context else args
        return await cast("Awaitable[object]", function.function(*given))

    async def in_a_thread(context: JobContext[Any]) -> object:
        given = (context, *args) if function.takes_context else args
        return await current_site().in_thread(in_context(function.function, context, given))

    async def in_a_process(context: JobContext[Any]) -> None:
        told = await current_site().in_process(
            remote(function.function, args), context.job, told_of
        )
        if isinstance(told, Raised):
            elsewhere.told = told.outcome
            elsewhere.error = told.restored()
            raise elsewhere.error

    if function.run_in is None:
        return on_the_loop
    return in_a_thread if function.run_in == "thread" else in_a_process


def _around(layer: RunMiddleware, inner: CallNext) -> CallNext:
    async def call_next(context: JobContext[Any]) -> object:
        return await layer(context, inner)

    return call_next


# -- another process --------------------------------------------------------------------------


class Raised(Struct, frozen=True):
    """What a handler has raised in another process.

    Attributes:
        outcome: What it means without a policy, told where its causes and traceback are known.
        error: It, pickled; empty where it cannot be.
    """

    outcome: Outcome
    error: bytes

    def restored(self) -> Exception:
        """Return it, or what stands for it."""
        if self.error:
            error: Exception = pickle.loads(self.error)  # noqa: S301 - our own process wrote it
            return error
        return LostError(getattr(self.outcome, "message", ""))


class LostError(Exception):
    """Stands for an exception of another process, which could not be pickled."""


class Elsewhere:
    """What a run has seen of another process.

    Attributes:
        error: What the handler has raised there.
        told: What it means.
    """

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.told: Outcome | None = None


def told_of(error: BaseException, job: Job) -> Raised:
    """Return what is to be known of an exception in another process."""
    if not isinstance(error, Exception):
        return Raised(failure(error, job), b"")
    return Raised(outcome_of(error, job, None) or failure(error, job), _pickled(error))


def _pickled(error: Exception) -> bytes:
    try:
        data = pickle.dumps(error)
        same = type(pickle.loads(data)) is type(error)  # noqa: S301 - just written
    except Exception:  # noqa: BLE001 - whatever it is, it stays here
        return b""
    return data if same else b""


# -- how it ended -----------------------------------------------------------------------------


def outcome_of(error: Exception, job: Job, policy: Retries | None) -> Outcome | None:
    """Return what an exception means; None where it is an ordinary failure, for the server.

    Args:
        error: What came out of handler and middleware. A group that holds one exception only, as
            a task group of the handler raises it, means what that one does.
        job: The job.
        policy: What decides over ordinary failures.
    """
    control = alone(error)
    match control:
        case Retry():
            return _retry(control, _told_by(control, error, job))
        case Discard():
            return DiscardOutcome(reason=str(control))
        case Dead():
            return _dead(control, _told_by(control, error, job))
        case _:
            if policy is None:
                return None
            return _by_policy(policy, error, control, job, failure(error, job))


def _meaning(
    error: Exception, job: Job, policy: Retries | None, elsewhere: Elsewhere
) -> Outcome | None:
    if error is not elsewhere.error:
        return outcome_of(error, job, policy)
    told = elsewhere.told
    if policy is not None and isinstance(told, Fail):
        return _by_policy(policy, error, alone(error), job, told) or told
    return told


def _by_policy(
    policy: Retries, error: Exception, alone: BaseException, job: Job, failed: Fail
) -> Outcome | None:
    # What could not come back from another process is nobody's to judge.
    if not isinstance(error, LostError) and policy.gives_up(alone):
        return DeadOutcome(
            errtype=failed.errtype, message=failed.message, backtrace=failed.backtrace
        )
    if policy.backoff is None:
        return None
    failures = 1 if job.failure is None else (job.failure.retry_count or 0) + 2
    return RetryOutcome(
        delay=policy.backoff.after(failures),
        errtype=failed.errtype,
        message=failed.message,
        backtrace=failed.backtrace,
    )


def _told_by(control: Exception, error: Exception, job: Job) -> Fail:
    """Return the cause of a handler's word; where it was, if it was never raised itself."""
    failed = failure(_cause(control) or control, job)
    return failed if failed.backtrace else replace(failed, backtrace=failure(error, job).backtrace)


def _retry(retry: Retry, failed: Fail) -> RetryOutcome:
    return RetryOutcome(
        delay=retry.delay,
        at=retry.at,
        errtype="Retry" if _cause(retry) is None else failed.errtype,
        message=failed.message,
        backtrace=failed.backtrace,
        free=retry.free,
    )


def _dead(dead: Dead, failed: Fail) -> DeadOutcome:
    reason = str(dead)
    if _cause(dead) is None:
        return DeadOutcome(message=failed.message, backtrace=failed.backtrace)
    return DeadOutcome(
        errtype=failed.errtype,
        message=f"{reason}: {failed.message}" if reason else failed.message,
        backtrace=failed.backtrace,
    )


def _cause(error: BaseException) -> BaseException | None:
    """Return what it was raised from, or while handling what."""
    if error.__cause__ is not None or error.__suppress_context__:
        return error.__cause__
    return error.__context__


def alone(error: BaseException) -> BaseException:
    """Return the only exception in a group of groups; else the exception itself."""
    inner = error
    while isinstance(inner, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", inner)
        if len(group.exceptions) != 1:
            return error
        inner = group.exceptions[0]
    return inner
