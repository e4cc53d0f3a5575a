"""A set of payloads, each with its time: what is scheduled, to be retried, or dead."""

import heapq
from collections.abc import Iterator
from math import ceil, floor

from faktory_async.server._gotime import NANOSECONDS

# What was removed or renewed stays in the heap until it outnumbers the rest by this many.
_SLACK = 1000


class TimedSet:
    """Payloads ordered by score, then by their bytes; equal payloads are one entry."""

    def __init__(self) -> None:
        self._scores: dict[bytes, float] = {}
        self._heap: list[tuple[float, bytes]] = []

    def __len__(self) -> int:
        return len(self._scores)

    def __iter__(self) -> Iterator[bytes]:
        """Go through a copy, in order: entries may be removed meanwhile."""
        return iter([payload for _, payload in self.entries()])

    def entries(self) -> list[tuple[float, bytes]]:
        """Return scores and payloads, in order."""
        return sorted((score, payload) for payload, score in self._scores.items())

    def add(self, payload: bytes, score: float) -> None:
        """Put a payload in, or give it another score."""
        if self._scores.get(payload) == score:
            return
        self._scores[payload] = score
        heapq.heappush(self._heap, (score, payload))
        self._trim()

    def discard(self, payload: bytes) -> None:
        """Take a payload out if it is there."""
        self._scores.pop(payload, None)
        self._trim()

    def _trim(self) -> None:
        if len(self._heap) > 2 * len(self._scores) + _SLACK:
            self._heap = [(score, kept) for kept, score in self._scores.items()]
            heapq.heapify(self._heap)

    def clear(self) -> None:
        """Take everything out."""
        self._scores.clear()
        self._heap.clear()

    def first_score(self) -> float | None:
        """Return the lowest score, None when nothing is here."""
        while self._heap:
            score, payload = self._heap[0]
            if self._scores.get(payload) == score:
                return score
            heapq.heappop(self._heap)
        return None

    def count_due(self, score: float) -> int:
        """Return how many payloads have a score of at most this one."""
        return sum(1 for known in self._scores.values() if known <= score)

    def pop_due(self, score: float) -> bytes | None:
        """Take out and return the first payload whose score is at most this one."""
        first = self.first_score()
        if first is None or first > score:
            return None
        _, payload = heapq.heappop(self._heap)
        del self._scores[payload]
        return payload


def score_of(moment: int) -> float:
    """Return nanoseconds since 1970 as the seconds by which sets are ordered."""
    seconds, rest = divmod(moment, NANOSECONDS)
    return seconds + rest / NANOSECONDS


def moment_of(score: float) -> int:
    """Return the first moment at which an entry of this score is due."""
    seconds = floor(score)
    return seconds * NANOSECONDS + ceil((score - seconds) * NANOSECONDS)
