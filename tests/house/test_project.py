"""What the project looks like from outside: its metadata, its top level, its gates."""

import importlib.metadata
import re
import subprocess
import sys
from typing import Final

from tests.house._source import ROOT, pyproject

TOP_LEVEL: Final = {
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "docs",
    "examples",
    "faktory_async",
    "pyproject.toml",
    "tests",
}
GATES: Final = [
    "ruff format --check .",
    "ruff check .",
    "codespell",
    "lint-imports",
    "mypy",
    "basedpyright",
    "tests",
]


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^A-Za-z0-9._-]", requirement)[0] for requirement in requirements}


def output_of(command: list[str]) -> str:
    finished = subprocess.run(  # noqa: S603 - commands of our own
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    return finished.stdout


def test_the_installed_version_is_the_projects() -> None:
    assert importlib.metadata.version("faktory-async") == pyproject()["project"]["version"]


def test_the_core_needs_anyio_and_msgspec_and_nothing_else() -> None:
    assert names(pyproject()["project"]["dependencies"]) == {"anyio", "msgspec"}


def test_the_top_level_holds_nothing_new() -> None:
    if (ROOT / ".git").exists():
        # The owner of the checkout may be another user than the one who runs the tests.
        command = ["git", "-c", "safe.directory=*", "ls-files"]
        paths = output_of(command).splitlines()
    else:  # an unpacked archive
        paths = [path.name for path in ROOT.iterdir()]
    found = {path.partition("/")[0] for path in paths if path}
    assert {name for name in found if not name.startswith(".")} <= TOP_LEVEL | {"PKG-INFO"}


def test_ci_runs_every_gate() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert re.findall(r"^gate (?!bash )(.+)$", script, re.MULTILINE) == GATES


def test_importing_the_package_loads_neither_of_its_dependencies() -> None:
    """A web application that only pushes now and then starts as fast as before."""
    script = "import sys, faktory_async; print(*sorted({'anyio', 'msgspec'} & set(sys.modules)))"
    assert output_of([sys.executable, "-c", script]).split() == []
