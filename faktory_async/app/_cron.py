"""One line of a timetable. Pure."""

import importlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

from faktory_async.errors import UsageError

_NEEDS: Final = 'cron jobs need cronsim: pip install "faktory-async[cron]"'


class Cron(Struct, frozen=True):
    """One line of a timetable.

    Attributes:
        expression: Five fields, or six with seconds in front, as cronsim reads them.
        tz: The time zone that it is meant in.
        args: What the job is called with.
    """

    expression: str
    tz: tzinfo
    args: tuple[Any, ...]

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Yield, in UTC, every time that it is due after a moment.

        What daylight saving time does to a timetable is what Debian's cron does: a job for an hour
        that is left out runs once when the clock has been set, one for an hour that comes twice
        runs once, and what runs every hour or oftener does so through both.
        """
        for tick in _cronsim().CronSim(self.expression, moment.astimezone(self.tz)):
            # Asked in the second of two equal hours, cronsim names the first one again.
            if tick > moment:
                yield tick.astimezone(UTC)


def cron_of(expression: str, tz: str | tzinfo, args: Sequence[Any]) -> Cron:
    """Return a line of a timetable.

    Raises:
        UsageError: for what is none, for a time zone that is not known, or without cronsim.
    """
    try:
        zone = ZoneInfo(tz) if isinstance(tz, str) else tz
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(f"{tz!r} is no time zone: write Europe/Paris") from error
    cron = Cron(expression, zone, tuple(args))
    try:
        next(cron.after(datetime(2024, 1, 1, tzinfo=UTC)), None)
    except _cronsim().CronSimError as error:
        raise UsageError(
            f"{expression!r} is no timetable ({error}): write minute, hour, day, month and "
            'weekday, such as "*/5 * * * *"'
        ) from error
    return cron


def _cronsim() -> Any:
    try:
        return importlib.import_module("cronsim")
    except ImportError as error:
        raise UsageError(_NEEDS) from error
