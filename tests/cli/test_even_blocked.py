"""Signals that are counted though a handler blocks the event loop."""

import os
import signal
import sys
from types import FrameType
from typing import Any

import pytest

from faktory_async.cli._even_blocked import EvenBlocked

TERM, INT = signal.SIGTERM, signal.SIGINT


@pytest.mark.parametrize(("before", "ended"), [(0, 0), (1, 1), (2, 1)])
def test_a_signal_that_comes_while_another_one_is_counted_is_one_more(
    monkeypatch: pytest.MonkeyPatch, before: int, ended: int
) -> None:
    """Python calls a handler between any two steps of another one."""
    told: list[None] = []
    kills: list[int] = []

    def kill(_pid: int, number: int) -> None:
        kills.append(number)

    def ignore(_number: int, _handler: object) -> None: ...

    monkeypatch.setattr(os, "kill", kill)
    monkeypatch.setattr(signal, "signal", ignore)
    at = iter([False, True])  # once, before the second step

    def trace(frame: FrameType, event: str, _arg: object) -> Any:
        if frame.f_code is EvenBlocked._note.__code__ and event == "line" and next(at, False):
            even_blocked._note(TERM)
        return trace

    with EvenBlocked(lambda: told.append(None)) as even_blocked:
        for _ in range(before):
            even_blocked._note(INT)
        usual = sys.gettrace()
        sys.settrace(trace)
        try:
            even_blocked._note(INT)
        finally:
            sys.settrace(usual)
    assert (len(told), len(kills)) == (1, ended)
