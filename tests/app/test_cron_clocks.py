"""Timetables where clocks are set: in any zone and year, whenever one asks."""

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice, pairwise
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from faktory_async.app._cron import Cron

ZONES: Final = (
    "Africa/Casablanca",  # an hour back for Ramadan
    "America/New_York",
    "America/Sao_Paulo",  # at midnight, until 2019
    "Antarctica/Troll",  # by two hours
    "Asia/Kathmandu",
    "Australia/Lord_Howe",  # by half an hour
    "Europe/London",
    "Pacific/Apia",  # left out the whole of 30 December 2011
    "UTC",
)
YEARS: Final = st.sampled_from((2010, 2011, 2018, 2024, 2027, 2031))
MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
LORD_HOWE: Final = ZoneInfo("Australia/Lord_Howe")

hourly = st.sampled_from(
    ("* * * * *", "*/20 * * * *", "0 * * * *", "45 * * * *", "0,50 0-23 * * *", "0 0-23 * * *")
)
daily = st.sampled_from(
    (
        "30 2 * * *",
        "0 0 * * *",
        "15,45 1 * * *",
        "0 */2 * * *",
        "0 3 * * 5",
        "59 23 * * *",
        "10 1-3 * * *",
        "0 30 2 * * *",
    )
)
some_minutes = st.sampled_from(("* 2 * * *", "*/15 1,2 * * *", "*/7 0 * * 5", "* 23 30 * *"))


@cache
def changes(name: str, year: int) -> list[datetime]:
    """Return the hours in which the clocks of a zone are set, any other where they never are."""
    zone = ZoneInfo(name)
    hours = [datetime(year, 1, 1, tzinfo=UTC) + number * HOUR for number in range(366 * 24)]
    offsets = [hour.astimezone(zone).utcoffset() for hour in hours]
    found = [hours[i] for i in range(len(hours) - 1) if offsets[i] != offsets[i + 1]]
    return found or [hours[4_000]]


@st.composite
def near_changes(draw: st.DrawFn) -> tuple[ZoneInfo, datetime]:
    name = draw(st.sampled_from(ZONES))
    change = draw(st.sampled_from(changes(name, draw(YEARS))))
    away = draw(st.integers(-30 * 60, 30 * 60))
    seconds = draw(st.sampled_from((0.0, 0.0, 1.0, 59.999999)))
    return ZoneInfo(name), change + timedelta(minutes=away, seconds=seconds)


def following(cron: Cron, moment: datetime) -> datetime:
    return next(cron.after(moment))


def local(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)


def walls(cron: Cron, start: datetime, minutes: int) -> list[datetime]:
    """Return the moments of minutes that a clock on the wall shows a time of the timetable."""
    naive = Cron(cron.expression, UTC, ())
    every = [start + number * MINUTE for number in range(1, minutes + 1)]
    shown = [(each, local(each, ZoneInfo(str(cron.tz))).replace(tzinfo=UTC)) for each in every]
    return [each for each, wall in shown if following(naive, wall - MINUTE) == wall]


@settings(max_examples=200, deadline=None)
@given(hourly | daily | some_minutes, near_changes(), st.integers(0, 999))
@example("* 2 * * *", (LORD_HOWE, datetime(2027, 4, 3, 12, tzinfo=UTC)), 880)
def test_the_next_tick_depends_on_nothing_but_the_moment(
    expression: str, near: tuple[ZoneInfo, datetime], share: int
) -> None:
    zone, moment = near
    cron = Cron(expression, zone, ())
    found = list(islice(cron.after(moment), 12))
    assert moment < found[0]
    assert all(one < other for one, other in pairwise(found))
    for one, other in pairwise([moment, *found]):
        assert following(cron, one) == other
        assert other == following(cron, one + (other - one) // 1_000 * share)
    assert following(cron, found[0] - timedelta(microseconds=1)) == found[0]


@settings(max_examples=60, deadline=None)
@given(hourly, near_changes())
def test_what_runs_every_hour_leaves_out_no_time_that_a_clock_shows(
    expression: str, near: tuple[ZoneInfo, datetime]
) -> None:
    zone, moment = near
    moment = moment.replace(second=0, microsecond=0)
    cron = Cron(expression, zone, ())
    shown = walls(cron, moment, 300)
    found = set(islice(cron.after(moment), 310))
    assert set(shown) <= found


@settings(max_examples=100, deadline=None)
@given(daily, near_changes())
def test_what_runs_more_seldom_ticks_once_at_each_time_of_a_clock(
    expression: str, near: tuple[ZoneInfo, datetime]
) -> None:
    zone, moment = near
    cron = Cron(expression, zone, ())
    found = [local(at, zone) for at in islice(cron.after(moment), 12)]
    assert len(set(found)) == 12


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# In Lord Howe the clocks of 2 October 2027 go from 02:00 to 02:30 at 15:30 UTC, and on 4 April from
# 02:00 to 01:30 at 15:00 UTC of the third.
@pytest.mark.parametrize(
    ("expression", "zone", "start", "expected"),
    [
        ("0 0-23 * * *", "Europe/Paris", "2027-10-30T23:00", ["00:00", "01:00", "02:00"]),
        ("0 * * * *", "Europe/Paris", "2027-10-30T23:00", ["00:00", "01:00", "02:00"]),
        ("0 */2 * * *", "Europe/Paris", "2027-10-30T23:00", ["00:00", "03:00", "05:00"]),
        ("*/30 2 * * *", "Europe/Paris", "2027-10-30T23:00", ["00:00", "00:30", "01:00", "01:30"]),
        ("*/30 2 * * *", "Europe/Paris", "2027-03-28T00:00", ["01:00", "01:30"]),
        ("0,30 2 * * *", "Europe/Paris", "2027-03-28T00:00", ["01:00"]),
        ("0 30 2 * * *", "Europe/Paris", "2027-03-28T00:00", ["01:00"]),
        ("0 30 2 * * *", "Europe/Paris", "2027-10-30T23:00", ["00:30"]),
        ("45 * * * *", "Australia/Lord_Howe", "2027-04-03T14:30", ["14:45", "15:15", "16:15"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2027-04-03T14:30", ["14:45"]),
        ("0 * * * *", "Australia/Lord_Howe", "2027-10-02T14:00", ["14:30", "15:30", "16:00"]),
        ("0 2 * * *", "Australia/Lord_Howe", "2027-10-02T14:00", ["15:30"]),
        ("0 0 * * *", "America/Sao_Paulo", "2018-11-04T02:00", ["03:00"]),
        ("0 3 * * 5", "Pacific/Apia", "2011-12-30T09:00", ["10:00"]),
    ],
)
def test_a_change_of_clocks_is_as_the_docs_say(
    expression: str, zone: str, start: str, expected: list[str]
) -> None:
    cron = Cron(expression, ZoneInfo(zone), ())
    end = at(start) + timedelta(hours=6)
    found = [each for each in islice(cron.after(at(start)), 20) if each <= end]
    assert [each.strftime("%H:%M") for each in found][: len(expected)] == expected


def test_what_runs_through_the_hours_of_a_rare_day_is_found_years_ahead() -> None:
    cron = Cron("0 * 29 2 *", ZoneInfo("Europe/Paris"), ())
    assert following(cron, at("2024-02-29T22:30")) == at("2028-02-28T23:00")
    assert (
        list(Cron("* * */31 * MON#5", ZoneInfo("Europe/Paris"), ()).after(at("2024-01-01"))) == []
    )
