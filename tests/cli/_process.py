"""The command as a process of its own, with a small project as its current directory."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import anyio

from faktory_async import Client, Job

__all__ = ["ROOT", "Command", "free_port", "push", "running"]

ROOT: Final = Path(__file__).parents[2]
_PATIENCE: Final = 120.0  # seconds; a machine may be slow, but not a test that hangs


class Command:
    """A process that runs the command, and what it says."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._seen: list[str] = []

    @property
    def said(self) -> str:
        """All that was read of it so far."""
        return "".join(self._seen)

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def says(self, words: str) -> str:
        """Read on until it says something with these words, and return that line."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._seen.append(line)
            if words in line:
                return line
        raise AssertionError(f"it never said {words!r}:\n{self.said}")

    def ends(self) -> int:
        """Wait for its end and return its exit code."""
        assert self._process.stdout is not None
        self._seen.append(self._process.stdout.read())
        return self._process.wait()


@contextmanager
def running(
    folder: Path, *arguments: str, script: str = "", code: str = "", **environment: str
) -> Generator[Command]:
    """Run `python -m faktory_async` with these arguments; or in its place a script, or code."""
    how = [script] if script else ["-c", code] if code else ["-m", "faktory_async"]
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONIOENCODING"}
    with subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, *how, *arguments],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        start_new_session=True,
    ) as process:
        watchdog = threading.Timer(_PATIENCE, _kill, [process])
        watchdog.start()
        try:
            yield Command(process)
        finally:
            watchdog.cancel()
            _kill(process)


def _kill(process: "subprocess.Popen[str]") -> None:
    """Kill it and what it has started: who is left behind keeps its output open."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def push(url: str, *jobs: Job) -> None:
    """Store jobs."""

    async def store() -> None:
        async with Client(url) as client:
            for job in jobs:
                await client.push(job)

    anyio.run(store)


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
