"""The documents of jobs that are pushed again."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from faktory_async.model import World, use_world
from faktory_async.worker import Fail, Retry
from faktory_async.worker._repush import Original, Plan

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()
BOOM = Fail(errtype="ValueError", message="boom", backtrace=("a", "b"))

# As the server writes it: numbers that no float of ours would print so, escapes, sorted keys.
ARGS = rb'[1e-7,100000000000000000000,"\u003ca\u003e",{"b":1,"c":[]}]'

# Deeper than any Python goes: how deep that is differs between them.
DEEP = b"[" * 100_000 + b"]" * 100_000


def fetched(**fields: Any) -> bytes:
    document = {
        "retry": 25,
        "jid": "12345678",
        "queue": "default",
        "jobtype": "order",
        "created_at": "2026-01-31T11:00:00.123456789Z",
        "enqueued_at": "2026-01-31T11:00:01.123456789Z",
        "args": msgspec.Raw(ARGS),
        **fields,
    }
    return msgspec.json.encode(document)


def original(**fields: Any) -> Original:
    read = Original.read(fetched(**fields))
    assert read is not None
    return read


def pushed(plan: Plan) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.json.decode(plan.document)
    return document


def failure(plan: Plan) -> Any:
    return pushed(plan)["failure"]


def at(seconds: float) -> str:
    moment = datetime.fromtimestamp(NOW + seconds, UTC)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


# -- what stays and what changes ------------------------------------------------------------------


def test_every_byte_of_the_contents_stays_as_it_was_fetched() -> None:
    custom = msgspec.Raw(rb'{"a":1e-7,"z":"\u0026"}')
    plan = original(custom=custom, reserve_for=600, backtrace=3).requeued(NOW)
    assert b'"args":' + ARGS in plan.document
    assert rb'"a":1e-7,"z":"\u0026"' in plan.document
    before, after = msgspec.json.decode(fetched(custom=custom)), pushed(plan)
    changed = {name for name in after if after.get(name) != before.get(name)}
    assert changed == {"jid", "at", "custom", "reserve_for", "backtrace"}
    assert (after["reserve_for"], after["backtrace"]) == (600, 3)


def test_a_job_says_its_retry_even_where_it_did_not() -> None:
    document = msgspec.json.decode(fetched())
    del document["retry"]
    read = Original.read(msgspec.json.encode(document))
    assert read is not None
    assert pushed(read.requeued(NOW))["retry"] == 25


def test_a_fresh_jid_names_the_first_one_of_all() -> None:
    plan = original().requeued(NOW)
    assert plan.jid != "12345678"
    assert pushed(plan)["jid"] == plan.jid
    assert pushed(plan)["custom"] == {"retry_of": "12345678"}
    again = Original.read(plan.document)
    assert again is not None
    assert pushed(again.requeued(NOW))["custom"] == {"retry_of": "12345678"}


@pytest.mark.parametrize("custom", [None, {}, {"a": 1}])
def test_what_was_custom_stays(custom: Any) -> None:
    plan = original(custom=custom).requeued(NOW)
    assert pushed(plan)["custom"] == {"retry_of": "12345678", **(custom or {})}


@pytest.mark.parametrize("key", ["bid", "unique_for", "unique_until", "expires_at", "track"])
def test_an_option_of_enterprise_ties_a_job(key: str) -> None:
    assert original(custom={key: 0}).tied
    assert not original(custom={f"_{key}": 1, "a": {key: 1}}).tied


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"jid":"12345678"',
        b'{"jid":"12345678","jobtype":"a","queue":"q"}',
        fetched(retry=1.5),
        b'{"jid":"12345678","jobtype":"a\xff","queue":"q","args":[]}',
        b'{"jid":"12345678","jobtype":"a","queue":"q\xff","args":[]}',
        b'{"jid":"12345678","jobtype":"a","queue":"q","args":["\xff"]}',
        b'{"jid":"12345678","jobtype":"a","queue":"q","args":%b}' % DEEP,
    ],
)
def test_what_is_no_job_is_not_taken_apart(data: bytes) -> None:
    assert Original.read(data) is None


# -- Retry ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("retry", "seconds"),
    [
        (Retry(), 5),
        (Retry(delay=1), 5),
        (Retry(delay=30), 30),
        (Retry(delay=timedelta(hours=1)), 3_600),
        (Retry(at=datetime(2026, 1, 31, 13, tzinfo=UTC)), 3_600),
        (Retry(at=datetime(2026, 1, 31, 11, tzinfo=UTC)), 5),
        (Retry(at=datetime(1, 1, 1, tzinfo=UTC)), 5),
    ],
)
def test_a_retry_comes_due_when_it_says_but_5_s_from_now_at_the_earliest(
    retry: Retry, seconds: float
) -> None:
    plan = original().retried(retry, NOW)
    assert plan.at == NOW + seconds
    assert pushed(plan)["at"] == at(seconds)


def test_a_retry_beyond_the_end_of_time_comes_due_there() -> None:
    assert pushed(original().retried(Retry(delay=1e300), NOW))["at"].startswith("9999-12-31")


@pytest.mark.parametrize(("delay", "keeps"), [(9.9, False), (10, True), (3_600, True)])
def test_only_a_retry_10_s_ahead_keeps_its_jid(*, delay: float, keeps: bool) -> None:
    plan = original().retried(Retry(delay=delay), NOW)
    assert (plan.jid == "12345678") is keeps
    assert ("custom" not in pushed(plan)) is keeps


def test_a_retry_counts_as_a_failure() -> None:
    retry = Retry(delay=30, errtype="TimeoutError", message="slow", backtrace=("x",))
    first = original(retry=3).retried(retry, NOW)
    assert failure(first) == {
        "failed_at": at(0),
        "next_at": at(30),
        "message": "slow",
        "errtype": "TimeoutError",
        "backtrace": ["x"],
        "retry_count": 0,
        "remaining": 3,
    }
    again = Original.read(first.document)
    assert again is not None
    second = failure(again.retried(retry, NOW + 100))
    assert (second["retry_count"], second["remaining"]) == (1, 2)
    assert (second["failed_at"], second["next_at"]) == (at(0), at(130))


def test_a_free_retry_leaves_the_history_alone() -> None:
    assert "failure" not in pushed(original().retried(Retry(free=True), NOW))
    history = {"retry_count": 1, "remaining": 2, "message": "x"}
    plan = original(failure=history).retried(Retry(free=True, delay=60), NOW)
    assert failure(plan) == history


@pytest.mark.parametrize(
    ("retry", "history", "has"),
    [
        (25, None, True),
        (1, None, True),
        (0, None, False),
        (-1, None, False),
        (2, {"retry_count": 0, "remaining": 2}, True),
        (2, {"retry_count": 1, "remaining": 1}, False),
        (2, {"retry_count": 7, "remaining": 0}, False),
        (2, {"retry_count": "x"}, True),
        (1, {}, True),
    ],
)
def test_whether_a_retry_is_left_is_counted_as_the_server_does(
    *, retry: int, history: Any, has: bool
) -> None:
    assert original(retry=retry, failure=history).has_retries is has


# -- rescue, requeue, dead ------------------------------------------------------------------------


def test_a_requeue_comes_due_in_10_s_and_is_no_failure() -> None:
    plan = original().requeued(NOW)
    assert (plan.at, pushed(plan)["at"]) == (NOW + 10, at(10))
    assert "failure" not in pushed(plan)


class Dice(World):
    """A world whose every throw is the same."""

    def __init__(self, throw: float) -> None:
        self.throw = throw

    def uniform(self) -> float:
        return self.throw


@pytest.mark.parametrize(
    ("count", "least", "most"), [(None, 15, 44), (0, 16, 74), (1, 31, 118), (23, 331_791, 332_516)]
)
def test_a_rescue_waits_as_long_as_the_server_would_have(
    count: int | None, least: float, most: float
) -> None:
    history = None if count is None else {"retry_count": count, "remaining": 25}
    for throw, seconds in ((0.0, least), (0.9999999, most)):
        with use_world(Dice(throw)):
            plan = original(failure=history).rescued(BOOM, NOW)
        assert plan.at == NOW + seconds
        assert failure(plan)["next_at"] == at(seconds)
        assert plan.jid != "12345678"


@pytest.mark.parametrize("count", [10**200, -(10**200)])
def test_counts_that_no_server_writes_count_as_absent(count: int) -> None:
    number = msgspec.Raw(b"%d" % count)
    plan = original(failure={"retry_count": number, "remaining": number}).rescued(BOOM, NOW)
    assert (failure(plan)["retry_count"], failure(plan)["remaining"]) == (1, 24)


def test_a_job_that_is_buried_comes_due_in_100_years() -> None:
    plan = original(retry=-1).buried(BOOM, NOW, fresh=False)
    assert pushed(plan)["at"].startswith("2126-")
    assert plan.jid == "12345678"
    assert failure(plan) == {
        "failed_at": at(0),
        "message": "boom",
        "errtype": "ValueError",
        "backtrace": ["a", "b"],
        "retry_count": 0,
        "remaining": -1,
    }


def test_a_job_that_is_buried_keeps_what_the_server_last_meant_to_do_with_it() -> None:
    history = {"retry_count": 1, "remaining": 0, "failed_at": at(-9), "next_at": at(-5)}
    buried = failure(original(retry=2, failure=history).buried(BOOM, NOW, fresh=True))
    assert (buried["failed_at"], buried["next_at"]) == (at(-9), at(-5))
    assert (buried["retry_count"], buried["remaining"]) == (2, 0)


# -- the pattern of a kill ------------------------------------------------------------------------


def test_the_pattern_is_of_the_order_of_keys_at_the_top_level() -> None:
    assert original().kill == '*"jid":"12345678","queue":"default","jobtype":"order",*'


def test_what_is_special_in_a_pattern_is_taken_literally() -> None:
    document = rb'{"retry":1,"jid":"a*b?c[1]\\\u003c\"","queue":"q.-_","jobtype":"o r","args":[]}'
    read = Original.read(document)
    assert read is not None
    assert read.kill == (r'*"jid":"a\*b\?c\[1]\\\\\\u003c\\"","queue":"q.-_","jobtype":"o r",*')


def test_the_pattern_of_a_fresh_jid_names_that_one() -> None:
    plan = original().requeued(NOW)
    assert plan.kill == f'*"jid":"{plan.jid}","queue":"default","jobtype":"order",*'
