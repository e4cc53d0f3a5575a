"""`Job.from_json`: as strict as `Job(...)`."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faktory_async.errors import InvalidJobError
from faktory_async.model import Failure, Job

PLAIN: dict[str, Any] = {"jobtype": "order", "jid": "12345678", "args": [1]}


def refused(document: Any) -> InvalidJobError:
    data = document if isinstance(document, bytes | str) else json.dumps(document)
    with pytest.raises(InvalidJobError) as caught:
        Job.from_json(data)
    return caught.value


def test_bytes_and_text_are_read() -> None:
    text = json.dumps(PLAIN)
    assert Job.from_json(text) == Job.from_json(text.encode())
    assert Job.from_json(text).args == [1]


def test_only_the_jobtype_is_required() -> None:
    job = Job.from_json(b'{"jobtype":"order"}')
    assert job.jobtype == "order"
    assert (job.args, job.queue, job.retry, job.priority) == ([], "default", 25, 5)
    assert (job.backtrace, job.custom) == (0, {})
    assert len(job.jid) == 24


def test_absent_or_null_is_none_where_none_is_a_value() -> None:
    nullable = ["created_at", "enqueued_at", "at", "reserve_for", "failure"]
    for document in (PLAIN, PLAIN | dict.fromkeys(nullable)):
        job = Job.from_json(json.dumps(document))
        assert [getattr(job, field) for field in nullable] == [None] * 5


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"nonsense",
        b"\xff",
        b'{"jobtype":"\xff"}',
        b"[" * 200000,
        '{"jobtype":"\ud800"}',
        b'{"jobtype":"a","args":[NaN]}',
        b'{"jobtype":"a","args":[1e400]}',
    ],
)
def test_what_is_no_json_is_refused(data: bytes | str) -> None:
    assert "not readable as JSON" in str(refused(data))


@pytest.mark.parametrize("data", [b"null", b"[]", b'"text"', b"5"])
def test_what_is_no_object_is_refused(data: bytes) -> None:
    assert "JSON object" in str(refused(data))


def test_a_missing_jobtype_is_named() -> None:
    assert refused({}).path == "jobtype"


def test_an_unknown_field_is_named() -> None:
    assert refused(PLAIN | {"Queue": "a"}).path == "Queue"
    assert refused(PLAIN | {"failure": {"why": "x"}}).path == "failure.why"


@pytest.mark.parametrize(
    ("field", "value", "path"),
    [
        ("jobtype", "", "jobtype"),
        ("jobtype", None, "jobtype"),
        ("jid", "short", "jid"),
        ("jid", None, "jid"),
        ("jid", "1234 5678", "jid"),
        ("queue", "a b", "queue"),
        ("args", None, "args"),
        ("args", {}, "args"),
        ("args", "text", "args"),
        ("args", [{"n": 2**53 + 1}], 'args[0]["n"]'),
        ("custom", None, "custom"),
        ("custom", {"n": [2**60]}, 'custom["n"][0]'),
        ("reserve_for", 59, "reserve_for"),
        ("reserve_for", 60.0, "reserve_for"),
        ("retry", None, "retry"),
        ("retry", -2, "retry"),
        ("retry", True, "retry"),
        ("priority", 10, "priority"),
        ("backtrace", -1, "backtrace"),
        ("failure", [], "failure"),
        ("failure", {"message": 5}, "failure.message"),
        ("failure", {"retry_count": "1"}, "failure.retry_count"),
        ("failure", {"failed_at": "never"}, "failure.failed_at"),
        ("failure", {"backtrace": "a"}, "failure.backtrace"),
        ("failure", {"backtrace": [1]}, "failure.backtrace[0]"),
    ],
)
def test_it_is_as_strict_as_the_constructor(field: str, value: Any, path: str) -> None:
    assert refused(PLAIN | {field: value}).path == path


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31T12:00:00.5Z", datetime(2026, 1, 31, 12, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-01-31T12:00:00.000001Z", datetime(2026, 1, 31, 12, 0, 0, 1, tzinfo=UTC)),
        ("2026-01-31T14:30:00+02:30", datetime(2026, 1, 31, 12, tzinfo=UTC)),
    ],
)
@pytest.mark.parametrize("field", ["created_at", "enqueued_at", "at"])
def test_times_are_rfc_3339(field: str, text: str, moment: datetime) -> None:
    assert getattr(Job.from_json(json.dumps(PLAIN | {field: text})), field) == moment


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-31T12:00:00",
        "2026-01-31T12:00:00.123456789Z",
        "2026-01-31 12:00:00Z",
        "2026-01-31",
        "2026-01-31T25:00:00Z",
        "2026-13-31T12:00:00Z",
        "20260131T120000Z",
        "2026-01-31T12:00:00z",
        "0001-01-01T00:00:00+01:00",
        "",
        "yesterday",
        5,
    ],
)
@pytest.mark.parametrize("field", ["created_at", "enqueued_at", "at"])
def test_any_other_time_is_refused(field: str, value: Any) -> None:
    assert refused(PLAIN | {field: value}).path == field


def test_a_failure_is_read() -> None:
    document = PLAIN | {
        "failure": {
            "retry_count": 2,
            "remaining": -1,
            "failed_at": "2026-01-31T12:00:00Z",
            "next_at": None,
            "message": "boom",
            "errtype": "ValueError",
            "backtrace": ["a", "b"],
        }
    }
    assert Job.from_json(json.dumps(document)).failure == Failure(
        retry_count=2,
        remaining=-1,
        failed_at=datetime(2026, 1, 31, 12, tzinfo=UTC),
        message="boom",
        errtype="ValueError",
        backtrace=("a", "b"),
    )


def test_a_failure_without_backtrace_is_read() -> None:
    job = Job.from_json(json.dumps(PLAIN | {"failure": {"backtrace": None}}))
    assert job.failure == Failure()


@given(st.binary() | st.text().map(str.encode))
def test_garbage_raises_nothing_but_an_invalid_job_error(data: bytes) -> None:
    with pytest.raises(InvalidJobError):
        Job.from_json(data)
