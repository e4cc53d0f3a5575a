"""`Job`, row by row: what it takes, what it keeps, what it sends."""

import copy
import inspect
import pickle
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from faktory_async.errors import InvalidJobError, UsageError
from faktory_async.model import Failure, Job, JobBuilder, World, _check, new_jid, use_world

MOMENT = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)


class FrozenWorld(World):
    def utcnow(self) -> datetime:
        return MOMENT

    def token(self, nbytes: int) -> str:
        return "ab" * nbytes


class FancyText(StrEnum):
    BULK = "bulk"


class FancyInt(IntEnum):
    SEVEN = 7


def wire(job: Job) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.json.decode(job.to_json())
    return document


def refused(make: Callable[[], object]) -> InvalidJobError:
    with pytest.raises(InvalidJobError) as caught:
        make()
    return caught.value


# -- new(kind, args) --------------------------------------------------------------------------


def test_jobtype_and_args_are_positional() -> None:
    job = Job("order", ["ISBN-13:9781718501850"])
    assert (job.jobtype, job.args) == ("order", ["ISBN-13:9781718501850"])


def test_everything_else_is_keyword_only() -> None:
    make: Any = Job
    with pytest.raises(TypeError):
        make("order", [], "12345678")


def test_no_args_are_an_empty_list() -> None:
    assert Job("order").args == []


@pytest.mark.parametrize("args", [(1, 2), [1, 2], range(1, 3), deque([1, 2])])
def test_any_sequence_makes_args_and_they_are_kept_as_a_list(args: Any) -> None:
    job = Job("order", args)
    assert type(job.args) is list
    assert job.args == [1, 2]


@pytest.mark.parametrize(
    "args", ["text", b"bytes", bytearray(b"x"), memoryview(b"x"), {"a": 1}, {1}, 5, None, iter([1])]
)
def test_what_is_no_sequence_of_values_is_refused_as_args(args: Any) -> None:
    error = refused(lambda: Job("order", args))
    assert error.path == "args"
    assert "must be a sequence" in str(error)


def test_args_are_a_list_of_its_own() -> None:
    mine = [1]
    job = Job("order", mine)
    mine.append(2)
    assert job.args == [1]


def test_jobs_without_args_share_nothing() -> None:
    first = Job("order")
    first.args.append(1)
    first.custom["a"] = 1
    second = Job("order")
    assert (second.args, second.custom) == ([], {})


@pytest.mark.parametrize("jobtype", ["order", "Send Email", "größe", "a.b-c_d/e", "\n", "💌"])
def test_any_text_is_a_jobtype(jobtype: str) -> None:
    assert Job(jobtype).jobtype == jobtype


@pytest.mark.parametrize("jobtype", ["", None, 5, b"order", FancyText.BULK, "\ud800"])
def test_what_is_no_text_or_empty_is_no_jobtype(jobtype: Any) -> None:
    assert refused(lambda: Job(jobtype)).path == "jobtype"


# -- queue ------------------------------------------------------------------------------------


def test_the_queue_is_default() -> None:
    assert Job("order").queue == "default"


@pytest.mark.parametrize("queue", ["a", "A-Z_0.9", "-", "..", "x" * 500])
def test_a_legal_queue_is_kept(queue: str) -> None:
    assert Job("order", queue=queue).queue == queue


@pytest.mark.parametrize(
    "queue",
    ["", "a b", "a/b", "é", "a\n", "\na", "a\0", "a\r\nFLUSH", None, 1, FancyText.BULK, "٣"],
)
def test_an_illegal_queue_is_refused(queue: Any) -> None:
    assert refused(lambda: Job("order", queue=queue)).path == "queue"


def test_a_queue_that_was_seen_before_is_no_excuse_for_one_that_only_equals_it() -> None:
    Job("order", queue="bulk")
    fancy: Any = FancyText.BULK
    assert fancy == "bulk"
    assert refused(lambda: Job("order", queue=fancy)).path == "queue"


def test_few_and_short_queues_are_remembered_and_all_others_are_judged_anew() -> None:
    for number in range(1000):
        Job("order", queue=f"queue-{number}")
        Job("order", queue=f"{'x' * 100}-{number}")
        assert refused(lambda: Job("order", queue=f"queue {number}")).path == "queue"  # noqa: B023 - it is called at once
    assert 0 < len(_check._sound_queues) <= 256
    assert max(map(len, _check._sound_queues)) <= 64


