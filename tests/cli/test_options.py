"""What may be written on the command line, and what is made of it."""

import logging
import re
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from faktory_async.cli import _commands
from faktory_async.cli._commands import command
from faktory_async.cli._errors import CommandError
from faktory_async.cli._loop import backend_of
from faktory_async.cli._settings import Loop, Settings
from tests.house._source import pyproject


def invoke(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(command, arguments, env=environment)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, root_logger: logging.Logger) -> list[Settings]:
    """Note the settings that a command is run with, in place of running it."""
    settings: list[Settings] = []

    def note(given: Settings) -> int:
        settings.append(given)
        return 0

    for name in ("_worked", "_reloaded", "_developed"):
        monkeypatch.setattr(_commands, name, note)
    return settings


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], {}),
        (["-q", "a", "--queue=b"], {"queues": (("a", None), ("b", None))}),
        (["-q", "a=5", "-q", "b=0.5"], {"queues": (("a", 5.0), ("b", 0.5))}),
        (["-c", "3", "--threads", "2"], {"concurrency": 3, "threads": 2}),
        (["--grace", "1m30s"], {"grace": 90.0}),
        (["--grace", "7"], {"grace": 7.0}),
        (["--reload"], {"grace": 3.0}),
        (["-b", "--max-jobs=10"], {"burst": True, "max_jobs": 10}),
        (["--no-cron"], {"cron": False}),
        (["--connect-timeout=0"], {"connect_timeout": 0.0}),
        (
            ["--log-level", "DEBUG", "--log-format=json"],
            {"log_level": "debug", "log_format": "json"},
        ),
        (["--loop", "trio"], {"loop": "trio"}),
    ],
)
def test_options_become_settings(
    given: list[Settings], arguments: list[str], expected: dict[str, Any]
) -> None:
    result = invoke("worker", "hello:app", *arguments)
    assert result.exit_code == 0, result.output
    assert given == [Settings(app="hello:app", **expected)]


def test_dev_has_a_short_grace(given: list[Settings]) -> None:
    assert invoke("dev", "hello:app", "-c", "5").exit_code == 0
    assert given == [Settings(app="hello:app", concurrency=5, grace=3)]


# As they are written in the environment, and what the settings have then.
VARIABLES: dict[str, tuple[str, str, Any]] = {
    "QUEUE": ("a b=2", "queues", (("a", None), ("b", 2.0))),
    "CONCURRENCY": ("7", "concurrency", 7),
    "THREADS": ("3", "threads", 3),
    "CRON": ("0", "cron", False),
    "NO_CRON": ("1", "cron", False),
    "LOG_LEVEL": ("debug", "log_level", "debug"),
    "LOG_FORMAT": ("json", "log_format", "json"),
    "LOOP": ("trio", "loop", "trio"),
    "GRACE": ("1m", "grace", 60.0),
    "BURST": ("true", "burst", True),
    "MAX_JOBS": ("5", "max_jobs", 5),
    "CONNECT_TIMEOUT": ("7s", "connect_timeout", 7.0),
    "RELOAD": ("1", "grace", 3.0),
    "NO_RELOAD": ("0", "grace", 3.0),
}


def variables_of(name: str) -> list[str]:
    """Return what follows the prefix in the variables that a command's options should have."""
    options = [option for option in command.commands[name].params if option.name != "app"]
    texts = [text for option in options for text in (*option.opts, *option.secondary_opts)]
    long = [text.removeprefix("--") for text in texts if text.startswith("--")]
    return [text.replace("-", "_").upper() for text in long]


@pytest.mark.parametrize(
    ("name", "variable"),
    [(name, variable) for name in ("worker", "dev") for variable in variables_of(name)],
)
def test_each_option_has_its_variable(given: list[Settings], name: str, variable: str) -> None:
    value, attribute, expected = VARIABLES[variable]
    full = f"FAKTORY_ASYNC_{name.upper()}_{variable}"
    result = invoke(name, "hello:app", **{full: value})
    assert result.exit_code == 0, result.output
    assert invoke(name, "hello:app").exit_code == 0
    settings, usual = given
    assert getattr(settings, attribute) == expected
    assert getattr(usual, attribute) != expected


def test_an_argument_goes_before_a_variable(given: list[Settings]) -> None:
    no_cron = {"FAKTORY_ASYNC_WORKER_NO_CRON": "1"}
    assert invoke("worker", "hello:app", "--cron", **no_cron).exit_code == 0
    assert given == [Settings(app="hello:app")]


