"""Bytes in, replies out: an account of the framing that shares no code with the library."""

import re

__all__ = ["FramingError", "take_reply"]

_LENGTH = re.compile(rb"\$(-1|0|[1-9]\d*)\r\n")


class FramingError(Exception):
    """Bytes that are not one of the four kinds of reply."""


def take_reply(buffer: bytearray) -> bytes | None:
    """Remove one whole reply from the front of `buffer` and return its bytes, or None."""
    end = buffer.find(b"\r\n") + 2
    if end == 1:
        return None
    if buffer.startswith(b"$"):
        length = _LENGTH.fullmatch(buffer, 0, end)
        if length is None:
            raise FramingError(f"not a length: {bytes(buffer[:end])!r}")
        if length[1] != b"-1":
            end += int(length[1]) + 2
            if len(buffer) < end:
                return None
            if not buffer.startswith(b"\r\n", end - 2):
                raise FramingError(f"no CRLF behind a bulk string: {bytes(buffer[:end])!r}")
    elif not buffer.startswith((b"+", b"-")):
        raise FramingError(f"not a reply: {bytes(buffer[:80])!r}")
    reply = bytes(buffer[:end])
    del buffer[:end]
    return reply
