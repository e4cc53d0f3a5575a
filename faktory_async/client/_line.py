"""Those who wait for their job to leave, in order."""

from collections import deque
from collections.abc import Collection, Iterable
from itertools import takewhile

from faktory_async.client._frames import MAX_BYTES, MAX_JOBS
from faktory_async.client._waiter import Waiter


class Line:
    """Jobs that have not left, and who leaves next.

    In front stand groups: jobs of a frame that the server refused as a whole, of which each half is
    tried apart.

    Attributes:
        pending: Those who wait, in order, groups aside. A dictionary, since members leave from
            anywhere.
        lenient: Those of them whose time somebody else may keep.
        size: How many bytes they wait with.
    """

    def __init__(self) -> None:
        self.size = 0
        self.pending: dict[Waiter, None] = {}
        self.lenient: dict[Waiter, None] = {}
        self._groups: deque[list[Waiter]] = deque()

    def __bool__(self) -> bool:
        return bool(self.pending or self._groups)

    def __len__(self) -> int:
        if not self._groups:
            return len(self.pending)
        return len(self.pending) + sum(map(len, self._groups))

    def __contains__(self, waiter: Waiter) -> bool:
        return waiter in self.pending or waiter.group is not None

    # -- in and out ---------------------------------------------------------------------------

    def append(self, waiter: Waiter) -> None:
        """Put it at the end."""
        self.pending[waiter] = None
        if not waiter.strict:
            self.lenient[waiter] = None
        self.size += len(waiter.data)

    def remove(self, waiter: Waiter) -> None:
        """Take it out of the line, or out of its group."""
        if waiter.group is not None:
            waiter.group.remove(waiter)
            if not waiter.group:
                self._groups.remove(waiter.group)
            waiter.group = None
            return
        # Those behind one that was about to leave have not seen yet that they are in front.
        first = not waiter.is_free or waiter is self.first or waiter is self.timekeeper
        del self.pending[waiter]
        self.lenient.pop(waiter, None)
        self.size -= len(waiter.data)
        if first:
            self.wake_first()

    def put_back(self, waiters: Iterable[Waiter]) -> None:
        """Put them at the head, in their order."""
        back = list(waiters)
        for waiter in back:
            waiter.frame = None
        self.pending = dict.fromkeys(back) | self.pending
        self.lenient = {each: None for each in back if not each.strict} | self.lenient
        self.size += sum(len(waiter.data) for waiter in back)
        self.wake_first()

    def put_apart(self, waiters: list[Waiter]) -> None:
        """Make groups of the two halves, in front of everybody."""
        middle = len(waiters) // 2
        for half in (waiters[middle:], waiters[:middle]):
            if half:
                self._groups.appendleft(half)
                for waiter in half:
                    waiter.frame = None
                    waiter.group = half
                    waiter.wake()

    # -- who leaves ---------------------------------------------------------------------------

    def next_leader(self) -> Waiter | None:
        """Return the first one that could use a slot."""
        for group in self._groups:
            for each in group:
                if each.is_free:
                    return each
        return self.first

    def take(
        self, leader: Waiter, most: int = MAX_JOBS, *, but: Collection[Waiter] = ()
    ) -> list[Waiter]:
        """Take out who leaves with the leader: its group, or those who came first.

        At most so many jobs or 1 MiB, no jid twice, and always the leader's own: nobody ever waits
        for two frames.

        Args:
            leader: Whose job leaves in any case.
            most: How many jobs leave.
            but: Who stays in line.
        """
        group = leader.group
        if group is not None:
            self._groups.remove(group)
            for waiter in group:
                waiter.group = None
            return group
        taken = ([] if but else self._all(most)) or self._as_many_as_fit(leader, most, but)
        self.wake_first()
        return taken

    def _all(self, most: int) -> list[Waiter]:
        """Take everybody, where that is little enough."""
        taken = list(self.pending)
        if (
            len(taken) > most
            or self.size > MAX_BYTES
            or len({waiter.jid for waiter in taken}) < len(taken)
        ):
            return []
        self.pending.clear()
        self.lenient.clear()
        self.size = 0
        return taken

    def _as_many_as_fit(self, leader: Waiter, most: int, but: Collection[Waiter]) -> list[Waiter]:
        taken: list[Waiter] = []
        jids = {leader.jid}
        size = len(leader.data)
        for waiter in self.pending:
            if waiter is leader or waiter in but:
                continue
            size += len(waiter.data)
            if len(jids) == most or waiter.jid in jids or size > MAX_BYTES:
                break
            taken.append(waiter)
            jids.add(waiter.jid)
        taken.append(leader)
        for waiter in taken:
            del self.pending[waiter]
            self.lenient.pop(waiter, None)
            self.size -= len(waiter.data)
        return taken

    # -- whose time is over -------------------------------------------------------------------

    @property
    def first(self) -> Waiter | None:
        """The first one without a baton, groups aside. It sees to it that a stall is noticed."""
        return _first_free(self.pending)

    @property
    def timekeeper(self) -> Waiter | None:
        """The first one without a baton of those that share one clock: its own time ends first."""
        return _first_free(self.lenient)

    def wake_first(self) -> None:
        """Let those in front see that they are."""
        if self.pending:
            for waiter in (self.first, self.timekeeper):
                if waiter is not None:
                    waiter.wake()

    def expired(self, now: float) -> list[Waiter]:
        """Take out those that share one clock and whose time is over.

        Who holds a slot does not wait any more.
        """
        over = takewhile(lambda each: each.deadline <= now, self.lenient)
        return self._taken_out(each for each in over if each.is_free)

    def came_before(self, number: int) -> list[Waiter]:
        """Take out all that came up to that number, and all groups."""
        members = [waiter for group in self._groups for waiter in group]
        early = (waiter for waiter in self.pending if waiter.number <= number)
        return self._taken_out((*members, *early))

    def _taken_out(self, waiters: Iterable[Waiter]) -> list[Waiter]:
        chosen = list(waiters)
        for waiter in chosen:
            self.remove(waiter)
        return chosen


def _first_free(waiters: Iterable[Waiter]) -> Waiter | None:
    for waiter in waiters:  # a loop, since almost always it is the first one
        if waiter.slot is None and waiter.duty is None:
            return waiter
    return None
