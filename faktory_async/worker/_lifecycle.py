"""running → quiet → terminating → cut → stopped: forward only. Pure."""

from collections.abc import Callable
from enum import IntEnum


class Phase(IntEnum):
    """How far the worker is on its way out."""

    RUNNING = 0
    """Jobs are fetched and worked."""
    QUIET = 1
    """No FETCH is written any more; what runs goes on, and so does BEAT."""
    TERMINATING = 2
    """What runs may finish, within the grace."""
    CUT = 3
    """What still runs is cancelled and reported."""
    STOPPED = 4
    """Nothing is left."""


class Lifecycle:
    """Knows the phase and why it was entered.

    Args:
        on_change: Called after every change.

    Attributes:
        phase: Where the worker is.
        reason: What first moved it towards its end; "" while it runs.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self.phase = Phase.RUNNING
        self.reason = ""
        self._interrupted = False
        self._on_change = on_change

    def advance(self, phase: Phase, reason: str) -> None:
        """Move forward to the phase; going back, or nowhere, changes nothing."""
        if phase <= self.phase:
            return
        # A quiet worker that is told to stop was stopped by that, not by the word before it.
        if self.phase < Phase.TERMINATING:
            self.reason = reason
        self.phase = phase
        self._on_change()

    def interrupt(self, reason: str) -> None:
        """Terminate, and cut when called again; a server that said terminate does not count."""
        self.advance(Phase.CUT if self._interrupted else Phase.TERMINATING, reason)
        self._interrupted = True

    @property
    def beat_state(self) -> str | None:
        """What BEAT says of it: nothing while it runs."""
        if self.phase is Phase.RUNNING:
            return None
        return "quiet" if self.phase is Phase.QUIET else "terminate"
