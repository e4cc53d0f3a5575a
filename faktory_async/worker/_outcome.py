"""How the work on a job ends. Pure."""

import math
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from msgspec import Struct

from faktory_async.errors import UsageError


class Ack(Struct, frozen=True):
    """The job is done."""


class Fail(Struct, frozen=True, kw_only=True):
    """The job failed; the server decides by its `retry` whether it runs again.

    Attributes:
        errtype: The kind of failure, at most 100 bytes of UTF-8.
        message: What happened, at most 1,000 bytes of UTF-8.
        backtrace: Where, innermost frame first, at most 50 lines.
    """

    errtype: str
    message: str
    backtrace: tuple[str, ...] = ()


class Retry(Struct, frozen=True, kw_only=True):
    """The job is to run again, at a time of our choosing and not of the server's.

    It counts as a failed attempt, with the cause in the job's history, unless it is `free`. With no
    attempt left, or `retry: 0`, it is a FAIL. So it is for a job with an Enterprise option, which
    cannot be pushed again.

    Args:
        delay: After how long, in seconds or as a `timedelta`; at least 5 s. The default is as soon
            as that allows.
        at: When, in place of a delay; an aware `datetime`.
        errtype: The kind of the cause, as in a `Fail`.
        message: The cause.
        backtrace: Where it was, innermost frame first.
        free: Whether it does not count, for jobs that wait for something.

    Raises:
        UsageError: there are both a delay and a time, the delay is no time that passes, or the time
            is naive.
    """

    delay: float | timedelta | None = None
    at: datetime | None = None
    errtype: str = "Retry"
    message: str = ""
    backtrace: tuple[str, ...] = ()
    free: bool = False

    def __post_init__(self) -> None:
        if self.delay is not None and self.at is not None:
            raise UsageError("a Retry has a delay or a time, not both")
        if self.at is not None and self.at.utcoffset() is None:
            raise UsageError("the time of a Retry is naive: write datetime.now(UTC)")
        if not 0 <= self.seconds < math.inf:
            raise UsageError("the delay of a Retry is not negative, and not endless")

    @property
    def seconds(self) -> float:
        """The delay in seconds; 0 where there is none."""
        if isinstance(self.delay, timedelta):
            return self.delay.total_seconds()
        return 0.0 if self.delay is None else float(self.delay)


class Discard(Struct, frozen=True, kw_only=True):
    """The job is given up, and not a failure: it is ACKed, and logged.

    Attributes:
        reason: Why, for the log.
    """

    reason: str = ""


class Dead(Struct, frozen=True, kw_only=True):
    """The job failed, and no retry would help: it goes to the dead set, for people to look at.

    Attributes:
        errtype: The kind of failure, as in a `Fail`.
        message: What happened.
        backtrace: Where, innermost frame first.
    """

    errtype: str = "Dead"
    message: str = ""
    backtrace: tuple[str, ...] = ()


Outcome: TypeAlias = Ack | Fail | Retry | Discard | Dead
"""What a `Runner` returns, and the reports deliver."""

INTERRUPTED: Final = Fail(
    errtype="Interrupted", message="the worker stopped before the job was finished"
)
"""The outcome of a job that was cut short, or not begun; the reports may requeue it instead."""
