"""BEAT every 15 s: only this keeps the server from forgetting the worker after 60 s."""

import logging
import os
from typing import Final

import anyio

from faktory_async.errors import FaktoryError, ServerError, UnknownWorkerError
from faktory_async.protocol import Beat
from faktory_async.worker._lifecycle import Phase
from faktory_async.worker._line import Line
from faktory_async.worker._phases import Phases

_log: Final = logging.getLogger("faktory_async.worker")

EVERY: Final = 15.0  # seconds

_ORDERS: Final = {"quiet": Phase.QUIET, "terminate": Phase.TERMINATING}


class Heart:
    """Beats on a line of its own, which says HELLO with the worker's wid.

    Args:
        line: The connection.
        wid: The worker's id.
        phases: What the server's replies drive, and what BEAT tells it.
    """

    def __init__(self, line: Line, wid: str, phases: Phases) -> None:
        self._line = line
        self._wid = wid
        self._phases = phases

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
        lifecycle = self._phases.lifecycle
        command = Beat(self._wid, rss_kb=_rss_kb(), current_state=lifecycle.beat_state)
        try:
            order = await connection.execute(command)
        except UnknownWorkerError:
            _log.warning("the server has forgotten this worker: saying HELLO again")
            await self._line.hang_up()
            await self._line.pause()
            return False
        except ServerError as error:
            _log.warning("a BEAT was answered by an error: %s", error)
            return True
        except FaktoryError as error:
            await self._line.broke(error)
            return False
        self._line.worked()
        if order in _ORDERS:
            lifecycle.advance(_ORDERS[order], f"the server said {order}")
        return True


def _rss_kb() -> int | None:
    """The memory this process uses, where the system says it cheaply."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123 - never waits for a disk
            pages = int(statm.read().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024
