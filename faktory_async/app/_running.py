"""How a typed job is worked: from a fetched job to its outcome."""

from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from faktory_async.app._context import JobContext, the_context
from faktory_async.app._control import Dead, Discard, Retry
from faktory_async.app._function import Function, in_context, remote
from faktory_async.app._policy import Retries
from faktory_async.app._typed import Binding
from faktory_async.errors import ArgumentsError
from faktory_async.model import Job
from faktory_async.worker import Ack, Fail, Outcome, Runner, current_site, due, failure, limit_run
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
    work = _in_process(binding.function) if binding.function.run_in == "process" else None

    async def run(job: Job) -> Outcome:
        if timeout is not None:
            limit_run(timeout)
        try:
            args = binding.function.arguments.decode(job.args)
        except ArgumentsError as error:
            _tell(job, None, error)
            return _misfit(error)
        context = JobContext(job, the_state.get(), app, due)
        the_context.set(context)
        call = _call(binding.function, args) if work is None else work(args)
        for layer in reversed(middleware):
            call = _around(layer, call)
        try:
            result = await call(context)
        except Exception as error:
            _tell(job, None, error)
            outcome = outcome_of(error, job, policy)
            if outcome is None:
                raise
            return outcome
        _tell(job, result, None)
        return result if isinstance(result, Fail) and work is not None else _DONE

    return run


def _tell(job: Job, result: object, error: Exception | None) -> None:
    watch = the_watch.get()
    if watch is not None:
        watch(job, result, error)


def _misfit(error: ArgumentsError) -> Fail:
    return Fail(errtype="ArgumentsError", message=str(error))


def _call(function: Function, args: Args) -> CallNext:
    async def on_the_loop(context: JobContext[Any]) -> object:
        given = (context, *args) if function.takes_context else args
        return await cast("Awaitable[object]", function.function(*given))

    async def in_a_thread(context: JobContext[Any]) -> object:
        given = (context, *args) if function.takes_context else args
        return await current_site().in_thread(in_context(function.function, context, given))

    return on_the_loop if function.run_in is None else in_a_thread


def _in_process(function: Function) -> Callable[[Args], CallNext]:
    def of(args: Args) -> CallNext:
        async def in_a_process(context: JobContext[Any]) -> object:
            # An exception comes back as a Fail: its traceback cannot travel.
            return await current_site().in_process(remote(function.function, args), context.job)

        return in_a_process

    return of


def _around(layer: RunMiddleware, inner: CallNext) -> CallNext:
    async def call_next(context: JobContext[Any]) -> object:
        return await layer(context, inner)

    return call_next


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
            return _retry(control, job)
        case Discard():
            return DiscardOutcome(reason=str(control))
        case Dead():
            return _dead(_cause(control) or control, str(control), job)
        case _:
            return None if policy is None else _by_policy(policy, error, control, job)


def _by_policy(policy: Retries, error: Exception, alone: BaseException, job: Job) -> Outcome | None:
    if policy.gives_up(alone):
        return _dead(error, "", job)
    if policy.backoff is None:
        return None
    failed = failure(error, job)
    failures = 1 if job.failure is None else (job.failure.retry_count or 0) + 2
    return RetryOutcome(
        delay=policy.backoff.after(failures),
        errtype=failed.errtype,
        message=failed.message,
        backtrace=failed.backtrace,
    )


def _retry(retry: Retry, job: Job) -> RetryOutcome:
    failed = failure(_cause(retry) or retry, job)
    errtype = "Retry" if _cause(retry) is None else failed.errtype
    return RetryOutcome(
        delay=retry.delay,
        at=retry.at,
        errtype=errtype,
        message=failed.message,
        backtrace=failed.backtrace,
        free=retry.free,
    )


def _dead(error: BaseException, reason: str, job: Job) -> DeadOutcome:
    failed = failure(error, job)
    errtype = "Dead" if isinstance(error, Dead) else failed.errtype
    message = (
        failed.message if not reason or isinstance(error, Dead) else f"{reason}: {failed.message}"
    )
    return DeadOutcome(errtype=errtype, message=message, backtrace=failed.backtrace)


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
