"""How a job is pushed, beside what it takes. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final, Literal, TypeAlias, TypedDict, cast

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import force_setattr, replace

from faktory_async.app._policy import Retries, RetryOption, retry_of
from faktory_async.errors import UsageError
from faktory_async.model import Job, seconds, world

_SHORTEST: Final = 60  # seconds that a server reserves at the least
_ROOM: Final = 30  # seconds of a reservation beyond the handler's timeout

Duration: TypeAlias = float | str | timedelta
"""Seconds, a text such as `"10m"`, or a `timedelta`."""


class _Word(Enum):
    SERVER_DEFAULT = "SERVER_DEFAULT"

    def __repr__(self) -> str:
        return self.value


SERVER_DEFAULT: Final = _Word.SERVER_DEFAULT
"""For `reserve_for`: leave it to the server, which reserves a job for 30 minutes."""

ReserveFor: TypeAlias = int | timedelta | Literal[_Word.SERVER_DEFAULT] | None


class UsingOptions(TypedDict, total=False):
    """What `using` takes.

    Attributes:
        queue: Where the job goes.
        delay: After how long it runs: seconds, `"10m"` or a `timedelta`.
        at: When it runs, in place of a delay; an aware `datetime`.
        retry: How often it is tried again, `"dead"`, `"discard"`, or a `Retries` with its `max`:
            whatever else a policy says is the worker's affair, and is given at the job.
        reserve_for: How long a worker has it.
        jid: Its id.
        custom: Data beside the arguments, in addition to what the job has.
        unique_for: For how long an equal job is refused (Enterprise).
        unique_until: Whether that ends earlier: when the job has succeeded, the default, or when it
            is fetched.
        expires_in: After how long it is dropped where it was not fetched (Enterprise).
        expires_at: When, in place of that.
        tracked: Whether its state and progress can be asked for (Enterprise).
    """

    queue: str
    delay: Duration
    at: datetime
    retry: RetryOption
    reserve_for: ReserveFor
    jid: str
    custom: Mapping[str, Any]
    unique_for: Duration
    unique_until: Literal["success", "start"]
    expires_in: Duration
    expires_at: datetime
    tracked: bool


class JobOptions(Struct, frozen=True, kw_only=True):
    """What a router, a job and the app say of how jobs are pushed and run; None where nothing."""

    queue: str | None = None
    retry: RetryOption | None = None
    timeout: Duration | None = None
    reserve_for: ReserveFor = None

    def over(self, other: "JobOptions") -> "JobOptions":
        """Return these, and where they say nothing, the others."""
        # A timeout of their own says how long they are reserved, too.
        silent = self.reserve_for is None and self.timeout is None
        return JobOptions(
            queue=other.queue if self.queue is None else self.queue,
            retry=other.retry if self.retry is None else self.retry,
            timeout=other.timeout if self.timeout is None else self.timeout,
            reserve_for=other.reserve_for if silent else self.reserve_for,
        )

    def check(self) -> None:
        """Check each by itself: what they mean together is known when a job has inherited.

        Raises:
            UsageError: one makes no sense.
        """
        Stamp.of(replace(self, timeout=None), {})
        self.seconds  # noqa: B018 - says what is wrong

    @property
    def seconds(self) -> float | None:
        """The timeout in seconds.

        Raises:
            UsageError: for what is no duration above 0.
        """
        if self.timeout is None:
            return None
        number = seconds(self.timeout)
        if number <= 0:
            raise UsageError("a timeout is more than 0 seconds")
        return number

    @property
    def policy(self) -> Retries | None:
        """What decides over failures; None where the server does."""
        return self.retry if isinstance(self.retry, Retries) else None


class Stamp(Struct, frozen=True, kw_only=True):
    """Everything about a job but its arguments, ready to be put on one.

    Attributes:
        fields: Of the `Job`, by name.
        delay: Seconds after the push.
        unique_for: As `Job.unique_for`, and so for those that follow.
    """

    fields: dict[str, Any]
    delay: float | None = None
    unique_for: Duration | None = None
    unique_until: Literal["success", "start"] | None = None
    expires_in: Duration | None = None
    expires_at: datetime | None = None
    tracked: bool = False
    enterprise: bool | UnsetType = UNSET

    def __post_init__(self) -> None:
        options = (self.unique_for, self.expires_in, self.expires_at)
        wanted = self.tracked or any(option is not None for option in options)
        force_setattr(self, "enterprise", wanted)

    @staticmethod
    def of(options: JobOptions, custom: Mapping[str, Any]) -> "Stamp":
        """Return what jobs have by default.

        Raises:
            UsageError: for a queue, retry, timeout, reservation or custom data that is none.
        """
        fields: dict[str, Any] = {}
        if options.queue is not None:
            fields["queue"] = options.queue
        if options.retry is not None:
            fields["retry"] = retry_of(options.retry)
        if options.reserve_for is not None:
            fields["reserve_for"] = _reservation(options.reserve_for)
        elif (limit := options.seconds) is not None:
            fields["reserve_for"] = max(_SHORTEST, -int(-limit // 1) + _ROOM)
        if copied := _copied(custom):
            fields["custom"] = copied
        Job("check", **fields)  # says at once what is wrong
        return Stamp(fields=fields)

    def using(self, options: UsingOptions) -> "Stamp":
        """Return it with other options.

        Raises:
            UsageError: they contradict each other, or there is no such option.
        """
        _check(options)
        said = cast("dict[str, Any]", options)
        fields = self.fields | {name: said[name] for name in _FIELDS if name in said}
        changes: dict[str, Any] = {name: said[name] for name in _KEPT if name in said}
        if "retry" in options:
            fields["retry"] = retry_of(options["retry"])
        if (reserve_for := options.get("reserve_for")) is not None:
            fields["reserve_for"] = _reservation(reserve_for)
        if "custom" in options:
            fields["custom"] = {**self.fields.get("custom", {}), **_copied(options["custom"])}
        if "delay" in options:
            changes["delay"] = _ahead(options["delay"])
            fields.pop("at", None)
        if "at" in options:
            changes["delay"] = None
        if not options.keys().isdisjoint(_EXPIRY):
            changes = dict.fromkeys(_EXPIRY) | changes
        made = replace(self, fields=fields, **changes)
        if made.unique_until is not None and made.unique_for is None:
            raise UsageError("unique_until needs unique_for: for how long at most")
        made.job("check", [])  # says at once what is wrong
        return made

    def job(self, jobtype: str, args: list[Any]) -> Job:
        """Return a new job.

        Raises:
            InvalidJobError: it cannot be sent intact.
        """
        if self.delay is None:
            job = Job(jobtype, args, **self.fields)
        else:
            at = _after(self.delay)
            job = Job(jobtype, args, at=at, **self.fields)
        return self._enterprise(job) if self.enterprise else job

    def _enterprise(self, job: Job) -> Job:
        if self.unique_for is not None:
            job = job.unique_for(self.unique_for, until=self.unique_until or "success")
        if self.expires_in is not None:
            job = job.expires_in(self.expires_in)
        if self.expires_at is not None:
            job = job.expires_at(self.expires_at)
        return job.tracked() if self.tracked else job


_FIELDS: Final = ("queue", "jid", "at")
_EXPIRY: Final = ("expires_in", "expires_at")
_KEPT: Final = ("unique_for", "unique_until", "expires_in", "expires_at", "tracked")


def _copied(custom: Mapping[str, Any]) -> dict[str, Any]:
    return Job("check", custom=custom).custom  # it is checked there


def _reservation(reserve_for: ReserveFor) -> int | timedelta | None:
    return None if reserve_for is SERVER_DEFAULT else reserve_for


def _check(options: UsingOptions) -> None:
    unknown = options.keys() - UsingOptions.__annotations__.keys()
    if unknown:
        known = ", ".join(UsingOptions.__annotations__)
        raise UsageError(f"there is no option {', '.join(sorted(unknown))}; there are {known}")
    if "delay" in options and "at" in options:
        raise UsageError("a job has a delay or a time, not both")
    if "expires_in" in options and "expires_at" in options:
        raise UsageError("a job expires after a duration or at a time, not both")
    if options.get("unique_until", "start") not in ("success", "start"):
        raise UsageError('unique_until is "success" or "start"')


def _after(delay: float) -> datetime:
    try:
        return world().utcnow() + timedelta(seconds=delay)
    except OverflowError:
        raise UsageError("a delay ends before the year 10000") from None


def _ahead(delay: Duration) -> float:
    number = seconds(delay)
    if number < 0:
        raise UsageError("a delay is not negative")
    return number
