"""Reading job documents whatever is in them: by Go's rules, and as deep as Go goes."""

from typing import Final

import msgspec
from msgspec import Raw, Struct

from faktory_async.server._document import Document
from faktory_async.server._failure import FailureRecord
from faktory_async.server._gojson import read
from faktory_async.server._gotree import Members, Tree
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
)
from faktory_async.server._gowrite import write, write_flat

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
NESTED_JOB: Final = Record("client.Job", "Job", _FIELDS, nullable=True)


class Claim(Struct):
    """What a reservation must know of a job.

    Attributes:
        jid: Its id.
        reserve_for: Its reservation in seconds, 0 where it names none.
    """

    jid: str = ""
    reserve_for: int = 0


class _Head(Struct):
    enqueued_at: str = ""


_claim: Final = msgspec.json.Decoder(Claim)
_head: Final = msgspec.json.Decoder(_Head)
_stored: Final = msgspec.json.Decoder(Document)


def document_of(tree: Tree) -> tuple[Document, str | None]:
    """Return what a JSON value says of a job, and Go's complaint if there is one."""
    fields, complaint = decode(_JOB, tree)
    return document_from(fields) if complaint is None else Document(), complaint


def documents_of(tree: Tree) -> tuple[list[Document], str | None]:
    """Return what a JSON value says of many jobs, and Go's complaint if there is one."""
    jobs, complaint = decode_all(_JOB, tree)
    return [document_from(fields) for fields in jobs] if complaint is None else [], complaint


def stored_document(payload: bytes) -> Document:
    """Return what was stored, ready to be changed and stored again."""
    try:
        return _stored.decode(payload)
    except RecursionError:
        return document_of(read(payload))[0]


def claim_of(payload: bytes) -> Claim:
    """Return what a reservation must know of a stored job."""
    try:
        return _claim.decode(payload)
    except RecursionError:
        document = stored_document(payload)
        return Claim(document.jid, document.reserve_for)


def enqueued_at(payload: bytes) -> str:
    """Return since when a stored job says that it is in its queue; "" where it does not."""
    try:
        return _head.decode(payload).enqueued_at
    except RecursionError:
        return stored_document(payload).enqueued_at


def document_from(fields: Fields) -> Document:
    """Return the job that was read into these fields."""
    document = Document(
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
