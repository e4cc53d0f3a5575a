"""Reading the jobs of PUSH and PUSHB: quickly where that is safe, thoroughly where it is not."""

import re
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import UNSET, Raw

from faktory_async.server._document import Document, PlainDocument, StoredDocument
from faktory_async.server._failure import FailureRecord
from faktory_async.server._gojson import InvalidJSONError, Members, Number, Tree, read
from faktory_async.server._gotypes import (
    Fields,
    Integer,
    ListOf,
    Record,
    Table,
    Target,
    Text,
    Values,
    decode,
    decode_all,
    fold,
    integer,
)
from faktory_async.server._gowrite import format_float, write, write_flat

# What msgspec reads as Go does not: an integer that is no double, and minus zero. Both can only
# stand behind a bracket, a comma, a colon that ends a key, or space.
_SUSPECT: Final = re.compile(rb"[0-9]{16}|-0[^0-9.]")
_ODD_NUMBER: Final = re.compile(rb'(?:[\[,\s]|":)-?(?:[0-9]{16}|0(?<=-0)[^0-9.])')

_FAILURE: Final = Record(
    "client.Failure",
    "Failure",
    {
        "retry_count": Integer(),
        "failed_at": Text(),
        "next_at": Text(),
        "message": Text(),
        "errtype": Text(),
        "backtrace": ListOf(Text(), "[]string", ""),
        "remaining": Integer(),
    },
    nullable=True,
)
_FIELDS: Final[dict[str, Target]] = {
    "jid": Text(),
    "queue": Text(),
    "jobtype": Text(),
    "args": Values(),
    "created_at": Text(),
    "enqueued_at": Text(),
    "at": Text(),
    "reserve_for": Integer(),
    "retry": Integer(nullable=True),
    "backtrace": Integer(),
    "failure": _FAILURE,
    "custom": Table(),
}
_JOB: Final = Record("client.Job", "Job", _FIELDS)


def _float(literal: str) -> Raw:
    return Raw(format_float(float(literal)).encode())


_plain_one: Final = msgspec.json.Decoder(PlainDocument, float_hook=_float)
_plain_many: Final = msgspec.json.Decoder(list[PlainDocument], float_hook=_float)
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
        document = _plain_one.decode(payload)
    except _NOT_PLAIN:
        return _read_thoroughly(payload)
    if _is_odd(payload) or _may_repeat_custom(payload, bool(document.custom)):
        return _read_thoroughly(payload)
    document.priority = UNSET
    return document, None if document.retry is UNSET else document.retry


def read_jobs(payload: bytes) -> Sequence[Document]:
    """Return the jobs of a PUSHB.

    Raises:
        InvalidJSONError: for what is no array of jobs.
    """
    try:
        documents = _plain_many.decode(payload)
    except _NOT_PLAIN:
        return _read_all_thoroughly(payload)
    customised = 0
    for document in documents:
        document.priority = UNSET
        customised += bool(document.custom)
    if _is_odd(payload) or _may_repeat_custom(payload, customised):
        return _read_all_thoroughly(payload)
    return documents


def _is_odd(payload: bytes) -> bool:
    return _SUSPECT.search(payload) is not None and _ODD_NUMBER.search(payload) is not None


def _may_repeat_custom(payload: bytes, jobs: int) -> bool:
    """Whether a job may have two `custom`, which merge; an escaped letter could hide one.

    `jobs` is how many have one with something in it.
    """
    return payload.count(b'"custom"') > jobs or b"\\u006" in payload or b"\\u007" in payload


def _read_thoroughly(payload: bytes) -> tuple[StoredDocument, int | None]:
    try:
        tree = read(payload)
    except InvalidJSONError as error:
        raise RefusedPushError(error.text, None) from error
    retry = _retry_written(tree)
    fields, complaint = decode(_JOB, tree)
    if complaint is not None:
        raise RefusedPushError(complaint, retry)
    return _document(fields), retry


def _read_all_thoroughly(payload: bytes) -> list[StoredDocument]:
    jobs, complaint = decode_all(_JOB, read(payload))
    if complaint is not None:
        raise InvalidJSONError(complaint)
    return [_document(fields) for fields in jobs]


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


def _document(fields: Fields) -> StoredDocument:
    document = StoredDocument(
        jid=fields.text("jid"),
        queue=fields.text("queue"),
        jobtype=fields.text("jobtype"),
        created_at=fields.text("created_at"),
        enqueued_at=fields.text("enqueued_at"),
        at=fields.text("at"),
        reserve_for=fields.integer("reserve_for"),
        backtrace=fields.integer("backtrace"),
    )
    retry, failure = fields.number("retry"), fields.record("failure")
    args, custom = fields.tree("args"), fields.tree("custom")
    if retry is not None:
        document.retry = retry
    if failure is not None:
        document.failure = Raw(_failure(failure))
    if isinstance(custom, Members) and custom.pairs:
        document.custom = Raw(write(custom))
    if args is not None:
        document.args = Raw(write(args))
    return document


def _failure(fields: Fields) -> bytes:
    return write_flat(
        FailureRecord(
            failed_at=fields.text("failed_at"),
            next_at=fields.text("next_at"),
            message=fields.text("message"),
            errtype=fields.text("errtype"),
            backtrace=fields.texts("backtrace"),
            retry_count=fields.integer("retry_count"),
            remaining=fields.integer("remaining"),
        )
    )
