"""When a timetable is due, whatever is done to clocks. Pure.

cronsim alone is asked what the times of a timetable are, as a clock on the wall shows them. Which
moments these are is said here, of each time by itself, so that it cannot depend on when one asks.
"""

import importlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from heapq import merge
from itertools import groupby
from typing import Any, Final

from faktory_async.errors import UsageError

_DAY: Final = timedelta(days=1)  # no zone has set its clocks by more, nor twice in three days
_SECOND: Final = timedelta(seconds=1)
_HOURS: Final = 24
_NEEDS: Final = 'cron jobs need cronsim: pip install "faktory-async[cron]"'


def cronsim() -> Any:
    """Return the module.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return importlib.import_module("cronsim")
    except ImportError as error:
        raise UsageError(_NEEDS) from error


def ticks(expression: str, tz: tzinfo, moment: datetime) -> Iterator[datetime]:
    """Yield, in UTC and in order, every moment after another one at which a timetable is due.

    What runs in every hour of the day, or has a `*` for its minutes, is due whenever a clock shows
    one of its times, in both of two equal hours; where clocks are set forward, it is due as if they
    were set later. Anything else is due the first time that a clock shows one of its times, and
    when clocks are set forward past some of them, once.

    Args:
        expression: Five fields, or six with seconds in front, as cronsim reads them.
        tz: The zone of the clock.
        moment: An aware one.

    Raises:
        CronSimError: it is no timetable.
        UsageError: cronsim is not installed.
    """
    start = moment.astimezone(UTC)
    often = _is_frequent(expression)
    return _throughout(expression, tz, start) if often else _once(expression, tz, start)


def _is_frequent(expression: str) -> bool:
    # What cron means by "every hour or oftener", and hours that are counted up, too.
    read = cronsim().CronSim(expression, datetime(2000, 1, 1))  # noqa: DTZ001 - a clock on the wall
    return read.parts[1].startswith("*") or len(read.hours) == _HOURS


# -- each time once ---------------------------------------------------------------------------


def _once(expression: str, tz: tzinfo, start: datetime) -> Iterator[datetime]:
    last = start
    for wall in _walls(expression, start + _offset(start, tz)):
        tick = _first(wall, tz)
        # Past are the first of two equal hours; equal are all times that were left out.
        if tick > last:
            last = tick
            yield tick


def _first(wall: datetime, tz: tzinfo) -> datetime:
    """Return when a clock shows a time first, or is set past it."""
    before, after = _offset(wall - _DAY, tz), _offset(wall + _DAY, tz)
    for offset in (max(before, after), min(before, after)):
        if _offset(wall - offset, tz) == offset:
            return wall - offset
    return _change(wall - after, wall - before, tz)


def _change(early: datetime, late: datetime, tz: tzinfo) -> datetime:
    """Return the second after which clocks are set, between two moments."""
    offset = _offset(early, tz)
    while late - early > _SECOND:
        middle = early + (late - early) // _SECOND // 2 * _SECOND
        if _offset(middle, tz) == offset:
            early = middle
        else:
            late = middle
    return late


# -- whenever a clock shows it ----------------------------------------------------------------


def _throughout(expression: str, tz: tzinfo, start: datetime) -> Iterator[datetime]:
    while True:
        end = start.replace(hour=0, minute=0, second=0, microsecond=0) + _DAY
        # Those of the day, and that of a clock that was set forward up to a day before it.
        offsets = {_offset(end - number * _DAY, tz) for number in range(3)}
        found = [_walls(expression, start + offset) for offset in offsets]
        soonest = min(filter(None, (next(walls, None) for walls in found)), default=None)
        if soonest is None:
            return
        if soonest - start > 5 * _DAY:  # most of a year, perhaps: without a look at each day
            start = soonest - 3 * _DAY
            continue
        runs = [_run(expression, offset, tz, start, end) for offset in offsets]
        yield from (tick for tick, _ in groupby(merge(*runs)))
        start = end


def _run(
    expression: str, offset: timedelta, tz: tzinfo, start: datetime, end: datetime
) -> Iterator[datetime]:
    """Yield what a clock shows, after `start` until `end`, whenever it has this offset."""
    for wall in _walls(expression, start + offset):
        tick = wall - offset
        if tick > end:
            return
        if _counts(offset, tick, tz):
            yield tick


def _counts(offset: timedelta, moment: datetime, tz: tzinfo) -> bool:
    """Whether clocks have this offset, or were set forward from it by more than passed since."""
    shown = _offset(moment, tz)
    return offset == shown or (offset < shown and _offset(moment - (shown - offset), tz) == offset)


# -- clocks -----------------------------------------------------------------------------------


def _walls(expression: str, start: datetime) -> Iterator[datetime]:
    """Yield the times of a timetable after another one; in UTC, as which clocks are never set."""
    walls: Iterator[datetime] = cronsim().CronSim(expression, start)
    return walls


def _offset(moment: datetime, tz: tzinfo) -> timedelta:
    return moment.astimezone(tz).utcoffset() or timedelta()
