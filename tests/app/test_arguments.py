"""What typed jobs take: from a call to the args of a job, and into the handler."""

import json
import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, NamedTuple, TypedDict, cast
from uuid import UUID

import pydantic
import pytest
from msgspec import Meta, Struct

from faktory_async import App, ArgumentsError, EmbeddedServer, InvalidJobError, Job, UsageError
from faktory_async.app import TypedJob
from tests.app.working import failure_of, push, work

on_every_loop = pytest.mark.anyio


# -- a call ---------------------------------------------------------------------------------------


def resize(image: int, size: str = "large", *, crop: bool = False) -> None: ...


def a_job(function: Callable[..., Any], **options: Any) -> TypedJob[..., Any]:
    return cast("TypedJob[..., Any]", App().job(**options)(function))


def args_of(function: Any, *args: Any, **kwargs: Any) -> list[Any]:
    return a_job(function).call(*args, **kwargs).args


def four(a: int, b: int = 2, c: str = "c", d: str | None = None) -> None: ...


def many(a: int, *rest: str) -> None: ...


def optional_many(a: int = 1, *rest: str) -> None: ...


def nothing() -> None: ...


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "expected"),
    [
        (four, (1,), {}, [1]),
        (four, (1, 5), {}, [1, 5]),
        (four, (), {"a": 1}, [1]),
        (four, (), {"b": 5, "a": 1}, [1, 5]),
        (four, (1,), {"d": "d"}, [1, 2, "c", "d"]),
        (four, (1,), {"c": "x"}, [1, 2, "x"]),
        (four, (1, 2, "c", None), {}, [1, 2, "c", None]),
        (many, (1,), {}, [1]),
        (many, (1, "x", "y"), {}, [1, "x", "y"]),
        (many, (), {"a": 1}, [1]),
        (optional_many, (), {}, []),
        (optional_many, (3, "x"), {}, [3, "x"]),
        (optional_many, (), {"a": 3}, [3]),
        (nothing, (), {}, []),
    ],
)
def test_a_call_becomes_args_by_position(
    function: Callable[..., Any], args: Any, kwargs: Any, expected: list[Any]
) -> None:
    assert args_of(function, *args, **kwargs) == expected


def nameless(a: int, /, b: int) -> None: ...


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "said"),
    [
        (four, (), {}, "four: missing a required argument: 'a'"),
        (four, (1, 2, "c", "d", 5), {}, "four: too many positional arguments"),
        (four, (1,), {"e": 5}, "four: got an unexpected keyword argument 'e'"),
        (four, (1,), {"a": 5}, "four: multiple values for argument 'a'"),
        (many, (), {}, "many: missing a required argument: 'a'"),
        (many, (), {"rest": "x"}, "many: missing a required argument: 'a'"),
        (nothing, (1,), {}, "nothing: too many positional arguments"),
        # Pythons word this one differently.
        (nameless, (), {"a": 1, "b": 2}, "nameless: (?=.*'a').*positional.only"),
    ],
)
def test_a_call_that_does_not_fit_is_a_type_error(
    function: Callable[..., Any], args: Any, kwargs: Any, said: str
) -> None:
    with pytest.raises(TypeError, match=said):
        args_of(function, *args, **kwargs)


# -- there and back -------------------------------------------------------------------------------


class Size(Struct):
    width: int
    height: int = 1


@dataclass
class Mail:
    to: str
    when: datetime | None = None
    sizes: tuple[Size, ...] = ()


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


class Options(TypedDict, total=False):
    deep: dict[str, list[Size]]


class Point(NamedTuple):
    x: float
    y: float


NOW = datetime(2026, 5, 4, 3, 2, 1, 123_456, tzinfo=timezone(timedelta(hours=2)))
ID = UUID("12345678-1234-5678-1234-567812345678")


