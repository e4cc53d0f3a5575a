"""`Envelope`: takes whatever a server may send, keeps the bytes, and makes a `Job` of it."""

import json
import math
import pickle
import re
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faktory_async.errors import InvalidJobError
from faktory_async.model import Envelope, Failure, Job

# Exactly what a FETCH brought, the second with a failure.
FETCHED = (
    b'{"retry":2,"jid":"J07d8f2959","queue":"lf","jobtype":"a",'
    b'"created_at":"2026-11-23T22:50:01.28961863Z","enqueued_at":"2026-11-23T22:50:01.29223053Z",'
    b'"args":[1]}'
)
FAILED = (
    b'{"retry":2,"failure":{"failed_at":"2026-11-23T22:50:01.329808166Z",'
    b'"next_at":"2026-11-23T22:50:18.32981048Z","message":"boom \\u003cx\\u003e",'
    b'"errtype":"ValueError","backtrace":["l1","l2"],"retry_count":0,"remaining":2},'
    b'"custom":{"locale":"fr"},"jid":"J07d8f2959","queue":"lf","jobtype":"a",'
    b'"created_at":"2026-11-23T22:50:01.28961863Z","at":"2026-11-24T00:50:00+02:00",'
    b'"args":[],"reserve_for":60,"backtrace":5}'
)
DEEP = b"[" * 200_000 + b"]" * 200_000


def fetched(**fields: Any) -> Job:
    return Envelope.decode(json.dumps({"jid": "12345678", **fields}).encode()).job()


def test_a_fetched_job() -> None:
    job = Envelope.decode(FETCHED).job()
    assert (job.jid, job.kind, job.queue, job.args) == ("J07d8f2959", "a", "lf", [1])
    assert job.created_at == datetime(2026, 11, 23, 22, 50, 1, 289618, tzinfo=UTC)
    assert job.enqueued_at == datetime(2026, 11, 23, 22, 50, 1, 292230, tzinfo=UTC)
    assert (job.at, job.retry, job.priority, job.backtrace) == (None, 2, 5, 0)
    assert (job.custom, job.failure) == ({}, None)


def test_a_fetched_job_that_failed_before() -> None:
    job = Envelope.decode(FAILED).job()
    assert (job.reserve_for, job.backtrace, job.custom) == (60, 5, {"locale": "fr"})
    assert job.failure == Failure(
        failed_at=datetime(2026, 11, 23, 22, 50, 1, 329808, tzinfo=UTC),
        next_at=datetime(2026, 11, 23, 22, 50, 18, 329810, tzinfo=UTC),
        message="boom <x>",
        errtype="ValueError",
        backtrace=("l1", "l2"),
        retry_count=0,
        remaining=2,
    )


def test_the_exact_bytes_are_kept() -> None:
    assert Envelope.decode(FAILED).raw is FAILED


def test_the_envelope_tells_fields_as_they_came() -> None:
    envelope = Envelope.decode(FAILED)
    assert (envelope.jid, envelope.jobtype, envelope.queue) == ("J07d8f2959", "a", "lf")
    assert envelope.created_at == "2026-11-23T22:50:01.28961863Z"
    assert envelope.enqueued_at is None
    assert envelope.at == "2026-11-24T00:50:00+02:00"
    assert isinstance(envelope.args, msgspec.Raw)
    assert bytes(envelope.args) == b"[]"
    assert envelope.problem == ""


def test_a_time_of_another_zone_becomes_utc() -> None:
    at = Envelope.decode(FAILED).job().at
    assert at is not None
    assert at == datetime(2026, 11, 23, 22, 50, tzinfo=UTC)
    assert at.tzinfo is UTC


def test_any_field_may_be_missing() -> None:
    envelope = Envelope.decode(b"{}")
    job = envelope.job()
    assert (envelope.jid, envelope.jobtype, envelope.queue) == ("", "", "default")
    assert (envelope.created_at, envelope.enqueued_at, envelope.at) == (None, None, None)
    assert (job.jid, job.kind, job.queue, job.args, job.custom) == ("", "", "default", [], {})
    assert (job.created_at, job.enqueued_at, job.at, job.failure) == (None, None, None, None)
    assert (job.retry, job.priority, job.backtrace) == (25, 5, 0)


def test_without_reserve_for_it_is_none_and_a_short_one_is_as_it_came() -> None:
    assert fetched().reserve_for is None
    assert fetched(reserve_for=1).reserve_for == 1


def test_null_counts_as_missing() -> None:
    fields = [name for name in Job.__struct_fields__ if name != "jid"]
    assert fetched(**dict.fromkeys(fields)) == fetched()