# -- times ------------------------------------------------------------------------------------

TIMES = ["created_at", "enqueued_at", "at"]


def test_created_at_is_now_and_the_other_times_are_none() -> None:
    with use_world(FrozenWorld()):
        job = Job("order")
    assert (job.created_at, job.enqueued_at, job.at) == (MOMENT, None, None)


@pytest.mark.parametrize("field", TIMES)
def test_an_aware_time_is_kept_to_the_microsecond(field: str) -> None:
    options: dict[str, Any] = {field: MOMENT}
    assert getattr(Job("order", **options), field) == MOMENT


@pytest.mark.parametrize("field", TIMES)
def test_a_time_of_another_zone_is_kept_in_utc(field: str) -> None:
    options: dict[str, Any] = {field: datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))}
    kept = getattr(Job("order", **options), field)
    assert kept == datetime(2026, 7, 1, 10, tzinfo=UTC)
    assert kept.tzinfo is UTC


@pytest.mark.parametrize("field", TIMES)
def test_a_naive_time_is_refused_and_the_error_says_so_and_what_to_write(field: str) -> None:
    options: dict[str, Any] = {field: datetime(2026, 1, 31)}  # noqa: DTZ001 - the mistake itself
    error = refused(lambda: Job("order", **options))
    assert error.path == field
    assert "naive" in str(error)
    assert "datetime.now(UTC)" in str(error)


def test_a_zone_that_knows_no_offset_is_naive_too() -> None:
    class Nowhere(tzinfo):
        def utcoffset(self, _when: datetime | None) -> None:
            return None

        def dst(self, _when: datetime | None) -> None:
            return None

        def tzname(self, _when: datetime | None) -> str:
            return "nowhere"

    assert "naive" in str(refused(lambda: Job("order", at=datetime(2026, 1, 1, tzinfo=Nowhere()))))


@pytest.mark.parametrize("value", ["2026-01-31T12:00:00Z", 0, MOMENT.date()])
@pytest.mark.parametrize("field", TIMES)
def test_what_is_no_datetime_is_refused_as_time(field: str, value: Any) -> None:
    options: dict[str, Any] = {field: value}
    assert refused(lambda: Job("order", **options)).path == field


def test_a_time_before_the_first_year_in_utc_is_refused() -> None:
    early = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    assert refused(lambda: Job("order", at=early)).path == "at"


def test_a_datetime_that_is_a_subclass_becomes_a_plain_one() -> None:
    class Stamp(datetime):
        pass

    job = Job("order", at=Stamp(2026, 1, 31, 12, 0, 0, 5, tzinfo=UTC))
    assert type(job.at) is datetime
    assert job.at == datetime(2026, 1, 31, 12, 0, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (MOMENT, "2026-01-31T12:00:00.123456Z"),
        (MOMENT.replace(microsecond=0), "2026-01-31T12:00:00Z"),
        (MOMENT.replace(microsecond=1), "2026-01-31T12:00:00.000001Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00Z"),
        (MOMENT.astimezone(ZoneInfo("Asia/Tokyo")), "2026-01-31T12:00:00.123456Z"),
    ],
)
def test_times_go_out_as_utc_with_a_z(at: datetime, text: str) -> None:
    assert wire(Job("order", at=at))["at"] == text


# -- reserve_for ------------------------------------------------------------------------------


def test_a_job_is_reserved_for_600_seconds_and_that_is_sent() -> None:
    job = Job("order")
    assert job.reserve_for == 600
    assert wire(job)["reserve_for"] == 600


@pytest.mark.parametrize("seconds", [60, 61, 86_400])
def test_a_reservation_may_take_from_a_minute_to_a_day(seconds: int) -> None:
    assert Job("order", reserve_for=seconds).reserve_for == seconds
    assert Job("order", reserve_for=timedelta(seconds=seconds)).reserve_for == seconds