@pytest.mark.parametrize(
    ("kind", "value", "sent"),
    [
        (Size, Size(5), {"width": 5, "height": 1}),
        (Mail, Mail("a@b.c"), {"to": "a@b.c", "when": None, "sizes": []}),
        (datetime, NOW, "2026-05-04T03:02:01.123456+02:00"),
        (date, NOW.date(), "2026-05-04"),
        (time, time(3, 2), "03:02:00"),
        (timedelta, timedelta(minutes=90), "PT5400S"),
        (UUID, ID, str(ID)),
        (Decimal, Decimal("0.10"), "0.10"),
        (Colour, Colour.RED, "red"),
        (Level, Level.LOW, 1),
        (Literal["a", 1], 1, 1),
        (int | None, None, None),
        (dict[int, dict[str, list[int]]], {1: {"a": [2]}}, {"1": {"a": [2]}}),
        (dict[UUID, int], {ID: 1}, {str(ID): 1}),
        (dict[date, list[datetime]], {NOW.date(): [NOW]}, None),
        (dict[Colour, float], {Colour.RED: 0.5}, {"red": 0.5}),
        (bytes, b"\x00\xff", "AP8="),
        (set[int], {3}, [3]),
        (frozenset[str], frozenset({"a"}), ["a"]),
        (tuple[int, str], (1, "a"), [1, "a"]),
        (Options, {"deep": {"a": [Size(1)]}}, {"deep": {"a": [{"width": 1, "height": 1}]}}),
        (Point, Point(1.5, 2), [1.5, 2]),
        (float, 5, 5),
        (Annotated[int, Meta(ge=1)], 1, 1),
        (Size | int | None, Size(2), {"width": 2, "height": 1}),
        (Any, {"a": [1, None, "x"]}, {"a": [1, None, "x"]}),
        (int, 2**53, 2**53),
    ],
)
def test_a_value_is_sent_as_json_and_read_again(kind: Any, value: Any, sent: Any) -> None:
    async def order(value: Any) -> None: ...

    order.__annotations__["value"] = kind
    job = a_job(order)
    pushed = job.call(value)
    if sent is not None:
        assert pushed.args == [sent]
    [found] = job.binding.function.arguments.decode(Job.from_json(pushed.to_json()).args)
    assert found == value
    assert type(found) is type(value) or kind is float


def test_what_has_no_type_is_any_json() -> None:
    def order(a, *rest):  # type: ignore[no-untyped-def]  # that is the point  # noqa: ANN001, ANN002, ANN202
        pass

    assert args_of(order, {"a": (1, 2)}, None, "x") == [{"a": [1, 2]}, None, "x"]


NOT_JSON: list[Any] = [NOW, ID, b"x", Decimal(1), {1}, Colour.RED, Point(1, 2), Mail("a")]
OTHER = r"is of type .*, which a worker would read as (str|list|dict), for '.*' of order"


@pytest.mark.parametrize("value", NOT_JSON)
def test_what_only_its_type_could_read_again_is_refused_where_there_is_no_type(value: Any) -> None:
    def order(a: int, b: Any) -> None: ...

    with pytest.raises(ArgumentsError, match=r"args\[1\]: " + OTHER):
        args_of(order, 1, value)


class Loose(Struct):
    when: datetime
    more: Any = None


NESTED: list[tuple[Any, Callable[[Any], Any], str]] = [
    (list[Any], lambda value: [1, value], "args[1][1]"),
    (tuple[int, Any], lambda value: (1, value), "args[1][1]"),
    (dict[str, Any], lambda value: {"a": {"b": [value]}}, 'args[1]["a"]["b"][0]'),
    (dict[int, list[Any]], lambda value: {7: [value]}, 'args[1]["7"][0]'),
    (Loose, lambda value: Loose(NOW, {"b": value}), 'args[1].more["b"]'),
    (Loose | None, lambda value: Loose(NOW, value), "args[1].more"),
    (Any, lambda value: {"a": (1, value)}, 'args[1]["a"][1]'),
]


