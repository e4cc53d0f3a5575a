"""The steps by which an outcome reaches the server, one command each. Pure.

A step says what to send now, and takes the answer, or that there was none. What it returns is the
next step, itself once more, or the end. The rules are those of the guarantees: no step may harm a
later run of the job.
"""

from abc import ABC, abstractmethod
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


class Case:
    """What the steps need to know of a fetched job.

    Attributes:
        jid: Its id.
        reservation: How long it is ours.
        clock: The server's clock.
    """

    def __init__(self, envelope: Envelope, reservation: Reservation, clock: ServerClock) -> None:
        self.jid = envelope.jid
        self.reservation = reservation
        self.clock = clock
        self._raw = envelope.raw

    @cached_property
    def original(self) -> Original | None:
        """The job as it can be pushed again; None where it cannot be taken apart."""
        return Original.read(self._raw)

    def over(self, now: Moment) -> bool:
        """Whether the reservation has run out."""
        return self.reservation.left(now) <= 0


class Step(ABC):
    """One command on its way, repeated as long as that does no harm.

    Attributes:
        rides: Whether it may ride in front of a FETCH.
    """

    rides: ClassVar[bool] = False

    @abstractmethod
    def next(self, now: Moment) -> "Command[Any] | Step | End | None":
        """Return what to send; another step or the end where it is too late for that.

        None where the server must be asked for its time first.
        """

    @abstractmethod
    def answered(self, answer: Any, now: Moment) -> "Step | End":
        """Take the meaning of the server's reply, or its error."""

    @abstractmethod
    def unanswered(self, sent_at: Moment) -> None:
        """Note that the command may have been executed, and no answer to it will come."""


Next: TypeAlias = Step | End


class AckStep(Step):
    """ACK, which harms nobody when it is repeated while the job is ours.

    Args:
        case: The job.
        verdict: How it ends when all goes well.
        why: What people should know.
        before: Until when it may be sent, by the server's clock: the job is scheduled under the
            same jid.
    """

    rides = True

    def __init__(
        self, case: Case, verdict: Verdict, *, why: str = "", before: float | None = None
    ) -> None:
        self._case = case
        self._verdict = verdict
        self._why = why
        self._before = before
        self._doubtful = before is not None

    def next(self, now: Moment) -> Command[None] | End:
        if not self._case.over(now) and not self._too_close(now):
            return Ack(self._case.jid)
        if self._doubtful:
            return End(Verdict.UNKNOWN, "the server did not confirm its ACK: it may run again")
        return End(Verdict.LATE, "the server could not be told in time: it runs again")

    def answered(self, answer: Any, now: Moment) -> Next:
        if answer is None:
            if self._case.over(now):
                return End(Verdict.LATE, "its ACK came when its reservation was over")
            return End(self._verdict, self._why)
        if not isinstance(answer, _PASSING):
            return End(Verdict.UNKNOWN, f"its ACK was refused: {answer}")
        self._doubtful = self._doubtful or answer.maybe_executed
        return self

    def unanswered(self, sent_at: Moment) -> None:  # noqa: ARG002 - one shape for all steps
        self._doubtful = True

    def _too_close(self, now: Moment) -> bool:
        return self._before is not None and self._case.clock.now(now) >= self._before


class FailStep(Step):
    """FAIL, which may hit a later run of the job when it is repeated too late.

    Args:
        case: The job.
        fail: How it failed.
        why: What people should know.
        then: What follows when it is recorded.
        rescue: What follows when the job may be lost by it.
    """

    rides = True

    def __init__(
        self,
        case: Case,
        fail: Failed,
        *,
        rescue: Callable[[FaktoryError], Next],
        why: str = "",
        then: Callable[[Moment], Next] | None = None,
    ) -> None:
        self._case = case
        self._fail = fail
        self._rescue = rescue
        self._why = why
        self._then = then
        self._written_at: Moment | None = None

    def next(self, now: Moment) -> Command[None] | End:
        if self._written_at is None and self._case.over(now):
            return End(Verdict.LATE, "the server could not be told in time: it runs again")
        if self._written_at is not None and (
            self._case.over(now) or now.since(self._written_at) >= _REPEAT_FAIL
        ):
            return End(Verdict.UNKNOWN, "the server did not answer its FAIL")
        return Fail(self._case.jid, self._fail.errtype, self._fail.message, self._fail.backtrace)

    def answered(self, answer: Any, now: Moment) -> Next:
        if answer is None:
            return End(Verdict.FAILED, self._why) if self._then is None else self._then(now)
        if isinstance(answer, JobNotFoundError):
            # The server may have lost it, or executed an earlier FAIL, or given it up long ago.
            return End(Verdict.UNKNOWN, f"its FAIL was answered {str(answer)!r}")
        if answer.maybe_executed:
            return self._rescue(answer)
        if isinstance(answer, _PASSING):
            return self
        return End(Verdict.UNKNOWN, f"its FAIL was refused: {answer}")

    def unanswered(self, sent_at: Moment) -> None:
        # From its first write on: the server may have executed it at once.
        self._written_at = self._written_at or sent_at


