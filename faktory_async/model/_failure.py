"""What the server remembers of a job's failures."""

from datetime import datetime

from msgspec import Struct
from msgspec.structs import force_setattr

from faktory_async.errors import InvalidJobError
from faktory_async.model._check import MAX_INT, as_utc, check_int, check_text


class Failure(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The history of a job that has failed at least once; written by the server.

    Every attribute may be None: jobs of old servers and of other clients lack some.

    Attributes:
        retry_count: How often the job was retried before its last failure: 0 after the first one.
        remaining: How many retries are left; negative where the job's `retry` is.
        failed_at: When it failed for the first time, UTC.
        next_at: When the server meant to run it next, UTC; None where it did not.
        message: What the last failure said.
        errtype: The type of the last failure, such as `ValueError`.
        backtrace: The lines of the last failure's backtrace.

    Raises:
        InvalidJobError: for a value that is of another type, or cannot be sent as it is.
    """

    retry_count: int | None = None
    remaining: int | None = None
    failed_at: datetime | None = None
    next_at: datetime | None = None
    message: str | None = None
    errtype: str | None = None
    backtrace: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.retry_count is not None:
            check_int(self.retry_count, "failure.retry_count", -MAX_INT)
        if self.remaining is not None:
            check_int(self.remaining, "failure.remaining", -MAX_INT)
        force_setattr(self, "failed_at", as_utc(self.failed_at, "failure.failed_at"))
        force_setattr(self, "next_at", as_utc(self.next_at, "failure.next_at"))
        if self.message is not None:
            check_text(self.message, "failure.message")
        if self.errtype is not None:
            check_text(self.errtype, "failure.errtype")
        if self.backtrace is not None:
            _check_backtrace(self.backtrace)


def _check_backtrace(lines: tuple[str, ...]) -> None:
    if type(lines) is not tuple:
        raise InvalidJobError(
            f"must be a tuple of lines, not {type(lines).__name__}", path="failure.backtrace"
        )
    for number, line in enumerate(lines):
        check_text(line, f"failure.backtrace[{number}]")