@pytest.mark.parametrize(
    "value",
    [
        59,
        0,
        -60,
        86401,
        120.0,
        "120",
        True,
        FancyInt.SEVEN,
        timedelta(seconds=59),
        timedelta(days=1, seconds=1),
        timedelta(minutes=-2),
    ],
)
def test_any_other_reservation_is_refused(value: Any) -> None:
    assert refused(lambda: Job("order", reserve_for=value)).path == "reserve_for"


def test_a_reservation_of_half_seconds_is_refused_not_rounded() -> None:
    error = refused(lambda: Job("order", reserve_for=timedelta(seconds=90.5)))
    assert "whole number of seconds" in str(error)


def test_without_a_reservation_it_is_left_to_the_server() -> None:
    job = Job("order", reserve_for=None)
    assert job.reserve_for is None
    assert "reserve_for" not in wire(job)


# -- retry, priority, backtrace ---------------------------------------------------------------


def test_retry_is_25_and_always_sent() -> None:
    assert Job("order").retry == 25
    assert wire(Job("order"))["retry"] == 25


@pytest.mark.parametrize("retry", [-1, 0, 1, 2**53])
def test_retry_is_minus_one_or_more_and_sent(retry: int) -> None:
    assert wire(Job("order", retry=retry))["retry"] == retry


def test_priority_is_5_and_not_sent() -> None:
    assert Job("order").priority == 5
    assert "priority" not in wire(Job("order"))


@pytest.mark.parametrize("priority", [1, 4, 6, 9])
def test_any_other_priority_is_sent(priority: int) -> None:
    assert wire(Job("order", priority=priority))["priority"] == priority


def test_the_docstring_says_that_servers_ignore_the_priority() -> None:
    assert "Servers since 0.9.6 ignore it" in inspect.cleandoc(Job.__doc__ or "")


def test_backtrace_is_0_and_not_sent() -> None:
    assert Job("order").backtrace == 0
    assert "backtrace" not in wire(Job("order"))


def test_a_backtrace_is_sent() -> None:
    assert wire(Job("order", backtrace=7))["backtrace"] == 7


def test_the_docstring_says_what_backtrace_0_means() -> None:
    assert "0, the default, means up" in inspect.cleandoc(Job.__doc__ or "")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("retry", -2),
        ("retry", 2**53 + 1),
        ("priority", 0),
        ("priority", 10),
        ("backtrace", -1),
        ("backtrace", 2**63),
    ],
)
def test_a_number_outside_of_its_limits_is_refused(field: str, value: int) -> None:
    options: dict[str, Any] = {field: value}
    error = refused(lambda: Job("order", **options))
    assert error.path == field
    assert str(error).startswith(f"{field}: must be at ")


@pytest.mark.parametrize("field", ["retry", "priority", "backtrace"])
@pytest.mark.parametrize("value", [True, False, 0.0, 5.0, 25.0, "5", None, FancyInt.SEVEN])
def test_what_is_no_plain_int_is_refused_as_number(field: str, value: Any) -> None:
    options: dict[str, Any] = {field: value}
    assert refused(lambda: Job("order", **options)).path == field


# -- custom -----------------------------------------------------------------------------------


def test_custom_is_empty_and_not_sent() -> None:
    assert Job("order").custom == {}
    assert "custom" not in wire(Job("order"))


@pytest.mark.parametrize("custom", [{"locale": "fr"}, MappingProxyType({"locale": "fr"})])
def test_custom_is_a_dict_of_its_own(custom: Mapping[str, Any]) -> None:
    job = Job("order", custom=custom)
    assert type(job.custom) is dict
    assert job.custom == {"locale": "fr"}
    assert job.custom is not custom
    assert wire(job)["custom"] == {"locale": "fr"}


def test_custom_is_a_dict_of_its_own_even_when_it_is_empty() -> None:
    mine: dict[str, Any] = {}
    job = Job("order", custom=mine)
    mine["a"] = 1
    assert job.custom == {}


@pytest.mark.parametrize("custom", [None, [], (), "", "x", [("a", 1)]])
def test_what_is_no_mapping_is_refused_as_custom(custom: Any) -> None:
    assert refused(lambda: Job("order", custom=custom)).path == "custom"


# -- on_queue, id, kind, args, failure --------------------------------------------------------