@pytest.mark.parametrize("value", NOT_JSON)
@pytest.mark.parametrize(("kind", "wrap", "path"), NESTED)
def test_it_is_refused_inside_of_others_too(
    kind: Any, wrap: Callable[[Any], Any], path: str, value: Any
) -> None:
    def order(a: int, b: Any, c: Any = 5) -> None: ...

    order.__annotations__["b"] = kind
    with pytest.raises(ArgumentsError, match=OTHER) as caught:
        args_of(order, 1, wrap(value))
    assert caught.value.path == path


@pytest.mark.parametrize("value", NOT_JSON)
def test_it_is_refused_among_the_rest_too(value: Any) -> None:
    def order(a: datetime, *rest: Any) -> None: ...

    with pytest.raises(ArgumentsError, match=OTHER) as caught:
        args_of(order, NOW, 1, value)
    assert caught.value.path == "args[2]"


def test_it_is_refused_where_it_becomes_what_is_there_already() -> None:
    def order(a: set[Any]) -> None: ...

    with pytest.raises(ArgumentsError, match="is not the same any more when a worker reads it"):
        args_of(order, {ID, str(ID)})


@dataclass
class Larger(Mail):
    more: int = 0


ODD = datetime(2020, 1, 1, tzinfo=timezone(timedelta(seconds=30)))
SAME = "is not the same any more when a worker reads it"
CHANGED: list[tuple[Any, Any, str, str]] = [
    (dict, {1: 2}, "args[0]", "has a key of type int"),
    (Any, {"a": {1: "x", "1": "y"}}, 'args[0]["a"]', "has a key of type int"),
    (dict[int, int], {1: 2, "1": 3}, 'args[0]["1"]', "has a key that a worker would not see"),
    (list[int], {1}, "args[0]", "is of type set, which a worker would read as list"),
    (set[int], [1, 1], "args[0]", SAME),
    (Mail, Larger("a"), "args[0]", "is of type Larger, which a worker would read as Mail"),
    (list[Mail], [Mail("a"), Larger("a")], "args[0][1]", "is of type Larger"),
    (Mail, {"to": "a", "wen": None}, 'args[0]["wen"]', "a key that a worker would not see"),
    (dict[str, Mail], {"x": {"to": "a", "sizes": [{"width": 1, "wide": 2}]}}, "", '["wide"]'),
    (Options, {"depp": {}}, 'args[0]["depp"]', "a key that a worker would not see"),
    (datetime, ODD, "args[0]", SAME),
]


@pytest.mark.parametrize(("kind", "value", "path", "said"), CHANGED)
def test_a_value_that_would_be_another_one_is_refused(
    kind: Any, value: Any, path: str, said: str
) -> None:
    def order(a: Any) -> None: ...

    order.__annotations__["a"] = kind
    with pytest.raises(ArgumentsError) as caught:
        args_of(order, value)
    assert said in str(caught.value)
    assert path in ("", caught.value.path)


SPARE: list[tuple[Any, Any, Any]] = [
    (Mail, {"to": "a", "sizes": [{"width": 1}]}, {"to": "a", "sizes": [{"width": 1}]}),
    (Colour, "red", "red"),
    (Point, [1, 2], [1, 2]),
    (set[int], [1, 2], [1, 2]),
    (list[int], (1, 2), [1, 2]),
    (int, Level.LOW, 1),
    (dict[str, int], defaultdict(int, a=1), {"a": 1}),
]


@pytest.mark.parametrize(("kind", "value", "sent"), SPARE)
def test_what_the_signature_makes_of_it_may_be_given_as_it_is_in_json(
    kind: Any, value: Any, sent: Any
) -> None:
    def order(a: Any) -> None: ...

    order.__annotations__["a"] = kind
    assert args_of(order, value) == [sent]


def test_what_is_not_the_same_is_not_shown_where_it_is_nobodys_business() -> None:
    def order(a: Mail) -> None: ...

    with pytest.raises(ArgumentsError, match=f"^args.0.: {SAME}, for 'a' of order$"):
        a_job(order, redact=["a"]).call({"to": "a", "secret": 1})


