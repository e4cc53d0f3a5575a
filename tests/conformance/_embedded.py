"""The embedded server as a target of rows, with a clock that can be moved."""

import time
from types import SimpleNamespace

import pytest

from faktory_async.server import EmbeddedServer, _embedded
from tests.conformance._stream import Target

__all__ = ["Clocked", "as_target"]


class Clocked:
    """An embedded server whose clock is real time and an offset, and ticks by hand alone."""

    def __init__(self) -> None:
        self._offset = 0
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_embedded, "time", SimpleNamespace(time_ns=self._time_ns))
            self.server = EmbeddedServer()
        self.server._keep_time = self._never  # type: ignore[method-assign]  # ticks by hand

    def target(self) -> Target:
        """Name the opened server."""
        server = self.server
        return Target(server.host, server.port, now=self._now, wait=self._advance)

    def _time_ns(self) -> int:
        return time.time_ns() + self._offset

    def _now(self) -> float:
        return self._time_ns() / 1e9

    async def _never(self) -> None:
        """Stand in for the task that ticks by real time."""

    async def _advance(self, seconds: float) -> None:
        """Move the clock, with every tick on the way."""
        while seconds > 0:
            step = min(1.0, seconds)
            self._offset += round(step * 1e9)
            seconds -= step
            for connection in self.server._broker.run_due():
                self.server._core.conversations[connection].hang_up()


def as_target(server: EmbeddedServer) -> Target:
    """Name an opened server that runs by real time."""
    return Target(server.host, server.port, stop=server.aclose)