def test_on_queue_returns_a_copy_on_that_queue() -> None:
    job = Job("order", [1], custom={"a": 1}, retry=3)
    moved = job.on_queue("critical")
    assert (job.queue, moved.queue) == ("default", "critical")
    assert moved.on_queue("default") == job
    moved.args.append(2)
    moved.custom["b"] = 2
    assert (job.args, job.custom) == ([1], {"a": 1})


def test_on_queue_refuses_what_is_no_queue() -> None:
    assert refused(lambda: Job("order").on_queue("a b")).path == "queue"


def test_id_and_kind_are_jid_and_jobtype() -> None:
    job = Job("order", jid="12345678")
    assert (job.id, job.kind) == ("12345678", "order")


def test_a_new_job_has_no_failure() -> None:
    assert Job("order").failure is None


def test_nothing_of_a_job_can_be_set() -> None:
    job: Any = Job("order")
    for field in ("jobtype", "failure", "queue", "args"):
        with pytest.raises(AttributeError):
            setattr(job, field, None)


def test_a_failure_is_a_failure_or_none() -> None:
    make: Any = Job
    assert refused(lambda: make("order", failure={"message": "x"})).path == "failure"


# -- jid --------------------------------------------------------------------------------------


def test_a_jid_is_fresh_url_safe_and_has_96_bits() -> None:
    jid = Job("order").jid
    assert len(jid) == 24
    assert len(bytes.fromhex(jid)) * 8 == 96


def test_a_million_jids_are_unique() -> None:
    assert len({new_jid() for _ in range(1_000_000)}) == 1_000_000


def test_jids_come_from_the_world() -> None:
    with use_world(FrozenWorld()):
        assert Job("order").jid == new_jid() == "ab" * 12


@pytest.mark.parametrize(
    "jid", ["12345678", "a-b_c.d~", "éééééééé", "x" * 300, "a'b|c{}[]", "💌" * 8]
)
def test_a_reasonable_jid_is_kept(jid: str) -> None:
    assert Job("order", jid=jid).jid == jid


@pytest.mark.parametrize(
    "jid",
    [
        "",
        "1234567",
        "1234 5678",
        "1234\t5678",
        "1234\n5678",
        "1234\x005678",
        "1234\x7f5678",
        "1234\x855678",
        "1234\xa05678",
        "1234\u20285678",
        "1234\u30005678",
        "1234\u200b5678",
        '1234"5678',
        "1234\\5678",
        "1234<5678",
        "1234>5678",
        "1234&5678",
        "12345678\n",
        "1234\ud8005678",
    ],
)
def test_an_unreasonable_jid_is_refused(jid: str) -> None:
    assert refused(lambda: Job("order", jid=jid)).path == "jid"


@pytest.mark.parametrize("jid", [None, 12345678, b"12345678"])
def test_what_is_no_text_is_no_jid(jid: Any) -> None:
    assert refused(lambda: Job("order", jid=jid)).path == "jid"


# -- Clone, Debug, Serialize, Deserialize -----------------------------------------------------


def full_job() -> Job:
    make: Any = Job  # the failure is the server's, so it is no argument for type checkers
    job: Job = make(
        "order",
        [1, "zwei", 3.5, None, True, {"when": ["2026"]}],
        jid="12345678",
        queue="bulk",
        created_at=MOMENT,
        enqueued_at=MOMENT,
        at=MOMENT,
        reserve_for=120,
        retry=-1,
        priority=9,
        backtrace=3,
        custom={"locale": "fr"},
        failure=Failure(retry_count=2, remaining=1, failed_at=MOMENT, backtrace=("a", "b")),
    )
    return job


def pickled(job: Job) -> Job:
    twin: Job = pickle.loads(pickle.dumps(job))  # noqa: S301 - our own bytes
    return twin


def through_bytes(job: Job) -> Job:
    return Job.from_json(job.to_json())