def test_an_object_whose_annotations_mean_nothing_here_is_refused_like_others() -> None:
    @dataclass
    class Later:
        when: Any = None

    Later.__annotations__["when"] = "Nowhere"  # as of a name for type checkers only

    def order(a: Any) -> None: ...

    with pytest.raises(ArgumentsError, match=r"is of type .*Later, which a worker would read as"):
        args_of(order, Later())


def test_an_object_may_see_to_what_it_is_given() -> None:
    @dataclass
    class Address:
        mail: str

        def __post_init__(self) -> None:
            self.mail = self.mail.lower()

    def order(a: Any) -> None: ...

    order.__annotations__["a"] = Address
    assert args_of(order, {"mail": "A@B.C"}) == [{"mail": "A@B.C"}]
    assert args_of(order, Address("A@B.C")) == [{"mail": "a@b.c"}]


def test_beside_what_has_no_type_types_are_read_again() -> None:
    def order(a: Loose, b: dict[str, Any], c: set[datetime]) -> None: ...

    job = a_job(order)
    loose = Loose(NOW, {"x": [1, None, 1.5, "y"]})
    pushed = job.call(loose, {"a": (1, {"b": True})}, {NOW})
    found = job.binding.function.arguments.decode(Job.from_json(pushed.to_json()).args)
    assert found == (loose, {"a": [1, {"b": True}]}, {NOW})


# -- what does not fit ----------------------------------------------------------------------------


def sized(name: str, size: Size, more: dict[int, list[Size]] | None = None) -> None: ...


def text(text: str) -> None: ...


def precise(when: datetime, id: UUID, price: Decimal, raw: bytes) -> None: ...  # noqa: A002 - any name


class Unknown:
    pass


HOLDS_ITSELF: list[Any] = []
HOLDS_ITSELF.append(HOLDS_ITSELF)


MISFITS: list[tuple[Any, ...]] = [
    (sized, (1, Size(1)), "args[0]", "Expected `str`, got `int` for 'name' of sized"),
    (sized, ("a", {"width": "5"}), "args[1].width", "Expected `int`, got `str` for 'size'"),
    (sized, ("a", {}), "args[1]", "Object missing required field `width` for 'size'"),
    (sized, ("a", Size(1), {1: [Size(1), 7]}), "args[2][...][1]", "Expected `object`"),
    (sized, ("a", Size(1), {"x": []}), "args[2]", "Expected `int`, got `str` as a key"),
    (sized, ("a", Unknown()), "args[1]", "Unknown has no JSON form, so 'size' of sized"),
    (many, (1, "a", 2), "args[2]", "Expected `str`, got `int` for 'rest' of many"),
    (many, (1, "a", Unknown()), "args[2]", "Unknown has no JSON form, so 'rest' of many"),
    (text, (b"x",), "args[0]", "Expected `str`, got `bytes`"),
    (text, (NOW,), "args[0]", "Expected `str`, got `datetime`"),
    (text, (ID,), "args[0]", "Expected `str`, got `uuid`"),
    (
        text,
        (HOLDS_ITSELF,),
        "args[0]",
        "it has no end, or too deep a one, so 'text' of text cannot be sent",
    ),
    (precise, ("2026-05-04T03:02:01Z", ID, Decimal(1), b""), "args[0]", "Expected `datetime`"),
    (precise, (NOW, str(ID), Decimal(1), b""), "args[1]", "Expected `uuid`, got `str`"),
    (precise, (NOW, ID, Decimal(1), "text"), "args[3]", "Expected `bytes`, got `str`"),
    (four, (True,), "args[0]", "Expected `int`, got `bool`"),
    (four, (1.5,), "args[0]", "Expected `int`, got `float`"),
    (four, ("1",), "args[0]", "Expected `int`, got `str`"),
]


