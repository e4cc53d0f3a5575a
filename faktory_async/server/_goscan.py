"""Reading JSON byte by byte as Go does: its limits, its words for what is wrong, no recursion."""

import re
from typing import Final, NoReturn

from faktory_async.server._gotree import (
    MAX_DEPTH,
    InvalidJSONError,
    Members,
    Number,
    Tree,
    quote,
)

_SPACE: Final = re.compile(rb"[ \t\r\n]*+")
_PLAIN_STRING: Final = re.compile(rb'"([^"\\\x00-\x1f]*+)"')
_STRING: Final = re.compile(rb'"((?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+)"')
_STRING_PREFIX: Final = re.compile(rb'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+')
_NUMBER: Final = re.compile(rb"-?(?:0|[1-9][0-9]*+)(\.[0-9]++)?([eE][+-]?[0-9]++)?")
_NUMBER_PREFIX: Final = re.compile(
    rb"-?(?:(?:0|[1-9][0-9]*+)(?:\.(?:[0-9]++(?:[eE][+-]?)?)?|[eE][+-]?)?)?"
)
_HEX_PREFIX: Final = re.compile(rb"[0-9a-fA-F]*+")
_ESCAPE: Final = re.compile(
    r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})"
    r"|\\u([0-9a-fA-F]{4})|\\(.)",
    re.DOTALL,
)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_SHORT_ESCAPES: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORDS: Final[dict[int, tuple[bytes, bool | None]]] = {
    ord("t"): (b"true", True),
    ord("f"): (b"false", False),
    ord("n"): (b"null", None),
}
_QUOTE, _COLON, _COMMA = b'":,'
_OPEN_ARRAY, _CLOSE_ARRAY, _OPEN_OBJECT, _CLOSE_OBJECT = b"[]{}"
_NUMBER_STARTS: Final = frozenset(b"-0123456789")


def scan(data: bytes) -> Tree:
    """Return what a JSON text says.

    Raises:
        InvalidJSONError: when it is no JSON, in Go's words.
    """
    return _Reader(data).run()


