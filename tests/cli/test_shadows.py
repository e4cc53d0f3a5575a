"""Projects with modules that are called as some of Python's own: they are the project's alone."""

import signal
import sys
from pathlib import Path

import pytest

from faktory_async import Job
from faktory_async.testing import FaktoryServer
from tests.cli._process import free_port, push, running

APP = """
from faktory_async import App

app = App()


@app.job
async def greet(name: str) -> None: ...


@app.job
def wait(name: str) -> None: ...


@app.job
async def fail(name: str) -> None:
    raise ValueError(name)
"""
MINE = "raise RuntimeError('who wants the project\\'s ' + __name__)"
JOBS = tuple(Job(jobtype, ["Ada"], retry=0) for jobtype in ("greet", "wait", "fail"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Make a directory with an app, and a module of the name of each of Python's."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name in sys.stdlib_module_names - {*sys.builtin_module_names, "__main__"}:
        (folder / f"{name}.py").write_text(MINE)
    (folder / "my_app.py").write_text(APP)
    return folder


@pytest.fixture
def script(tmp_path: Path) -> str:
    """Write the script that is installed as `faktory-async`."""
    path = tmp_path / "faktory-async"
    path.write_text("from faktory_async.cli import main\nmain()\n")
    return str(path)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "trio"])
def test_a_worker_wants_none_of_them(
    project: Path, script: str, faktory_server: FaktoryServer, loop: str
) -> None:
    push(faktory_server.url, *JOBS)
    url = faktory_server.url.replace("127.0.0.1", "localhost")
    options = ("my_app:app", "--burst", f"--loop={loop}")
    with running(project, "worker", *options, script=script, FAKTORY_URL=url) as command:
        assert command.ends() == 1, command.said
    assert "Traceback" not in command.said
    assert (faktory_server.counters.processed, faktory_server.counters.failures) == (3, 1)


def test_neither_does_one_that_is_reloaded(project: Path, script: str) -> None:
    url = f"tcp://127.0.0.1:{free_port()}"
    with running(project, "dev", "my_app:app", script=script, FAKTORY_URL=url) as command:
        command.says("the worker is ready")
        push(url, *JOBS)
        command.says("← greet")
        command.send(signal.SIGTERM)
        assert command.ends() == 0, command.said
    assert "Traceback" not in command.said


def test_nor_the_module_that_is_the_command(tmp_path: Path, faktory_server: FaktoryServer) -> None:
    push(faktory_server.url, *JOBS)
    for name in ("email", "queue", "selectors", "logging", "asyncio"):
        (tmp_path / f"{name}.py").write_text(MINE)
    (tmp_path / "my_app.py").write_text(APP)
    with running(tmp_path, "worker", "my_app:app", "--burst") as command:
        assert command.ends() == 1, command.said
    assert "Traceback" not in command.said
    assert faktory_server.counters.processed == 3


def test_the_project_is_found_before_what_is_installed(
    tmp_path: Path, faktory_server: FaktoryServer
) -> None:
    assert faktory_server.is_idle
    (tmp_path / "pluggy.py").write_text(APP)  # which is installed wherever there is pytest
    with running(tmp_path, "worker", "pluggy:app", "--burst") as command:
        assert command.ends() == 0, command.said