@pytest.mark.parametrize(("function", "args", "path", "said"), MISFITS)
def test_a_value_that_does_not_fit_is_named_by_its_path(
    function: Callable[..., Any], args: Any, path: str, said: str
) -> None:
    with pytest.raises(ArgumentsError) as caught:
        args_of(function, *args)
    assert caught.value.path == path
    assert said in str(caught.value)
    assert not caught.value.maybe_executed


@pytest.mark.parametrize("value", [2**53 + 1, -(2**53) - 1])
@pytest.mark.parametrize("kind", [int, float, Any])
def test_an_integer_that_the_server_would_round_is_refused(value: int, kind: Any) -> None:
    def order(a: Any) -> None: ...

    order.__annotations__["a"] = kind
    with pytest.raises(InvalidJobError, match=r"args\[0\]: is an integer beyond"):
        args_of(order, value)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_is_none_is_refused(value: float) -> None:
    def order(a: dict[str, float]) -> None: ...

    with pytest.raises(InvalidJobError, match=r'args\[0\]\["x"\]: is not finite'):
        args_of(order, {"x": value})


def test_a_model_may_refuse_a_value() -> None:
    @dataclass
    class Even:
        number: int

        def __post_init__(self) -> None:
            if self.number % 2:
                raise ValueError("odd")

    def order(even: Any) -> None: ...

    order.__annotations__["even"] = Even
    with pytest.raises(ArgumentsError, match=r"args\[0\]: odd for 'even' of order"):
        args_of(order, {"number": 3})


@on_every_loop
async def test_nothing_is_sent_of_a_push_that_does_not_fit(
    app: App, server: EmbeddedServer
) -> None:
    job = app.job(sized)
    async with app:
        with pytest.raises(ArgumentsError, match=r"args\[1\].width: "):
            await job.push("a", {"width": "5"})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # that is the point
        with pytest.raises(InvalidJobError):
            await app.job(four).push(2**60)
    assert server.queues == {}


# -- in the worker --------------------------------------------------------------------------------


FETCHED: list[tuple[list[Any], str]] = [
    (["a", {"width": "5"}], "args[1].width: Expected `int`, got `str` for 'size' of sized"),
    (["a"], "args: Expected `array` of at least length 2, got 1: sized needs name, size"),
    (["a", {"width": 1}, None, 1], "args: sized takes 3, not 4"),
    (["a", {"width": 1}, {"x": []}], "args[2]: Expected `int`, got `str` as a key for 'more'"),
]


@on_every_loop
@pytest.mark.parametrize(("args", "said"), FETCHED)
async def test_args_that_do_not_fit_fail_their_job_and_call_nobody(
    app: App, server: EmbeddedServer, args: list[Any], said: str
) -> None:
    called: list[Any] = []

    @app.job("sized")
    async def sized(name: str, size: Size, more: dict[int, list[Size]] | None = None) -> None:
        called.append(size)

    await push(app, Job("sized", args))
    assert (await work(app)).failed == 1
    errtype, message = failure_of(server)
    assert (errtype, called) == ("ArgumentsError", [])
    assert said in (message or "")


@on_every_loop
async def test_a_lenient_job_takes_texts_for_numbers(app: App) -> None:
    seen: list[Any] = []

    @app.job(strict=False)
    async def lenient(a: int, b: float, c: None, size: Size, *rest: int) -> None:
        seen.append((a, b, c, size, *rest))

    await push(app, Job("lenient", ["1", "2.5", "null", {"width": "3"}, "4"]))
    assert (await work(app)).acked == 1
    assert seen == [(1, 2.5, None, Size(3), 4)]


def test_a_lenient_job_is_pushed_as_strictly_as_others() -> None:
    with pytest.raises(ArgumentsError):
        a_job(four, strict=False).call("1")


