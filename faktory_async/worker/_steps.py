"""The steps by which an outcome reaches the server, one command each. Pure.

A step says what to send now, and takes the answer, or that there was none. What it returns is the
next step, itself once more, or the end. The rules are those of the guarantees: no step may harm a
later run of the job.
"""

from collections.abc import Callable
from enum import StrEnum
from functools import cached_property
from typing import Any, ClassVar, Final, TypeAlias

from msgspec import Struct

from faktory_async.errors import (
    FaktoryError,
    JobNotFoundError,
    ProtocolError,
    ServerBusyError,
    UnavailableError,
)
from faktory_async.model import Envelope
from faktory_async.protocol import Ack, Command, Fail, Mutate, PushBulk
from faktory_async.worker._outcome import Fail as Failed
from faktory_async.worker._repush import Original, Plan
from faktory_async.worker._reservation import Moment, Reservation
from faktory_async.worker._server_clock import ServerClock

# The earliest that a failed job can run again is 15 s after its FAIL: until well before that a
# repeated FAIL cannot hit a later run, and a kill finds it where it waits.
_REPEAT_FAIL: Final = 10.0
# A job that is scheduled for never is killed at leisure.
_REPEAT_KILL: Final = 30.0

STILL_SCHEDULED: Final = 2.0
"""Seconds before it comes due until which a job surely waits: the same bytes are the same job."""

# Errors that may be others, or none, at the next try.
_PASSING: Final = (UnavailableError, ServerBusyError, ProtocolError)


class Verdict(StrEnum):
    """How the report of a job ended; a worker counts them."""

    ACKED = "acked"
    FAILED = "failed"
    RETRIED = "retried"
    REQUEUED = "requeued"
    DISCARDED = "discarded"
    RESCUED = "rescued"
    LATE = "late"
    UNKNOWN = "unknown"
    LOST = "lost"


class End(Struct, frozen=True):
    """The last word on a job.

    Attributes:
        verdict: How it ended.
        why: What people should know of it; "" where it is as it should be.
    """

    verdict: Verdict
    why: str = ""


class Case(Struct, eq=False, dict=True):
    """What the steps need to know of a fetched job.

    Attributes:
        envelope: What FETCH brought.
        reservation: How long it is ours.
        clock: The server's clock.
    """

    envelope: Envelope
    reservation: Reservation
    clock: ServerClock

    @property
    def jid(self) -> str:
        """The job's id."""
        return self.envelope.jid

    @cached_property
    def original(self) -> Original | None:
        """The job as it can be pushed again; None where it cannot be taken apart."""
        return Original.read(self.envelope.raw)


class Step(Struct, eq=False):
    """One command on its way, repeated as long as that does no harm.

    Attributes:
        rides: Whether it may ride in front of a FETCH.
    """

    rides: ClassVar[bool] = False

    def next(self, now: Moment) -> "Command[Any] | Step | End | None":
        """Return what to send; another step or the end where it is too late for that.

        None where the server must be asked for its time first.
        """
        raise NotImplementedError

    def answered(self, answer: Any, now: Moment) -> "Step | End":
        """Take the meaning of the server's reply, or its error."""
        raise NotImplementedError

    def unanswered(self, sent_at: Moment) -> None:
        """Note that the command may have been executed, and no answer to it will come."""
        raise NotImplementedError


Next: TypeAlias = Step | End


class AckStep(Step, eq=False):
    """ACK, which harms nobody when it is repeated while the job is ours.

    Attributes:
        case: The job.
        verdict: How it ends when all goes well.
        why: What people should know.
        before: Until when it may be sent, by the server's clock: the job is scheduled under the
            same jid.
        doubtful: Whether it may have been executed.
    """

    rides: ClassVar[bool] = True
    case: Case
    verdict: Verdict
    why: str = ""
    before: float | None = None
    doubtful: bool = False

    def next(self, now: Moment) -> Command[None] | End:
        case = self.case
        if not case.reservation.over(now) and (
            self.before is None or case.clock.now(now) < self.before
        ):
            return Ack(case.envelope.jid)
        if self.doubtful or self.before is not None:
            return End(Verdict.UNKNOWN, "the server did not confirm its ACK: it may run again")
        return End(Verdict.LATE, "the server could not be told in time: it runs again")

    def answered(self, answer: Any, now: Moment) -> Next:
        if answer is None:
            if self.case.reservation.over(now):
                return End(Verdict.LATE, "its ACK came when its reservation was over")
            return End(self.verdict, self.why)
        if not isinstance(answer, _PASSING):
            return End(Verdict.UNKNOWN, f"its ACK was refused: {answer}")
        self.doubtful = self.doubtful or answer.maybe_executed
        return self

    def unanswered(self, sent_at: Moment) -> None:  # noqa: ARG002 - one shape for all steps
        self.doubtful = True