def through_text(job: Job) -> Job:
    return Job.from_json(job.to_json().decode())


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, pickled, through_bytes, through_text]
)
@pytest.mark.parametrize(
    "job", [full_job(), Job("order"), Job("x", reserve_for=None, created_at=None)]
)
def test_a_duplicate_is_equal(duplicate: Callable[[Job], Job], job: Job) -> None:
    twin = duplicate(job)
    assert twin is not job
    assert twin == job
    assert hash(twin) == hash(job)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("jobtype", "other"),
        ("args", []),
        ("jid", "87654321"),
        ("queue", "other"),
        ("created_at", None),
        ("enqueued_at", None),
        ("at", None),
        ("reserve_for", None),
        ("retry", 0),
        ("priority", 1),
        ("backtrace", 0),
        ("custom", {}),
        ("failure", None),
    ],
)
def test_every_field_counts_for_equality(field: str, value: Any) -> None:
    assert msgspec.structs.replace(full_job(), **{field: value}) != full_job()


def test_the_hash_is_the_jids_so_jobs_may_be_members_of_a_set() -> None:
    job = Job("order", [[]])
    members = {job}
    job.args.append(1)
    assert job in members


def test_the_repr_shows_no_argument_no_custom_data_and_no_failure() -> None:
    make: Any = Job
    job: Job = make(
        "order",
        ["secret-1"],
        at=MOMENT,
        custom={"token": "secret-2"},
        failure=Failure(message="secret-3"),
    )
    assert repr(job) == (
        f"Job(jobtype='order', jid='{job.jid}', queue='default', args=<1 hidden>,"
        f" custom=<1 hidden>, at={MOMENT!r})"
    )
    assert "secret" not in repr(job.__rich_repr__())


def test_the_repr_of_a_plain_job_is_short() -> None:
    assert repr(Job("a", jid="12345678")) == (
        "Job(jobtype='a', jid='12345678', queue='default', args=<0 hidden>)"
    )


def test_the_bytes_are_compact_and_complete() -> None:
    assert full_job().to_json() == (
        b'{"jid":"12345678","jobtype":"order","queue":"bulk",'
        b'"args":[1,"zwei",3.5,null,true,{"when":["2026"]}],"retry":-1,'
        b'"created_at":"2026-01-31T12:00:00.123456Z","enqueued_at":"2026-01-31T12:00:00.123456Z",'
        b'"at":"2026-01-31T12:00:00.123456Z","reserve_for":120,"priority":9,"backtrace":3,'
        b'"custom":{"locale":"fr"},"failure":{"retry_count":2,"remaining":1,'
        b'"failed_at":"2026-01-31T12:00:00.123456Z","backtrace":["a","b"]}}'
    )


def test_the_bytes_of_a_plain_job_hold_what_the_server_needs() -> None:
    with use_world(FrozenWorld()):
        data = Job("order", ["a b\r\n"]).to_json()
    assert data == (
        b'{"jid":"abababababababababababab","jobtype":"order","queue":"default",'
        b'"args":["a b\\r\\n"],"retry":25,"created_at":"2026-01-31T12:00:00.123456Z",'
        b'"reserve_for":600}'
    )


# -- checked once more when encoded -----------------------------------------------------------


def test_args_that_were_changed_are_checked_when_encoded() -> None:
    job = Job("order", [{"when": 1}])
    job.args[0]["when"] = MOMENT
    assert refused(job.to_json).path == 'args[0]["when"]'


def test_custom_data_that_was_changed_is_checked_when_encoded() -> None:
    job = Job("order", custom={"a": 1})
    job.custom["a"] = float("nan")
    assert refused(job.to_json).path == 'custom["a"]'


def test_what_was_changed_into_something_else_that_is_fine_is_sent() -> None:
    job = Job("order", [1])
    job.args.append("two")
    assert wire(job)["args"] == [1, "two"]


def test_a_stack_without_room_is_a_named_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def encode(_value: object) -> bytes:
        raise RecursionError

    job = Job("order", [[]])
    builder = JobBuilder("order").args([[]])
    monkeypatch.setattr("faktory_async.model._job._encode", encode)
    assert "stack" in str(refused(job.to_json))
    assert "stack" in str(refused(builder.build))


def test_the_error_is_a_usage_error_and_a_value_error_and_proves_that_nothing_was_sent() -> None:
    error = refused(lambda: Job(""))
    assert isinstance(error, UsageError)
    assert isinstance(error, ValueError)
    assert not error.maybe_executed


def test_a_job_has_a_builder() -> None:
    assert isinstance(Job.builder("order"), JobBuilder)
    assert Job.builder("order").args([1]).build().kind == "order"