@on_every_loop
async def test_defaults_are_the_handlers_own(app: App) -> None:
    seen: list[Any] = []
    own: list[int] = []

    @app.job
    async def order(a: int, b: list[int] = own, c: Size = Size(7)) -> None:  # noqa: B008 - they are the test
        seen.append((a, b, c))

    async with app:
        await order.push(1)
        await order.push(1, c=Size(2))
    await work(app, concurrency=1)
    assert seen == [(1, [], Size(7)), (1, [], Size(2))]
    assert seen[0][1] is own


@on_every_loop
async def test_numbers_that_a_server_has_rewritten_are_what_they_were(app: App) -> None:
    seen: list[Any] = []

    @app.job
    async def order(a: float, b: Decimal, c: dict[str, float], d: int) -> None:
        seen.append((a, b, c["x"], d))

    await push(app, Job("order", [5, 5, {"x": 7}, 5.0]), Job("order", [1e20, 0.5, {"x": 1e20}, 1]))
    async with app:
        await order.push(5.0, Decimal("5.0"), {"x": 7.0}, 5)
        await order.push(1e20, Decimal("1e40"), {"x": -1e300}, -5)
    assert (await work(app, concurrency=1)).acked == 4
    assert seen == [
        (5.0, Decimal(5), 7.0, 5),
        (1e20, Decimal("0.5"), 1e20, 1),
        (5.0, Decimal("5.0"), 7.0, 5),
        (1e20, Decimal("1e40"), -1e300, -5),
    ]
    assert {type(value) for args in seen for value in (args[0], args[2])} == {float}
    assert {type(args[1]) for args in seen} == {Decimal}
    assert {type(args[3]) for args in seen} == {int}


# -- what cannot be a job -------------------------------------------------------------------------


def star_star(a: int, **options: int) -> None: ...


def wrong_union(a: dict[int, int] | dict[str, int]) -> None: ...


def unknown_type(a: int, b: list[Unknown]) -> None: ...


def generator() -> Any:
    yield


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (resize, "resize: args are positional in Faktory, so crop cannot be passed by name only"),
        (star_star, r"star_star: args are positional in Faktory, so \*\*options"),
        (wrong_union, "wrong_union takes a: Type unions may not contain more than one dict type"),
        (unknown_type, "unknown_type takes b: Unknown, which JSON cannot carry"),
        (generator, "generator is a generator"),
        (Unknown, "a job is made of a function"),
        (print, "a job is made of a function"),
    ],
)
def test_what_cannot_be_a_job_is_refused_at_once(function: Callable[..., Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        App().job(function)


def test_an_error_shows_no_value_of_what_is_redacted() -> None:
    async def pay(card: Literal["visa", "amex"], pins: list[Literal[1, 2]]) -> None: ...

    arguments = a_job(pay, redact=["card", "pins"]).binding.function.arguments
    for number, args in enumerate([["secret", [1]], ["visa", [4711]]]):
        with pytest.raises(ArgumentsError) as caught:
            arguments.decode(args)
        assert "Expected another value for " in str(caught.value)
        assert caught.value.path == f"args[{number}]"
        assert "secret" not in str(caught.value)
        assert "4711" not in str(caught.value)


def test_a_parameter_to_redact_exists() -> None:
    with pytest.raises(UsageError, match="four has no parameter e, f to redact"):
        a_job(four, redact=["a", "f", "e"])


def test_what_is_redacted_is_shown_to_nobody() -> None:
    describe = a_job(four, redact=["b", "d"]).binding.function.describe
    assert describe([1, 2, "c", "secret"]) == "1, ***, 'c', ***"
    assert a_job(many, redact=["rest"]).binding.function.describe([1, "x", "y"]) == "1, ***, ***"
    assert a_job(nothing).binding.function.describe([]) == ""


# -- models of pydantic's kind --------------------------------------------------------------------


class Model:
    """What pydantic's `BaseModel` has, as far as it is used."""

    def __init__(self, name: str) -> None:
        self.name = name

    @classmethod
    def model_validate_json(cls, data: bytes) -> "Model":
        try:
            return cls(json.loads(data)["name"])
        except TypeError:
            raise ValueError("no model") from None

    def model_dump(self, *, mode: str, by_alias: bool) -> dict[str, Any]:
        assert (mode, by_alias) == ("json", True)
        return {"name": self.name}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and other.name == self.name

    __hash__ = None  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]:
        return {"$ref": "#/$defs/Name", "$defs": {"Name": {"type": "object", "required": ["name"]}}}


@on_every_loop
async def test_a_model_goes_there_and_back(app: App) -> None:
    seen: list[str] = []

    @app.job
    async def order(models: list[Model]) -> None:
        seen.extend(model.name for model in models)

    async with app:
        await order.push([Model("a"), Model("b")])
        with pytest.raises(ArgumentsError, match=r"args\[0\]\[0\]: no model"):
            await order.push([5])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]  # that is the point
    await work(app)
    assert seen == ["a", "b"]


