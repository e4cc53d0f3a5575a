"""`JobBuilder`: every setter, and builders that share nothing with their jobs."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from faktory_async.errors import InvalidJobError
from faktory_async.model import Job, JobBuilder

MOMENT = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_without_setters_the_job_is_as_by_its_constructor() -> None:
    built = JobBuilder("order").build()
    plain = Job("order", jid=built.jid, created_at=built.created_at)
    assert built == plain


@pytest.mark.parametrize(
    ("setter", "value", "kept"),
    [
        ("args", (1, 2), [1, 2]),
        ("jid", "12345678", "12345678"),
        ("queue", "bulk", "bulk"),
        ("created_at", MOMENT, MOMENT),
        ("created_at", None, None),
        ("at", MOMENT, MOMENT),
        ("at", None, None),
        ("reserve_for", 120, 120),
        ("reserve_for", timedelta(minutes=2), 120),
        ("reserve_for", None, None),
        ("retry", 0, 0),
        ("priority", 9, 9),
        ("backtrace", 3, 3),
        ("custom", {"a": 1}, {"a": 1}),
    ],
)
def test_every_setter_returns_the_builder_and_sets_its_field(
    setter: str, value: Any, kept: Any
) -> None:
    builder = JobBuilder("order")
    assert getattr(builder, setter)(value) is builder
    assert getattr(builder.build(), setter) == kept


def test_setters_chain() -> None:
    job = (
        Job.builder("order")
        .args([1])
        .jid("12345678")
        .queue("bulk")
        .created_at(MOMENT)
        .at(MOMENT)
        .reserve_for(60)
        .retry(1)
        .priority(2)
        .backtrace(3)
        .custom({"a": 1})
        .add_to_custom_data("b", 2)
        .build()
    )
    assert job == Job(
        "order",
        [1],
        jid="12345678",
        queue="bulk",
        created_at=MOMENT,
        at=MOMENT,
        reserve_for=60,
        retry=1,
        priority=2,
        backtrace=3,
        custom={"a": 1, "b": 2},
    )


def test_the_last_call_of_a_setter_counts() -> None:
    assert JobBuilder("order").retry(1).retry(2).build().retry == 2


def test_added_custom_data_replaces_its_key_and_custom_replaces_all() -> None:
    builder = JobBuilder("order").add_to_custom_data("a", 1).add_to_custom_data("a", 2)
    assert builder.build().custom == {"a": 2}
    assert builder.custom({"b": 3}).build().custom == {"b": 3}


def test_adding_custom_data_leaves_the_callers_mapping_alone() -> None:
    mine = {"a": 1}
    JobBuilder("order").custom(mine).add_to_custom_data("b", 2)
    assert mine == {"a": 1}


def test_two_jobs_of_one_builder_have_their_own_jid() -> None:
    builder = JobBuilder("order")
    assert builder.build().jid != builder.build().jid


def test_a_builder_shares_nothing_with_its_jobs_at_any_depth() -> None:
    args: list[Any] = [[1], {"deep": [2]}]
    custom: dict[str, Any] = {"deep": {"deeper": [3]}}
    builder = JobBuilder("order").args(args).custom(custom)
    first = builder.build()
    first.args[0].append("changed")
    first.args[1]["deep"].append("changed")
    first.custom["deep"]["deeper"].append("changed")
    first.custom["new"] = 1
    assert args == [[1], {"deep": [2]}]
    assert custom == {"deep": {"deeper": [3]}}
    second = builder.build()
    assert (second.args, second.custom) == (args, custom)


def test_the_copies_are_exact() -> None:
    args = [1, 1.0, -0.0, 1e22, 5e-324, True, None, "\u2028<é💌", 2**53, -(2**53)]
    built = JobBuilder("order").args(args).build().args
    assert [repr(value) for value in built] == [repr(value) for value in args]


def test_jobs_nested_to_the_limit_can_be_built() -> None:
    nested: list[Any] = []
    for _ in range(499):
        nested = [nested]
    assert JobBuilder("order").args(nested).build().args == nested


@pytest.mark.parametrize(
    ("setter", "given", "path"),
    [
        ("args", ([{1, 2}],), "args[0]"),
        ("args", ("text",), "args"),
        ("queue", ("a b",), "queue"),
        ("add_to_custom_data", ("a", b"x"), 'custom["a"]'),
        ("add_to_custom_data", (1, "x"), "custom"),
        ("custom", (5,), "custom"),
        ("retry", (True,), "retry"),
    ],
)
def test_build_refuses_what_the_constructor_refuses(
    setter: str, given: tuple[Any, ...], path: str
) -> None:
    builder: JobBuilder = getattr(JobBuilder("order"), setter)(*given)
    with pytest.raises(InvalidJobError) as caught:
        builder.build()
    assert caught.value.path == path


def test_an_empty_jobtype_is_refused_when_built() -> None:
    builder = JobBuilder("")
    with pytest.raises(InvalidJobError, match="jobtype"):
        builder.build()
