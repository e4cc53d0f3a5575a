"""`faktory-async dev` and `worker --reload`: a server in memory, and a worker that is reloaded."""

import os
import signal
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from faktory_async import Job
from faktory_async.cli import _reload
from faktory_async.cli._reload import _Supervisor
from faktory_async.cli._settings import Settings
from faktory_async.testing import FaktoryServer
from tests.cli._process import Command, free_port, push, running

APP = """
from faktory_async import App

app = App()


@app.job
async def greet(name: str) -> None:
    print("{word},", name, flush=True)
"""


def save(project: Path, source: str) -> None:
    """Write the app as editors do: all at once."""
    draft = project / "draft.txt"
    draft.write_text(source)
    draft.replace(project / "dev_app.py")


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """Make a directory with an app that says hello."""
    save(tmp_path, APP.format(word="hello"))
    return tmp_path


def stops(command: Command, number: signal.Signals = signal.SIGTERM) -> None:
    command.send(number)
    assert command.ends() == 0, command.said
    assert "Traceback" not in command.said.rpartition("the worker is ready")[2]


def test_dev_starts_a_server_reloads_and_outlives_a_bad_save(app: Path) -> None:
    url = f"tcp://127.0.0.1:{free_port()}"
    with running(app, "dev", "dev_app:app", FAKTORY_URL=url) as command:
        said = command.says("no server on")
        assert said.startswith(f"no server on {url}, so one in memory was started")
        assert "its jobs are lost when this ends" in said
        command.says("the worker is ready")
        push(url, Job("greet", ["Ada"]))
        command.says("hello, Ada")

        save(app, APP.format(word="good morning"))
        command.says("changed: dev_app.py")
        command.says("the worker is ready")
        push(url, Job("greet", ["Grace"]))
        command.says("good morning, Grace")

        save(app, "app = (\n")
        command.says("SyntaxError: '(' was never closed")
        command.says("the worker has ended with exit code 3; it starts again when a file changes")
        push(url, Job("greet", ["Edsger"]))  # the server has outlived it

        save(app, APP.format(word="good night"))
        command.says("good night, Edsger")  # before the worker is ready, or after that
        stops(command)
        assert command.said.count("the worker is ready") == 3
        assert "watchfiles" not in command.said


def test_dev_uses_the_server_that_is_there(app: Path, faktory_server: FaktoryServer) -> None:
    push(faktory_server.url, Job("greet", ["Ada"]))
    with running(app, "dev", "dev_app") as command:
        command.says(f"the server on {faktory_server.url} is used")
        command.says("hello, Ada")
        stops(command, signal.SIGINT)


def test_dev_starts_no_server_for_somebody_elses_address(app: Path) -> None:
    url = f"unix://{app}/none.sock"
    with running(app, "dev", "dev_app", FAKTORY_URL=url) as command:
        assert command.ends() == 4
    assert "without FAKTORY_URL, a server in memory would be started" in command.said
    assert "Traceback" not in command.said


@pytest.mark.faktory_server(password="secret")
def test_dev_does_not_hide_a_wrong_password(app: Path, faktory_server: FaktoryServer) -> None:
    url = faktory_server.url.replace("secret", "wrong")
    with running(app, "dev", "dev_app", FAKTORY_URL=url) as command:
        assert command.ends() == 5


def test_a_worker_is_reloaded_with_the_options_it_had(
    app: Path, faktory_server: FaktoryServer
) -> None:
    environment = {"FAKTORY_ASYNC_WORKER_RELOAD": "1", "FAKTORY_ASYNC_WORKER_CONCURRENCY": "7"}
    with running(app, "worker", "dev_app:app", "-q", "default=2", **environment) as command:
        command.says("queues default=2 · 7 at a time")
        command.says("the worker is ready")
        save(app, APP.format(word="bye"))
        command.says("changed: dev_app.py")
        command.says("queues default=2 · 7 at a time")
        command.says("the worker is ready")
        push(faktory_server.url, Job("greet", ["Ada"]))
        command.says("bye, Ada")
        stops(command)


@pytest.mark.asyncio
async def test_the_end_waits_for_no_thread_that_watches_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = _Supervisor(Settings(app="dev_app:app"), os.environ, tmp_path)
    supervisor._command = [sys.executable, "-c", "import signal; signal.pause()"]

    async def watch(*_args: Any, stop_event: anyio.Event, **_options: Any) -> AsyncGenerator[None]:
        os.kill(os.getpid(), signal.SIGTERM)
        with anyio.CancelScope(shield=True):  # as a thread does
            await stop_event.wait()
        return
        yield

    monkeypatch.setattr(_reload, "awatch", watch)
    with anyio.fail_after(30):
        assert await supervisor.run() == 128 + signal.SIGTERM


@pytest.mark.asyncio
async def test_a_worker_that_is_just_being_started_is_told_to_stop_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = _Supervisor(Settings(app="dev_app:app", grace=60), os.environ, tmp_path)
    supervisor._command = [sys.executable, "-c", "import signal; signal.pause()"]
    start = anyio.open_process

    async def late(*args: Any, **options: Any) -> anyio.abc.Process:
        process = await start(*args, **options)
        os.kill(os.getpid(), signal.SIGTERM)
        while supervisor._stopping is None:
            await anyio.lowlevel.checkpoint()
        return process

    monkeypatch.setattr(anyio, "open_process", late)
    with anyio.fail_after(30):
        assert await supervisor.run() == 128 + signal.SIGTERM