class FailStep(Step, eq=False):
    """FAIL, which may hit a later run of the job when it is repeated too late.

    Attributes:
        case: The job.
        fail: How it failed.
        rescue: What follows when the job may be lost by it.
        why: What people should know.
        then: What follows when it is recorded.
        written_at: When it was first written; None before, and where that surely failed.
    """

    rides: ClassVar[bool] = True
    case: Case
    fail: Failed
    rescue: Callable[[FaktoryError], Next]
    why: str = ""
    then: Callable[[Moment], Next] | None = None
    written_at: Moment | None = None

    def next(self, now: Moment) -> Command[None] | End:
        if self.written_at is None and self.case.reservation.over(now):
            return End(Verdict.LATE, "the server could not be told in time: it runs again")
        if self.written_at is not None and (
            self.case.reservation.over(now) or now.since(self.written_at) >= _REPEAT_FAIL
        ):
            return End(Verdict.UNKNOWN, "the server did not answer its FAIL")
        return Fail(self.case.jid, self.fail.errtype, self.fail.message, self.fail.backtrace)

    def answered(self, answer: Any, now: Moment) -> Next:
        if answer is None:
            return End(Verdict.FAILED, self.why) if self.then is None else self.then(now)
        if isinstance(answer, JobNotFoundError):
            # The server may have lost it, or executed an earlier FAIL, or given it up long ago.
            return End(Verdict.UNKNOWN, f"its FAIL was answered {str(answer)!r}")
        if answer.maybe_executed:
            return self.rescue(answer)
        if isinstance(answer, _PASSING):
            return self
        return End(Verdict.UNKNOWN, f"its FAIL was refused: {answer}")

    def unanswered(self, sent_at: Moment) -> None:
        # From its first write on: the server may have executed it at once.
        self.written_at = self.written_at or sent_at


class PushStep(Step, eq=False):
    """PUSHB of the job itself, under the bytes of its first attempt as long as it is in doubt.

    Attributes:
        case: The job.
        make: Makes the push, at a time on the server's clock.
        stored: What follows when the server has it; it is told what people should know.
        refused: What follows when the server says no.
        silence: What an unknown outcome leaves to say; None where it is pushed anew, rather twice
            than never.
        plan: The push that was made; None before, and once its bytes are too old.
        doubtful: Whether it may have been executed.
        doubts: How many earlier ones may have been.
    """

    case: Case
    make: Callable[[float], Plan]
    stored: Callable[[Plan, str], Next]
    refused: Callable[[FaktoryError], Next]
    silence: str | None
    plan: Plan | None = None
    doubtful: bool = False
    doubts: int = 0

    def next(self, now: Moment) -> "Command[Any] | Step | End | None":
        if self.silence is not None and self.case.reservation.over(now):
            return self._give_up()
        if not self.case.clock.known:
            return None
        server = self.case.clock.now(now)
        if self.plan is not None and server >= self.plan.at - STILL_SCHEDULED:
            if self.doubtful and self.silence is not None:
                return self._give_up()
            self.plan = None
        if self.plan is None:
            self.doubts += self.doubtful
            self.plan, self.doubtful = self.make(server), False
        return PushBulk([self.plan.document])

    def answered(self, answer: Any, now: Moment) -> Next:  # noqa: ARG002 - one shape for all steps
        assert self.plan is not None, "answered before it was sent"  # noqa: S101 - a mistake of ours
        error = _only(answer)
        if error is None:
            return self.stored(self.plan, self._warning())
        if not isinstance(error, _PASSING):
            return self.refused(error)
        self.doubtful = self.doubtful or error.maybe_executed
        return self

    def unanswered(self, sent_at: Moment) -> None:  # noqa: ARG002 - one shape for all steps
        self.doubtful = True

    def _warning(self) -> str:
        if not self.doubts:
            return ""
        return f"earlier pushes of it are in doubt: it may run up to {self.doubts + 1} times"

    def _give_up(self) -> End:
        if self.doubtful:
            return End(Verdict.UNKNOWN, f"{self.silence}: nobody can say whether it was pushed")
        return End(Verdict.LATE, f"{self.silence}: the server could not be told in time")


class KillStep(Step, eq=False):
    """MUTATE, which takes one job out of a set and into the dead set.

    Attributes:
        pattern: What matches that job alone.
        target: The set where it waits.
        since: From when on it waits there; None where it does so for ever, for our purposes.
        then: What follows, with what people should know: "" when it worked.
        first_at: When it was to be sent for the first time; None before.
    """

    pattern: str
    target: str
    since: Moment | None
    then: Callable[[str], Next]
    first_at: Moment | None = None

    def next(self, now: Moment) -> "Command[Any] | Step | End":
        self.first_at = self.first_at or now
        if self._too_late(now, self.first_at):
            return self.then(f"it stays in {self.target}: the server did not kill it in time")
        return Mutate("kill", self.target, {"regexp": self.pattern})

    def _too_late(self, now: Moment, first_at: Moment) -> bool:
        if self.since is None:
            return now.since(first_at) >= _REPEAT_KILL
        return now.since(self.since) >= _REPEAT_FAIL

    def answered(self, answer: Any, now: Moment) -> Next:  # noqa: ARG002 - one shape for all steps
        if answer is None:
            return self.then("")
        if isinstance(answer, _PASSING):
            return self
        return self.then(f"it stays in {self.target}: {answer}")

    def unanswered(self, sent_at: Moment) -> None:
        """It is repeated in any case."""


def _only(answer: dict[str, FaktoryError] | FaktoryError) -> FaktoryError | None:
    """Return what PUSHB says of its only job."""
    return next(iter(answer.values()), None) if isinstance(answer, dict) else answer
