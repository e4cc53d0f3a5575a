"""What is sent survives: values by their exact types, paths, nesting; and a naive oracle."""

import json
import math
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from faktory_async.errors import InvalidJobError
from faktory_async.model import Job
from faktory_async.model._check import MAX_NESTING
from faktory_async.model._kinds import is_dict, is_list


class Colour(Enum):
    RED = 1


class Level(IntEnum):
    LOW = 1


class Word(StrEnum):
    YES = "yes"


class Point(NamedTuple):
    x: int


class Packet(msgspec.Struct):
    x: int


@dataclass
class Record:
    x: int


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Real(float):
    pass


class Numbers(list[int]):
    pass


REFUSED: list[Any] = [
    2**53 + 1,
    -(2**53) - 1,
    10**400,
    math.nan,
    math.inf,
    -math.inf,
    b"x",
    bytearray(b"x"),
    memoryview(b"x"),
    {1},
    frozenset({1}),
    (1, 2),
    Point(1),
    OrderedDict(a=1),
    Numbers([1]),
    datetime(2026, 1, 1, tzinfo=UTC),
    date(2026, 1, 1),
    time(1),
    timedelta(1),
    UUID(int=1),
    Decimal(1),
    Fraction(1, 2),
    Colour.RED,
    Level.LOW,
    Word.YES,
    Packet(1),
    Record(1),
    Text("x"),
    Number(1),
    Real(1.0),
    1j,
    object(),
    int,
    len,
    range(3),
    msgspec.Raw(b"1"),
    msgspec.UNSET,
    "\ud800",
    "ok\udfff",
]

ACCEPTED: list[Any] = [
    None,
    True,
    False,
    0,
    2**53,
    -(2**53),
    0.0,
    -0.0,
    1.5,
    1e308,
    5e-324,
    "",
    "é",
    "💌",
    "\x00\x1f",
    "\u2028",
    [],
    {},
    [[]],
    {"": {}},
    {"é": [None]},
]


def path_of(args: list[Any]) -> str:
    with pytest.raises(InvalidJobError) as caught:
        Job("order", args)
    return caught.value.path


@pytest.mark.parametrize("value", ACCEPTED, ids=repr)
def test_jsons_own_values_pass_as_they_are(value: Any) -> None:
    sent = Job("order", [value, {"k": value}], custom={"k": value}).to_json()
    back = json.loads(sent)
    assert repr(back["args"]) == repr([value, {"k": value}])
    assert repr(back["custom"]) == repr({"k": value})


@pytest.mark.parametrize("value", REFUSED, ids=lambda value: type(value).__name__)
def test_everything_else_is_refused_with_its_path(value: Any) -> None:
    assert path_of([value]) == "args[0]"
    assert path_of([0, [1, value]]) == "args[1][1]"
    assert path_of([{"when": value}]) == 'args[0]["when"]'
    with pytest.raises(InvalidJobError) as caught:
        Job("order", custom={"a": {"b": [value]}})
    assert caught.value.path == 'custom["a"]["b"][0]'


@pytest.mark.parametrize("key", [1, None, True, 1.5, b"x", Word.YES, Text("x"), (1,), "\ud800"])
def test_a_key_that_is_no_plain_text_is_refused_at_its_dict(key: Any) -> None:
    assert path_of([1, {key: 1}]) == "args[1]"
    with pytest.raises(InvalidJobError) as caught:
        Job("order", custom={key: 1})
    assert caught.value.path == "custom"
    assert "key" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (2**53 + 1, "beyond ±2^53"),
        (math.nan, "not finite"),
        ("\ud800", "lone surrogate"),
        (datetime(2026, 1, 1, tzinfo=UTC), "value.isoformat()"),
        (UUID(int=1), "str(value)"),
        (b"x", "base64"),
        ((1,), "list(value)"),
        (object(), "of type object, which JSON does not have"),
    ],
)
def test_the_error_says_what_is_wrong(value: Any, words: str) -> None:
    with pytest.raises(InvalidJobError) as caught:
        Job("order", [value])
    assert str(caught.value).startswith("args[0]: ")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "value", [Text("hunter2"), b"hunter2", Decimal(424242), {"hunter2"}, "hunter2\ud800"]
)
def test_the_error_does_not_show_the_value(value: Any) -> None:
    with pytest.raises(InvalidJobError) as caught:
        Job("order", [value])
    assert "hunter2" not in str(caught.value)
    assert "424242" not in str(caught.value)


