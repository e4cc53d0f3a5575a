"""Limits, timeouts and TLS files as the query of a URL. Pure."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import msgspec
from msgspec import Struct

from faktory_async.errors import AddressError, UsageError
from faktory_async.model import seconds


class UrlOptions(Struct, frozen=True, kw_only=True):
    """What a URL says beside where the server is; None where it says nothing.

    Attributes:
        max_connections: See `Limits`, like those below.
        max_idle: Connections that are kept open though nobody uses them.
        idle_expiry: Seconds after which an idle connection is not used again.
        max_job: Bytes of a job that is pushed.
        max_reply: Bytes of one reply.
        connect_timeout: Seconds, see `Timeouts`, like those below.
        pool_timeout: Seconds to wait for a connection.
        command_timeout: Seconds for a command and its reply.
        ca: The path of a file, see `TLS`, like those below.
        cert: The path of a client certificate.
        key: The path of its key.
        server_name: The name that the server's certificate must have.
    """

    max_connections: int | None = None
    max_idle: int | None = None
    idle_expiry: float | None = None
    max_job: int | None = None
    max_reply: int | None = None
    connect_timeout: float | None = None
    pool_timeout: float | None = None
    command_timeout: float | None = None
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    server_name: str | None = None

    @classmethod
    def parse(cls, query: str) -> "UrlOptions":
        """Read `max_connections=8&command_timeout=2s&ca=%2Fetc%2Fca.pem`.

        Raises:
            AddressError: for an option that does not exist, is given twice, or has no readable
                value. The message shows neither the query nor a value: both may hold a password
                whose `?` was not escaped.
        """
        values: dict[str, Any] = {}
        for name, text in _pairs(query):
            reader = _READERS.get(name)
            if reader is None:
                raise AddressError(_unknown(name))
            if name in values:
                raise AddressError(f"the URL gives {name} twice")
            try:
                values[name] = reader(text)
            except (ValueError, UsageError):
                raise AddressError(
                    f"the URL's {name} cannot be read: {_EXAMPLES[reader]}"
                ) from None
        return cls(**values)

    def chosen(self, names: Mapping[str, str]) -> dict[str, Any]:
        """Return what is given of some options.

        Args:
            names: The options, and the names they have elsewhere.
        """
        values = {other: getattr(self, name) for name, other in names.items()}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def query(self) -> str:
        """The query that reads back as this; "" where nothing is said."""
        fields = msgspec.structs.asdict(self)
        return urlencode(
            {name: _shown(value) for name, value in fields.items() if value is not None}
        )


def _shown(value: float | str) -> str:
    if not isinstance(value, float):
        return str(value)
    # Every digit that tells it from other floats, and no exponent, which no duration has.
    text = f"{Decimal(repr(value)):f}"
    return text.removesuffix(".0")


def _pairs(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:  # its text shows what it could not read
        raise AddressError(f"what follows the ? of a URL is options, {_HOW}") from None


def _unknown(name: str) -> str:
    # A name that is nearly right is shown by what it should be: any other may be of a password.
    near = get_close_matches(name, _READERS, n=1)
    if near:
        return f"the URL has an option that does not exist: did you mean {near[0]}?"
    return f"what follows the ? of a URL is options, {_HOW}; there are {', '.join(_READERS)}"


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError
    return int(text)


def _text(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError
    return text


_HOW: Final = "such as max_connections=8&command_timeout=2s (a ? in the password is written %3F)"
_READERS: Final[dict[str, Callable[[str], Any]]] = {
    "max_connections": _count,
    "max_idle": _count,
    "idle_expiry": seconds,
    "max_job": _count,
    "max_reply": _count,
    "connect_timeout": seconds,
    "pool_timeout": seconds,
    "command_timeout": seconds,
    "ca": _text,
    "cert": _text,
    "key": _text,
    "server_name": _text,
}
_EXAMPLES: Final[dict[Callable[[str], Any], str]] = {
    _count: "a whole number is needed",
    seconds: "a duration such as 2s or 250ms is needed",
    _text: "it is empty",
}