def test_null_custom_is_empty() -> None:
    assert fetched(custom=None).custom == {}


def test_fetched_jobs_share_nothing() -> None:
    envelope = Envelope.decode(b'{"jid":"12345678"}')
    first = envelope.job()
    first.args.append(1)
    first.custom["a"] = 1
    second = envelope.job()
    assert (second.args, second.custom) == ([], {})


@pytest.mark.parametrize("wrong", [None, "", True, 5.0, 10**20])
def test_one_wrong_field_changes_nothing_about_the_others(wrong: Any) -> None:
    fields: dict[str, Any] = json.loads(FAILED)
    usual = Envelope.decode(FAILED).job()
    for field in ("created_at", "priority"):
        data = json.dumps({**fields, field: wrong}).encode()
        envelope = Envelope.decode(data)
        assert envelope.raw is data
        assert msgspec.structs.asdict(envelope.job()) == {
            **msgspec.structs.asdict(usual),
            field: getattr(fetched(), field),
        }


@pytest.mark.parametrize("odd", [{"raw": "eA=="}, {"raw": 5}, {"problem": "y"}, {"": 1}])
def test_what_a_document_calls_like_the_envelopes_own_fields_is_ignored(odd: Any) -> None:
    data = json.dumps({"jid": "12345678", **odd}).encode()
    envelope = Envelope.decode(data)
    assert (envelope.raw, envelope.problem) == (data, "")
    assert envelope.job() == fetched()


@pytest.mark.parametrize("wrong", [True, 5.5, "text", [1], {"a": 1}, 10**20])
def test_a_wrong_type_counts_as_missing(wrong: Any) -> None:
    fields = ["jobtype", "queue", "created_at", "enqueued_at", "at", "reserve_for", "retry"]
    fields += ["priority", "backtrace", "custom", "failure"]
    texts = ["jobtype", "queue"]
    objects = ["custom", "failure"]
    for field in fields:
        right = field in texts if wrong == "text" else field in objects and wrong == {"a": 1}
        assert right or fetched(**{field: wrong}) == fetched(), field


@pytest.mark.parametrize("wrong", [True, 5, "text", {"a": 1}])
def test_args_of_a_wrong_type_are_an_error_since_a_handler_would_get_others(wrong: Any) -> None:
    with pytest.raises(InvalidJobError) as caught:
        fetched(args=wrong)
    assert caught.value.path == "args"


@pytest.mark.parametrize("wrong", [True, 5.5, [1], {"a": 1}])
def test_what_a_failure_has_of_a_wrong_type_is_none(wrong: Any) -> None:
    fields = ["retry_count", "remaining", "failed_at", "next_at", "message", "errtype"]
    for field in fields:
        assert fetched(failure={field: wrong}).failure == Failure()


def test_lines_of_a_backtrace_that_are_no_text_are_empty() -> None:
    failure = fetched(failure={"backtrace": ["a", None, 5]}).failure
    assert failure == Failure(backtrace=("a", "", ""))


def test_unknown_fields_are_ignored() -> None:
    failure = {"message": "boom", "why": 1}
    assert fetched(raw="x", problem="y", new=[1], failure=failure).failure == Failure(
        message="boom"
    )


def test_any_retry_is_taken() -> None:
    assert fetched(retry=-1).retry == -1
    assert fetched(retry=-7).retry == -7
    assert fetched(retry=0).retry == 0


@pytest.mark.parametrize(
    "text", ["junk", "", "2026-13-01T00:00:00Z", "2026-01-01", "2026-01-01T00"]
)
@pytest.mark.parametrize("field", ["created_at", "enqueued_at", "at"])
def test_an_unreadable_time_is_none(field: str, text: str) -> None:
    assert getattr(fetched(**{field: text}), field) is None


@pytest.mark.parametrize(
    ("sent", "got"),
    [
        ("9007199254740992", 2**53),
        ("-9007199254740992", -(2**53)),
        ("9007199254740993", 2.0**53),
        ("-9007199254740994", -(2.0**53) - 2),
        ("18446744073709551616", 2.0**64),
        ("100000000000000000000", 1e20),
        ("1e+21", 1e21),
        ("-0", 0),
    ],
)
def test_integers_beyond_2_to_the_53_are_floats_everywhere(sent: str, got: float) -> None:
    data = f'{{"args":[{sent},[{sent}],{{"k":{sent}}}],"custom":{{"k":[{{"k":{sent}}}]}}}}'
    job = Envelope.decode(data.encode()).job()
    expected = [got, [got], {"k": got}]
    assert repr(job.args) == repr(expected)
    assert repr(job.custom) == repr({"k": [{"k": got}]})


