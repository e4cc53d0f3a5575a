"""Cancel the handlers whose time is up: one timer for all of them."""

import math
from collections.abc import Callable, Collection
from typing import Final

import anyio

from faktory_async.worker._run import Run, present

# Seconds between two looks at the calendar, which goes on while the machine sleeps.
_GLANCE: Final = 5.0
# Seconds that a cancelled handler has before its job is failed without it.
_FINALLY: Final = 2.0
# Seconds between two looks at the least, so that thousands of deadlines cost few of them.
_PAUSE: Final = 0.01


class Deadlines:
    """Watches the runs of a worker.

    A deadline costs a job one comparison: nearly every job ends long before it, and the timer is
    set for the earliest one that was seen when it last went off.

    Args:
        runs: Those under way; others may change it.
        overdue: Called with a run whose handler goes on although it was cancelled.
    """

    def __init__(self, runs: Collection[Run], overdue: Callable[[Run], None]) -> None:
        self._runs = runs
        self._overdue = overdue
        self._next = math.inf
        self._news = anyio.Event()

    def watch(self, run: Run) -> None:
        """Note a deadline that is new, or was moved."""
        if run.deadline < self._next:
            self._news.set()

    async def run(self) -> None:
        """Watch for ever."""
        while True:
            with anyio.move_on_after(self._next - anyio.current_time()) as waiting:
                await self._news.wait()
                self._news = anyio.Event()
            self._next = self._look(idle=waiting.cancelled_caught and not self._runs)

    def _look(self, *, idle: bool) -> float:
        """Cancel what is due and return when to look again.

        Args:
            idle: Whether the time may pass until there is news. Not at once when nothing runs: jobs
                that are short would each be news.
        """
        now = present()
        soonest = math.inf
        for run in tuple(self._runs):
            if run.due(now) <= now.monotonic:
                self._expire(run)
            soonest = min(soonest, run.due(now))
        if idle:
            return math.inf
        return now.monotonic + min(_GLANCE, max(soonest - now.monotonic, _PAUSE))

    def _expire(self, run: Run) -> None:
        if run.was_cut:
            run.deadline = math.inf  # the worker is ending: it sees to its reports itself
        elif run.timed_out:
            run.deadline = math.inf
            self._overdue(run)
        else:
            run.time_out()
            run.postpone(_FINALLY)
