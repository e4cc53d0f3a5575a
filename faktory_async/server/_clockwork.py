"""When the server looks after its sets: once a second, and every task at its own multiples."""

from typing import Final

from faktory_async.server._gotime import NANOSECONDS

PROMOTION_PERIOD: Final = 5
REAPING_PERIOD: Final = 15
PURGE_PERIOD: Final = 60


class Clockwork:
    """Ticks at whole seconds after the start; a task runs where its period divides the seconds.

    Args:
        start: When the server started, in nanoseconds since 1970.
    """

    def __init__(self, start: int) -> None:
        self._phase = start % NANOSECONDS
        self._last = start

    def restart(self, now: int) -> None:
        """Begin anew: what fell due meanwhile is done at the next tick, and none is counted."""
        self._phase = now % NANOSECONDS
        self._last = now

    def tick_for(self, due: int, period: int) -> int:
        """Return the first tick of a task that is still to come and not before `due`."""
        after = max(due, self._last + 1)
        seconds = -(-(after - self._phase) // NANOSECONDS)
        return -(-seconds // period) * period * NANOSECONDS + self._phase

    def advance(self, now: int) -> None:
        """Note that every tick until `now` is done."""
        self._last = max(self._last, now)

    def count(self, until: int, period: int) -> int:
        """Return how many ticks of a task there are from the last one done to `until`."""
        return max(0, self._index(until, period) - self._index(self._last, period))

    def _index(self, moment: int, period: int) -> int:
        return (moment - self._phase) // NANOSECONDS // period