def test_an_integer_that_no_float_can_hold_is_undecodable() -> None:
    envelope = Envelope.decode(b'{"jid":"12345678","args":[' + b"9" * 400 + b"]}")
    assert envelope.jid == "12345678"
    with pytest.raises(InvalidJobError):
        envelope.job()


# -- undecodable ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b'{"jid":"12345678","args":' + DEEP + b"}",
        b'{"args":' + DEEP + b',"jid":"12345678"}',
        b'{"custom":{"jid":"wrong","k":' + DEEP + b'},"jid":"12345678","args":[]}',
        b'{"jid":"12345678","args":[1,}',
        b'{"args":["\\"jid\\":\\"wrong\\"",{"jid":"wrong"}],"jid":"12345678",oops',
        b' {"retry" : 25 , "jid" : "1234\\u0035678" , "args": [nonsense]}',
        b'{"jid":"12345678","args":["\xff"]}',
        b'{"jid":"12345678","args":["\\ud800"]}',
        b'{"jid":"12345678","args":[1e400]}',
        b'{"jid":"12345678","custom":{"a":1e400}}',
        b'{"jid":"12345678","failure":{"message":"\xff"}}',
        b'{"jid":"12345678","args":[]} trailing',
    ],
    ids=range(12),
)
def test_a_job_that_cannot_be_decoded_still_tells_its_jid(data: bytes) -> None:
    envelope = Envelope.decode(data)
    assert envelope.jid == "12345678"
    assert envelope.raw is data
    with pytest.raises(InvalidJobError, match="decoded"):
        envelope.job()


def test_the_fields_of_a_job_that_cannot_be_decoded_are_empty() -> None:
    envelope = Envelope.decode(b'{"jid":"12345678","jobtype":"a",')
    assert (envelope.jobtype, envelope.queue, bytes(envelope.args)) == ("", "default", b"[]")
    assert envelope.problem


@pytest.mark.parametrize(
    "data", [b"", b"{", b"null", b"[]", b'"jid"', b"5", b"\xff", b'["jid","12345678"', DEEP]
)
def test_bytes_without_a_jid_that_are_no_job_are_an_error_at_once(data: bytes) -> None:
    with pytest.raises(InvalidJobError, match="cannot be decoded"):
        Envelope.decode(data)


@given(st.binary())
def test_garbage_raises_nothing_but_an_invalid_job_error(data: bytes) -> None:
    try:
        Envelope.decode(data).job()
    except InvalidJobError:
        return
    assert isinstance(json.loads(data), dict)


@given(st.binary(max_size=20), st.integers(0, len(FAILED)), st.integers(0, 20))
def test_a_damaged_job_raises_nothing_but_an_invalid_job_error(
    noise: bytes, start: int, length: int
) -> None:
    data = FAILED[:start] + noise + FAILED[start + length :]
    try:
        envelope = Envelope.decode(data)
        job = envelope.job()
    except InvalidJobError:
        return
    assert job.jid == envelope.jid


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*Job.__struct_fields__, "other"]), json_values))
def test_any_object_makes_a_job_unless_its_args_are_no_array(document: dict[str, Any]) -> None:
    data = json.dumps(document).encode()
    if not isinstance(document.get("args"), list | None):
        with pytest.raises(InvalidJobError):
            Envelope.decode(data).job()
        return
    job = Envelope.decode(data).job()
    assert type(job.args) is list
    assert type(job.custom) is dict
    assert type(job.jid) is type(job.jobtype) is type(job.queue) is str
    assert type(job.retry) is type(job.priority) is type(job.backtrace) is int


# -- what was sent comes back -----------------------------------------------------------------

leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
values: st.SearchStrategy[Any] = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=8,
)
moments = st.none() | st.datetimes(timezones=st.just(UTC))
jobs = st.builds(
    Job,
    st.text(min_size=1, max_size=10),
    st.lists(values, max_size=4),
    jid=st.from_regex(r"[A-Za-z0-9_.-]{8,30}", fullmatch=True),
    queue=st.from_regex(r"[A-Za-z0-9_.-]{1,20}", fullmatch=True),
    created_at=moments,
    enqueued_at=moments,
    at=moments,
    reserve_for=st.none() | st.integers(60, 86_400),
    retry=st.integers(-1, 2**53),
    priority=st.integers(1, 9),
    backtrace=st.integers(0, 2**53),
    custom=st.dictionaries(st.text(max_size=5), values, max_size=3),
)


