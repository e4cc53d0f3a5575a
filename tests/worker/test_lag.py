"""How late the loop is, and the stack of what holds it up."""

import logging
import threading

import pytest

from faktory_async.worker import _lag
from faktory_async.worker._lag import Lag


class Loop:
    """Stands in for the event loop: answers when a test says so."""

    def __init__(self, thread: int) -> None:
        self.thread = thread
        self.calls: list[object] = []

    def tell(self, call: object) -> None:
        self.calls.append(call)

    def turn(self) -> None:
        for call in self.calls:
            assert callable(call)
            call()
        self.calls.clear()


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(_lag, "time", clock)
    return clock


def lag_of(loop: Loop, *running: str) -> Lag:
    return Lag(loop, lambda: running)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # a stand-in


def test_a_loop_that_answers_is_not_late(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    loop = Loop(threading.get_ident())
    lag = lag_of(loop)
    for _ in range(3):
        lag.look()
        clock.now += 0.25
        loop.turn()
        assert lag.seconds == 0.25
    assert caplog.text == ""


def test_a_loop_that_does_not_answer_is_warned_of_once(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    loop = Loop(threading.get_ident())
    lag = lag_of(loop, "job a, for 3 s", "job b, for 1 s")
    for _ in range(5):
        lag.look()
        clock.now += 0.5
    assert lag.seconds == 2.5
    assert caplog.text.count("the event loop is blocked for more than 1 s") == 1
    assert "while these run: job a, for 3 s, job b, for 1 s" in caplog.text
    assert "in test_a_loop_that_does_not_answer_is_warned_of_once" in caplog.text
    loop.turn()
    assert "the event loop goes on after 2.5 s" in caplog.text
    for _ in range(4):
        lag.look()
        clock.now += 0.5
    assert caplog.text.count("the event loop is blocked") == 2  # another episode


def test_of_a_loop_whose_thread_is_gone_nothing_is_said(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    lag = lag_of(Loop(-1))
    for _ in range(5):
        lag.look()
        clock.now += 0.5
    assert caplog.records == []
    assert logging.getLogger("faktory_async.worker").isEnabledFor(logging.WARNING)


def test_where_no_job_runs_it_says_so(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    lag = lag_of(Loop(threading.get_ident()))
    for _ in range(4):
        lag.look()
        clock.now += 0.5
    assert "while these run: no job" in caplog.text
