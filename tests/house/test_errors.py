"""The promises that hold for every exception at once."""

import importlib
import inspect
import pickle
import re
from typing import Final

import pytest

from faktory_async import Dead, Discard, Retry, errors
from faktory_async.errors import FaktoryError, ServerError
from tests.house._source import PACKAGE, ROOT, public_modules

ALL: Final = [getattr(errors, name) for name in errors.__all__]
UNKNOWN: Final = {
    "CommandTimeoutError",
    "ConnectionLostError",
    "ProtocolError",
    "ServerBusyError",
}
BRANCH: Final = re.compile(r"^ {4}(?P<stem>[│ ├└─]*)(?P<name>\w+Error)\b(?: +\((?P<mixin>\w+)\))?")

for_each_error = pytest.mark.parametrize("error", ALL, ids=errors.__all__)


def documented_tree() -> dict[str, tuple[str | None, str | None]]:
    """Read the module's docstring: for each name its parent there and its built-in base."""
    tree: dict[str, tuple[str | None, str | None]] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if branch := BRANCH.match(line):
            name = branch["name"]
            del path[len(branch["stem"]) // 3 :]
            tree[name] = (path[-1] if path else None, branch["mixin"])
            path.append(name)
    return tree


def test_the_docstring_draws_every_exception() -> None:
    assert sorted(documented_tree()) == sorted(errors.__all__)


@for_each_error
def test_the_docstring_draws_each_where_it_is(error: type[FaktoryError]) -> None:
    public = [base for base in error.__mro__[1:] if base.__name__ in errors.__all__]
    parent, mixin = documented_tree()[error.__name__]
    assert (public[0].__name__ if public else None) == parent
    assert mixin is None or mixin in {base.__name__ for base in error.__mro__}


@for_each_error
def test_a_class_says_unknown_only_where_the_server_may_have_acted(
    error: type[FaktoryError],
) -> None:
    assert error("x").maybe_executed is (error.__name__ in UNKNOWN)


@for_each_error
def test_each_survives_pickling_with_its_attributes(error: type[FaktoryError]) -> None:
    original = error("what happened")
    original._maybe_executed = not original.maybe_executed
    for name in set(vars(original)) - {"_maybe_executed"}:
        setattr(original, name, f"other {name}")
    original.add_note("while testing")
    copy = pickle.loads(pickle.dumps(original))  # noqa: S301 - our own bytes
    assert type(copy) is error
    assert str(copy) == str(original)
    assert copy.args == original.args
    assert vars(copy) == vars(original)
    assert copy.maybe_executed is original.maybe_executed


@pytest.mark.parametrize("answer", [True, False])
def test_the_maybe_executed_that_was_given_survives_pickling(answer: bool) -> None:  # noqa: FBT001 - a row of the table
    original = ServerError("no such thing", code="NOPE", maybe_executed=answer)
    copy = pickle.loads(pickle.dumps(original))  # noqa: S301 - our own bytes
    assert (copy.text, copy.code, copy.maybe_executed) == ("no such thing", "NOPE", answer)


# What a handler raises to say how its job ends is no error of this library.
WORDS = {Dead, Discard, Retry}


def test_every_exception_that_a_door_offers_stands_in_the_tree() -> None:
    strays = [
        f"{module.name}.{name}"
        for module in public_modules()
        for name, found in inspect.getmembers(importlib.import_module(module.name), inspect.isclass)
        if issubclass(found, BaseException)
        and found.__module__.startswith(PACKAGE)
        and not name.startswith("_")
        and found not in ALL
        and found not in WORDS
    ]
    assert strays == []


def test_the_page_tells_of_every_exception_in_the_order_of_the_tree() -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", page, re.MULTILINE)
    assert [name for name, _ in rows] == list(documented_tree())
    for name, row in rows:
        stored = row.split("|")[1]
        error: type[FaktoryError] = getattr(errors, name)
        if "perhaps" in stored:
            assert error("x").maybe_executed, f"{name} says nothing of the kind"
        elif stored.strip().startswith("no"):
            assert not error("x").maybe_executed, f"{name} does not prove that"
