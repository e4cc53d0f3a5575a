"""The queues: first in, first out, known by name from the first job on."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from faktory_async.server._gotime import NANOSECONDS, parse_time
from faktory_async.server._thorough import enqueued_at

EVERY: Final = "*"


class JobQueue:
    """One queue.

    Attributes:
        name: Its name.
        jobs: The jobs as FETCH answers them, the oldest first.
        paused: Whether FETCH passes it over.
    """

    __slots__ = ("jobs", "name", "paused")

    def __init__(self, name: str) -> None:
        self.name = name
        self.jobs: deque[bytes] = deque()
        self.paused = False


class Queues:
    """Every queue that is known."""

    def __init__(self) -> None:
        self._queues: dict[str, JobQueue] = {}

    def __len__(self) -> int:
        return len(self._queues)

    def __contains__(self, name: str) -> bool:
        return name in self._queues

    def __iter__(self) -> Iterator[JobQueue]:
        return iter(self._queues.values())

    def get(self, name: str) -> JobQueue | None:
        """Return a queue if it is known."""
        return self._queues.get(name)

    def open(self, name: str) -> JobQueue:
        """Return a queue, which is known from now on."""
        queue = self._queues.get(name)
        if queue is None:
            queue = self._queues[name] = JobQueue(name)
        return queue

    def pop(self, names: Iterable[str]) -> bytes | None:
        """Take the oldest job of the first of these queues that is neither empty nor paused."""
        for name in names:
            queue = self._queues.get(name)
            if queue is not None and queue.jobs and not queue.paused:
                return queue.jobs.popleft()
        return None

    def pause(self, names: list[str]) -> None:
        """Let FETCH pass over these queues."""
        for queue in self._chosen(names):
            queue.paused = True

    def resume(self, names: list[str]) -> None:
        """Let FETCH look into these queues again."""
        for queue in self._chosen(names):
            queue.paused = False

    def remove(self, names: list[str]) -> None:
        """Forget these queues with all that is in them."""
        for queue in self._chosen(names):
            self._queues.pop(queue.name, None)

    def clear(self) -> None:
        """Forget every queue."""
        self._queues.clear()

    def flush(self) -> None:
        """Empty every queue; the names stay, and so do the pauses."""
        for queue in self._queues.values():
            queue.jobs.clear()

    def latency(self, name: str, now: int) -> float:
        """Return for how many seconds the next job of a queue has been waiting; 0 for none.

        Raises:
            TimestampError: when that job does not say since when it is there.
        """
        queue = self._queues.get(name)
        if queue is None or not queue.jobs:
            return 0.0
        since = parse_time(enqueued_at(queue.jobs[0]))
        return (now - since) / NANOSECONDS

    def _chosen(self, names: list[str]) -> list[JobQueue]:
        """The known ones of these; all of them where the first is `*`."""
        if names[0] == EVERY:
            return list(self._queues.values())
        return [queue for name in names if (queue := self._queues.get(name)) is not None]
