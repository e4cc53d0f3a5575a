"""A fetched job as the server sent it: every field optional, hardly typed, the bytes kept."""

import re
from collections.abc import Iterable
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta, Raw, Struct, field
from msgspec.structs import force_setattr

from faktory_async.errors import InvalidJobError
from faktory_async.model._check import MAX_INT
from faktory_async.model._document import UNREADABLE
from faktory_async.model._failure import Failure
from faktory_async.model._job import (
    DEFAULT_BACKTRACE,
    DEFAULT_PRIORITY,
    DEFAULT_QUEUE,
    DEFAULT_RETRY,
    Job,
    blank_job,
)
from faktory_async.model._kinds import is_dict, is_list
from faktory_async.model._salvage import salvage_jid
from faktory_async.model._times import read_time

_NO_ARGS: Final = Raw(b"[]")
_ABSENT: Final = Raw(b"null")


# What most documents hold in these fields; those that do not are read by `_Fields`.
_Text: TypeAlias = Annotated[str, Meta(min_length=1)]
_Number: TypeAlias = Annotated[int, Meta(ge=-MAX_INT, le=MAX_INT)]


class Envelope(Struct, frozen=True):
    """A job on its way from the server to a handler.

    It takes whatever a server may send, including what other clients have put there: a missing
    field has its default, one of a wrong type too. Only `job()` asks for more.

    Attributes:
        raw: The exact bytes, for whoever pushes the job again.
        problem: Why the bytes are no job; "" when they are one.
        jid: The id; "" where there is none.
        jobtype: The jobtype; "" where there is none.
        queue: The queue; `default` where none is named.
        created_at: When the job was made: the text as it came, None where there is none.
        enqueued_at: When the server enqueued it: the text as it came, None where there is none.
        at: When it was to run: the text as it came, None where there is none.
        reserve_for: For how many seconds it asked to be reserved; None where it does not say.
        args: The arguments, not decoded; those of a job that cannot be decoded are empty.
    """

    # The decoder makes the envelope itself, and these two are set after that.
    raw: bytes = b""
    problem: str = ""
    jid: str = ""
    jobtype: str = ""
    queue: _Text = DEFAULT_QUEUE
    created_at: _Text | None = None
    enqueued_at: _Text | None = None
    at: _Text | None = None
    reserve_for: _Number | None = None
    args: Raw = _NO_ARGS
    _retry: _Number = field(default=DEFAULT_RETRY, name="retry")
    _priority: _Number = field(default=DEFAULT_PRIORITY, name="priority")
    _backtrace: _Number = field(default=DEFAULT_BACKTRACE, name="backtrace")
    _custom: Raw = field(default=_ABSENT, name="custom")
    _failure: Raw = field(default=_ABSENT, name="failure")

    @staticmethod
    def decode(data: bytes) -> "Envelope":
        """Take the reply of a FETCH apart, as far as it can be.

        Bytes that are no job, but tell their jid, make an envelope too, so that the job can be
        reported as failed; its `job()` raises.

        Raises:
            InvalidJobError: for bytes that are no job and have no jid that could be read.
        """
        try:
            envelope = _decode_envelope(data)
        except UNREADABLE:
            return _decoded_with_patience(data)
        force_setattr(envelope, "raw", data)
        force_setattr(envelope, "problem", "")
        return envelope

    @staticmethod
    def outlined(outline: bytes, size: int) -> "Envelope":
        """Make an envelope of a job that was too large to be kept, so that it can be reported.

        Its `job()` raises, and it has no bytes to be pushed again.

        Args:
            outline: A JSON object with what is known of the job.
            size: How many bytes it had.

        Raises:
            InvalidJobError: there is no jid among that.
        """
        problem = f"the fetched job has {size} bytes, more than this worker accepts"
        known = Envelope.decode(outline)
        if not known.jid:
            raise InvalidJobError(problem)
        force_setattr(known, "raw", b"")
        force_setattr(known, "problem", problem)
        return known

    def __repr__(self) -> str:
        return f"Envelope(jid={self.jid!r}, <{len(self.raw)} bytes>)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return what may be shown: nothing of the job's contents."""
        return [("jid", self.jid), ("bytes", len(self.raw))]

    def job(self) -> Job:
        """Return the job for a handler: tolerant, and so not all that `Job(...)` would take.

        An unreadable time is None; nanoseconds are cut to microseconds, other zones turned into
        UTC. Integers beyond ±2^53 are floats, since the server has rounded them already. A missing
        `reserve_for` is None (the server then reserves for 1,800 s), one below 60 is as it came
        (the server then reserves for 60 s). What has a wrong type counts as missing, but not
        arguments: without them a handler would run with others than were meant.

        Raises:
            InvalidJobError: when the bytes are no job, or their args are no array.
        """
        if self.problem:
            raise InvalidJobError(self.problem)
        job = blank_job()
        force_setattr(job, "jobtype", self.jobtype)
        force_setattr(job, "args", _args(self.args))
        force_setattr(job, "jid", self.jid)
        force_setattr(job, "queue", self.queue)
        force_setattr(job, "created_at", read_time(self.created_at))
        force_setattr(job, "enqueued_at", read_time(self.enqueued_at))
        if self.at is not None:
            force_setattr(job, "at", read_time(self.at))
        force_setattr(job, "reserve_for", self.reserve_for)
        force_setattr(job, "retry", self._retry)
        force_setattr(job, "priority", self._priority)
        force_setattr(job, "backtrace", self._backtrace)
        force_setattr(job, "custom", {} if self._custom is _ABSENT else _custom(self._custom))
        if self._failure is not _ABSENT:
            force_setattr(job, "failure", _failure(self._failure))
        return job


