"""TRACK: what becomes of a job, and what it says of its progress (Enterprise)."""

from typing import Final

from msgspec import Struct

from faktory_async.server._broker import Broker
from faktory_async.server._enterprise import Enterprise
from faktory_async.server._gojson import read
from faktory_async.server._gotime import TimestampError, format_time, parse_time
from faktory_async.server._gotree import InvalidJSONError, quote
from faktory_async.server._gotypes import Fields, Integer, Record, Text, decode
from faktory_async.server._gowrite import write_flat
from faktory_async.server._queue_command import OK, upper
from faktory_async.server._tracking import Track

_UPDATE: Final = Record(
    "client.JobTrack",
    "JobTrack",
    {
        "jid": Text(),
        "percent": Integer(nullable=True),
        "desc": Text(),
        "reserve_until": Text(),
    },
)
_UNKNOWN: Final = "unknown"
_MISSING_JID: Final = b"-ERR missing JID\r\n"


class _Report(Struct, frozen=True, kw_only=True, omit_defaults=True):
    jid: str
    state: str
    updated_at: str
    percent: int | None = None
    desc: str | None = None


def answer_track(broker: Broker, enterprise: Enterprise, rest: bytes) -> bytes:
    """Return the reply to TRACK; `rest` is what follows the verb."""
    subcommand, _, argument = rest.partition(b" ")
    match upper(subcommand):
        case "GET":
            return _get(broker, enterprise, argument.decode("utf-8", "replace"))
        case "SET":
            return _set(broker, enterprise, argument)
        case unknown:
            return f"-ERR no such TRACK subcommand: {unknown}\r\n".encode()


def _get(broker: Broker, enterprise: Enterprise, jid: str) -> bytes:
    if not jid:
        return _MISSING_JID
    data = write_flat(_report(jid, enterprise.tracks.get(jid, broker.clock())))
    return b"$%d\r\n%b\r\n" % (len(data), data)


def _report(jid: str, track: Track | None) -> _Report:
    if track is None:
        return _Report(jid=jid, state=_UNKNOWN, updated_at="")
    return _Report(
        jid=jid,
        state=track.state.value,
        updated_at=format_time(track.updated_at),
        percent=track.percent,
        desc=track.desc,
    )


def _set(broker: Broker, enterprise: Enterprise, payload: bytes) -> bytes:
    try:
        fields, complaint = decode(_UPDATE, read(payload))
    except InvalidJSONError as error:
        complaint, fields = error.text, Fields(None)
    if complaint is not None:
        return f"-ERR invalid JSON: {complaint}\r\n".encode()
    if not fields.text("jid"):
        return _MISSING_JID
    try:
        return _update(broker, enterprise, fields)
    except TimestampError as error:
        text = quote(fields.text("reserve_until"))
        return f"-ERR invalid timestamp for 'reserve_until': {text}: {error.text}\r\n".encode()


def _update(broker: Broker, enterprise: Enterprise, fields: Fields) -> bytes:
    until = fields.text("reserve_until")
    reserve_until = parse_time(until) if until else 0
    jid, now = fields.text("jid"), broker.clock()
    if enterprise.tracks.describe(jid, fields.number("percent"), fields.text("desc"), now):
        broker.working.extend(jid, reserve_until)
    return OK
