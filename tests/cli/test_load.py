"""Which app the command line names."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from faktory_async.cli._errors import CommandError
from faktory_async.cli._load import load_app

APP = "from faktory_async import App\n"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Make modules in the current directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def make(source: str) -> str:
        (tmp_path / "the_module.py").write_text(source)
        return "the_module"

    return make


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("app = App()", ""),
        ("app = App()", ":app"),
        ("other = App()", ":other"),
        ("class Inner:\n    app = App()", ":Inner.app"),
        ("def make():\n    return App()", ":make"),
    ],
)
def test_finds_the_app(module: Callable[[str], str], source: str, name: str) -> None:
    assert repr(load_app(module(APP + source) + name)) == "<App 0 jobs>"


@pytest.mark.parametrize(
    ("source", "name", "words"),
    [
        ("jobs = App()", "", "the_module has no app: did you mean the_module:jobs?"),
        ("x = 1", ":appp", "the_module has no appp"),
        ("app = 1", "", "the_module is no App, but 1"),
        ("def app():\n    return 1", "", "the_module is no App, but 1"),
        ("async def app(): ...", "", "is async: a function that returns an app is a `def`"),
        ("def app():\n    raise SystemExit('bye')", "", "has called sys.exit('bye')"),
        ("raise SystemExit(0)", "", "the_module has called sys.exit(0)"),
        ("def app(needed): ...", "", "missing 1 required positional argument"),
        ("@App().job\nasync def app(): ...", "", "is no App, but <job app>"),
    ],
)
def test_says_what_there_is_in_place_of_an_app(
    module: Callable[[str], str], source: str, name: str, words: str
) -> None:
    with pytest.raises(CommandError) as caught:
        load_app(module(APP + source) + name)
    assert words in str(caught.value)
    assert caught.value.code == 3


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("hello.py", "hello.py is a file: write its module, hello:app"),
        ("src/hello.py:jobs", "write its module, src.hello:jobs"),
        ("hello:", "'hello:' is no app: write module:name"),
        ("", "'' is no app"),
        (".hello", "'.hello' is no app"),
        ("__main__:app", "__main__ is this command"),
    ],
)
def test_refuses_what_names_no_app(where: str, words: str) -> None:
    with pytest.raises(CommandError) as caught:
        load_app(where)
    assert words in str(caught.value)
    assert caught.value.code == 2


def test_a_module_that_is_not_there_is_told_without_a_traceback(
    module: Callable[[str], str],
) -> None:
    module("")
    for where in ("the_modul:app", "the_module.inner:app"):
        with pytest.raises(CommandError) as caught:
            load_app(where)
        assert str(caught.value).startswith("No module named ")
        assert caught.value.code == 3


def test_a_dot_in_place_of_the_colon_is_understood(module: Callable[[str], str]) -> None:
    with pytest.raises(CommandError, match="did you mean the_module:jobs\\?") as caught:
        load_app(module(APP + "jobs = App()") + ".jobs")
    assert caught.value.code == 3


def test_a_module_that_is_called_as_one_of_pythons_is_not_looked_for_in_that(
    module: Callable[[str], str],
) -> None:
    module("")
    assert "queue" in sys.modules
    with pytest.raises(CommandError, match="queue is Python's own: call yours otherwise") as caught:
        load_app("queue:app")
    assert caught.value.code == 3


def test_a_ctrl_c_while_it_is_imported_is_one(module: Callable[[str], str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        load_app(module("raise KeyboardInterrupt"))
