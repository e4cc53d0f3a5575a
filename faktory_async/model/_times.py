"""Times as other programs write them."""

from datetime import UTC, datetime
from typing import Any


def read_time(text: Any) -> datetime | None:
    """Return the moment that a text names, in UTC and cut to microseconds; None if it is none."""
    if type(text) is not str:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is UTC:
            return moment
        return None if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
