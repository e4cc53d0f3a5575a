"""What a handler raises to say how its job ends."""

from datetime import datetime, timedelta

from faktory_async.errors import UsageError
from faktory_async.model import seconds


class Retry(Exception):  # noqa: N818 - no error: a word to the worker
    """Raised by a handler: run the job again, at a time of the handler's choosing.

    It counts as a failed attempt, and what it was raised from is the cause that the server shows:
    `raise Retry(delay=30) from error`. With no attempt left, and for jobs with `retry=0`, it is a
    failure like any other. So it is for jobs with an option of Enterprise, which cannot be pushed
    again.

    Args:
        delay: After how long: seconds, `"10m"` or a `timedelta`; the soonest is 5 s. The default is
            as soon as possible.
        at: When, in place of a delay; an aware `datetime`.
        free: Whether it does not count as an attempt, for jobs that wait for something.

    Raises:
        UsageError: both a delay and a time, or what is neither.
    """

    def __init__(
        self,
        delay: float | str | timedelta | None = None,
        *,
        at: datetime | None = None,
        free: bool = False,
    ) -> None:
        if delay is not None and at is not None:
            raise UsageError("a Retry has a delay or a time, not both")
        self.delay = None if delay is None else seconds(delay)
        if self.delay is not None and self.delay < 0:
            raise UsageError("the delay of a Retry is not negative")
        if at is not None and at.utcoffset() is None:
            raise UsageError("the time of a Retry is naive: write datetime.now(UTC)")
        self.at = at
        self.free = free
        super().__init__(self._words())

    def _words(self) -> str:
        if self.at is not None:
            return f"again at {self.at.isoformat()}"
        return "again soon" if self.delay is None else f"again in {self.delay:g} s"

    def __reduce__(self) -> tuple[object, ...]:
        return _retry, (self.delay, self.at, self.free)


def _retry(delay: float | None, at: datetime | None, free: bool) -> Retry:  # noqa: FBT001 - for pickle
    return Retry(delay, at=at, free=free)


class Discard(Exception):  # noqa: N818 - likewise
    """Raised by a handler: give the job up. It is ACKed, counted and logged, and is no failure.

    Args:
        reason: Why, for the log.
    """

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)


class Dead(Exception):  # noqa: N818 - likewise
    """Raised by a handler: no retry would help. The job fails and goes to the dead set.

    Args:
        reason: Why; the server keeps it with the job.
    """

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
