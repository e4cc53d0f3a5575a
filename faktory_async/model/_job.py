"""The job that programs build and handlers receive."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from msgspec import Struct, field
from msgspec.structs import force_setattr

from faktory_async.errors import InvalidJobError, UsageError
from faktory_async.model._check import (
    as_args,
    as_custom,
    as_seconds,
    as_utc,
    check_custom,
    check_int,
    check_names,
    check_others,
    check_queue,
    no_scalars,
)
from faktory_async.model._document import read_document
from faktory_async.model._duration import seconds
from faktory_async.model._failure import Failure
from faktory_async.model._world import current_world, world

if TYPE_CHECKING:
    from faktory_async.model._builder import JobBuilder

DEFAULT_QUEUE: Final = "default"
DEFAULT_RESERVE_FOR: Final = 600
DEFAULT_RETRY: Final = 25
DEFAULT_PRIORITY: Final = 5
DEFAULT_BACKTRACE: Final = 0

_JID_BYTES: Final = 12
_UNTIL: Final = ("success", "start")
_NO_ROOM: Final = "the stack has no room left to encode data that is nested so deep"


def new_jid() -> str:
    """Return a fresh jid: 24 hexadecimal digits, 96 bits of the operating system's randomness."""
    return current_world.get().token(_JID_BYTES)


def _utcnow() -> datetime:
    return current_world.get().utcnow()


class _Positional(Struct, frozen=True):
    """The two fields that a `Job` takes by position."""

    jobtype: str
    args: list[Any] = []


