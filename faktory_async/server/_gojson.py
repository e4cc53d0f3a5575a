"""JSON as Go reads it: the same texts accepted, the same words for what is not.

It keeps what msgspec hides: repeated keys, numbers as they were written, invalid UTF-8 and lone
surrogates (each becomes U+FFFD), nesting of 10,000. Python's own scanner does the work where it
can; what it refuses, or cannot tell, is read once more by one that knows Go's words and does not
recurse.
"""

import json
import re
from collections.abc import Callable
from itertools import accumulate
from typing import Final, NoReturn, TypeAlias

MAX_DEPTH: Final = 10_000

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
_SURROGATE_ESCAPE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_STEPS: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_BRACKETS: Final = bytes(set(range(256)) - _STEPS.keys())
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


class InvalidJSONError(Exception):
    """Text that Go's decoder refuses.

    Args:
        text: What Go says about it.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Number:
    """A number as it was written.

    Attributes:
        literal: Its characters.
    """

    __slots__ = ("literal",)

    def __init__(self, literal: str) -> None:
        self.literal = literal

    def __repr__(self) -> str:
        return f"Number({self.literal!r})"


class Members:
    """An object.

    Attributes:
        pairs: Its keys and values in the order in which they were written, repeats included.
    """

    __slots__ = ("pairs",)

    def __init__(self, pairs: "list[tuple[str, Tree]]") -> None:
        self.pairs = pairs


Tree: TypeAlias = "bool | str | Number | list[Tree] | Members | None"


def read(data: bytes) -> Tree:
    """Return what a JSON text says.

    Raises:
        InvalidJSONError: when it is no JSON, in Go's words.
    """
    if _SURROGATE_ESCAPE.search(data) is None and not _may_be_too_deep(data):
        try:
            return _scan(_decode(data))
        except (ValueError, RecursionError):
            pass  # the thorough reader says what is wrong, or that nothing is
    return read_slowly(data)


def read_slowly(data: bytes) -> Tree:
    """Do what `read` does, without help.

    Raises:
        InvalidJSONError: likewise.
    """
    return _Reader(data).run()


def _may_be_too_deep(data: bytes) -> bool:
    """Whether so many brackets are open at once that Go gives up; Python may not."""
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return False
    brackets = _STRING.sub(b"", data).translate(None, _NO_BRACKETS)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > MAX_DEPTH


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and its like are no JSON


_scanner: Final = json.JSONDecoder(
    object_pairs_hook=Members,
    parse_float=Number,
    parse_int=Number,
    parse_constant=_refuse_constant,
)
_scan: Final[Callable[[str], Tree]] = _scanner.decode


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
            return _decode(match.group(1))
        match = _STRING.match(self._data, self._position)
        if match is None:
            self._refuse_string()
        self._position = match.end()
        return _unescape(_decode(match.group(1)))

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


_QUOTED: Final = {
    "\a": r"\a",
    "\b": r"\b",
    "\f": r"\f",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\v": r"\v",
    '"': r"\"",
    "\\": r"\\",
}


def quote(text: str) -> str:
    """Return a text in double quotes as Go's `%q` writes it."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return '"' + "".join(map(_quoted, text)) + '"'


def _quoted(char: str) -> str:
    if char in _QUOTED:
        return _QUOTED[char]
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x20 or code == 0x7F:  # noqa: PLR2004 - the ASCII controls
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - 16 bits


def _decode(data: bytes) -> str:
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
