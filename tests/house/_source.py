"""The product's files, as the rules of the house look at them."""

import ast
import functools
import tomllib
from pathlib import Path
from typing import Any, Final, NamedTuple

__all__ = ["PACKAGE", "ROOT", "Module", "modules", "public_modules", "pyproject"]

ROOT: Final = Path(__file__).parent.parent.parent
PACKAGE: Final = "faktory_async"


class Module(NamedTuple):
    """One file of the product."""

    name: str
    package: str  # its own name, where the file is an `__init__`
    tree: ast.Module


@functools.cache
def modules() -> tuple[Module, ...]:
    """Parse every module of the product."""
    return tuple(_parse(path) for path in sorted((ROOT / PACKAGE).rglob("*.py")))


def public_modules() -> list[Module]:
    """Return the doors of the packages, and the few public modules."""
    return [module for module in modules() if "._" not in module.name]


@functools.cache
def pyproject() -> dict[str, Any]:
    """Read the project's configuration."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def _parse(path: Path) -> Module:
    parts = path.relative_to(ROOT).with_suffix("").parts
    package = ".".join(parts[:-1])
    name = package if parts[-1] == "__init__" else ".".join(parts)
    return Module(name, package, ast.parse(path.read_text(), str(path)))
