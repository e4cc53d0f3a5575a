"""Reading what workers say: ACK, FAIL and BEAT."""

from typing import Final

import msgspec
from msgspec import Struct

from faktory_async.server._failure import FailureReport
from faktory_async.server._gojson import read
from faktory_async.server._gotree import InvalidJSONError, Members
from faktory_async.server._gotypes import Fields, Integer, ListOf, Record, Text, decode


class Beat(Struct, frozen=True):
    """A sign of life.

    Attributes:
        wid: Whose it is.
        state: The state that the worker says it is in, "" for none.
        rss_kb: The memory that it uses.
    """

    wid: str = ""
    state: str = ""
    rss_kb: int = 0


class FailedJob(Struct, frozen=True, forbid_unknown_fields=True):
    """A FAIL.

    Attributes:
        jid: The job.
        message: What went wrong.
        errtype: Its type.
        backtrace: Where.
    """

    jid: str = ""
    message: str = ""
    errtype: str = ""
    backtrace: tuple[str, ...] = ()

    @property
    def report(self) -> FailureReport:
        """What is written into the job's history."""
        return FailureReport(self.message, self.errtype, self.backtrace)


_BEAT: Final = Record(
    "server.Beat", "Beat", {"wid": Text(), "current_state": Text(), "rss_kb": Integer()}
)
_FAIL: Final = Record(
    "manager.FailPayload",
    "FailPayload",
    {
        "jid": Text(),
        "message": Text(),
        "errtype": Text(),
        "backtrace": ListOf(Text(), "[]string", ""),
    },
)

_texts: Final = msgspec.json.Decoder(dict[str, str | None])
_failed: Final = msgspec.json.Decoder(FailedJob)
_NOT_PLAIN: Final = (msgspec.DecodeError, ValueError, RecursionError)


class UnreadableError(Exception):
    """A report that the server answers by repeating it."""


def parse_jid(payload: bytes) -> str:
    """Return the jid of an ACK: an object of texts alone, whose keys have one case.

    Raises:
        UnreadableError: for anything else.
    """
    try:
        values = _texts.decode(payload)
    except _NOT_PLAIN:
        values = _read_texts(payload)
    if "jid" not in values:
        raise UnreadableError
    return values["jid"] or ""


def _read_texts(payload: bytes) -> dict[str, str | None]:
    try:
        tree = read(payload)
    except InvalidJSONError as error:
        raise UnreadableError from error
    if not isinstance(tree, Members):
        raise UnreadableError
    texts: dict[str, str | None] = {}
    for key, value in tree.pairs:
        if not (value is None or isinstance(value, str)):
            raise UnreadableError
        texts[key] = value
    return texts


def parse_failure(payload: bytes) -> FailedJob:
    """Return what a FAIL says; the jid is "" where it says none.

    Raises:
        UnreadableError: for what is no FAIL.
    """
    try:
        return _failed.decode(payload)
    except _NOT_PLAIN:
        fields = _read_fields(_FAIL, payload)
    return FailedJob(
        jid=fields.text("jid"),
        message=fields.text("message"),
        errtype=fields.text("errtype"),
        backtrace=tuple(fields.texts("backtrace")),
    )


def parse_beat(payload: bytes) -> Beat:
    """Return what a BEAT says; the wid is "" where it says none.

    Raises:
        UnreadableError: for what is no BEAT.
    """
    fields = _read_fields(_BEAT, payload)
    return Beat(
        wid=fields.text("wid"),
        state=fields.text("current_state"),
        rss_kb=fields.integer("rss_kb"),
    )


def _read_fields(target: Record, payload: bytes) -> Fields:
    try:
        fields, complaint = decode(target, read(payload))
    except InvalidJSONError as error:
        raise UnreadableError from error
    if complaint is not None:
        raise UnreadableError
    return fields
