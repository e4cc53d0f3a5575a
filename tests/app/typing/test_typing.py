"""What type checkers say of typed jobs: each checks two small programs."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PROGRAMS = [HERE / "accepted.py", HERE / "rejected.py"]


def output(*command: str) -> str:
    result = subprocess.run(  # noqa: S603 - our own tools
        [sys.executable, "-m", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert result.returncode == 1, result.stdout + result.stderr
    return result.stdout


def mypy() -> set[tuple[str, int]]:
    said = output("mypy", "--output=json", *map(str, PROGRAMS))
    lines = [msgspec.json.decode(line) for line in said.splitlines()]
    return {
        (Path(each["file"]).name, each["line"]) for each in lines if each["severity"] == "error"
    }


def basedpyright() -> set[tuple[str, int]]:
    said = output("basedpyright", "--outputjson", "--project", str(HERE))
    found = msgspec.json.decode(said)["generalDiagnostics"]
    return {
        (Path(each["file"]).name, each["range"]["start"]["line"] + 1)
        for each in found
        if each["severity"] == "error"
    }


@pytest.mark.parametrize("checker", [mypy, basedpyright])
def test_the_marked_lines_are_refused_and_no_others(
    checker: Callable[[], set[tuple[str, int]]],
) -> None:
    marked = {
        (program.name, number)
        for program in PROGRAMS
        for number, line in enumerate(program.read_text().splitlines(), 1)
        if "  # error: " in line
    }
    refused = checker()
    assert refused - marked == set(), "refused, but not marked"
    assert marked - refused == set(), "marked, but accepted"
