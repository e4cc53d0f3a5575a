"""From an outcome to its first step, and from there to the end. Pure."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

from faktory_async.errors import FaktoryError
from faktory_async.protocol import Command
from faktory_async.worker._outcome import INTERRUPTED, Ack, Dead, Discard, Fail, Outcome, Retry
from faktory_async.worker._repush import Original, Plan
from faktory_async.worker._reservation import Moment
from faktory_async.worker._steps import (
    STILL_SCHEDULED,
    AckStep,
    Case,
    End,
    FailStep,
    KillStep,
    Next,
    PushStep,
    Step,
    Verdict,
)

Interrupted: TypeAlias = Literal["fail", "requeue"]
"""What becomes of a job that was cut short."""

_TIED: Final = "an option of Enterprise forbids to push it again"
_BROKEN: Final = "it cannot be taken apart to be pushed again"


class Report(Struct, eq=False):
    """An outcome on its way.

    Attributes:
        name: What logs call the job.
        jid: Its id.
        step: What comes next. A first one that `rides` may go in front of a FETCH.
    """

    name: object
    jid: str
    step: Step

    @property
    def kills(self) -> bool:
        """Whether what comes next takes the server long, on large sets."""
        return isinstance(self.step, KillStep)

    def next(self, now: Moment) -> Command[Any] | End | None:
        """Return what to send now; None where the server's time is needed for it."""
        while isinstance(following := self.step.next(now), Step):
            self.step = following
        return following

    def answered(self, answer: Any, now: Moment) -> End | bool:
        """Take the answer; return the end, or whether the same must be sent again."""
        following = self.step.answered(answer, now)
        if isinstance(following, End):
            return following
        again = following is self.step
        self.step = following
        return again

    def unanswered(self, sent_at: Moment) -> None:
        """Note that what was sent may have been executed."""
        self.step.unanswered(sent_at)


def first_step(case: Case, outcome: Outcome, interrupted: Interrupted) -> Step:
    """Return what begins the delivery of an outcome."""
    match outcome:
        case Ack():  # nearly always
            return AckStep(case, Verdict.ACKED)
        case Discard():
            return AckStep(case, Verdict.DISCARDED, why=outcome.reason)
        case Retry():
            return _retry(case, outcome)
        case Dead():
            return _dead(case, outcome)
        case Fail():
            if outcome is INTERRUPTED:
                return _interrupted(case, interrupted)
            return _fail(case, outcome)


def _fail(case: Case, fail: Fail, why: str = "") -> FailStep:
    return FailStep(case, fail, why=why, rescue=partial(_rescue, case, fail))


# -- a rescue -------------------------------------------------------------------------------------


def _rescue(case: Case, fail: Fail, error: FaktoryError, *, dead: bool = False) -> Next:
    """Do what the server would have done with a FAIL by which it may have lost the job."""
    original = case.original
    if original is None:
        return _lost(error, _BROKEN)
    if original.retry == 0:
        return End(Verdict.FAILED, f"its FAIL was answered {str(error)!r}; it had no retry anyway")
    if original.tied:
        return _lost(error, _TIED)

    def stored(plan: Plan, warning: str) -> End:
        why = f"its FAIL was answered {str(error)!r}; pushed again as {plan.jid}"
        return End(Verdict.RESCUED, "; ".join(filter(None, (why, warning))))

    def buried(plan: Plan, warning: str) -> Next:
        return _kill_scheduled(plan, lambda why: stored(plan, why or warning))

    bury = dead or not original.has_retries
    return PushStep(
        case,
        partial(original.buried, fail, fresh=True) if bury else partial(original.rescued, fail),
        stored=buried if bury else stored,
        refused=lambda refusal: _lost(error, f"its rescue was refused: {refusal}"),
        silence=None,
    )


def _lost(error: FaktoryError, why: str) -> End:
    return End(Verdict.LOST, f"its FAIL was answered {str(error)!r}, and {why}")


def _kill_scheduled(plan: Plan, then: Callable[[str], Next]) -> Step:
    return KillStep(plan.kill, "scheduled", None, then)


# -- a requeue ------------------------------------------------------------------------------------


def _interrupted(case: Case, interrupted: Interrupted) -> Step:
    original = case.original
    if original is None or (interrupted == "fail" and original.retry != 0):
        return _fail(case, INTERRUPTED)
    if original.tied:
        return _fail(case, INTERRUPTED, f"not requeued: {_TIED}")

    def stored(plan: Plan, _warning: str) -> Step:
        return AckStep(case, Verdict.REQUEUED, why=f"as {plan.jid}")

    return PushStep(
        case,
        original.requeued,
        stored=stored,
        refused=lambda error: _fail(case, INTERRUPTED, f"its requeue was refused: {error}"),
        silence="it is not requeued",
    )


# -- Retry ----------------------------------------------------------------------------------------


def _retry(case: Case, retry: Retry) -> Step:
    original = case.original
    fail = Fail(errtype=retry.errtype, message=retry.message, backtrace=retry.backtrace)
    if (why := _why_no_retry(original, retry)) or original is None:
        return _fail(case, fail, why)

    def stored(plan: Plan, _warning: str) -> Step:
        if plan.jid == case.jid:
            return AckStep(case, Verdict.RETRIED, before=plan.at - STILL_SCHEDULED)
        return AckStep(case, Verdict.RETRIED, why=f"as {plan.jid}")

    return PushStep(
        case,
        partial(original.retried, retry),
        stored=stored,
        refused=lambda error: _fail(case, fail, f"its Retry was refused: {error}"),
        silence="its Retry is not delivered",
    )


def _why_no_retry(original: Original | None, retry: Retry) -> str:
    if original is None:
        return f"its Retry is a FAIL: {_BROKEN}"
    if original.tied:
        return f"its Retry is a FAIL: {_TIED}"
    if not retry.free and not original.has_retries:
        return "its Retry is a FAIL: no retry is left"
    return ""


# -- Dead -----------------------------------------------------------------------------------------


def _dead(case: Case, dead: Dead) -> Step:
    original = case.original
    fail = Fail(errtype=dead.errtype, message=dead.message, backtrace=dead.backtrace)
    if original is None:
        return _fail(case, fail, f"it is not killed: {_BROKEN}")
    if original.retry == 0:
        return _dead_at_once(case, original, fail)
    if not original.has_retries:
        return _fail(case, fail)  # the server sends it to the dead set by itself

    def recorded(now: Moment) -> Step:
        return KillStep(original.kill, "retries", now, lambda why: End(Verdict.FAILED, why))

    return FailStep(case, fail, then=recorded, rescue=partial(_rescue, case, fail, dead=True))


def _dead_at_once(case: Case, original: Original, fail: Fail) -> Step:
    """A FAIL would drop it: so it is scheduled for never, killed there, and ACKed."""
    if original.tied:
        return _fail(case, fail, f"it is dropped, not dead: {_TIED}")

    def stored(plan: Plan, _warning: str) -> Step:
        return _kill_scheduled(plan, lambda why: AckStep(case, Verdict.FAILED, why=why))

    return PushStep(
        case,
        partial(original.buried, fail, fresh=False),
        stored=stored,
        refused=lambda error: _fail(case, fail, f"it is dropped, not dead: {error}"),
        silence="it is not in the dead set",
    )
