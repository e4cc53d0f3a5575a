"""Durations as people write them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faktory_async.errors import UsageError
from faktory_async.model import seconds


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        (0, 0.0),
        (1.5, 1.5),
        ("45", 45.0),
        ("0.5", 0.5),
        ("250ms", 0.25),
        ("1.5s", 1.5),
        ("10m", 600.0),
        ("2h", 7_200.0),
        ("1d", 86_400.0),
        ("1h30m", 5_400.0),
        ("1h 30m", 5_400.0),
        ("1m30s500ms", 90.5),
        (timedelta(minutes=2), 120.0),
        (-3, -3.0),
    ],
)
def test_a_duration_is_read(duration: float | str | timedelta, expected: float) -> None:
    assert seconds(duration) == expected


@pytest.mark.parametrize(
    "text", ["", "s", "10 x", "-1s", "1e3", "1h-30m", "ten", "1.s", ".5s", "\u0661s"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no duration: write 10m"):
        seconds(text)


@pytest.mark.parametrize("value", [True, None, [1], b"1s"])
def test_other_types_are_refused(value: object) -> None:
    with pytest.raises(UsageError, match=f"not {type(value).__name__}"):
        seconds(value)  # type: ignore[arg-type]  # programs without types


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 10**400])
def test_a_duration_is_finite(value: float) -> None:
    with pytest.raises(UsageError, match="finite"):
        seconds(value)


@given(value=st.floats(0, 1e12))
def test_a_number_is_seconds_as_text_too(value: float) -> None:
    assert seconds(f"{value:f}s") == pytest.approx(value, abs=1e-6)
