"""One line of a timetable. Pure."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from faktory_async.app._options import UsingOptions
from faktory_async.app._ticks import cronsim, ticks
from faktory_async.errors import UsageError

# What would differ from one process to the next, or from one tick to the next.
_OF_THE_TICK: Final = frozenset({"delay", "at", "jid", "expires_in", "expires_at"})
_SUCH_AS: Final = '"*/5 * * * *"'


class Cron(Struct, frozen=True):
    """One line of a timetable.

    Attributes:
        expression: Five fields, or six with seconds in front, as cronsim reads them.
        tz: The time zone that it is meant in.
        args: What the job is called with.
        used: What `using` was given for it, in order.
    """

    expression: str
    tz: tzinfo
    args: tuple[Any, ...]
    used: tuple[UsingOptions, ...] = ()

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Yield, in UTC, every time that it is due after a moment; see `ticks`."""
        return ticks(self.expression, self.tz, moment)


def cron_of(expression: str, tz: str | tzinfo, args: Sequence[Any]) -> Cron:
    """Return a line of a timetable.

    Raises:
        UsageError: for what is none, for a time zone that is not known, for arguments that are no
            sequence, or without cronsim.
    """
    if callable(expression):
        raise UsageError('write when it is due: @app.cron("0 3 * * *") above the function')
    if not isinstance(expression, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # programs without types
        raise UsageError(f"{expression!r} is no timetable: it is a text, such as {_SUCH_AS}")
    cron = Cron(expression, _zone_of(tz), _args_of(args))
    try:
        due = next(cron.after(datetime(2024, 1, 1, tzinfo=UTC)), None)
    except (cronsim().CronSimError, ValueError) as error:  # of a number of thousands of digits
        raise UsageError(
            f"{expression!r} is no timetable ({error}): write minute, hour, day, month and "
            f"weekday, such as {_SUCH_AS}"
        ) from error
    if due is None:
        raise UsageError(f"{expression!r} is never due")
    return cron


def _zone_of(tz: str | tzinfo) -> tzinfo:
    try:
        zone = ZoneInfo(tz) if isinstance(tz, str) else tz
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(f"{tz!r} is no time zone: write Europe/Paris") from error
    if not isinstance(zone, tzinfo):  # pyright: ignore[reportUnnecessaryIsInstance]  # programs without types
        raise UsageError(f"{tz!r} is no time zone: write Europe/Paris")
    return zone


def with_options(cron: Cron, used: tuple[UsingOptions, ...]) -> Cron:
    """Return it with options of its own beside those of its job.

    Raises:
        UsageError: they say when the job runs, or when it ends, or what its id is.
    """
    for options in used:
        if wrong := sorted(options.keys() & _OF_THE_TICK):
            raise UsageError(f"a timetable says when its jobs run: using({wrong[0]}=…) cannot")
    return replace(cron, used=used)


def _args_of(args: Sequence[Any]) -> tuple[Any, ...]:
    if isinstance(args, str):  # "full" would be four arguments
        raise UsageError(f"args are a tuple: write args=({msgspec.json.encode(args).decode()},)")
    if isinstance(args, bytes | int | float):
        raise UsageError(f"args are a tuple: write args=({args!r},)")
    if not isinstance(args, Sequence):  # pyright: ignore[reportUnnecessaryIsInstance]  # programs without types
        raise UsageError(f"args are a tuple or a list, not {args!r}")
    return tuple(map(_settled, args))


def _settled(value: Any) -> Any:
    """Return a copy that nobody changes, with the sets in it in the same order in each process."""
    if _is(value, set, frozenset):
        return sorted(map(_settled, value), key=repr)
    if _is(value, list, tuple):
        return type(value)(map(_settled, value))
    return {key: _settled(value[key]) for key in value} if _is(value, dict) else value


def _is(value: object, *kinds: type) -> bool:
    return type(value) in kinds
