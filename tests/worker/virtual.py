"""Event loops whose clock jumps to the next timer as soon as nothing else is to be done.

Tests that wait for 15 s of silence, or for a grace of 25 s, take no time on them. They reach no
socket: whatever waits for the world outside would find its time already up.
"""

import asyncio
import selectors
from collections.abc import Mapping
from typing import Any, Final

import trio.testing


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.jumped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("every task waits, and no timer will ever wake one")
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if not ready:
            self.jumped += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop that never waits."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        # The real clock stands still: what a test computes takes no time.
        return self._jumping.jumped


BACKENDS: Final = ("asyncio", "trio")


def virtual_backend(name: str) -> tuple[str, Mapping[str, Any]]:
    """Return the backend of that name on virtual time, as anyio's pytest plugin takes it."""
    if name == "asyncio":
        return name, {"loop_factory": VirtualLoop}
    return name, {"clock": trio.testing.MockClock(autojump_threshold=0)}
