"""Times as other programs write them: read where that is possible, else None."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faktory_async.model._times import read_time


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-23T22:50:01Z", datetime(2026, 11, 23, 22, 50, 1, tzinfo=UTC)),
        ("2026-11-23T22:50:01.5Z", datetime(2026, 11, 23, 22, 50, 1, 500_000, tzinfo=UTC)),
        ("2026-11-23T22:50:01.999999999Z", datetime(2026, 11, 23, 22, 50, 1, 999_999, tzinfo=UTC)),
        ("2026-11-23T22:50:01.0000001Z", datetime(2026, 11, 23, 22, 50, 1, tzinfo=UTC)),
        ("2026-11-24T00:50:01+02:00", datetime(2026, 11, 23, 22, 50, 1, tzinfo=UTC)),
        ("2026-11-23T22:50:01,25Z", datetime(2026, 11, 23, 22, 50, 1, 250_000, tzinfo=UTC)),
    ],
)
def test_a_time_is_in_utc_and_cut_not_rounded(text: str, moment: datetime) -> None:
    assert read_time(text) == moment
    assert getattr(read_time(text), "tzinfo", None) is UTC


@pytest.mark.parametrize(
    "value",
    [
        None,
        5,
        b"2026-11-23T22:50:01Z",
        "",
        "junk",
        "2026-11-23T22:50:01",
        "2026-02-30T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
    ],
)
def test_anything_else_is_none(value: Any) -> None:
    assert read_time(value) is None


@given(st.text() | st.datetimes(timezones=st.timezones()).map(str))
def test_every_text_is_a_moment_in_utc_or_none(text: str) -> None:
    moment = read_time(text)
    assert moment is None or moment.tzinfo is UTC
