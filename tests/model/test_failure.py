"""`Failure`: every attribute optional, and only what can be sent again."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from faktory_async.errors import InvalidJobError
from faktory_async.model import Failure

MOMENT = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_every_attribute_is_optional() -> None:
    failure = Failure()
    assert failure.retry_count is None
    assert failure.remaining is None
    assert failure.failed_at is None
    assert failure.next_at is None
    assert failure.message is None
    assert failure.errtype is None
    assert failure.backtrace is None


def test_it_is_read_only() -> None:
    failure: Any = Failure(message="boom")
    with pytest.raises(AttributeError):
        failure.message = "other"


def test_times_are_kept_in_utc() -> None:
    zone = timezone(timedelta(hours=2))
    failure = Failure(failed_at=MOMENT.astimezone(zone), next_at=MOMENT.astimezone(zone))
    assert failure == Failure(failed_at=MOMENT, next_at=MOMENT)
    assert failure.failed_at is not None
    assert failure.failed_at.tzinfo is UTC


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"retry_count": True}, "failure.retry_count"),
        ({"remaining": 1.0}, "failure.remaining"),
        ({"failed_at": "2026"}, "failure.failed_at"),
        ({"next_at": datetime(2026, 1, 1)}, "failure.next_at"),  # noqa: DTZ001 - the mistake itself
        ({"message": 5}, "failure.message"),
        ({"message": "\ud800"}, "failure.message"),
        ({"errtype": b"x"}, "failure.errtype"),
        ({"backtrace": ["a"]}, "failure.backtrace"),
        ({"backtrace": ("a", None)}, "failure.backtrace[1]"),
    ],
)
def test_what_could_not_be_sent_again_is_refused(values: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidJobError) as caught:
        Failure(**values)
    assert caught.value.path == path
