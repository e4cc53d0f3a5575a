"""JSON as it was written: what Go makes of it is decided by whoever reads it."""

from typing import Final, TypeAlias

MAX_DEPTH: Final = 10_000


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
