"""What is going on between those who push and the pool, and how many connections that is worth.

The server works through the frames of one connection one after the other, through those of several
at the same time, and we through the reply of one while it works on the next. But a frame has costs
of its own, so that few jobs gain nothing by being shared out.
"""

import math
from typing import Final

from faktory_async.client._frames import MAX_BYTES, MAX_JOBS
from faktory_async.client._line import Line
from faktory_async.client._waiter import Frame, Waiter
from faktory_async.net import Pool

# Those who push are shared out to two connections where there are so many of them, and to one more
# for each so many.
_WORTH_JOBS: Final = 4
_SPREAD: Final = 4  # connections at most
# A further connection is used where so much waits ...
_WORTH_BYTES: Final = 64 * 1024
# ... or the frames under way take this many times what the last one took, and at least this long.
_SLOW: Final = 4.0
_SLOW_LEAST: Final = 0.05
# A dial may take this many times as long, or so many times what the last one took.
_SLOW_DIAL: Final = 3.0
_SLOWER_DIAL: Final = 2.0
# After a further connection could not be had, the next one is tried this many seconds later.
_NO_FURTHER: Final = 1.0


class Traffic:
    """Keeps count, and judges. It changes nothing but its own numbers.

    All times are on anyio's clock.

    Args:
        pool: Where connections come from.
        line: What waits.

    Attributes:
        each: How many pushes at the same time are worth a connection.
        callers: How many push.
        leading: How many of them hold a slot.
        dialling: Those of them whose slot is the right to dial.
        frames: What is under way, the oldest frame first.
        slow: Seconds that are long for a frame.
    """

    def __init__(self, pool: Pool, line: Line) -> None:
        self._pool = pool
        self._line = line
        self.each = _WORTH_JOBS
        self.callers = 0
        self.leading = 0
        self.dialling: dict[Waiter, None] = {}
        self.frames: dict[Frame, None] = {}
        self.slow = _SLOW_LEAST
        self._dial_took = 0.0
        self._stalls_at = math.inf  # when the oldest frame begins to be slow
        self._no_further_until = -math.inf

    # -- what happens -------------------------------------------------------------------------

    def sent(self, frame: Frame) -> None:
        """Note that a frame leaves."""
        if not self.frames:
            self._stalls_at = frame.sent_at + self.slow
        self.frames[frame] = None

    def answered(self, seconds: float) -> None:
        """Note how long a frame took, since that is how long the next one may take."""
        self.slow = max(_SLOW * seconds, _SLOW_LEAST)

    def dialled(self, seconds: float) -> None:
        """Note how long a dial took."""
        self._dial_took = seconds

    def ended(self, frame: Frame) -> None:
        """Note that a frame is no longer under way."""
        self.frames.pop(frame, None)
        self._stalls_at = math.inf
        for oldest in self.frames:
            self._stalls_at = oldest.sent_at + self.slow
            break

    def no_further(self, now: float) -> None:
        """Note that a further connection could not be had: for a while nobody tries again."""
        self._no_further_until = now + _NO_FURTHER

    # -- how long things take -----------------------------------------------------------------

    def is_stalled(self, now: float) -> bool:
        """Whether the oldest frame under way takes long."""
        return now >= self._stalls_at

    def dial_limit(self, now: float) -> float:
        """When a dial that begins now takes too long.

        It is six round trips at most, and twice as much is granted; where no frame has told yet how
        long one is, the last dial has.
        """
        return now + max(_SLOW_DIAL * self.slow, _SLOWER_DIAL * self._dial_took)

    # -- what is worth what -------------------------------------------------------------------

    def share(self, now: float) -> int:
        """Return how many jobs make a whole frame."""
        wanted = self._wanted(now)
        return MAX_JOBS if wanted == 1 else min(self.callers // wanted, MAX_JOBS)

    def needs_another(self, now: float) -> bool:
        """Whether a job that came last in line may be worth a further connection."""
        pending = len(self._line.pending)
        # Nearly always there are too few for the smallest share already.
        if (pending + 1) * _SPREAD > self.callers and pending >= self.share(now):
            return True
        return now >= self._stalls_at or self._line.size >= _WORTH_BYTES

    def is_worth_a_connection(self, whole: int, now: float) -> bool:
        """Whether an idle connection is to be used.

        Args:
            whole: How many jobs make a whole frame.
            now: The time.
        """
        leaders = self.leading - len(self.dialling)
        return (
            not (self.frames or leaders)
            or len(self._line) >= whole * (leaders + 1)
            or self._is_much_to_carry(leaders)
            or (self._pool.has_idle and self.is_stalled(now))
        )

    def is_worth_a_dial(self, whole: int, now: float, *, slow: bool) -> bool:
        """Whether a connection is to be dialled.

        Args:
            whole: How many jobs make a whole frame.
            now: The time.
            slow: Whether those in line have waited for too long.
        """
        at_work = len(self.frames) + self.leading - len(self.dialling)
        if not (slow or at_work):  # whether the server is there, one finds out for all
            waits = self._pool.has_lent and now < self._no_further_until
            return not (self.dialling or waits)
        if now < self._no_further_until:
            return False
        if slow or self._is_much_to_carry(self.leading):
            return True
        there = len(self.frames) + self.leading
        return there < self._wanted(now) and len(self._line) >= whole * (self.leading + 1)

    def hopes_beside(self, dialler: Waiter | None) -> bool:
        """Whether what waits can hope for another connection, or another dial."""
        holds_slot = dialler is not None and dialler.slot is not None
        return bool(self.frames) or self.leading > holds_slot or self._pool.has_usable

    def has_hope(self, dialler: Waiter | None) -> bool:
        """Whether what waits has that hope, or can wait for a connection that others were lent."""
        return self.hopes_beside(dialler) or self._pool.has_lent

    def _wanted(self, now: float) -> int:
        """Return to how many connections those who push are shared out."""
        if self.callers < self.each:
            return 1
        wanted = min(max(self.callers // self.each, 2), _SPREAD, self._pool.limit)
        if wanted > self._pool.slots and now < self._no_further_until:
            return max(self._pool.slots, 1)
        return wanted

    def _is_much_to_carry(self, leaders: int) -> bool:
        """Whether enough bytes wait beside what those leaders will take."""
        return self._line.size >= MAX_BYTES * leaders + _WORTH_BYTES
