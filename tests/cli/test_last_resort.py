"""The end of the process, whoever still runs."""

from pathlib import Path

import pytest

from faktory_async.cli import _last_resort
from faktory_async.cli._last_resort import LastResort
from tests.cli._process import running

# What is to be said cannot be: as if nobody read the pipe that stderr is.
SPEECHLESS = """
import threading
from faktory_async.cli import _last_resort

_last_resort._AFTER_THE_GRACE = 0
_last_resort.LastResort(0, lambda: str(threading.Event().wait())).on_state_change("cut")
threading.Event().wait()
"""


def test_ends_the_process_even_where_it_cannot_say_so(tmp_path: Path) -> None:
    with running(tmp_path, code=SPEECHLESS) as command:
        assert command.ends() == 6


def test_waits_for_the_grace_and_no_longer_once_handlers_are_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float] = []

    def note(_: LastResort, seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(LastResort, "_end_in", note)
    for state in ("quiet", "terminating", "cut", "stopped"):
        LastResort(25, str).on_state_change(state)
    assert waits == [25 + _last_resort._AFTER_THE_GRACE, _last_resort._AFTER_THE_GRACE]


def test_a_worker_that_has_ended_ends_nobody_else() -> None:
    with LastResort(3_600, str) as last_resort:
        last_resort.on_state_change("terminating")
        timer = last_resort._timer
        assert timer is not None
        last_resort.on_state_change("cut")
        timer.join()  # replaced, and gone
        timer = last_resort._timer
        assert timer is not None
        assert timer.interval == _last_resort._AFTER_THE_GRACE
    timer.join()
