"""The server's clock: real time and an offset, which can be moved while others wait for it."""

from collections.abc import Callable
from typing import Final

import anyio
import anyio.lowlevel

from faktory_async.server._gotime import NANOSECONDS

FOREVER: Final = float("inf")


class ServerClock:
    """Tells the time in nanoseconds since 1970.

    Args:
        real: The clock that goes by itself, likewise.
    """

    def __init__(self, real: Callable[[], int]) -> None:
        self._real = real
        self._offset = 0
        self._nudged: anyio.Event | None = None

    def __call__(self) -> int:
        """Return the time."""
        return self._real() + self._offset

    def move(self, nanoseconds: int) -> None:
        """Set the clock forward. Whoever waits notices at `nudge`."""
        self._offset += nanoseconds

    def nudge(self) -> None:
        """Let everybody who waits look again at the clock, and at what else may end the waiting."""
        nudged, self._nudged = self._nudged, None
        if nudged is not None:
            nudged.set()

    async def wait_until(self, moment: float, unless: Callable[[], bool] = lambda: False) -> None:
        """Wait until the clock shows a time, whether it gets there by itself or is moved.

        Args:
            moment: The time; `FOREVER` for none.
            unless: What ends the waiting too; looked at after each `nudge`.

        Cancelled, nothing happens.
        """
        await anyio.lowlevel.checkpoint()
        while (left := moment - self()) > 0 and not unless():
            if self._nudged is None:
                self._nudged = anyio.Event()
            with anyio.move_on_after(left / NANOSECONDS):
                await self._nudged.wait()
