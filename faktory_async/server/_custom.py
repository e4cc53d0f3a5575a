"""What `custom` says to an Enterprise server; for the free edition it is the clients' own."""

from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct

from faktory_async.server._document import Document
from faktory_async.server._gojson import read
from faktory_async.server._gotime import NANOSECONDS, TimestampError, format_time, parse_time
from faktory_async.server._gotree import Members, Number, Tree, quote
from faktory_async.server._gowrite import format_number, write_flat

_UNTIL: Final = ("", "success", "start")
_EXPIRES_AT: Final = b'"expires_at":'


class Options(Struct, frozen=True, kw_only=True):
    """The options of one job.

    Attributes:
        bid: The batch that it belongs to, "" for none.
        track: Whether it is tracked.
        unique_for: For how many nanoseconds nothing like it is taken; 0 for no lock.
        until_start: Whether the lock ends with the FETCH, not with the ACK.
        expires_in: After how many nanoseconds it is not worth working on; None for never, and
            where it says a time of its own.
    """

    bid: str = ""
    track: bool = False
    unique_for: int = 0
    until_start: bool = False
    expires_in: int | None = None


class _Known(Struct):
    bid: Any = None
    track: Any = None
    unique_for: Any = None
    unique_until: Any = None
    expires_at: Any = None
    expires_in: Any = None


class _Stored(Struct):
    custom: _Known | None = None


NO_OPTIONS: Final = Options()

_known: Final = msgspec.json.Decoder(_Known)
_members: Final = msgspec.json.Decoder(dict[str, Raw])
_stored: Final = msgspec.json.Decoder(_Stored)


class OptionError(Exception):
    """An option that makes no sense.

    Args:
        text: Which, and what it should be.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def options_of(document: Document) -> Options:
    """Return the options of a job.

    Raises:
        OptionError: for a value that makes no sense.
    """
    if document.custom is UNSET:
        return NO_OPTIONS
    known = _read(document.custom)
    until = _text(known.unique_until, "unique_until")
    if until not in _UNTIL:
        raise OptionError(f'unique_until must be "success" or "start", not {quote(until)}')
    expires_at = _text(known.expires_at, "expires_at")
    if expires_at:
        _check_time(expires_at)
    expires_in = _seconds(known.expires_in, "expires_in")
    return Options(
        bid=_text(known.bid, "bid"),
        track=known.track in (1, True) and not isinstance(known.track, str),
        unique_for=_seconds(known.unique_for, "unique_for") or 0,
        until_start=until == "start",
        expires_in=None if expires_at else expires_in,
    )


def is_expired(payload: bytes, now: int) -> bool:
    """Whether a stored job is past its `expires_at`."""
    if _EXPIRES_AT not in payload:
        return False
    try:
        known = _stored.decode(payload).custom
    except RecursionError:
        tree = read(payload)
        custom = dict(tree.pairs).get("custom") if isinstance(tree, Members) else None
        known = _known_members(custom) if isinstance(custom, Members) else None
    return known is not None and bool(known.expires_at) and parse_time(known.expires_at) < now


def set_expiry(document: Document, moment: int) -> None:
    """Write into a job when it expires, which it said as a span."""
    amend(document, expires_at=format_time(moment))


def amend(document: Document, **texts: str) -> None:
    """Put members into a job's `custom`."""
    members: dict[str, Any] = {} if document.custom is UNSET else _members.decode(document.custom)
    document.custom = Raw(write_flat(members | texts))


def _read(custom: Raw) -> _Known:
    try:
        return _known.decode(custom)
    except RecursionError:
        tree = read(bytes(custom))
        return _known_members(tree) if isinstance(tree, Members) else _Known()


def _known_members(members: Members) -> _Known:
    known = _Known()
    for name, value in members.pairs:
        if name in _Known.__struct_fields__:
            setattr(known, name, _plain(value))
    return known


def _plain(value: Tree) -> Any:
    return float(format_number(value.literal)) if isinstance(value, Number) else value


def _text(value: Any, name: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise OptionError(f"{name} must be a text")
    return value


def _seconds(value: Any, name: str) -> int | None:
    """Return a span in nanoseconds; None where there is none."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise OptionError(f"{name} must be a number of seconds")
    return round(value * NANOSECONDS)


def _check_time(text: str) -> None:
    try:
        parse_time(text)
    except TimestampError as error:
        raise OptionError(f"invalid timestamp for 'expires_at': {error.text}") from error
