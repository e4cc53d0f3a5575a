"""The job document: the fields of a job in the order in which the server writes them."""

import re
from typing import Final

from msgspec import UNSET, Raw, Struct, UnsetType

from faktory_async.server._gotime import TimestampError, parse_time
from faktory_async.server._gotree import quote
from faktory_async.server._gowrite import write_flat

DEFAULT_QUEUE: Final = "default"

_LONGEST_RESERVATION: Final = 86_400
_MIN_JID_BYTES: Final = 8
_QUEUE_NAME: Final = re.compile(r"[a-zA-Z0-9._-]+")
_ESCAPES: Final = re.compile(rb"\\(?:ufffd|.)")
QUEUE_NAME_RULE: Final = r"queue names must match \A[a-zA-Z0-9._-]+\z"


class Document(Struct, kw_only=True, omit_defaults=True, eq=False):
    """A job: `args`, `custom` and `failure` are finished JSON."""

    retry: int | UnsetType = UNSET
    failure: Raw | UnsetType = UNSET
    custom: Raw | UnsetType = UNSET
    jid: str = ""
    queue: str = ""
    jobtype: str = ""
    created_at: str = ""
    enqueued_at: str = ""
    at: str = ""
    args: Raw | UnsetType = UNSET
    reserve_for: int = 0
    backtrace: int = 0


def encode_document(document: Document) -> bytes:
    """Return a job as it is stored, and as FETCH answers it."""
    return write_flat(document)


def refusal(document: Document) -> str | None:
    """Return why a job is not taken, in the order in which the server looks; None if it is."""
    jid = document.jid
    if len(jid) < _MIN_JID_BYTES and len(jid.encode()) < _MIN_JID_BYTES:
        return "jobs must have a reasonable jid parameter"
    if not document.jobtype:
        return "jobs must have a jobtype parameter"
    if document.args is UNSET:
        return "jobs must have an args parameter"
    if document.reserve_for > _LONGEST_RESERVATION:
        return "jobs cannot be reserved for more than one day"
    return None


def due_time(at: str) -> int:
    """Return when a job is due, in nanoseconds since 1970.

    Raises:
        TimestampError: in the server's words.
    """
    try:
        return parse_time(at)
    except TimestampError as error:
        text = f"invalid timestamp for 'at': {quote(at)}: {error.text}"
        raise TimestampError(text) from error


def is_queue_name(name: str) -> bool:
    """Whether a queue may have this name."""
    return _QUEUE_NAME.fullmatch(name) is not None


def normal_escapes(payload: bytes) -> bytes:
    """Return a stored payload as it is once it has been read and written again.

    Only where a text was cut inside a character, U+FFFD stands in it as an escape.
    """
    return _ESCAPES.sub(_normal, payload) if rb"\ufffd" in payload else payload


def _normal(match: re.Match[bytes]) -> bytes:
    escape = match.group()
    return "\ufffd".encode() if escape == rb"\ufffd" else escape