class _Fields(Struct, frozen=True):
    """A job document with something in it that is not as it should be: judged field by field."""

    jid: Any = None
    jobtype: Any = None
    queue: Any = None
    created_at: Any = None
    enqueued_at: Any = None
    at: Any = None
    reserve_for: Any = None
    retry: Any = None
    priority: Any = None
    backtrace: Any = None
    args: Raw = _NO_ARGS
    custom: Raw = _ABSENT
    failure: Raw = _ABSENT


def _decoded_with_patience(data: bytes) -> Envelope:
    """Take apart what is no usual document, or none at all; see `Envelope.decode`."""
    try:
        fields = _decode_fields(data)
    except UNREADABLE as error:
        problem = f"the fetched job cannot be decoded: {error}"
    else:
        return _judged(data, fields)
    jid = salvage_jid(data)
    if not jid:
        raise InvalidJobError(problem)
    return Envelope(data, problem, jid)


def _judged(data: bytes, fields: _Fields) -> Envelope:
    return Envelope(
        data,
        "",
        _text(fields.jid),
        _text(fields.jobtype),
        _text(fields.queue) or DEFAULT_QUEUE,
        _text(fields.created_at) or None,
        _text(fields.enqueued_at) or None,
        _text(fields.at) or None,
        _int(fields.reserve_for, None),
        fields.args,
        _int(fields.retry, DEFAULT_RETRY),
        _int(fields.priority, DEFAULT_PRIORITY),
        _int(fields.backtrace, DEFAULT_BACKTRACE),
        fields.custom,
        fields.failure,
    )


def _text(value: Any) -> str:
    return value if type(value) is str else ""


def _int(value: Any, default: Any) -> Any:
    return value if type(value) is int and -MAX_INT <= value <= MAX_INT else default


def _args(raw: Raw) -> list[Any]:
    value = _contents(raw, "args")
    if value is None:
        return []
    if not is_list(value):
        raise InvalidJobError("the fetched job's arguments are no array", path="args")
    return value


def _custom(raw: Raw) -> dict[str, Any]:
    value = _contents(raw, "custom")
    return value if is_dict(value) else {}


def _failure(raw: Raw) -> Failure | None:
    value = _contents(raw, "failure")
    if not is_dict(value):
        return None
    return Failure(
        retry_count=_int(value.get("retry_count"), None),
        remaining=_int(value.get("remaining"), None),
        failed_at=read_time(value.get("failed_at")),
        next_at=read_time(value.get("next_at")),
        message=_text(value.get("message")) or None,
        errtype=_text(value.get("errtype")) or None,
        backtrace=_lines(value.get("backtrace")),
    )


def _lines(value: Any) -> tuple[str, ...] | None:
    return tuple(map(_text, value)) if is_list(value) else None


def _contents(raw: Raw, field: str) -> Any:
    try:
        value: Any = _decode_any(raw)
        if len(raw) >= _LONG and type(value) in _CONTAINERS and _has_long_number(raw):
            _round_ints(value)
    except (*UNREADABLE, OverflowError) as error:
        raise InvalidJobError(f"cannot be decoded: {error}", path=field) from None
    return value


def _round_ints(root: Any) -> None:
    """Turn integers beyond ±2^53 into floats, in place."""
    containers: list[Any] = [root]
    while containers:
        container: Any = containers.pop()
        for key, value in _items(container):
            if type(value) is int and not -MAX_INT <= value <= MAX_INT:
                container[key] = float(value)
            elif type(value) in _CONTAINERS:
                containers.append(value)


def _items(container: list[Any] | dict[str, Any]) -> Iterable[tuple[Any, Any]]:
    return enumerate(container) if isinstance(container, list) else container.items()


_CONTAINERS: Final = frozenset({list, dict})
# 2^53 has 16 digits: what holds no run of as many needs no second look.
_LONG: Final = 16
_has_long_number: Final = re.compile(rb"[0-9]{%d}" % _LONG).search
_decode_any: Final = msgspec.json.Decoder().decode
_decode_envelope: Final = msgspec.json.Decoder(Envelope).decode
_decode_fields: Final = msgspec.json.Decoder(_Fields).decode