class Job(_Positional, frozen=True, kw_only=True):
    """One unit of work: what to do (`jobtype`), with which arguments, where and how insistently.

        Job("order", ["ISBN-13:9781718501850"])
        Job("order", [1], queue="bulk", retry=5, at=when, reserve_for=120, custom={"locale": "fr"})

    A job checks itself when it is built, so that the server stores exactly what it says: `args`
    and `custom` hold JSON's own types only (str, int, float, bool, None, list, dict), integers
    within ±2^53, finite floats, text as keys, valid Unicode, nested at most 500 deep. It keeps its
    own list and dict; what is nested in them is shared with the caller and checked once more when
    the job is encoded.

    Two jobs are equal when all their fields are. The hash is the jid's, so jobs may be members of
    a set. The `repr` names neither arguments nor custom data, since they end up in logs.

    Args:
        jobtype: The name by which a worker finds its handler; any text but the empty one.
        args: The handler's arguments: any sequence of JSON values; kept as a list.
        jid: The id, at least 8 characters, without control characters, spaces, `"`, backslash,
            `<`, `>` and `&`. By default a fresh one, see `new_jid`.
        queue: Letters, digits, `.`, `_` and `-` of ASCII; `default` by default.
        created_at: When the job was made; by default now. None lets the server fill it in.
        enqueued_at: When the server put it into its queue. The server's own: it overwrites
            whatever is sent.
        at: When to run it; None, and any time in the past, means at once.
        reserve_for: How long a worker may take before the server gives the job to another one: 60
            to 86,400 seconds, or a `timedelta` of whole seconds; kept as seconds. By default 600.
            None leaves it to the server, whose own default is 1,800.
        retry: How often a failed job is tried again; by default 25. 0 drops it after its failure,
            -1 sends it to the dead set at once.
        priority: 1 to 9, 5 by default. Servers since 0.9.6 ignore it: use queues instead.
        backtrace: How many lines of a backtrace a FAIL carries at most; 0, the default, means up
            to the 50 that the server keeps. (To other clients 0 means none at all.)
        custom: Data beside the arguments, for middleware and for the server's options. Kept as a
            dict.

    Attributes:
        failure: The history of a fetched job that failed before, else None; read-only.

    All times are aware datetimes; they are kept in UTC, to the microsecond.

    Raises:
        InvalidJobError: naming the field, and the path of a value inside of it.
    """

    jid: str = field(default_factory=new_jid)
    queue: str = DEFAULT_QUEUE
    created_at: datetime | None = field(default_factory=_utcnow)
    enqueued_at: datetime | None = None
    at: datetime | None = None
    reserve_for: int | None = DEFAULT_RESERVE_FOR
    retry: int = DEFAULT_RETRY
    priority: int = DEFAULT_PRIORITY
    backtrace: int = DEFAULT_BACKTRACE
    custom: dict[str, Any] = {}
    failure: Failure | None = None

    if TYPE_CHECKING:
        # More is taken in than is kept: any sequence, any mapping, a timedelta.
        def __init__(
            self,
            jobtype: str,
            args: Sequence[Any] = (),
            *,
            jid: str = ...,
            queue: str = DEFAULT_QUEUE,
            created_at: datetime | None = ...,
            enqueued_at: datetime | None = None,
            at: datetime | None = None,
            reserve_for: int | timedelta | None = DEFAULT_RESERVE_FOR,
            retry: int = DEFAULT_RETRY,
            priority: int = DEFAULT_PRIORITY,
            backtrace: int = DEFAULT_BACKTRACE,
            custom: Mapping[str, Any] = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        check_names(self.jobtype, self.jid, self.queue)
        # The defaults are sound, and nearly every job has most of them.
        if self.retry is not DEFAULT_RETRY:
            check_int(self.retry, "retry", -1)
        if self.priority is not DEFAULT_PRIORITY:
            check_int(self.priority, "priority", 1, 9)
        if self.backtrace is not DEFAULT_BACKTRACE:
            check_int(self.backtrace, "backtrace", 0)
        if self.failure is not None and type(self.failure) is not Failure:
            raise InvalidJobError(
                f"must be a Failure, not {type(self.failure).__name__}", path="failure"
            )
        force_setattr(self, "args", as_args(self.args))
        force_setattr(self, "custom", as_custom(self.custom))
        if self.reserve_for is not DEFAULT_RESERVE_FOR:
            force_setattr(self, "reserve_for", as_seconds(self.reserve_for))
        if type(self.created_at) is not datetime or self.created_at.tzinfo is not UTC:
            force_setattr(self, "created_at", as_utc(self.created_at, "created_at"))
        if self.enqueued_at is not None or self.at is not None:
            force_setattr(self, "enqueued_at", as_utc(self.enqueued_at, "enqueued_at"))
            force_setattr(self, "at", as_utc(self.at, "at"))

    @staticmethod
    def builder(jobtype: str) -> "JobBuilder":
        """Return a `JobBuilder` for a jobtype."""
        # The builder makes jobs, so its module imports this one.
        from faktory_async.model._builder import JobBuilder  # noqa: PLC0415 - see above

        return JobBuilder(jobtype)

    @staticmethod
    def from_json(data: bytes | str) -> "Job":
        """Read a job from what `to_json` wrote, or a person: as strict as `Job(...)`.

        Only `jobtype` is required. A time or `reserve_for` that is absent or null is None, so that
        a job read back equals the one written; everything else that is absent gets its default.

        Args:
            data: One JSON object. Times are RFC 3339 text with a zone and at most microseconds.

        Raises:
            InvalidJobError: for what is no such object, an unknown field, and whatever
                `Job(...)` refuses.
        """
        return Job(**read_document(data, Job.__struct_fields__))

    def to_json(self) -> bytes:
        """Return the job as one line of compact JSON: exactly what a push sends.

        Left out is what the server would drop or ignore: times and `reserve_for` that are None,
        the default priority, no backtrace, empty custom data. A fetched job keeps its
        `enqueued_at` and its `failure`, so one that is pushed again goes on with its history;
        `Job(job.kind, job.args)` begins afresh.

        Raises:
            InvalidJobError: when the contents of `args` or `custom` were changed into something
                that cannot be sent as it is, or the job was fetched and its jid, jobtype or
                queue are none that this library sends.
        """
        check_names(self.jobtype, self.jid, self.queue)
        if others := no_scalars(self.args):
            check_others(others, self.args, "args")
        if self.custom:
            check_custom(self.custom)
        wire = _Wire(
            self.jid,
            self.jobtype,
            self.queue,
            self.args,
            self.retry,
            self.created_at,
            self.enqueued_at,
            self.at,
            self.reserve_for,
            self.priority,
            self.backtrace,
            self.custom,
            self.failure,
        )
        try:
            return _encode(wire)
        except RecursionError:
            raise InvalidJobError(_NO_ROOM) from None

    @property
    def id(self) -> str:
        """The jid."""
        return self.jid

    @property
    def kind(self) -> str:
        """The jobtype."""
        return self.jobtype

    def on_queue(self, queue: str) -> "Job":
        """Return a copy, same jid included, that is on another queue.

        Raises:
            InvalidJobError: for a name that no queue can have.
        """
        check_queue(queue)
        return unchecked_job(
            _values(self) | {"queue": queue, "args": self.args.copy(), "custom": self.custom.copy()}
        )

    def with_custom(self, **values: Any) -> "Job":
        """Return a copy, same jid included, with more or other custom data.

        Raises:
            InvalidJobError: for a value that does not arrive as it is.
        """
        custom = as_custom({**self.custom, **values})
        return unchecked_job(_values(self) | {"args": self.args.copy(), "custom": custom})

    # -- Enterprise ---------------------------------------------------------------------------

    def unique_for(
        self, duration: float | str | timedelta, *, until: Literal["success", "start"] = "success"
    ) -> "Job":
        """Return a copy that is refused while an equal one is there (Enterprise).

        Equal are jobs of the same type, arguments and queue that ask for it too.

        Args:
            duration: For how long at most: seconds, `"10m"` or a `timedelta`; at least 1 s.
            until: Whether the lock ends earlier: when the job has succeeded, or when it is fetched.

        Raises:
            UsageError: for what is no such duration or end.
        """
        whole = int(seconds(duration))
        if whole < 1:
            raise UsageError("a job is unique for at least 1 second")
        if until not in _UNTIL:
            raise UsageError(f'a job is unique until "success" or "start", not {until!r}')
        return self.with_custom(unique_for=whole, unique_until=until)

    def expires_at(self, when: datetime) -> "Job":
        """Return a copy that is dropped in silence where it was not fetched by then (Enterprise).

        Args:
            when: An aware datetime.

        Raises:
            InvalidJobError: for a naive one.
        """
        moment = as_utc(when, "expires_at")
        if moment is None:
            raise InvalidJobError("must be an aware datetime", path="expires_at")
        return self.with_custom(expires_at=moment.isoformat().replace("+00:00", "Z"))

    def expires_in(self, duration: float | str | timedelta) -> "Job":
        """Return a copy that is dropped where it was not fetched in time from now on (Enterprise).

        Args:
            duration: Seconds, `"10m"` or a `timedelta`; more than 0 s.

        Raises:
            UsageError: for what is no such duration.
        """
        number = seconds(duration)
        if number <= 0:
            raise UsageError("a job expires in more than 0 seconds")
        try:
            when = world().utcnow() + timedelta(seconds=number)
        except OverflowError:
            raise UsageError("a job expires before the year 10000") from None
        return self.expires_at(when)

    def tracked(self) -> "Job":
        """Return a copy whose state and progress can be asked for (Enterprise)."""
        return self.with_custom(track=1)

    def __hash__(self) -> int:
        return hash(self.jid)

    def __reduce__(self) -> tuple[Any, ...]:
        # Not through __init__: a fetched job may hold what Job(...) refuses.
        return unchecked_job, (_values(self),)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"Job({shown})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return what may be shown: no argument, no custom data, no failure's message."""
        shown: list[tuple[str, Any]] = [
            ("jobtype", self.jobtype),
            ("jid", self.jid),
            ("queue", self.queue),
            ("args", _Hidden(len(self.args))),
        ]
        if self.custom:
            shown.append(("custom", _Hidden(len(self.custom))))
        if self.at is not None:
            shown.append(("at", self.at))
        return shown


class _Wire(Struct, omit_defaults=True):
    """A job as the server knows it; what has a default here is left out where it has that value."""

    jid: str
    jobtype: str
    queue: str
    args: list[Any]
    # Never left out: the server's default is whatever anyone's last PUSH had.
    retry: int
    created_at: datetime | None = None
    enqueued_at: datetime | None = None
    at: datetime | None = None
    reserve_for: int | None = None
    priority: int = DEFAULT_PRIORITY
    backtrace: int = DEFAULT_BACKTRACE
    custom: dict[str, Any] = {}
    failure: Failure | None = None


_encode: Final = msgspec.json.Encoder().encode


# Not through copy.copy, which looks around for longer than the copy takes.
_copy_struct: Final[Callable[[Job], Job]] = methodcaller("__copy__")
_BLANK: Final = Job("blank", jid="blank-blank", created_at=None)


def blank_job() -> Job:
    """Return a job whose values are still to be set; its lists and dicts belong to others."""
    return _copy_struct(_BLANK)


def unchecked_job(values: Mapping[str, Any]) -> Job:
    """Return a job with these values as they are: for what was a job before.

    Args:
        values: A value for every field of `Job` but those that have its default, or None.
    """
    job = blank_job()
    for name, value in values.items():
        force_setattr(job, name, value)
    return job


def detached_job(job: Job) -> Job:
    """Return an equal job that shares no list and no dict with the given one, at any depth.

    Args:
        job: One that has just been checked; for its contents, JSON and back changes nothing.
    """
    try:
        return unchecked_job(
            _values(job) | {"args": _json_copy(job.args), "custom": _json_copy(job.custom)}
        )
    except RecursionError:
        raise InvalidJobError(_NO_ROOM) from None


def _json_copy(value: Any) -> Any:
    return msgspec.json.decode(_encode(value))


def _values(job: Job) -> dict[str, Any]:
    return {name: getattr(job, name) for name in Job.__struct_fields__}


class _Hidden(Struct, frozen=True):
    """Stands in a `repr` for values that are nobody's business."""

    count: int

    def __repr__(self) -> str:
        return f"<{self.count} hidden>"
