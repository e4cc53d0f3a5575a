"""Redis' glob patterns, over bytes and without its way of going through every possibility."""

import re
from functools import lru_cache
from typing import Final

_TOKEN: Final = re.compile(
    rb"(?P<stars>\*+)|(?P<any>\?)"
    rb"|(?P<class>\[(?P<negation>\^?)(?P<members>(?:\\.|[^\]]-.|[^\]])*+)\]?)"
    rb"|\\(?P<escaped>.)|(?P<text>[^*?\[\\]+|\\)",
    re.DOTALL,
)
_MEMBER: Final = re.compile(rb"\\(?P<escaped>.)|(?P<low>.)-(?P<high>.)|(?P<char>.)", re.DOTALL)
_ANY: Final = b"."
_NEVER: Final = b"(?!)"


class Glob:
    r"""A pattern: `*` any bytes, `?` any one, `[a-z]` and `[^a-z]` one of a class, `\x` just x.

    A class without its end reaches to the end of the pattern, `[]` matches nothing.

    Args:
        pattern: The pattern, which is to match a whole text.

    Attributes:
        weight: How many elements of the pattern cannot be found by plain search: the work per
            byte of text, at worst.
    """

    def __init__(self, pattern: bytes) -> None:
        self._pieces = [_Piece()]
        for match in _TOKEN.finditer(pattern):
            if match.lastgroup == "stars":
                self._pieces.append(_Piece())
            else:
                self._pieces[-1].take(match)
        self.weight = sum(piece.weight for piece in self._pieces)

    def matches(self, text: bytes) -> bool:
        """Whether the whole text fits the pattern."""
        first, *others = self._pieces
        if not first.stands_at(text, 0):
            return False
        if not others:
            return first.length == len(text)
        position = first.length
        *inner, last = others
        for piece in inner:
            found = piece.find(text, position)
            if found < 0:
                return False
            position = found + piece.length
        start = len(text) - last.length
        return start >= position and last.stands_at(text, start)


class _Piece:
    """What stands between two stars: so many elements, each of which takes one byte."""

    __slots__ = ("_expression", "_literal", "_pattern", "length", "weight")

    def __init__(self) -> None:
        self.length = 0
        self.weight = 0
        self._literal = bytearray()
        self._expression: list[bytes] = []
        self._pattern: re.Pattern[bytes] | None = None

    def take(self, match: re.Match[bytes]) -> None:
        """Add what was found in the pattern."""
        kind = match.lastgroup
        if kind == "any":
            self._take_one(_ANY)
        elif kind == "class":
            self._take_one(_class(match["members"], negated=bool(match["negation"])))
        else:
            self._take_text(match["escaped"] or match["text"])

    def _take_one(self, expression: bytes) -> None:
        self.length += 1
        self.weight = self.length
        self._expression.append(expression)

    def _take_text(self, text: bytes) -> None:
        self.length += len(text)
        self.weight = self.length if self.weight else 0
        self._literal += text
        self._expression.append(re.escape(text))

    def stands_at(self, text: bytes, position: int) -> bool:
        """Whether a text fits from a position on."""
        if not self.weight:
            return text.startswith(bytes(self._literal), position)
        return self._compiled().match(text, position) is not None

    def find(self, text: bytes, position: int) -> int:
        """Return where a text fits first, from a position on; -1 for nowhere."""
        if not self.weight:
            return text.find(self._literal, position)
        match = self._compiled().search(text, position)
        return match.start() if match else -1

    def _compiled(self) -> re.Pattern[bytes]:
        if self._pattern is None:
            self._pattern = re.compile(b"".join(self._expression), re.DOTALL)
        return self._pattern


@lru_cache(maxsize=64)
def _class(contents: bytes, *, negated: bool) -> bytes:
    """Return the expression for one byte of a class."""
    members = bytearray(256)
    for match in _MEMBER.finditer(contents):
        if match["high"] is None:
            low = high = ord(match["escaped"] or match["char"])
        else:
            low, high = sorted((ord(match["low"]), ord(match["high"])))
        members[low : high + 1] = b"\x01" * (high + 1 - low)
    chosen = [value for value in range(256) if bool(members[value]) is not negated]
    return b"[" + b"".join(b"\\x%02x" % value for value in chosen) + b"]" if chosen else _NEVER
