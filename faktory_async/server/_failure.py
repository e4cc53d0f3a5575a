"""What a failure makes of a job: its history, and whether it is tried again."""

from collections.abc import Callable
from enum import Enum, auto
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct

from faktory_async.server._document import Document
from faktory_async.server._gotime import NANOSECONDS, format_time
from faktory_async.server._gowrite import write_bytes, write_flat

_MAX_MESSAGE: Final = 1000
_MAX_ERRTYPE: Final = 100
_MAX_BACKTRACE: Final = 50
_BACKOFF_SPREAD: Final = 30
# What Go counts as space at the ends of a text; Python would strip four controls more.
_SPACE: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)


class FailureRecord(Struct, kw_only=True, omit_defaults=True):
    """A job's failures so far: the fields in the order in which the server writes them."""

    failed_at: str
    next_at: str = ""
    message: str | Raw = ""
    errtype: str | Raw = ""
    backtrace: list[str] = []
    retry_count: int
    remaining: int


class FailureReport(Struct, frozen=True):
    """What went wrong, as it was reported.

    Attributes:
        message: Its words.
        errtype: Its type.
        backtrace: Where, the innermost line first or last, as the worker likes.
    """

    message: str = ""
    errtype: str = ""
    backtrace: tuple[str, ...] = ()


RESERVATION_EXPIRED: Final = FailureReport("Faktory job reservation expired", "ReservationExpired")


class Verdict(Enum):
    """What becomes of a job that failed."""

    DISCARD = auto()
    RETRY = auto()
    BURY = auto()


_record: Final = msgspec.json.Decoder(dict[str, Any])


def note_failure(
    document: Document, report: FailureReport, now: int, rand: Callable[[int], int]
) -> tuple[Verdict, int]:
    """Write a failure into a job's history.

    Args:
        document: The job; changed in place.
        report: What was reported.
        now: The time in nanoseconds since 1970.
        rand: Returns a random integer from 0 to one below its argument.

    Returns:
        What becomes of the job, and when it is due if it is retried.
    """
    retry = 0 if document.retry is UNSET else document.retry
    record = _next_record(document, report, now, retry)
    verdict, due = _judge(record.retry_count, retry, now, rand)
    if verdict is Verdict.RETRY:
        record.next_at = format_time(due)
    document.failure = Raw(write_flat(record))
    return verdict, due


def _next_record(document: Document, report: FailureReport, now: int, retry: int) -> FailureRecord:
    if document.failure is UNSET:
        failed_at, next_at, count, remaining = format_time(now), "", 0, retry
    else:
        before = _record.decode(document.failure)
        failed_at, next_at = before["failed_at"], before.get("next_at", "")
        count, remaining = _int64(before["retry_count"] + 1), before["remaining"]
        remaining -= remaining > 0
    return FailureRecord(
        failed_at=failed_at,
        next_at=next_at,
        message=_cut(report.message, _MAX_MESSAGE),
        errtype=_cut(report.errtype, _MAX_ERRTYPE),
        backtrace=list(report.backtrace[:_MAX_BACKTRACE]),
        retry_count=count,
        remaining=remaining,
    )


def _judge(count: int, retry: int, now: int, rand: Callable[[int], int]) -> tuple[Verdict, int]:
    if retry == 0:
        return Verdict.DISCARD, 0
    if count >= retry:
        return Verdict.BURY, 0
    seconds = count**4 + 15 + rand(_BACKOFF_SPREAD) * (count + 1)
    return Verdict.RETRY, now + _int64(_int64(seconds) * NANOSECONDS)


def _int64(value: int) -> int:
    """Wrap around as a 64-bit integer does: counts that a client pushed can be of any size."""
    return (value + 2**63) % 2**64 - 2**63


def _cut(text: str, limit: int) -> str | Raw:
    """Return a text as the server keeps it; each byte of a character that is cut is a U+FFFD."""
    data = (text.strip(_SPACE) or "unknown").encode()[:limit]
    try:
        return data.decode()
    except UnicodeDecodeError:
        return Raw(write_bytes(data))
