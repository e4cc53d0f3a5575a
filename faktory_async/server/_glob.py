"""Redis' glob patterns, over bytes and without its way of going through every possibility."""

import re
from typing import Final

_BACKSLASH, _CARET, _DASH, _OPEN, _CLOSE, _STAR, _ANY = b"\\^-[]*?"
_NEVER: Final = b"(?!)"
_ALWAYS: Final = b"."


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
        segments = _Parser(pattern).run()
        self._pieces = [_Piece(elements) for elements in segments]
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

    def __init__(self, elements: list[bytes | int]) -> None:
        self.length = len(elements)
        literals = [element for element in elements if isinstance(element, int)]
        self._literal = bytes(literals) if len(literals) == self.length else None
        self.weight = 0 if self._literal is not None else self.length
        self._pattern = re.compile(b"".join(map(_expression, elements)), re.DOTALL)

    def stands_at(self, text: bytes, position: int) -> bool:
        if self._literal is not None:
            return text.startswith(self._literal, position)
        return self._pattern.match(text, position) is not None

    def find(self, text: bytes, position: int) -> int:
        if self._literal is not None:
            return text.find(self._literal, position)
        match = self._pattern.search(text, position)
        return match.start() if match else -1


def _expression(element: bytes | int) -> bytes:
    return element if isinstance(element, bytes) else re.escape(bytes([element]))


class _Parser:
    """Cuts a pattern into the elements between its stars: a byte, or an expression for one."""

    def __init__(self, pattern: bytes) -> None:
        self._pattern = pattern
        self._position = 0

    def run(self) -> list[list[bytes | int]]:
        segments: list[list[bytes | int]] = [[]]
        while (char := self._take()) is not None:
            if char == _STAR:
                segments.append([])
            elif char == _ANY:
                segments[-1].append(_ALWAYS)
            elif char == _OPEN:
                segments[-1].append(self._class())
            else:
                segments[-1].append(self._escaped(char))
        return segments

    def _take(self) -> int | None:
        if self._position >= len(self._pattern):
            return None
        self._position += 1
        return self._pattern[self._position - 1]

    def _escaped(self, char: int) -> int:
        """The byte itself, or the one behind a backslash; a last backslash is one."""
        following = self._take() if char == _BACKSLASH else None
        return char if following is None else following

    def _class(self) -> bytes:
        negated = self._pattern[self._position : self._position + 1] == b"^"
        self._position += negated
        members = bytearray(256)
        while (char := self._take()) not in (None, _CLOSE):
            self._member(members, char)
        chosen = [value for value in range(256) if bool(members[value]) is not negated]
        if not chosen:
            return _NEVER
        return b"[" + b"".join(b"\\x%02x" % value for value in chosen) + b"]"

    def _member(self, members: bytearray, char: int) -> None:
        if char == _BACKSLASH:
            low = high = self._escaped(char)
        elif self._pattern[self._position : self._position + 1] == b"-" and (
            self._position + 1 < len(self._pattern)
        ):
            low, high = sorted((char, self._pattern[self._position + 1]))
            self._position += 2
        else:
            low = high = char
        for value in range(low, high + 1):
            members[value] = True
