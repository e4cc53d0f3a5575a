"""How late the event loop is, seen from another thread, and what holds it up."""

import logging
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from typing import Final

from faktory_async.net import Home

_log: Final = logging.getLogger("faktory_async.worker")

_LATE: Final = 1.0  # seconds
_FRAMES: Final = 15  # the innermost of a stack


class Lag:
    """Asks the loop for a sign of life, and says what it does while it gives none.

    Args:
        home: The event loop.
        running: Names what runs on it.

    Attributes:
        every: Seconds between two looks.
    """

    def __init__(self, home: Home, running: Callable[[], Iterable[object]]) -> None:
        self.every: Final = 0.5
        self._home = home
        self._running = running
        self._asked_at: float | None = None
        self._last = 0.0
        self._warned = False

    @property
    def seconds(self) -> float:
        """How late the loop was when it was last asked, or is by now."""
        asked_at = self._asked_at
        return self._last if asked_at is None else max(self._last, time.monotonic() - asked_at)

    def look(self) -> None:
        """Ask the loop, or where it has not answered yet, see for how long. In another thread."""
        asked_at = self._asked_at
        if asked_at is None:
            self._asked_at = time.monotonic()
            self._home.tell(self._answer)
        elif not self._warned and time.monotonic() - asked_at > _LATE:
            self._warned = True
            self._warn()

    def _answer(self) -> None:
        """Give the sign of life. In the loop."""
        if self._asked_at is None:
            raise AssertionError("nobody asked")
        self._last = time.monotonic() - self._asked_at
        self._asked_at = None
        if self._warned:
            self._warned = False
            _log.warning("the event loop goes on after %.1f s", self._last)

    def _warn(self) -> None:
        frame = sys._current_frames().get(self._home.thread)  # noqa: SLF001 - documented, and the only way
        if frame is None:
            return  # the loop's thread is over
        _log.warning(
            "the event loop is blocked for more than %g s, while these run: %s\n"
            "A handler that computes, or waits without `await`, belongs into a `def`, which runs "
            "in a thread. Now the loop is here:\n%s",
            _LATE,
            ", ".join(map(str, self._running())) or "no job",
            "".join(traceback.format_stack(frame, limit=_FRAMES)).rstrip(),
        )
