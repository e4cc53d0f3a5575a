"""What the page about the command shows is true."""

import re
import signal
from pathlib import Path
from typing import Final

import click
import pytest

from faktory_async import Job
from faktory_async.cli import _errors
from faktory_async.cli._commands import command
from faktory_async.testing import FaktoryServer
from tests.cli._process import ROOT, free_port, push, running
from tests.docs._snippets import blocks

PAGE: Final = ROOT / "docs" / "command.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a directory with the app that the page shows."""
    [source] = blocks(PAGE, "python")
    (tmp_path / "hello.py").write_text(source)
    return tmp_path


def commands() -> list[list[str]]:
    """Return the arguments of the commands that the page shows."""
    shown = [block.split() for block in blocks(PAGE, "sh")]
    assert {words[0] for words in shown} == {"faktory-async"}
    return [words[1:] for words in shown]


def test_dev_shows_what_the_page_shows(folder: Path) -> None:
    url = f"tcp://127.0.0.1:{free_port()}"
    [shown] = blocks(PAGE, "text")
    expected = shown.strip().splitlines()
    with running(folder, *commands()[0], FAKTORY_URL=url) as process:
        process.says("the worker is ready")
        push(url, Job("greet", ["Ada", 2], jid="9fk2c41b7d0a55e3"))
        process.says("←")
        process.send(signal.SIGTERM)
        assert process.ends() == 0
    said = process.said.splitlines()[: len(expected)]
    assert list(map(essence, said)) == list(map(essence, expected))


def essence(line: str) -> str:
    """Leave out versions, times, addresses, and which loop is installed."""
    line = re.sub(r"^(\d+-\d+-\d+ )?\d+:\d+:\d+ |uvloop|asyncio|\d+\.\d+ ms", "", line)
    return re.sub(r"tcp://\S+\d|(async|Python) [0-9]\S*", "", line)


def test_the_worker_of_the_page_works(folder: Path, faktory_server: FaktoryServer) -> None:
    push(faktory_server.url, Job("greet", ["Ada"]))
    with running(folder, *commands()[1], "--burst") as process:
        assert process.ends() == 0
    assert "queues critical=5, default=1 · 50 at a time" in process.said
    assert faktory_server.counters.processed == 1


def test_the_page_has_every_option_and_every_exit_code() -> None:
    page = PAGE.read_text()
    rows = "\n".join(line for line in page.splitlines() if line.startswith("| `-"))
    worker = command.commands["worker"]
    for parameter in worker.params:
        if isinstance(parameter, click.Option):
            for name in [*parameter.opts, *parameter.secondary_opts]:
                assert f"`{name}" in rows
    codes = {value for name, value in vars(_errors).items() if name.isupper()}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)} == {0, *codes}
