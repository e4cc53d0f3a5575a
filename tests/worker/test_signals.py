"""SIGTERM and SIGINT, sent to a process with a worker."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from faktory_async.net import Home
from faktory_async.worker import _signals
from faktory_async.worker._lifecycle import Lifecycle, Phase
from faktory_async.worker._signals import can_receive_signals
from tests.net._peers import when

ROOT = Path(__file__).parents[2]
TERM, INT = signal.SIGTERM, signal.SIGINT
each_backend = pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])


class Process:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._seen: list[str] = []

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def says(self, words: str) -> None:
        """Wait until it says something with these words."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._seen.append(line)
            if words in line:
                return
        raise AssertionError(f"it never said {words!r}:\n{''.join(self._seen)}")

    def ends(self, *, finish: bool = False) -> tuple[int, str]:
        """Wait for its end, with stdin closed where the handler is to finish."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if finish:
            self._process.stdin.close()
        rest = self._process.stdout.read()
        return self._process.wait(), rest

    def details(self, *, finish: bool = False) -> dict[str, Any]:
        """Wait for its end, which must be a return of `run()`."""
        status, rest = self.ends(finish=finish)
        assert status == 0, rest
        [line] = [line for line in rest.splitlines() if line.startswith("{")]
        details: dict[str, Any] = json.loads(line)
        return details


@contextmanager
def process(backend: str, handler: str, *options: str) -> Generator[Process]:
    with subprocess.Popen(  # noqa: S603 - a module of these tests
        [sys.executable, "-m", "tests.worker.signalled", backend, handler, *options],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as child:
        watchdog = threading.Timer(60, child.kill)
        watchdog.start()
        try:
            yield Process(child)
        finally:
            watchdog.cancel()
            child.kill()


@each_backend
@pytest.mark.parametrize("number", [TERM, INT])
def test_the_first_signal_ends_an_idle_worker(backend: str, number: signal.Signals) -> None:
    with process(backend, "idle") as child:
        child.says("started")
        child.send(number)
        assert child.details()["reason"] == number.name


@each_backend
def test_the_first_signal_lets_a_handler_finish(backend: str) -> None:
    with process(backend, "obedient") as child:
        child.says("started")
        child.send(TERM)
        child.says("SIGTERM: the worker is terminating")
        details = child.details(finish=True)
    assert (details["reason"], details["acked"], details["interrupted"]) == ("SIGTERM", 1, [])


@each_backend
@pytest.mark.parametrize("second", [TERM, INT])
def test_the_second_signal_cuts_it_short(backend: str, second: signal.Signals) -> None:
    with process(backend, "obedient") as child:
        child.says("started")
        child.send(TERM)
        child.says("SIGTERM: the worker is terminating")
        child.send(second)
        details = child.details()
    assert details["reason"] == "SIGTERM"
    assert (details["failed"], details["interrupted"]) == (1, ["12345678"])


@each_backend
def test_the_third_signal_ends_the_process(backend: str) -> None:
    with process(backend, "deaf") as child:
        child.says("started")
        child.send(INT)
        child.says("SIGINT: the worker is terminating")
        child.send(TERM)
        child.says("SIGTERM: the worker is cut")
        child.send(TERM)
        status, _ = child.ends()
    assert status == -TERM


@each_backend
def test_tstp_makes_it_quiet_and_ttin_shows_what_runs(backend: str) -> None:
    with process(backend, "obedient") as child:
        child.says("started")
        child.send(signal.SIGTTIN)
        child.says("SIGTTIN: what runs here:")
        child.says("job 12345678 (order), for ")
        child.says("in obedient")
        child.says("await anyio.wait_readable(sys.stdin)")
        child.send(signal.SIGTSTP)
        child.says("SIGTSTP: the worker is quiet")
        child.send(TERM)
        child.says("SIGTERM: the worker is terminating")
        details = child.details(finish=True)
    assert (details["reason"], details["acked"]) == ("SIGTERM", 1)


@each_backend
def test_what_heeds_no_cancellation_is_reported_and_named_until_it_ends(backend: str) -> None:
    with process(backend, "deaf") as child:
        child.says("started")
        child.send(TERM)
        child.says("SIGTERM: the worker is terminating")
        child.send(TERM)
        child.says("job 12345678 (order) does not heed its cancellation")
        child.says("waiting for what does not heed its cancellation:")
        child.says("in deaf")
        child.send(TERM)
        assert child.ends()[0] == -TERM


@each_backend
def test_signals_are_obeyed_while_what_the_handlers_need_is_opened(backend: str) -> None:
    with process(backend, "slow_to_open") as child:
        child.says("opening")
        child.send(TERM)
        child.says("SIGTERM: the worker is terminating")
        child.says("gave up opening")
        child.send(TERM)
        child.says("SIGTERM: the worker is cut")
        details = child.details(finish=True)
    assert (details["reason"], details["acked"]) == ("SIGTERM", 0)


@each_backend
def test_signals_are_obeyed_while_what_the_handlers_needed_is_closed(backend: str) -> None:
    with process(backend, "slow_to_close") as child:
        child.says("opened")
        child.send(TERM)
        child.says("closing")
        child.send(TERM)
        child.says("SIGTERM: the worker is cut")
        details = child.details(finish=True)
    assert details["reason"] == "SIGTERM"


@each_backend
def test_the_third_signal_ends_the_process_also_while_that_is_closed(backend: str) -> None:
    with process(backend, "slow_to_close") as child:
        child.says("opened")
        child.send(INT)
        child.says("closing")
        child.send(INT)
        child.says("SIGINT: the worker is cut")
        child.send(TERM)
        status, _ = child.ends()
    assert status == -TERM


# On trio an interrupt strikes whatever code runs in that moment; see the cancellation tests.
@pytest.mark.parametrize("backend", ["asyncio", "uvloop"])
def test_where_signals_are_not_obeyed_an_interrupt_still_ends_the_run_in_order(
    backend: str,
) -> None:
    with process(backend, "obedient", "handle_signals") as child:
        child.says("started")
        child.send(INT)
        status, rest = child.ends()
    assert status != 0
    assert "KeyboardInterrupt" in rest
    assert "processed 1 failures 1" in rest


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_signals_do_afterwards_what_they_did_before(backend: str) -> None:
    def mine(number: int, _frame: object) -> None:
        raise AssertionError(number)

    async def main() -> None:
        before = signal.getsignal(INT)
        signals = _signals.Signals(Lifecycle(lambda: None), lambda: "nothing")
        async with anyio.create_task_group() as group:
            with signals.obeyed(group, Home.of_this_task()):
                assert signal.getsignal(TERM) is not mine
        assert signal.getsignal(INT) == before

    options = {"use_uvloop": True} if backend == "uvloop" else {}
    usual = signal.signal(TERM, mine)
    try:
        anyio.run(main, backend="trio" if backend == "trio" else "asyncio", backend_options=options)
        assert signal.getsignal(TERM) is mine
    finally:
        signal.signal(TERM, usual)


def test_the_last_of_two_runs_gives_signals_back_though_it_began_last() -> None:
    async def main() -> None:
        before = signal.getsignal(INT)
        async with anyio.create_task_group() as group:
            runs = [
                _signals.Signals(Lifecycle(lambda: None), lambda: "nothing").obeyed(
                    group, Home.of_this_task()
                )
                for _ in range(2)
            ]
            for run in runs:
                run.__enter__()
            for run in runs:
                run.__exit__(None, None, None)
        assert signal.getsignal(INT) == before

    anyio.run(main, backend="trio")
    assert signal.getsignal(INT) is signal.default_int_handler


def test_a_signal_that_cannot_be_obeyed_keeps_nobody_from_the_next_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken() -> str:
        raise LookupError("no stacks")

    async def main() -> None:
        lifecycle = Lifecycle(lambda: None)
        signals = _signals.Signals(lifecycle, broken)
        async with anyio.create_task_group() as group:
            with signals.obeyed(group, Home.of_this_task()):
                signal.raise_signal(signal.SIGTTIN)
                await when(lambda: "no stacks" in caplog.text)
                signal.raise_signal(TERM)
                await when(lambda: lifecycle.phase is Phase.TERMINATING)

    anyio.run(main)


def test_signals_are_received_in_the_main_thread_only() -> None:
    answers: list[bool] = [can_receive_signals()]
    thread = threading.Thread(target=lambda: answers.append(can_receive_signals()))
    thread.start()
    thread.join()
    assert answers == [True, False]


def test_without_signals_of_the_loop_they_are_handled_by_the_interpreter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on Windows, where event loops receive none."""
    changes: list[Phase] = []
    lifecycle = Lifecycle(lambda: changes.append(lifecycle.phase))
    before = signal.getsignal(INT), signal.getsignal(TERM)

    async def main() -> None:
        monkeypatch.setattr(_signals, "_LOOPS_RECEIVE_THEM", False)
        signals = _signals.Signals(lifecycle, lambda: "nothing")
        async with anyio.create_task_group() as group:
            with signals.obeyed(group, Home.of_this_task()):
                for phase in (Phase.TERMINATING, Phase.CUT):
                    signal.raise_signal(INT)
                    await when(lambda: lifecycle.phase is phase)  # noqa: B023 - awaited at once

    anyio.run(main)
    assert changes == [Phase.TERMINATING, Phase.CUT]
    assert (signal.getsignal(INT), signal.getsignal(TERM)) == before
