"""Ctrl-C in a terminal, which signals every process in the foreground at once."""

import os
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from faktory_async import Job
from faktory_async.testing import FaktoryServer
from tests.cli._process import ROOT, push

pty = pytest.importorskip("pty", reason="this system has no terminals")

CTRL_C = b"\x03"
APP = """
import anyio
from faktory_async import App

app = App()


@app.job
async def finish() -> None:
    await anyio.Path("begun").touch()
    while not await anyio.Path("may_finish").exists():
        await anyio.sleep(0.01)
"""


class Terminal:
    """A terminal, and the command in its foreground."""

    def __init__(self, process: "subprocess.Popen[bytes]", end: int) -> None:
        self._process = process
        self._end = end
        self.shown = ""

    def shows(self, words: str) -> None:
        """Wait until it shows something new with these words."""
        seen = len(self.shown)
        while words not in self.shown[seen:]:
            self.shown += self._read()

    def press(self, key: bytes) -> None:
        os.write(self._end, key)

    def ends(self) -> int:
        """Wait for the end of the command and return its exit code."""
        try:
            while piece := self._read():
                self.shown += piece
        except OSError:  # what a terminal says when nobody is left
            pass
        return self._process.wait()

    def _read(self) -> str:
        return os.read(self._end, 4096).decode()


@contextmanager
def terminal(folder: Path, *arguments: str) -> Generator[Terminal]:
    ours, theirs = pty.openpty()
    with subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-c", IN_THE_FOREGROUND, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        watchdog = threading.Timer(120, process.kill)
        watchdog.start()
        try:
            yield Terminal(process, ours)
        finally:
            watchdog.cancel()
            process.kill()
            os.close(ours)


# A terminal belongs to the session whose leader opens it.
IN_THE_FOREGROUND = (
    "import os; os.close(os.open(os.ttyname(0), os.O_RDWR)); "
    "from faktory_async.cli import main; main()"
)


@pytest.mark.parametrize("how", [["worker"], ["worker", "--reload"], ["dev"]])
def test_ctrl_c_lets_handlers_finish(
    tmp_path: Path, faktory_server: FaktoryServer, how: list[str]
) -> None:
    (tmp_path / "jobs.py").write_text(APP)
    push(faktory_server.url, Job("finish", []))
    with terminal(tmp_path, *how, "jobs:app", "--grace=60") as screen:
        screen.shows("finish()")
        screen.press(CTRL_C)
        screen.shows("the worker is terminating")  # once: twice, it would be cut
        (tmp_path / "may_finish").touch()
        assert screen.ends() == 0, screen.shown
    assert "SIGINT" in screen.shown
    assert "Traceback" not in screen.shown
    assert (faktory_server.counters.processed, faktory_server.counters.failures) == (1, 0)


def test_a_second_ctrl_c_cuts_them_short(tmp_path: Path, faktory_server: FaktoryServer) -> None:
    (tmp_path / "jobs.py").write_text(APP)
    push(faktory_server.url, Job("finish", []))
    with terminal(tmp_path, "dev", "jobs:app", "--grace=60") as screen:
        screen.shows("finish()")
        screen.press(CTRL_C)
        screen.shows("the worker is terminating")
        screen.press(CTRL_C)
        assert screen.ends() == 6, screen.shown
    assert "Interrupted" in screen.shown


SLOW_TO_START = """
from contextlib import asynccontextmanager

import anyio
from faktory_async import App


@asynccontextmanager
async def lifespan():
    print("it begins", flush=True)
    await anyio.sleep_forever()
    yield


app = App(lifespan=lifespan)


@app.job
async def f() -> None: ...
"""


def test_ctrl_c_in_the_lifespans_start_is_an_end_in_order(
    tmp_path: Path, faktory_server: FaktoryServer
) -> None:
    (tmp_path / "jobs.py").write_text(SLOW_TO_START)
    with terminal(tmp_path, "worker", "jobs:app") as screen:
        screen.shows("it begins")
        screen.press(CTRL_C)
        assert screen.ends() == 0
    assert "stopped by SIGINT: 0 jobs ended" in screen.shown
    assert faktory_server.is_idle


def test_ctrl_c_in_the_import_of_the_app_is_130_and_quiet(
    tmp_path: Path, faktory_server: FaktoryServer
) -> None:
    (tmp_path / "jobs.py").write_text(
        "import time\nprint('it begins', flush=True)\ntime.sleep(600)\n"
    )
    with terminal(tmp_path, "worker", "jobs:app") as screen:
        screen.shows("it begins")
        screen.press(CTRL_C)
        assert screen.ends() == 130
    assert "Traceback" not in screen.shown
    assert faktory_server.is_idle
