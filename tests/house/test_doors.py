"""Each package has one door, its `__init__`; what is behind it is its own business."""

import ast
import importlib
import inspect
from collections.abc import Iterator

import pytest

from tests.house._source import PACKAGE, Module, modules, public_modules

for_each_public_module = pytest.mark.parametrize(
    "module", public_modules(), ids=[module.name for module in public_modules()]
)


def exported(module: Module) -> list[str]:
    return list(importlib.import_module(module.name).__all__)


def offered(module: Module) -> Iterator[str]:
    """Give the names of ours that a module imports or defines, for type checkers or for all."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            yield from (alias.asname or alias.name for alias in node.names)
    for node in module.tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name


@for_each_public_module
def test_all_names_everything_that_a_door_offers(module: Module) -> None:
    public = {name for name in offered(module) if not name.startswith("_")}
    assert public <= set(exported(module))


@for_each_public_module
def test_everything_in_all_is_there(module: Module) -> None:
    imported = importlib.import_module(module.name)
    assert [name for name in exported(module) if not hasattr(imported, name)] == []


@for_each_public_module
def test_all_is_sorted_and_names_nothing_twice(module: Module) -> None:
    names = exported(module)
    assert names == sorted(set(names), key=constants_then_classes_then_functions)


def constants_then_classes_then_functions(name: str) -> tuple[int, str]:
    kind = 0 if name.isupper() else 1 if name[0].isupper() else 2
    return kind, name


def trespasses(module: Module) -> Iterator[str]:
    """Give the imports that go past the door of another package."""
    for node in ast.walk(module.tree):
        for target in imports(node):
            *_, last = target.split(".")
            door, _, behind = target.partition("._")
            if behind and not last.startswith("__") and not at_home(module, door):
                yield target


def imports(node: ast.AST) -> Iterator[str]:
    """Give the dotted names of ours that a statement imports, the imported names included."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = [f"{node.module}.{alias.name}" for alias in node.names]
    else:
        names = []
    yield from (name for name in names if name.partition(".")[0] == PACKAGE)


def at_home(module: Module, door: str) -> bool:
    return door != PACKAGE and f"{module.package}.".startswith(f"{door}.")


def test_no_module_imports_another_packages_private_module() -> None:
    found = {module.name: list(trespasses(module)) for module in modules()}
    assert {name: targets for name, targets in found.items() if targets} == {}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from faktory_async.model import Job", []),
        ("from faktory_async.net._link import Link", []),
        ("from faktory_async.net import _link", []),
        ("from json import _default_decoder", []),
        ("from faktory_async.model._job import Job", ["faktory_async.model._job.Job"]),
        ("from faktory_async.model import _job", ["faktory_async.model._job"]),
        ("import faktory_async.model._job", ["faktory_async.model._job"]),
        ("if x:\n  import faktory_async._lazy", ["faktory_async._lazy"]),
        ("from faktory_async.errors import _Base", ["faktory_async.errors._Base"]),
    ],
)
def test_the_search_for_trespasses_finds_them(source: str, expected: list[str]) -> None:
    module = Module("faktory_async.net._pool", "faktory_async.net", ast.parse(source))
    assert list(trespasses(module)) == expected


def public_objects() -> Iterator[tuple[str, object]]:
    """Give the classes and functions in every `__all__`, and the public members of the classes."""
    for module in public_modules():
        imported = importlib.import_module(module.name)
        for name in exported(module):
            found = getattr(imported, name)
            if inspect.isclass(found):
                yield from ((f"{found.__qualname__}.{n}", v) for n, v in members(found))
            if inspect.isclass(found) or inspect.isfunction(found):
                yield f"{module.name}.{name}", found


def members(owner: type) -> Iterator[tuple[str, object]]:
    for name, member in vars(owner).items():
        is_code = isinstance(member, property | classmethod | staticmethod)
        if not name.startswith("_") and (is_code or inspect.isfunction(member)):
            yield name, getattr(owner, name)


def test_everything_public_is_documented() -> None:
    bare = [name for name, found in public_objects() if not inspect.getdoc(found)]
    assert sorted(bare) == []