def test_keys_are_shown_as_json_and_cut() -> None:
    assert path_of([{'a"\n': {1}}]) == 'args[0]["a\\"\\n"]'
    assert path_of([{"k" * 1000: {1}}]) == f'args[0]["{"k" * 60}…"]'


def test_the_fault_nearest_to_the_root_is_named() -> None:
    assert path_of([[[b"deep"]], b"shallow"]) == "args[1]"


def nested_list(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


def nested_dict(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"k": value}
    return value


def test_nesting_to_the_limit_is_sent() -> None:
    job = Job("order", nested_list(MAX_NESTING), custom=nested_dict(MAX_NESTING))
    back = json.loads(job.to_json())
    assert (back["args"], back["custom"]) == (job.args, job.custom)


def test_nesting_over_the_limit_is_refused() -> None:
    with pytest.raises(InvalidJobError, match=r"^args: is nested more than 500 deep"):
        Job("order", nested_list(MAX_NESTING + 1))
    with pytest.raises(InvalidJobError, match=r"^custom: is nested more than 500 deep"):
        Job("order", custom=nested_dict(MAX_NESTING + 1))


def test_nesting_of_any_depth_is_refused_without_a_recursion_error() -> None:
    with pytest.raises(InvalidJobError, match="nested"):
        Job("order", nested_list(200_000))


def test_a_container_that_holds_itself_is_refused_in_no_time() -> None:
    loop: list[Any] = []
    loop += [loop, loop, {"again": loop}]
    with pytest.raises(InvalidJobError, match="holds itself"):
        Job("order", loop)


def test_one_container_in_two_places_is_fine() -> None:
    shared = {"a": [1]}
    assert json.loads(Job("order", [shared, shared]).to_json())["args"] == [shared, shared]


def test_a_shared_container_with_a_fault_is_named_once() -> None:
    shared = [b"x"]
    assert path_of([shared, shared]).startswith("args[")


# -- a naive oracle ---------------------------------------------------------------------------

values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(2**53 - 2, 2**53 + 2)
    | st.floats()
    | st.text(st.characters(codec=None) | st.characters(categories=["Cs"]), max_size=5)
    | st.text(max_size=5)
    | st.binary(max_size=3)
    | st.decimals()
    | st.datetimes()
    | st.sampled_from([Colour.RED, Level.LOW, Word.YES, Text("x"), Packet(1)]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner)
        | st.frozensets(st.integers(), max_size=2)
        | st.dictionaries(st.text(max_size=3) | st.integers() | st.none(), inner, max_size=3)
    ),
    max_leaves=8,
)


def survives(value: Any) -> bool:
    """Judge one value the slow and obvious way: is it the same after a trip through JSON?"""
    if is_list(value):
        return all(map(survives, value))
    if is_dict(value):
        return all(type(key) is str and survives(key) and survives(v) for key, v in value.items())
    if type(value) is int and abs(value) > 2**53:
        return False
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError):
        return False
    back = json.loads(text)
    return type(back) is type(value) and repr(back) == repr(value)


@given(st.lists(values, max_size=4))
@example([2**53])
@example([2**53 + 1])
@example([{"a": [1, {"b": (1,)}]}])
def test_the_check_agrees_with_a_naive_oracle(args: list[Any]) -> None:
    if survives(args):
        assert repr(json.loads(Job("order", args).to_json())["args"]) == repr(args)
    else:
        assert path_of(args).startswith("args")
