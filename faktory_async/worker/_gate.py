"""Where fetchers get a slot and the queues to fetch from, or wait for them."""

from collections.abc import Callable, Sequence

import anyio

from faktory_async.net import Event, Native, wake
from faktory_async.worker._queues import Choice
from faktory_async.worker._riders import Riders
from faktory_async.worker._slots import Slots


class Gate:
    """Lets a FETCH leave when there is a slot, and room in at least one of its queues.

    Args:
        slots: How many jobs may be in hand.
        queues: Which queues to fetch from.
        riders: Who counts on FETCHes that are about to leave.
        most: How many jobs may be brought at all; None for as many as there are.

    Attributes:
        slots: As given.
        queues: May be replaced at any time, by any thread.
        leaving: How many FETCHes are about to leave.
        brought: How many jobs were brought.
        asked: The queues that were last to be fetched from, with room or not.
        complete: Whether the FETCH that was last let through names every queue.
        on_spent: Called when as many jobs were brought as may be.
        on_room: Called when a limited queue has room again, no FETCH under way names it, and nobody
            waits to send one that would.
    """

    def __init__(
        self, slots: Slots, queues: Choice, riders: Riders, *, most: int | None = None
    ) -> None:
        self.slots = slots
        self.brought = 0
        self.complete = False
        self.on_spent: Callable[[], None] = _nothing
        self._most = most
        self.queues = queues
        self.leaving = 0
        self.on_room: Callable[[], None] = _nothing
        self._riders = riders
        self._waiting: list[Event] = []
        self.asked: Sequence[str] = ()
        self._out: list[Sequence[str]] = []

    @property
    def spent(self) -> bool:
        """Whether as many jobs were brought as may be."""
        return self.brought == self._most

    # -- a FETCH --------------------------------------------------------------------------------

    def enter(self) -> Sequence[str]:
        """Take a slot and return the queues to name; nothing where there is no room."""
        if self._most is not None and self.brought + len(self._out) >= self._most:
            return ()
        self.asked = self.queues()
        names = self.slots.open(self.asked)
        self.complete = len(names) == len(self.asked)
        if names:
            self.slots.take(names)
            self._out.append(names)
        return names

    def fill(self, names: Sequence[str], queue: str) -> None:
        """Let the slot go over to the job of that queue, which FETCH has brought."""
        self._out.remove(names)
        self.brought += 1
        if self.brought == self._most:
            self.on_spent()
        if self.slots.limited:
            self.slots.fill(names, queue)
            self._call_one()

    def give_back(self, names: Sequence[str]) -> None:
        """Give the slot of a FETCH back that has brought nothing."""
        self._out.remove(names)
        self.slots.give_back(names)
        self._call_one()

    def release(self, queue: str) -> None:
        """Give the slot of a job back."""
        self.slots.release(queue)
        if self._waiting or self.slots.limited:
            self._call_one()

    # -- waiting --------------------------------------------------------------------------------

    async def room(self, seconds: float) -> bool:
        """Wait until something was given back; False where nothing was for so many seconds.

        True also means that the caller counts as `leaving`, until it says `left` or `stayed`.
        """
        event = Native().event()
        self._waiting.append(event)
        try:
            with anyio.move_on_after(seconds):
                await event
        except BaseException:
            if event not in self._waiting:
                self.stayed()
            raise
        finally:
            called = event not in self._waiting
            if not called:
                self._waiting.remove(event)
        return called

    def leave_soon(self) -> None:
        """Count the caller as `leaving`."""
        self.leaving += 1

    def left(self) -> None:
        """Count the caller as `leaving` no more."""
        self.leaving -= 1

    def stayed(self) -> None:
        """The same, and nothing leaves: who counted on it goes by other ways."""
        self.leaving -= 1
        self._riders.missed()

    def _call_one(self) -> None:
        if self._waiting:
            # The last one in line: who has waited for long is not needed, and goes.
            self.leaving += 1
            wake(self._waiting.pop())
        elif self.slots.limited and self._out and self._unwatched():
            self.on_room()

    def _unwatched(self) -> bool:
        """Whether a queue has room, and a job that comes there would not be brought at once."""
        watched = {queue for names in self._out for queue in names}
        return any(queue not in watched for queue in self.slots.open(self.asked))


def _nothing() -> None: ...
