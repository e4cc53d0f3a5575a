"""Durations as people write them. Pure."""

import math
import re
from datetime import timedelta
from typing import Final

from faktory_async.errors import UsageError

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")
_TEXT: Final = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?", re.ASCII)


def seconds(duration: float | str | timedelta) -> float:
    """Return a duration in seconds.

    Args:
        duration: A number of seconds, a `timedelta`, or a text such as `10m`, `1.5s`, `250ms`,
            `1h30m` or `45`; the units are ms, s, m, h and d.

    Raises:
        UsageError: when it is none of these, or not finite.
    """
    if isinstance(duration, timedelta):
        return duration.total_seconds()
    if isinstance(duration, str):
        return _read(duration)
    if isinstance(duration, bool) or not isinstance(duration, int | float):  # pyright: ignore[reportUnnecessaryIsInstance]  # programs without types
        raise UsageError(
            f"a duration is seconds, a timedelta or a text, not {type(duration).__name__}"
        )
    try:
        return _finite(float(duration))
    except OverflowError:  # an int of more than 308 digits
        return _finite(math.inf)


def _read(text: str) -> float:
    compact = text.replace(" ", "")
    if _NUMBER.fullmatch(compact):
        return _finite(float(compact))
    if not _TEXT.fullmatch(compact):
        raise UsageError(f"{text!r} is no duration: write 10m, 1.5s, 250ms or 1h30m")
    return _finite(sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(compact)))


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise UsageError("a duration is a finite number of seconds")
    return number