class Named(pydantic.BaseModel):
    name: str
    when: datetime | None = None


class Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)
    when: datetime
    others: list[Named] = []


class Aliased(pydantic.BaseModel):
    name: str = pydantic.Field(alias="fullName")


class Scores(pydantic.RootModel[dict[str, int]]):
    pass


class Secret(pydantic.BaseModel):
    key: pydantic.SecretStr


class Hidden(pydantic.BaseModel):
    shown: int = 1
    hidden: int = pydantic.Field(default=2, exclude=True)


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (Named(name="a"), {"name": "a", "when": None}),
        (Strict(when=NOW, others=[Named(name="b")]), None),
        (Aliased(fullName="a"), {"fullName": "a"}),
        (Hidden(), {"shown": 1}),
        (Scores({"a": 1}), {"a": 1}),
    ],
)
def test_a_model_of_pydantic_is_read_as_it_was(value: Any, sent: Any) -> None:
    def order(a: Any) -> None: ...

    order.__annotations__["a"] = type(value)
    job = a_job(order)
    pushed = job.call(value)
    assert sent is None or pushed.args == [sent]
    assert job.binding.function.arguments.decode(Job.from_json(pushed.to_json()).args) == (value,)


def test_a_model_that_is_a_dict_may_be_given_as_one() -> None:
    def order(a: Scores) -> None: ...

    assert args_of(order, {"a": 1}) == [{"a": 1}]


@pytest.mark.parametrize(
    ("kind", "value", "path"),
    [
        (Secret, Secret(key=pydantic.SecretStr("x")), "args[0].key"),
        (Hidden, Hidden(hidden=5), "args[0].hidden"),
        (list[Hidden], [Hidden(), Hidden(hidden=5)], "args[0][1].hidden"),
        (Named, {"name": "a", "wen": None}, 'args[0]["wen"]'),
        (Any, Named(name="a"), "args[0]"),
    ],
)
def test_a_model_of_pydantic_that_would_be_another_one_is_refused(
    kind: Any, value: Any, path: str
) -> None:
    def order(a: Any) -> None: ...

    order.__annotations__["a"] = kind
    with pytest.raises(ArgumentsError) as caught:
        args_of(order, value)
    assert caught.value.path == path


def test_now_is_the_default_of_nothing() -> None:
    """A default is taken when the job is worked, and is in no job."""

    def order(when: datetime = datetime.now(UTC)) -> None: ...  # noqa: B008 - that is the point

    assert args_of(order) == []


def test_what_is_pushed_is_a_copy() -> None:
    def order(deep: list[tuple[int, list[int]]], more: Any) -> None: ...

    deep, more = [(1, [2])], {"a": (1, [()])}
    pushed = args_of(order, deep, more)
    assert pushed == [[[1, [2]]], {"a": [1, [[]]]}]
    assert (deep, more) == ([(1, [2])], {"a": (1, [()])})
    pushed[1]["a"].append(5)
    assert more == {"a": (1, [()])}
