"""Run a worker as a process of its own, and again whenever a source file changes."""

import logging
import os
import signal
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import anyio
import anyio.lowlevel
from anyio.abc import Process
from watchfiles import Change, PythonFilter, awatch

from faktory_async.cli._errors import USAGE, CommandError
from faktory_async.cli._logs import COMMAND
from faktory_async.cli._settings import Settings

# Its own line for every change would say less than ours.
logging.getLogger("watchfiles").setLevel(logging.WARNING)

# A worker ends by itself within 5 s after its grace; the rest is for a busy machine.
_PATIENCE: Final = 7.0


async def run_reloaded(
    settings: Settings, environment: Mapping[str, str], folder: Path | None = None
) -> int:
    """Run a worker until SIGTERM or Ctrl-C, anew after every change of a Python file.

    A new process each time, so that nothing of the old code stays. A worker that ends by itself,
    such as one that cannot be imported after a bad save, is started again at the next change.

    Args:
        settings: How the worker is to be run.
        environment: The environment variables of its process.
        folder: Where files are watched, with what is below it; by default the current directory.

    Returns:
        The exit code of the last worker.

    Raises:
        CommandError: this system has no signals to tell processes to stop by.
    """
    if os.name != "posix":
        raise CommandError(USAGE, "reload needs a POSIX system: use `faktory-async worker`")
    return await _Supervisor(settings, environment, folder or Path.cwd()).run()


class _Supervisor:
    def __init__(self, settings: Settings, environment: Mapping[str, str], folder: Path) -> None:
        # -P: modules of the current directory are the app's, and not what Python's are taken from.
        self._command = [sys.executable, "-P", "-m", "faktory_async", *settings.arguments()]
        self._environment = _without_options(environment)
        self._folder = folder
        self._patience = settings.grace + _PATIENCE
        self._stopping: signal.Signals | None = None
        self._over = anyio.Event()
        self._news = anyio.Event()
        self._child: Process | None = None
        self._code = 0

    async def run(self) -> int:
        async with anyio.create_task_group() as group:
            group.start_soon(self._obey)
            group.start_soon(self._watch)
            await anyio.lowlevel.checkpoint()  # both have begun when the worker does
            try:
                await self._keep_running()
            finally:
                self._over.set()
            group.cancel_scope.cancel()
        return self._code

    async def _keep_running(self) -> None:
        while self._stopping is None:
            self._news = anyio.Event()
            self._code = await self._run_once()
            if not self._news.is_set():
                COMMAND.warning(
                    "the worker has ended with exit code %d; it starts again when a file changes",
                    self._code,
                )
                await self._news.wait()

    async def _run_once(self) -> int:
        async with await anyio.open_process(
            self._command, env=self._environment, stdin=None, stdout=None, stderr=None
        ) as child:
            self._child = child
            if self._stopping is not None:  # since before there was a process to be told
                _send(child, signal.SIGTERM)
            async with anyio.create_task_group() as group:
                group.start_soon(self._end_at_news, child)
                await child.wait()
                group.cancel_scope.cancel()
        self._child = None
        return _exit_code(child.returncode or 0)

    async def _end_at_news(self, child: Process) -> None:
        await self._news.wait()
        if self._stopping is None:
            _send(child, signal.SIGTERM)
        with anyio.move_on_after(self._patience):
            await child.wait()
            return
        child.kill()

    async def _watch(self) -> None:
        # It waits in a thread, which no cancellation reaches for up to 5 s, but this event does.
        watching = awatch(self._folder, watch_filter=PythonFilter(), stop_event=self._over)
        async for changes in watching:
            COMMAND.info("changed: %s; the worker starts again", _names(changes, self._folder))
            self._news.set()

    async def _obey(self) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for number in signals:
                self._stopping = number
                if self._child is not None and not _everybody_got(number):
                    _send(self._child, number)
                self._news.set()


def _names(changes: Iterable[tuple[Change, str]], folder: Path) -> str:
    return ", ".join(sorted({os.path.relpath(path, folder) for _, path in changes}))


def _exit_code(status: int) -> int:
    """Return the exit code as shells have it, where a signal has ended the process."""
    return status if status >= 0 else 128 - status


def _send(child: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it has just ended
        child.send_signal(number)


def _everybody_got(number: signal.Signals) -> bool:
    """Tell whether Ctrl-C was pressed: a terminal signals all processes in its foreground."""
    if number is not signal.SIGINT:
        return False
    try:
        return os.tcgetpgrp(sys.__stdin__.fileno() if sys.__stdin__ else 0) == os.getpgrp()
    except (OSError, ValueError):  # no terminal, or no stdin
        return False


def _without_options(environment: Mapping[str, str]) -> dict[str, str]:
    """Leave out what would be options of the worker: it has all of them as arguments."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith("FAKTORY_ASYNC_WORKER_")
    }
