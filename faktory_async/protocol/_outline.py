"""The outline of a JSON document that is too large to be kept: read as it goes by, then gone.

The server writes `custom` and `failure`, of any size, in front of the jid. So no beginning of a job
is sure to hold it, and all of the document has to be followed.
"""

import re
from itertools import accumulate
from typing import Final

# Of a job: what tells which one it is, where it came from and how long it is reserved.
_KEPT: Final = frozenset({b'"jid"', b'"queue"', b'"jobtype"', b'"reserve_for"'})
_LONGEST: Final = 16 * 1024  # bytes of a value that is kept
_FIRST_WINDOW: Final = 128  # bytes of a member looked at in one go
_LAST_WINDOW: Final = 64 * 1024  # the same, where that many of it have gone by

_QUOTE, _BACKSLASH, _COLON, _COMMA = b'"\\:,'
_OPENING: Final = frozenset(b"{[")
# Possessive, so that each byte is looked at once.
_TEXT: Final = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_PLAIN: Final = re.compile(rb'[^"\[\]{}:,]*+')
_TO_BRACKET: Final = re.compile(
    rb'(?:[^"\[\]{}]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+[\[\]{}]', re.DOTALL
)
# A string, and how it ends: by a quote, or with the bytes, perhaps within an escape.
_TEXTS: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+("|\\?\Z)', re.DOTALL)
# From brackets to steps of depth, as signed bytes.
_STEPS: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[{]}"))


class Outline:
    """Keeps a few members of an object, each of them small, whatever else it holds.

    Linear in the bytes however they are cut, and bounded in memory. What is no JSON gives some
    outline or an empty one, never an error.
    """

    def __init__(self) -> None:
        self._members: dict[bytes, bytes] = {}
        self._depth = 0
        self._window = _FIRST_WINDOW
        self._over = False
        self._in_text = False
        self._escaped = False
        self._key = b""
        # What stands between two marks of the object itself; None where it is no plain value.
        self._value: bytearray | None = bytearray()

    def document(self) -> bytes:
        """Return a JSON object of what was kept."""
        members = (b"%b:%b" % member for member in self._members.items())
        return b"{%b}" % b",".join(members)

    def feed(self, data: bytes) -> None:
        """Take in the next bytes of the document."""
        at = 0
        while at < len(data) and not self._over:
            if self._in_text:
                at = self._text(data, at)
            elif self._depth > 1:
                at = self._within(data, at)
            else:
                at = self._plain(data, at)

    def _text(self, data: bytes, at: int) -> int:
        """Go to the end of a string, or of the bytes."""
        if self._escaped:
            self._escaped = False
            self._keep(data[at : at + 1])
            return at + 1
        match = _TEXT.match(data, at)
        end = at if match is None else match.end()
        self._keep(data[at : end + 1])
        # Without a quote here, the bytes end: perhaps within an escape.
        self._in_text = data[end : end + 1] != b'"'
        self._escaped = data[end : end + 1] == b"\\"
        return end + 1

    def _within(self, data: bytes, at: int) -> int:
        """Go through what a member of the object holds, to its end or a good deal further.

        Where the member ends within the window, its bytes have been looked at in vain. So a window
        is never much larger than what has gone by of the member: else many small members would
        cost as much as large ones.
        """
        window = data[at : at + self._window]
        if self._goes_by(window):
            self._window = min(self._window + len(window), _LAST_WINDOW)
            return at + len(window)
        while self._depth > 1 and (match := _TO_BRACKET.match(data, at)):
            at = match.end()
            self._mark(data[at - 1])
        return at

    def _goes_by(self, window: bytes) -> bool:
        """Go through all of the bytes at once; False where the member ends among them."""
        parts = _TEXTS.split(window)
        steps = memoryview(b"".join(parts).translate(_STEPS, _NO_BRACKETS)).cast("b")
        if self._depth + min(accumulate(steps, initial=0)) < 2:  # noqa: PLR2004 - see `feed`
            return False
        self._depth += sum(steps)
        if len(parts) > 1:
            self._in_text = parts[-2] != b'"'
            self._escaped = parts[-2] == b"\\"
        return True

    def _plain(self, data: bytes, at: int) -> int:
        """Go through the object itself, up to the next mark."""
        match = _PLAIN.match(data, at)
        end = at if match is None else match.end()
        self._keep(data[at:end])
        if end < len(data):
            self._mark(data[end])
        return end + 1

    def _mark(self, mark: int) -> None:
        if mark == _QUOTE:
            self._in_text = True
            self._keep(b'"')
        elif mark in _OPENING:
            self._open(mark)
        elif mark == _COLON:
            self._key = self._taken()
        elif mark == _COMMA:
            self._end_member()
        else:
            self._close()

    def _open(self, mark: int) -> None:
        self._depth += 1
        if self._depth == 1:
            # Only an object has members, and nothing but space comes before it.
            self._over = mark != _OBJECT or bool(self._taken())
        else:
            self._value = None
            if self._depth == 2:  # noqa: PLR2004 - a member of the object begins
                self._window = _FIRST_WINDOW

    def _close(self) -> None:
        self._depth -= 1
        if self._depth < 1:
            self._end_member()
            self._over = True

    def _end_member(self) -> None:
        key, self._key = self._key, b""
        value = self._taken()
        if value and key in _KEPT:
            self._members[key] = value

    def _taken(self) -> bytes:
        """Return the plain value that has ended here, b"" where there is none."""
        value, self._value = self._value, bytearray()
        return b"" if value is None else bytes(value).strip()

    def _keep(self, data: bytes) -> None:
        if self._depth > 1 or self._value is None:
            return
        if len(self._value) + len(data) > _LONGEST:
            self._value = None
        else:
            self._value += data


_OBJECT: Final = b"{"[0]
