"""Timestamps as Go writes and reads them; the texts were taken from Go 1.26."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faktory_async.server._gotime import (
    LAYOUT,
    NANOSECONDS,
    TimestampError,
    format_time,
    parse_time,
)

WRITTEN = [
    (0, "1970-01-01T00:00:00Z"),
    (1, "1970-01-01T00:00:00.000000001Z"),
    (1_795_471_200_500_000_000, "2026-11-23T22:00:00.5Z"),
    (1_795_471_200_974_302_700, "2026-11-23T22:00:00.9743027Z"),
    (-1, "1969-12-31T23:59:59.999999999Z"),
]

READ = [
    ("1970-01-01T00:00:00Z", 0),
    ("1970-01-01T00:00:00,5Z", 500_000_000),
    ("1970-01-01T00:00:00.1234567890123Z", 123_456_789),
    ("1970-01-01T0:00:00Z", 0),
    ("1970-01-01T02:00:00+02:00", 0),
    ("1969-12-31T23:30:00-00:30", 0),
    ("1970-01-02T00:00:00+24:00", 0),
    ("1970-01-01T01:00:00+00:60", 0),
    ("2000-02-29T00:00:00Z", 951_782_400 * NANOSECONDS),
    ("0000-01-01T00:00:00Z", -62_167_219_200 * NANOSECONDS),
    ("0000-02-29T00:00:00Z", -62_162_121_600 * NANOSECONDS),
    ("9999-12-31T23:59:59.999999999Z", 253_402_300_799_999_999_999),
]


def mismatch(text: str, rest: str, element: str) -> tuple[str, str]:
    return text, f'parsing time "{text}" as "{LAYOUT}": cannot parse "{rest}" as "{element}"'


def out_of_range(text: str, what: str) -> tuple[str, str]:
    return text, f'parsing time "{text}": {what} out of range'


REFUSED = [
    mismatch("", "", "2006"),
    mismatch("garbage", "garbage", "2006"),
    mismatch("209", "209", "2006"),
    mismatch("209a-01-01T00:00:00Z", "209a-01-01T00:00:00Z", "2006"),
    mismatch("2099", "", "-"),
    mismatch("2099-1-01T00:00:00Z", "1-01T00:00:00Z", "01"),
    mismatch("2099-01-1T00:00:00Z", "1T00:00:00Z", "02"),
    mismatch("2099-01-01", "", "T"),
    mismatch("2099-01-01 00:00:00Z", " 00:00:00Z", "T"),
    mismatch("2099-01-01t00:00:00Z", "t00:00:00Z", "T"),
    mismatch("2099-01-01Tx", "x", "15"),
    mismatch("2099-01-01T00:0:00Z", "0:00Z", "04"),
    mismatch("2099-01-01T00:00Z", "Z", ":"),
    mismatch("2099-01-01T00:00:00", "", "Z07:00"),
    mismatch("2099-01-01T00:00:00z", "z", "Z07:00"),
    mismatch("2099-01-01T00:00:00.Z", ".Z", "Z07:00"),
    mismatch("2099-01-01T00:00:00+0200", "+0200", "Z07:00"),
    mismatch("2099-01-01T00:00:00+02:0", "+02:0", "Z07:00"),
    mismatch("2099-01-01T00:00:00x02:00", "x02:00", "Z07:00"),
    mismatch("2099-01-01T00:00:00+0a:00", "+0a:00", "Z07:00"),
    mismatch(" 2099-01-01T00:00:00Z", " 2099-01-01T00:00:00Z", "2006"),
    out_of_range("2099-13-01T00:00:00Z", "month"),
    out_of_range("2099-00-01T00:00:00Z", "month"),
    out_of_range("2099-02-29T00:00:00Z", "day"),
    out_of_range("2099-01-00T00:00:00Z", "day"),
    out_of_range("2099-01-32T00:00:00Z", "day"),
    out_of_range("2099-01-01T24:00:00Z", "hour"),
    out_of_range("2099-01-01T00:60:00Z", "minute"),
    out_of_range("2099-01-01T00:00:60Z", "second"),
    out_of_range("2099-01-01T00:00:00+25:00", "time zone offset hour"),
    out_of_range("2099-01-01T00:00:00+25:61", "time zone offset minute"),
    out_of_range("2099-01-01T00:00:00+72:T0", "time zone offset hour"),
    (
        "2099-01-01T00:00:00Zé",
        r'parsing time "2099-01-01T00:00:00Z\xc3\xa9": extra text: "\xc3\xa9"',
    ),
    (
        '"\\\n',
        f'parsing time "\\"\\\\\\x0a" as "{LAYOUT}": cannot parse "\\"\\\\\\x0a" as "2006"',
    ),
]


@pytest.mark.parametrize(("moment", "text"), WRITTEN)
def test_writes_utc_without_trailing_zeros(moment: int, text: str) -> None:
    assert format_time(moment) == text


@pytest.mark.parametrize(("text", "moment"), READ)
def test_reads_what_go_reads(text: str, moment: int) -> None:
    assert parse_time(text) == moment


@pytest.mark.parametrize(("text", "complaint"), REFUSED)
def test_refuses_the_rest_in_gos_words(text: str, complaint: str) -> None:
    with pytest.raises(TimestampError) as refused:
        parse_time(text)
    assert refused.value.text == complaint


@given(st.integers(0, 4_000_000_000 * NANOSECONDS))
def test_what_was_written_is_read(moment: int) -> None:
    assert parse_time(format_time(moment)) == moment


zones = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(timezones=zones))
def test_reads_what_python_writes(moment: datetime) -> None:
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    assert parse_time(moment.isoformat()) == since // timedelta(microseconds=1) * 1000