class PushStep(Step):
    """PUSHB of the job itself, under the bytes of its first attempt as long as it is in doubt.

    Args:
        case: The job.
        plan: Makes the push, at a time on the server's clock.
        stored: What follows when the server has it; it is told what people should know.
        refused: What follows when the server says no.
        silence: What an unknown outcome leaves to say; None where it is pushed anew, rather twice
            than never.
    """

    def __init__(
        self,
        case: Case,
        plan: Callable[[float], Plan],
        *,
        stored: Callable[[Plan, str], Next],
        refused: Callable[[FaktoryError], Next],
        silence: str | None,
    ) -> None:
        self._case = case
        self._make = plan
        self._stored = stored
        self._refused = refused
        self._silence = silence
        self._plan: Plan | None = None
        self._doubtful = False
        self._doubts = 0

    def next(self, now: Moment) -> "Command[Any] | Step | End | None":
        if self._silence is not None and self._case.over(now):
            return self._give_up()
        if not self._case.clock.known:
            return None
        server = self._case.clock.now(now)
        if self._plan is not None and server >= self._plan.at - STILL_SCHEDULED:
            if self._doubtful and self._silence is not None:
                return self._give_up()
            self._plan = None
        if self._plan is None:
            self._doubts += self._doubtful
            self._plan, self._doubtful = self._make(server), False
        return PushBulk([self._plan.document])

    def answered(self, answer: Any, now: Moment) -> Next:  # noqa: ARG002 - one shape for all steps
        assert self._plan is not None, "answered before it was sent"  # noqa: S101 - a mistake of ours
        error = _only(answer)
        if error is None:
            return self._stored(self._plan, self._warning())
        if not isinstance(error, _PASSING):
            return self._refused(error)
        self._doubtful = self._doubtful or error.maybe_executed
        return self

    def unanswered(self, sent_at: Moment) -> None:  # noqa: ARG002 - one shape for all steps
        self._doubtful = True

    def _warning(self) -> str:
        if not self._doubts:
            return ""
        return f"earlier pushes of it are in doubt: it may run up to {self._doubts + 1} times"

    def _give_up(self) -> End:
        if self._doubtful:
            return End(Verdict.UNKNOWN, f"{self._silence}: nobody can say whether it was pushed")
        return End(Verdict.LATE, f"{self._silence}: the server could not be told in time")


class KillStep(Step):
    """MUTATE, which takes one job out of a set and into the dead set.

    Args:
        pattern: What matches that job alone.
        target: The set where it waits.
        since: From when on it waits there; None where it does so for ever, for our purposes.
        then: What follows, with what people should know: "" when it worked.
    """

    def __init__(
        self, pattern: str, target: str, since: Moment | None, then: Callable[[str], Next]
    ) -> None:
        self._command = Mutate("kill", target, {"regexp": pattern})
        self._target = target
        self._seconds = _REPEAT_KILL if since is None else _REPEAT_FAIL
        self._since = since
        self._then = then

    def next(self, now: Moment) -> "Command[Any] | Step | End":
        self._since = self._since or now
        if now.since(self._since) >= self._seconds:
            return self._then(f"it stays in {self._target}: the server did not kill it in time")
        return self._command

    def answered(self, answer: Any, now: Moment) -> Next:  # noqa: ARG002 - one shape for all steps
        if answer is None:
            return self._then("")
        if isinstance(answer, _PASSING):
            return self
        return self._then(f"it stays in {self._target}: {answer}")

    def unanswered(self, sent_at: Moment) -> None:
        """It is repeated in any case."""


def _only(answer: dict[str, FaktoryError] | FaktoryError) -> FaktoryError | None:
    """Return what PUSHB says of its only job."""
    return next(iter(answer.values()), None) if isinstance(answer, dict) else answer