@given(jobs)
def test_encoded_and_fetched_a_job_is_the_same(job: Job) -> None:
    back = Envelope.decode(job.to_json()).job()
    assert back == job
    assert repr(back.args) == repr(job.args)
    assert repr(back.custom) == repr(job.custom)


@given(jobs)
def test_encoded_and_read_strictly_a_job_is_the_same(job: Job) -> None:
    assert Job.from_json(job.to_json()) == job


@given(jobs)
def test_the_bytes_are_one_line_of_compact_json(job: Job) -> None:
    data = job.to_json()
    assert b"\n" not in data
    assert b"\r" not in data
    outside_of_texts = re.sub(rb'"(?:[^"\\]|\\.)*"', b'""', data)
    assert b" " not in outside_of_texts


# -- a fetched job in the hands of a program --------------------------------------------------


def test_a_fetched_job_is_pickled_though_the_constructor_would_refuse_it() -> None:
    job = fetched(reserve_for=1, retry=-7, jobtype="")
    assert pickle.loads(pickle.dumps(job)) == job  # noqa: S301 - our own bytes


def test_a_fetched_job_can_be_moved_and_encoded_with_what_others_put_there() -> None:
    job = fetched(reserve_for=1, retry=-7, jobtype="a", failure={"message": "boom"})
    document = json.loads(job.on_queue("slow").to_json())
    assert document == {
        "jid": "12345678",
        "jobtype": "a",
        "queue": "slow",
        "args": [],
        "retry": -7,
        "reserve_for": 1,
        "failure": {"message": "boom"},
    }


@pytest.mark.parametrize("jid", ["", "short", "1234 5678", "1234\n5678"])
def test_a_fetched_job_whose_jid_we_do_not_send_is_not_encoded(jid: str) -> None:
    job = fetched(jid=jid, jobtype="a")
    with pytest.raises(InvalidJobError) as caught:
        job.to_json()
    assert caught.value.path == "jid"


def test_a_fetched_job_whose_queue_we_do_not_send_is_not_encoded_not_even_twice() -> None:
    job = fetched(jobtype="a", queue="a b")
    for _ in range(2):
        with pytest.raises(InvalidJobError) as caught:
            job.to_json()
        assert caught.value.path == "queue"


def test_a_fetched_job_without_a_jobtype_is_not_encoded() -> None:
    with pytest.raises(InvalidJobError) as caught:
        fetched().to_json()
    assert caught.value.path == "jobtype"


def test_a_rounded_integer_of_a_fetched_job_is_encoded_as_the_float_it_is() -> None:
    job = fetched(jobtype="a", args=[2**60])
    assert math.isclose(json.loads(job.to_json())["args"][0], 2.0**60, rel_tol=0)


def test_jobs_of_one_envelope_share_nothing() -> None:
    envelope = Envelope.decode(FAILED)
    first = envelope.job()
    first.args.append(1)
    first.custom["a"] = 1
    second = envelope.job()
    assert (second.args, second.custom) == ([], {"locale": "fr"})
    bare = Envelope.decode(b"{}")
    bare.job().args.append(1)
    bare.job().custom["a"] = 1
    assert (bare.job().args, bare.job().custom) == ([], {})


def test_the_repr_shows_nothing_of_the_contents() -> None:
    envelope = Envelope.decode(b'{"jid":"12345678","args":["secret"]}')
    assert repr(envelope) == "Envelope(jid='12345678', <36 bytes>)"
    assert "secret" not in repr(envelope.__rich_repr__())


def test_a_job_that_was_too_large_is_known_by_its_outline() -> None:
    outline = b'{"jid":"12345678","queue":"q","jobtype":"order","reserve_for":60}'
    envelope = Envelope.outlined(outline, 100_000_000)
    known = (envelope.jid, envelope.queue, envelope.jobtype, envelope.reserve_for)
    assert known == ("12345678", "q", "order", 60)
    assert envelope.raw == b""
    with pytest.raises(InvalidJobError, match="has 100000000 bytes, more than this worker accepts"):
        envelope.job()


@pytest.mark.parametrize("outline", [b"{}", b'{"queue":"q"}', b'{"jid":5}', b'{"jid":"\xff"}'])
def test_a_job_that_was_too_large_and_has_no_jid_cannot_be_reported(outline: bytes) -> None:
    with pytest.raises(InvalidJobError):
        Envelope.outlined(outline, 100_000_000)