def decode_text(data: bytes) -> str:
    """Return UTF-8 as text; what is no character is U+FFFD."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        # One U+FFFD for each byte that belongs to no character, as Go counts them.
        return _SURROGATE.sub("\ufffd", data.decode("utf-8", "surrogateescape"))


def _unescape(text: str) -> str:
    return _ESCAPE.sub(_unescaped, text)


def _unescaped(match: re.Match[str]) -> str:
    high, low, single, short = match.groups()
    if short is not None:
        return _SHORT_ESCAPES.get(short, short)
    if high is not None:
        return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00)
    code = int(single, 16)
    return "\ufffd" if 0xD800 <= code <= 0xDFFF else chr(code)  # noqa: PLR2004 - the surrogates


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0
        self._open: list[list[Tree] | Members] = []
        self._key = ""
        self._root: Tree = None

    def run(self) -> Tree:
        self._value(self._next())
        while self._open:
            innermost = self._open[-1]
            if isinstance(innermost, Members):
                self._continue_object(innermost)
            else:
                self._continue_array(innermost)
        if self._next() is not None:
            self._refuse("after top-level value")
        return self._root

    def _next(self) -> int | None:
        """The next byte that is not space; None at the end."""
        match = _SPACE.match(self._data, self._position)
        self._position = match.end() if match else self._position
        return self._data[self._position] if self._position < len(self._data) else None

    def _continue_array(self, array: list[Tree]) -> None:
        char = self._next()
        if char == _CLOSE_ARRAY:
            self._close()
        elif not array:
            self._value(char)
        elif char == _COMMA:
            self._position += 1
            self._value(self._next())
        else:
            self._refuse("after array element")

    def _continue_object(self, members: Members) -> None:
        char = self._next()
        if char == _CLOSE_OBJECT:
            self._close()
        elif not members.pairs:
            self._member(char)
        elif char == _COMMA:
            self._position += 1
            self._member(self._next())
        else:
            self._refuse("after object key:value pair")

    def _member(self, char: int | None) -> None:
        if char != _QUOTE:
            self._refuse("looking for beginning of object key string")
        key = self._string()
        if self._next() != _COLON:
            self._refuse("after object key")
        self._position += 1
        char = self._next()
        self._key = key
        self._value(char)

    def _close(self) -> None:
        self._position += 1
        self._open.pop()

    def _value(self, char: int | None) -> None:
        if char == _QUOTE:
            self._put(self._string())
        elif char in _NUMBER_STARTS:
            self._put(self._number())
        elif char == _OPEN_OBJECT:
            self._begin(Members([]), "{")
        elif char == _OPEN_ARRAY:
            self._begin([], "[")
        elif char in _WORDS:
            self._put(self._word(*_WORDS[char]))
        else:
            self._refuse("looking for beginning of value")

    def _begin(self, container: list[Tree] | Members, char: str) -> None:
        self._put(container)
        self._open.append(container)
        if len(self._open) > MAX_DEPTH:
            raise InvalidJSONError(f"invalid character '{char}' exceeded max depth")
        self._position += 1

    def _put(self, value: Tree) -> None:
        if not self._open:
            self._root = value
            return
        innermost = self._open[-1]
        if isinstance(innermost, Members):
            innermost.pairs.append((self._key, value))
        else:
            innermost.append(value)

    def _word(self, word: bytes, value: bool | None) -> bool | None:  # noqa: FBT001 - it is data
        for offset, expected in enumerate(word):
            if (
                self._data[self._position + offset : self._position + offset + 1]
                != word[offset : offset + 1]
            ):
                self._position += offset
                self._refuse_inside(f"in literal {word.decode()} (expecting '{chr(expected)}')")
        self._position += len(word)
        return value

    def _number(self) -> Number:
        match = _NUMBER.match(self._data, self._position)
        if match is None:
            self._refuse_number()
        after = self._data[match.end() : match.end() + 1]
        fraction, exponent = match.groups()
        if exponent is None and (after in (b"e", b"E") or (after == b"." and fraction is None)):
            self._refuse_number()
        self._position = match.end()
        return Number(match.group().decode())

    def _refuse_number(self) -> NoReturn:
        match = _NUMBER_PREFIX.match(self._data, self._position)
        self._position = match.end() if match else self._position
        last = self._data[self._position - 1 : self._position]
        if last == b".":
            self._refuse_inside("after decimal point in numeric literal")
        if last == b"-" and self._data[self._position - 2 : self._position - 1] not in (b"e", b"E"):
            self._refuse_inside("in numeric literal")
        self._refuse_inside("in exponent of numeric literal")

    def _string(self) -> str:
        match = _PLAIN_STRING.match(self._data, self._position)
        if match is not None:
            self._position = match.end()
            return decode_text(match.group(1))
        match = _STRING.match(self._data, self._position)
        if match is None:
            self._refuse_string()
        self._position = match.end()
        return _unescape(decode_text(match.group(1)))

    def _refuse_string(self) -> NoReturn:
        match = _STRING_PREFIX.match(self._data, self._position)
        self._position = match.end() if match else self._position
        if self._data[self._position : self._position + 1] != b"\\":
            self._refuse("in string literal")
        self._position += 1
        if self._data[self._position : self._position + 1] != b"u":
            self._refuse_inside("in string escape code")
        match = _HEX_PREFIX.match(self._data, self._position + 1)
        self._position = match.end() if match else self._position
        self._refuse_inside("in \\u hexadecimal character escape")

    def _refuse(self, context: str) -> NoReturn:
        """Complain about the next byte, where a text may not end."""
        if self._position >= len(self._data):
            raise InvalidJSONError("unexpected end of JSON input")
        self._refuse_inside(context)

    def _refuse_inside(self, context: str) -> NoReturn:
        """Complain about the next byte; Go sees a space where the text ends inside a token."""
        ended = self._position >= len(self._data)
        char = " " if ended else chr(self._data[self._position])
        raise InvalidJSONError(f"invalid character {_quote_char(char)} {context}")


def _quote_char(char: str) -> str:
    if char == "'":
        return r"'\''"
    if char == '"':
        return "'\"'"
    return f"'{quote(char)[1:-1]}'"
