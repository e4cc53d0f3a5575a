"""BEAT every 15 s: only this keeps the server from forgetting the worker after 60 s."""

import logging
import os
import time
from collections.abc import Callable
from typing import Final, Protocol

import anyio

from faktory_async.errors import FaktoryError, ServerError, UnknownWorkerError
from faktory_async.protocol import Beat
from faktory_async.worker._lifecycle import Lifecycle, Phase
from faktory_async.worker._line import Line

_log: Final = logging.getLogger("faktory_async.worker")

EVERY: Final = 15.0  # seconds

_ORDERS: Final = {"quiet": Phase.QUIET, "terminate": Phase.TERMINATING}


class Heart(Protocol):
    """What beats, for as long as it is let."""

    @property
    def last_beat(self) -> float | None:
        """When the server last answered a BEAT, on the clock of `time.time`; None before."""
        ...

    @property
    def lag(self) -> float:
        """How many seconds late the event loop last was."""
        ...

    async def run(self) -> None:
        """Beat until cancelled.

        Raises:
            AuthenticationError: the server no longer takes the password.
            UsageError: there is no connecting with these options.
        """
        ...


class Pulse:
    """What a BEAT says, and what becomes of its answer; for any thread.

    Args:
        wid: The worker's id.
        lifecycle: What BEAT tells the server.
        advance: Drives the lifecycle by the server's answer.

    Attributes:
        last: When the server last answered.
    """

    def __init__(
        self, wid: str, lifecycle: Lifecycle, advance: Callable[[Phase, str], object]
    ) -> None:
        self._wid = wid
        self._lifecycle = lifecycle
        self._advance = advance
        self.last: float | None = None

    def command(self) -> Beat:
        """Return the BEAT of this moment."""
        return Beat(self._wid, rss_kb=_rss_kb(), current_state=self._lifecycle.beat_state)

    def answered(self, order: str | None) -> None:
        """Do what the server says."""
        self.last = time.time()
        if order in _ORDERS:
            self._advance(_ORDERS[order], f"the server said {order}")

    def refused(self, error: ServerError) -> bool:
        """Note an error in place of an answer; False when the worker must say HELLO again."""
        if isinstance(error, UnknownWorkerError):
            _log.warning("the server has forgotten this worker: saying HELLO again")
            return False
        _log.warning("a BEAT was answered by an error: %s", error)
        return True


class LoopHeart:
    """Beats on the event loop, over a line of its own: for dials that only work there.

    A handler that blocks the loop for a minute gets the worker forgotten.

    Args:
        line: The connection; it says HELLO with the worker's wid.
        pulse: What is said and done.
    """

    def __init__(self, line: Line, pulse: Pulse) -> None:
        self._line = line
        self._pulse = pulse

    @property
    def last_beat(self) -> float | None:
        """When the server last answered a BEAT."""
        return self._pulse.last

    @property
    def lag(self) -> float:
        """How late the event loop last was; nobody looks."""
        return 0.0

    async def run(self) -> None:
        """Beat for ever.

        Raises:
            AuthenticationError: the server no longer takes the password.
        """
        try:
            while True:
                if await self._beat():
                    await anyio.sleep(EVERY)
        finally:
            await self._line.hang_up()

    async def _beat(self) -> bool:
        """Send one BEAT; False when it must be repeated at once, on a new connection."""
        connection = await self._line.connection()
        try:
            order = await connection.execute(self._pulse.command())
        except ServerError as error:
            if self._pulse.refused(error):
                return True
            await self._line.hang_up()
            await self._line.pause()
            return False
        except FaktoryError as error:
            await self._line.broke(error)
            return False
        self._line.worked()
        self._pulse.answered(order)
        return True


def _rss_kb() -> int | None:
    """The memory this process uses, where the system says it cheaply."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123 - never waits for a disk
            pages = int(statm.read().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024
