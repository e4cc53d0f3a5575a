"""Timestamps as Go writes and reads them."""

import re
from calendar import monthrange
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple

NANOSECONDS: Final = 1_000_000_000
LAYOUT: Final = "2006-01-02T15:04:05.999999999Z07:00"

_DAYS_BEFORE_1970: Final = 719_468
_DAYS_PER_400_YEARS: Final = 146_097
_FRACTION: Final = re.compile(r"[.,]([0-9]+)")
_SIGNS: Final = {b"+": 1, b"-": -1}
_MAX_OFFSET: Final = (24, 60)
_NANOSECOND_DIGITS: Final = 9


class TimestampError(ValueError):
    """A text that is no timestamp.

    Args:
        text: What Go says about it.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def format_time(moment: int) -> str:
    """Return a moment in nanoseconds since 1970 as UTC text, without trailing zeros."""
    seconds, rest = divmod(moment, NANOSECONDS)
    if rest % 10:
        return f"{_second_text(seconds)}.{rest:09d}Z"
    if not rest:
        return f"{_second_text(seconds)}Z"
    return f"{_second_text(seconds)}.{f'{rest:09d}'.rstrip('0')}Z"


@lru_cache(maxsize=4)
def _second_text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def parse_time(text: str) -> int:
    """Return an RFC 3339 timestamp in nanoseconds since 1970.

    Raises:
        TimestampError: in Go's words.
    """
    return _Parser(text).run()


class _Element(NamedTuple):
    layout: str
    before: str
    name: str
    low: int
    high: int
    two_digits: bool


_ELEMENTS: Final = (
    _Element("01", "-", "month", 1, 12, two_digits=True),
    _Element("02", "-", "day", 0, 99, two_digits=True),
    _Element("15", "T", "hour", 0, 23, two_digits=False),
    _Element("04", ":", "minute", 0, 59, two_digits=True),
    _Element("05", ":", "second", 0, 59, two_digits=True),
)


class _Parser:
    """One reading of one text; `_rest` is what is not yet read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._rest: str = text

    def run(self) -> int:
        year = self._year()
        month, day, hour, minute, second = [self._element(element) for element in _ELEMENTS]
        nanoseconds = self._fraction()
        offset = self._offset()
        if self._rest:
            raise self._error(f": extra text: {_quote(self._rest)}")
        # February of year 0 has 29 days; monthrange knows years from 1 on.
        if not 1 <= day <= monthrange(year or 400, month)[1]:
            raise self._error(": day out of range")
        days = _days_since_1970(year, month, day)
        seconds = ((days * 24 + hour) * 60 + minute) * 60 + second - offset
        return seconds * NANOSECONDS + nanoseconds

    def _error(self, message: str) -> TimestampError:
        return TimestampError(f"parsing time {_quote(self._text)}{message}")

    def _mismatch(self, rest: str, element: str) -> TimestampError:
        return self._error(
            f" as {_quote(LAYOUT)}: cannot parse {_quote(rest)} as {_quote(element)}"
        )

    def _year(self) -> int:
        digits = self._rest.encode()[:4]
        if not digits.isdigit() or len(digits) < len("2006"):
            raise self._mismatch(self._rest, "2006")
        self._rest = self._rest[4:]
        return int(digits)

    def _element(self, element: _Element) -> int:
        if not self._rest.startswith(element.before):
            raise self._mismatch(self._rest, element.before)
        self._rest = self._rest.removeprefix(element.before)
        held = self._rest
        width = _digits(held, two=element.two_digits)
        if not width:
            raise self._mismatch(held, element.layout)
        self._rest = held[width:]
        value = int(held[:width])
        if not element.low <= value <= element.high:
            raise self._error(f": {element.name} out of range")
        return value

    def _fraction(self) -> int:
        match = _FRACTION.match(self._rest)
        if match is None:
            return 0
        self._rest = self._rest[match.end() :]
        return int(match.group(1)[:_NANOSECOND_DIGITS].ljust(_NANOSECOND_DIGITS, "0"))

    def _offset(self) -> int:
        held = self._rest
        if held.startswith("Z"):
            self._rest = held[1:]
            return 0
        raw = held.encode()
        if len(raw) < len("+07:00") or raw[3:4] != b":":
            raise self._mismatch(held, "Z07:00")
        hours = _two_digits(raw[1:3])
        minutes = None if hours is None else _two_digits(raw[4:6])
        self._check_offset(hours, minutes)
        sign = _SIGNS.get(raw[:1])
        if sign is None or hours is None or minutes is None:
            raise self._mismatch(held, "Z07:00")
        self._rest = raw[6:].decode()
        return sign * (hours * 60 + minutes) * 60

    def _check_offset(self, hours: int | None, minutes: int | None) -> None:
        # Go's words: a range is complained about before a letter is.
        if minutes is not None and minutes > _MAX_OFFSET[1]:
            raise self._error(": time zone offset minute out of range")
        if hours is not None and hours > _MAX_OFFSET[0]:
            raise self._error(": time zone offset hour out of range")


def _two_digits(raw: bytes) -> int | None:
    return int(raw) if raw.isdigit() else None


def _digits(text: str, *, two: bool) -> int:
    """How many leading digits make an element: two, or one where that is allowed; 0 for none."""
    leading = text[:2]
    if leading.isascii() and leading.isdigit():
        return len(leading) if len(leading) > 1 or not two else 0
    return int(not two and text[:1].isascii() and text[:1].isdigit())


def _days_since_1970(year: int, month: int, day: int) -> int:
    # Years that begin in March have their leap day at their end.
    year -= month <= 2  # noqa: PLR2004 - January and February
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    return era * _DAYS_PER_400_YEARS + day_of_era - _DAYS_BEFORE_1970


def _quote(text: str) -> str:
    r"""Quote as Go's time package does: every byte beyond ASCII and every control as `\xNN`."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return '"' + "".join(map(_quoted, text)) + '"'


def _quoted(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if " " <= char < "\x80":
        return char
    return "".join(f"\\x{byte:02x}" for byte in char.encode())