@pytest.mark.parametrize(
    ("cron", "no_cron", "expected"),
    [("", "0", True), ("", "", True), ("1", "0", True), ("0", "1", False), ("0", "", False)],
)
def test_the_two_variables_of_a_flag_mean_opposites(
    given: list[Settings], cron: str, no_cron: str, *, expected: bool
) -> None:
    both = {"FAKTORY_ASYNC_WORKER_CRON": cron, "FAKTORY_ASYNC_WORKER_NO_CRON": no_cron}
    result = invoke("worker", "hello:app", **both)
    assert result.exit_code == 0, result.output
    assert given == [Settings(app="hello:app", cron=expected)]


@pytest.mark.parametrize(
    ("cron", "no_cron", "words"),
    [
        ("1", "1", "FAKTORY_ASYNC_WORKER_NO_CRON says the opposite of FAKTORY_ASYNC_WORKER_CRON"),
        ("", "perhaps", "'perhaps' is not a valid boolean"),
    ],
)
def test_a_mistake_in_a_variable_is_one_in_the_call(
    given: list[Settings], cron: str, no_cron: str, words: str
) -> None:
    both = {"FAKTORY_ASYNC_WORKER_CRON": cron, "FAKTORY_ASYNC_WORKER_NO_CRON": no_cron}
    result = invoke("worker", "hello:app", **both)
    assert result.exit_code == 2
    said = " ".join(result.output.replace("│", " ").split())
    assert words in said
    assert not given


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("worker", "Missing argument 'APP'"),
        ("worker a:b -q x=none", "the weight of x is a number above 0"),
        ("worker a:b -q x=0", "the weight of x is a number above 0"),
        ("worker a:b -q x,y", "write -q x -q y"),
        ("worker a:b -q x,2", "a weight as x=2"),
        ("worker a:b -q x=2 -q y -q x=1", "x is there twice"),
        ("worker a:b --grace soon", "no duration"),
        ("worker a:b -c 0", "0 is not in the range"),
        ("worker a:b --loop winloop", "is not one of"),
        ("worker a:b --nonsense", "No such option"),
        ("nonsense", "No such command"),
    ],
)
def test_a_mistake_is_2_and_says_what_it_is(options: str, words: str) -> None:
    result = invoke(*options.split())
    assert result.exit_code == 2
    assert words in result.output


def test_a_reloaded_worker_gets_all_it_was_given(given: list[Settings]) -> None:
    settings = Settings(
        app="hello:app",
        queues=(("a", 2.0), ("b", None)),
        concurrency=3,
        threads=4,
        grace=1.5,
        burst=True,
        max_jobs=6,
        cron=False,
        connect_timeout=7.0,
        log_level="warning",
        log_format="plain",
        loop="asyncio",
    )
    assert invoke(*settings.arguments()).exit_code == 0
    assert given == [settings]


@pytest.mark.parametrize("name", ["worker", "dev"])
def test_help_has_examples(name: str) -> None:
    result = invoke(name, "--help")
    assert result.exit_code == 0
    assert f"  faktory-async {name} hello:app" in [
        line.rstrip().removeprefix(" ") for line in result.output.splitlines()
    ]


@pytest.mark.parametrize("name", ["worker", "dev"])
def test_help_speaks_of_no_option_that_the_command_has_not(name: str) -> None:
    run = command.commands[name]
    options = [option for option in run.params if isinstance(option, click.Option)]
    known = {text for option in options for text in (*option.opts, *option.secondary_opts)}
    for option in options:
        assert set(re.findall(r"--[a-z-]+", option.help or "")) <= known, option.name


def test_the_exit_codes_are_in_the_help() -> None:
    output = invoke("worker", "--help").output
    for code in range(7):
        assert f"   {code}  " in output


def test_the_command_is_installed_with_the_package() -> None:
    project = pyproject()["project"]
    assert project["scripts"] == {"faktory-async": "faktory_async.cli:main"}
    needed = " ".join(project["optional-dependencies"]["standard"])
    assert all(name in needed for name in ("click", "rich", "rich-click", "watchfiles", "cronsim"))


def test_a_loop_that_is_not_installed_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def find_nothing(_: str) -> None: ...

    monkeypatch.setattr("faktory_async.cli._loop.find_spec", find_nothing)
    assert backend_of("auto").name == "asyncio"
    loops: tuple[Loop, ...] = ("uvloop", "trio")
    for loop in loops:
        with pytest.raises(CommandError, match=f"{loop} is not installed: pip install") as caught:
            backend_of(loop)
        assert caught.value.code == 2
