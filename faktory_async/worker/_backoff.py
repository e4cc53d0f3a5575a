"""How long to wait before the next try. Pure."""

from typing import Final

from faktory_async.model import world

_FIRST: Final = 0.1
_MOST: Final = 30.0


class Backoff:
    """Doubling waits with jitter, from 0.1 s to 30 s.

    The jitter takes up to half of a wait away, so that many workers do not come back at once.
    """

    def __init__(self) -> None:
        self._next = _FIRST

    def wait(self) -> float:
        """Return the seconds to wait now; the next wait is twice as long."""
        seconds = self._next * (1 - world().uniform() / 2)
        self._next = min(self._next * 2, _MOST)
        return seconds

    def reset(self) -> None:
        """Begin anew: it worked."""
        self._next = _FIRST
