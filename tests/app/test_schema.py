"""The contract for producers in other languages: a JSON Schema of all jobs."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pytest
from jsonschema import Draft202012Validator
from msgspec import Meta, Struct

from faktory_async import App, Job, JobContext
from tests.app.test_arguments import Model


class Size(Struct):
    width: int
    height: int = 1


class Colour(Enum):
    RED = "red"


@dataclass
class Tree:
    name: str
    below: "list[Tree]"


def make() -> App:
    """Make an app with jobs of all kinds."""
    app = App()

    @app.job("mail/send ~é%", queue="mail")
    async def send(ctx: JobContext, to: str, sizes: list[Size] = [], *more: int) -> None:  # noqa: B006 - that is the point
        """Send a mail.

        Or do not.
        """

    @app.job("rich")
    def rich(  # noqa: PLR0917 - as rich as can be
        when: datetime,
        id: UUID,  # noqa: A002 - any name
        price: Decimal = Decimal("0.5"),
        raw: bytes = b"raw",
        colour: Colour = Colour.RED,
        word: Literal["a", "b"] | None = None,
        wait: timedelta = timedelta(0),
        table: dict[int, dict[str, float]] = {},  # noqa: B006 - that is the point
        members: set[int] = frozenset(),  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]  # as good as a set
        anything: Any = None,
        tree: Tree | None = None,
        few: Annotated[int, Meta(le=3)] = 1,
    ) -> None: ...

    @app.stub("Resize")
    def resize(image: int) -> None: ...

    @app.job
    def nothing() -> None: ...

    @app.job
    def odd(model: Model, other: list[Model], default: int = object()) -> None: ...  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]  # programs without types

    return app


def is_valid(app: App, document: Any) -> bool:
    # As another program reads it.
    schema = msgspec.json.decode(msgspec.json.encode(app.json_schema()))
    Draft202012Validator.check_schema(schema)
    validator: Any = Draft202012Validator(schema)
    return bool(validator.is_valid(document))


def calls(app: App) -> list[Job]:
    made = {binding.jobtype: binding for binding in app.bindings()}

    def call(jobtype: str, *args: Any) -> Job:
        return Job(jobtype, made[jobtype].function.arguments.encode(args, {}))

    now, some_id = datetime.now(UTC), UUID(int=5)
    return [
        call("mail/send ~é%", "a@b.c"),
        call("mail/send ~é%", "a@b.c", [Size(5)], 1, 2),
        call("rich", now, some_id),
        call(
            "rich",
            now,
            some_id,
            Decimal("1.50"),
            b"\x00",
            Colour.RED,
            "a",
            timedelta(days=3),
            {1: {"a": 2.5}},
            {1, 2},
            {"a": [None]},
            Tree("a", [Tree("b", [])]),
            3,
        ),
        call("Resize", 5),
        call("nothing"),
        call("odd", Model("a"), [Model("b")]),
    ]


JOBS = calls(make())


@pytest.mark.parametrize("job", JOBS, ids=[f"{job.jobtype} {len(job.args)}" for job in JOBS])
def test_what_is_pushed_satisfies_it(job: Job) -> None:
    assert is_valid(make(), msgspec.json.decode(job.to_json()))


MISFITS: list[tuple[str, list[Any]]] = [
    ("unknown", []),
    ("mail/send ~é%", []),
    ("mail/send ~é%", [5]),
    ("mail/send ~é%", ["a@b.c", [{"height": 5}]]),
    ("mail/send ~é%", ["a@b.c", [], "x"]),
    ("rich", ["2026-05-04T03:02:01Z"]),
    ("rich", [5, "00000000-0000-0000-0000-000000000005"]),
    ("Resize", ["5"]),
    ("Resize", [5, 6]),
    ("nothing", [1]),
    ("odd", [{}, []]),
    ("odd", [{"name": "a"}, [{}]]),
]


@pytest.mark.parametrize(("jobtype", "args"), MISFITS)
def test_what_would_not_fit_does_not(jobtype: str, args: list[Any]) -> None:
    assert not is_valid(make(), {"jobtype": jobtype, "args": args})


def test_it_says_what_people_want_to_know() -> None:
    schema = make().json_schema()
    mail = schema["oneOf"][0]
    assert (mail["title"], mail["description"]) == ("mail/send ~é%", "Send a mail.")
    assert mail["properties"]["queue"]["default"] == "mail"
    args = schema["$defs"]["args of mail/send ~é%"]
    assert [each["title"] for each in args["prefixItems"]] == ["to", "sizes"]
    assert (args["items"]["title"], args["minItems"]) == ("more", 1)
    rich = schema["$defs"]["args of rich"]["prefixItems"]
    assert [each.get("default") for each in rich[2:5]] == ["0.5", "cmF3", "red"]


def test_an_app_without_jobs_has_one_that_nothing_satisfies() -> None:
    assert not is_valid(App(), {"jobtype": "x", "args": []})
