"""How many jobs may be in hand: altogether, and of each limited queue. Pure."""

from collections.abc import Mapping, Sequence


class Slots:
    """A slot for every job in hand, and a place for every job of a limited queue.

    A FETCH that is out holds a slot, and counts as one job of every limited queue it names, since
    nobody knows which one it will bring.

    Args:
        count: How many jobs may be worked at the same time.
        limits: How many of them may be of one queue, for the queues that are limited.

    Attributes:
        free: Slots that nobody holds.
        limited: Whether any queue is limited.
    """

    def __init__(self, count: int, limits: Mapping[str, int] | None = None) -> None:
        self.free = count
        self._places = dict(limits or {})
        self.limited = bool(self._places)

    def open(self, queues: Sequence[str]) -> Sequence[str]:
        """Return those of the queues that a FETCH may name now."""
        if not self.free:
            return ()
        if not self.limited:
            return queues
        return [queue for queue in queues if self._places.get(queue, 1) > 0]

    def take(self, queues: Sequence[str]) -> None:
        """Note that a FETCH which names these queues leaves."""
        self.free -= 1
        if self.limited:
            self._change(queues, -1)

    def fill(self, queues: Sequence[str], queue: str) -> None:
        """Note that this FETCH has brought a job of one queue, which keeps the slot."""
        self._change(queues, 1)
        self._change((queue,), -1)

    def give_back(self, queues: Sequence[str]) -> None:
        """Note that this FETCH has brought nothing."""
        self.free += 1
        if self.limited:
            self._change(queues, 1)

    def release(self, queue: str) -> None:
        """Note that a job of the queue is over."""
        self.free += 1
        if self.limited:
            self._change((queue,), 1)

    def _change(self, queues: Sequence[str], by: int) -> None:
        for queue in queues:
            if queue in self._places:
                self._places[queue] += by
