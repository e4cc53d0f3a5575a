"""The sets that are ordered by time."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from faktory_async.server._timed_set import TimedSet

payloads = st.sampled_from([b"a", b"b", b"c", b"d"])
scores = st.sampled_from([1.0, 2.0, 2.5, 3.0])


class TimedSetMachine(RuleBasedStateMachine):
    """A timed set beside a dict that is sorted whenever it is looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.timed = TimedSet()
        self.model: dict[bytes, float] = {}

    def expected(self) -> list[tuple[float, bytes]]:
        return sorted((score, payload) for payload, score in self.model.items())

    @rule(payload=payloads, score=scores)
    def add(self, payload: bytes, score: float) -> None:
        self.timed.add(payload, score)
        self.model[payload] = score

    @rule(payload=payloads)
    def discard(self, payload: bytes) -> None:
        self.timed.discard(payload)
        self.model.pop(payload, None)

    @rule(score=scores)
    def pop(self, score: float) -> None:
        due = [payload for at, payload in self.expected() if at <= score]
        assert self.timed.pop_due(score) == (due[0] if due else None)
        if due:
            del self.model[due[0]]

    @rule()
    def clear(self) -> None:
        self.timed.clear()
        self.model.clear()

    @invariant()
    def holds_the_same_in_the_same_order(self) -> None:
        assert self.timed.entries() == self.expected()
        assert list(self.timed) == [payload for _, payload in self.expected()]
        assert len(self.timed) == len(self.model)
        assert self.timed.first_score() == min(self.model.values(), default=None)


TestTimedSet = TimedSetMachine.TestCase


def test_what_was_removed_does_not_pile_up() -> None:
    timed = TimedSet()
    for number in range(50_000):
        timed.add(b"%d" % number, float(number))
        timed.discard(b"%d" % number)
    assert len(timed._heap) < 2_000
    assert timed.first_score() is None


def test_renewing_does_not_pile_up() -> None:
    timed = TimedSet()
    for number in range(50_000):
        timed.add(b"same", float(number))
    assert len(timed._heap) < 2_000
    assert timed.first_score() == pytest.approx(49_999.0)
