"""Reading the jobs of PUSH and PUSHB: quickly where that is safe, thoroughly where it is not."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from faktory_async.server._document import Document
from faktory_async.server._gojson import read
from faktory_async.server._gotree import InvalidJSONError, Members, Number, Tree
from faktory_async.server._gotypes import fold, integer
from faktory_async.server._gowrite import format_float, write_plain
from faktory_async.server._thorough import document_of, documents_of

# What msgspec reads as Go does not: minus zero, and an integer that is no double. Both can only
# stand behind a bracket, a comma, a colon that ends a key, or space.
_MINUS_ZERO: Final = re.compile(rb"-0[^0-9.]")
_LARGE: Final = re.compile(rb"[0-9]{16}")
_ODD_NUMBER: Final = re.compile(rb'(?:[\[,\s]|":)-?(?:[0-9]{16}|0(?<=-0)[^0-9.])')
_MAX_EXACT: Final = 2**53
_CONTAINERS: Final = (list, dict)

_Int64: TypeAlias = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class _PlainJob(Struct, kw_only=True, forbid_unknown_fields=True):
    """A job as clients usually send it; a key that is not here is left to the thorough reader."""

    retry: _Int64 | UnsetType = UNSET
    custom: dict[str, Any] = {}
    jid: str = ""
    queue: str = ""
    jobtype: str = ""
    created_at: str = ""
    enqueued_at: str = ""
    at: str = ""
    args: list[Any] | UnsetType = UNSET
    reserve_for: _Int64 = 0
    backtrace: _Int64 = 0
    # Sent by older clients, and dropped.
    priority: Any = None


def _float(literal: str) -> Raw:
    return Raw(format_float(float(literal)).encode())


_plain_one: Final = msgspec.json.Decoder(_PlainJob, float_hook=_float)
_plain_many: Final = msgspec.json.Decoder(list[_PlainJob], float_hook=_float)
# Whatever msgspec does not like, and numbers beyond every double: the thorough reader's words.
_NOT_PLAIN: Final = (msgspec.DecodeError, ValueError, RecursionError)


class RefusedPushError(Exception):
    """A PUSH that is no job.

    Args:
        text: What is wrong with it, in Go's words.
        retry: The retry that it wrote into the server's default all the same.
    """

    def __init__(self, text: str, retry: int | None) -> None:
        super().__init__(text)
        self.text = text
        self.retry = retry


def read_job(payload: bytes) -> tuple[Document, int | None]:
    """Return the job of a PUSH, and the retry that becomes the server's default.

    Raises:
        RefusedPushError: for what is no job.
    """
    try:
        job = _plain_one.decode(payload)
        simple = _is_simple(job)
        if not _is_odd(payload, simple) and not _may_repeat_custom(payload, bool(job.custom)):
            return _document(job), None if job.retry is UNSET else job.retry
    except _NOT_PLAIN:
        pass  # the thorough reader says what is wrong, or that nothing is
    return _read_thoroughly(payload)


def read_jobs(payload: bytes) -> Sequence[Document]:
    """Return the jobs of a PUSHB.

    Raises:
        InvalidJSONError: for what is no array of jobs.
    """
    try:
        jobs = _plain_many.decode(payload)
        customised = sum(1 for job in jobs if job.custom)
        simple = all(map(_is_simple, jobs))
        if not _is_odd(payload, simple) and not _may_repeat_custom(payload, customised):
            return [_document(job) for job in jobs]
    except _NOT_PLAIN:
        pass  # the thorough reader says what is wrong, or that nothing is
    return _read_all_thoroughly(payload)


def _document(job: _PlainJob) -> Document:
    return Document(
        retry=job.retry,
        custom=Raw(write_plain(job.custom)) if job.custom else UNSET,
        jid=job.jid,
        queue=job.queue,
        jobtype=job.jobtype,
        created_at=job.created_at,
        enqueued_at=job.enqueued_at,
        at=job.at,
        args=UNSET if job.args is UNSET else Raw(write_plain(job.args)),
        reserve_for=job.reserve_for,
        backtrace=job.backtrace,
    )


def _is_simple(job: _PlainJob) -> bool:
    """Whether every integer is seen at a glance, and is one that a double can hold."""
    if job.custom:
        return False
    for value in job.args or ():
        if isinstance(value, int):
            if not -_MAX_EXACT < value < _MAX_EXACT:
                return False
        elif isinstance(value, _CONTAINERS):
            return False
    return True


def _is_odd(payload: bytes, simple: bool) -> bool:  # noqa: FBT001 - what is known of the payload
    """Whether there may be a number that Go does not read as msgspec does."""
    if _MINUS_ZERO.search(payload) is None and (simple or _LARGE.search(payload) is None):
        return False
    return _ODD_NUMBER.search(payload) is not None


def _may_repeat_custom(payload: bytes, jobs: int) -> bool:
    """Whether a job may have two `custom`, which merge; an escaped letter could hide one.

    `jobs` is how many have one with something in it.
    """
    if payload.count(b'"custom"') > jobs:
        return True
    return b"\\" in payload and (b"\\u006" in payload or b"\\u007" in payload)


def _read_thoroughly(payload: bytes) -> tuple[Document, int | None]:
    try:
        tree = read(payload)
    except InvalidJSONError as error:
        raise RefusedPushError(error.text, None) from error
    retry = _retry_written(tree)
    document, complaint = document_of(tree)
    if complaint is not None:
        raise RefusedPushError(complaint, retry)
    return document, retry


def _read_all_thoroughly(payload: bytes) -> Sequence[Document]:
    documents, complaint = documents_of(read(payload))
    if complaint is not None:
        raise InvalidJSONError(complaint)
    return documents


def _retry_written(tree: Tree) -> int | None:
    """Return the last retry before a `null` cut the job off from the server's default."""
    retry: int | None = None
    for key, value in tree.pairs if isinstance(tree, Members) else ():
        if fold(key) == "retry":
            if value is None:
                break
            written = integer(value.literal) if isinstance(value, Number) else None
            retry = retry if written is None else written
    return retry
