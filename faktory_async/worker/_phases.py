"""The lifecycle for those who have to wait for it."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

import anyio

from faktory_async.worker._lifecycle import Lifecycle, Phase


class Phases:
    """Wakes or stops what depends on the phase.

    Attributes:
        lifecycle: What is driven; its `advance` and `interrupt` may be called by anything on the
            event loop.
        on_change: Called with every phase that is reached.
    """

    def __init__(self) -> None:
        self.lifecycle = Lifecycle(self._changed)
        self.hushed = False
        # Made by whoever waits: a worker may be made in another event loop than it runs in.
        self._reached: dict[Phase, anyio.Event] = {}
        self._scopes: set[tuple[Phase, anyio.CancelScope]] = set()
        self.on_change: Callable[[Phase], None] | None = None

    @property
    def fetching(self) -> bool:
        """Whether FETCHes may leave."""
        return not self.hushed and self.lifecycle.phase is Phase.RUNNING

    async def reached(self, phase: Phase) -> None:
        """Return once the phase is reached, or a later one."""
        if self.lifecycle.phase < phase:
            await self._reached.setdefault(phase, anyio.Event()).wait()

    @contextmanager
    def before(self, phase: Phase) -> Generator[anyio.CancelScope]:
        """Cancel the block as soon as the phase is reached: for what may be given up by then."""
        with anyio.CancelScope() as scope:
            entry = (phase, scope)
            self._scopes.add(entry)
            try:
                if self.lifecycle.phase >= phase:
                    scope.cancel()
                yield scope
            finally:
                self._scopes.discard(entry)

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change(self.lifecycle.phase)
        for phase, event in self._reached.items():
            if self.lifecycle.phase >= phase:
                event.set()
        for phase, scope in self._scopes:
            if self.lifecycle.phase >= phase:
                scope.cancel()
