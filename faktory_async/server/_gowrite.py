"""JSON as Go writes it: compact, keys sorted, `<`, `>` and `&` escaped, numbers as doubles."""

import re
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Raw

from faktory_async.server._gotree import Members, Number, Tree

# Doubles are exact up to here, and written without an exponent.
_SAFE_DIGITS: Final = 15
_HTML_BYTES: Final = b"<>&\xe2"
_HTML_ESCAPES: Final = (
    (b"<", rb"\u003c"),
    (b">", rb"\u003e"),
    (b"&", rb"\u0026"),
    (b"\xe2\x80\xa8", rb"\u2028"),
    (b"\xe2\x80\xa9", rb"\u2029"),
)
_ESCAPED_BYTE: Final = re.compile("([\udc80-\udcff])")
# Go leaves the positional form below and from these powers of ten.
_SMALLEST, _LARGEST = 1e-6, 1e21

# What is left to write; bytes are written as they are.
_Todo: TypeAlias = "list[Tree | bytes]"


class NumberRangeError(ValueError):
    """A number beyond every double."""


def format_float(value: float) -> str:
    """Return a double as Go's JSON encoder writes it: shortest digits, `1` for 1.0.

    Raises:
        NumberRangeError: for an infinity or NaN.
    """
    text = repr(value)
    if "e" not in text:
        if "n" in text:
            raise NumberRangeError(text)
        return text.removesuffix(".0")
    mantissa, _, exponent = text.partition("e")
    power = int(exponent)
    if not _SMALLEST <= abs(value) < _LARGEST:
        return f"{mantissa}e{power:+d}"
    sign = "-" if mantissa[0] == "-" else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    if power < 0:
        return f"{sign}0.{'0' * (-power - 1)}{whole}{fraction}"
    return f"{sign}{whole}{fraction}{'0' * (power - len(fraction))}"


def format_number(literal: str) -> str:
    """Return a JSON number as it comes back once it has been a double.

    Raises:
        NumberRangeError: when it is beyond every double.
    """
    if literal.isdigit() and len(literal) <= _SAFE_DIGITS:
        return literal
    return format_float(float(literal))


def escape_html(data: bytes) -> bytes:
    """Escape in JSON what Go escapes and others do not; outside of strings it cannot occur."""
    # By far the cheapest way to see that there is none of these.
    if len(data.translate(None, _HTML_BYTES)) == len(data):
        return data
    for text, escape in _HTML_ESCAPES:
        data = data.replace(text, escape)
    return data


def write_plain(value: Any) -> bytes:
    """Return the JSON of plain values as it is before `escape_html`."""
    return _encoder.encode(value)


def write_flat(value: Any) -> bytes:
    """Return the JSON of structs, dicts, lists and texts; numbers only where they are plain."""
    return escape_html(_encoder.encode(value))


def write_bytes(data: bytes) -> bytes:
    """Return the JSON of a text that may be no UTF-8: such bytes become the escape of U+FFFD."""
    text = data.decode("utf-8", "surrogateescape")
    parts = [
        rb"\ufffd" if _ESCAPED_BYTE.match(part) else write_flat(part)[1:-1]
        for part in _ESCAPED_BYTE.split(text)
    ]
    return b'"' + b"".join(parts) + b'"'


def write(tree: Tree) -> bytes:
    """Return the JSON of what was read: keys sorted, the last of repeated ones.

    Raises:
        NumberRangeError: when a number is beyond every double.
    """
    try:
        return write_flat(tree)
    except RecursionError:
        return _write_deep(tree)


def _write_deep(tree: Tree) -> bytes:
    """Do what `write` does, without recursion."""
    parts: list[bytes] = []
    todo: _Todo = [tree]
    while todo:
        item = todo.pop()
        if isinstance(item, bytes):
            parts.append(item)
        elif isinstance(item, list):
            todo += _array(item)
        elif isinstance(item, Members):
            todo += _object(item)
        else:
            parts.append(write_flat(item))
    return b"".join(parts)


def _array(items: list[Tree]) -> _Todo:
    todo: _Todo = [b"]"]
    for item in reversed(items):
        todo += (item, b",")
    if items:
        todo.pop()
    todo.append(b"[")
    return todo


def _object(members: Members) -> _Todo:
    todo: _Todo = [b"}"]
    # The order of code points is the order of UTF-8 bytes.
    for key, value in sorted(dict(members.pairs).items(), key=_key, reverse=True):
        todo += (value, b":", write_flat(key), b",")
    if members.pairs:
        todo.pop()
    todo.append(b"{")
    return todo


def _key(item: tuple[str, Tree]) -> str:
    return item[0]


def _plain(value: Any) -> Any:
    """Tell msgspec what the reader's own types are."""
    if isinstance(value, Number):
        return Raw(format_number(value.literal).encode())
    if isinstance(value, Members):
        return dict(value.pairs)
    raise NotImplementedError


_encoder: Final = msgspec.json.Encoder(order="deterministic", enc_hook=_plain)
