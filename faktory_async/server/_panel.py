"""What can be seen of a server and done to it, on any thread."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, TypeVar

import anyio

from faktory_async.errors import UsageError
from faktory_async.net import Home
from faktory_async.server import _buttons, _snapshots
from faktory_async.server._buttons import SetName
from faktory_async.server._core import Core
from faktory_async.server._faults import Faults
from faktory_async.server._mutate import JobFilter
from faktory_async.server._snapshots import (
    Backlog,
    CountersSnapshot,
    QueueSnapshot,
    TimedSnapshot,
    WorkerSnapshot,
    WorkingSnapshot,
)
from faktory_async.server._workers import EVERYBODY, WorkerState

R = TypeVar("R")

# Beyond the year 9999 there is no time that could be written down.
_LATEST: Final = datetime(9999, 12, 31)  # noqa: DTZ001 - its zone does not matter


class Panel(ABC):
    """A server's instruments and buttons.

    Each of them may be used on any thread, inside of any event loop or without one. What is read is
    a snapshot, consistent in itself, which does not change any more. What is done is done when the
    call returns, between two of the server's steps.

    Attributes:
        faults: Outages on demand, see `Faults`.
    """

    faults: Faults

    @abstractmethod
    def _ask(self, question: Callable[[Core], R]) -> R:
        """Look at the server, on its own thread."""

    @abstractmethod
    def _do(self, action: Callable[[Core], R]) -> R:
        """Do something to the server, on its own thread, while it is open.

        Raises:
            ClientStateError: it is not open.
            UsageError: its event loop is blocked.
        """

    # -- what it knows ------------------------------------------------------------------------

    @property
    def queues(self) -> dict[str, QueueSnapshot]:
        """Every known queue by its name."""
        return self._ask(lambda core: _snapshots.queues(core.broker))

    @property
    def scheduled(self) -> tuple[TimedSnapshot, ...]:
        """The jobs that were pushed for later, the first one due first."""
        return self._ask(lambda core: _snapshots.timed(core.broker.scheduled))

    @property
    def retries(self) -> tuple[TimedSnapshot, ...]:
        """The jobs that failed and will be tried again, the first one due first."""
        return self._ask(lambda core: _snapshots.timed(core.broker.retries))

    @property
    def dead(self) -> tuple[TimedSnapshot, ...]:
        """The jobs that failed for the last time, the oldest first."""
        return self._ask(lambda core: _snapshots.timed(core.broker.dead))

    @property
    def working(self) -> tuple[WorkingSnapshot, ...]:
        """The jobs that were fetched and not reported, the first one to expire first."""
        return self._ask(lambda core: _snapshots.working(core.broker))

    @property
    def workers(self) -> dict[str, WorkerSnapshot]:
        """Every connected worker by its wid."""
        return self._ask(lambda core: _snapshots.workers(core.broker))

    @property
    def counters(self) -> CountersSnapshot:
        """How many jobs were processed, failed and wait, and how many connections there are."""
        return self._ask(lambda core: _snapshots.counters(core.broker))

    @property
    def backlog(self) -> Backlog:
        """What there is to do still: whoever drains a server looks here whether it is empty."""
        return self._ask(Core.backlog)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is queued, due or reserved, and every byte that came is answered."""
        return self.backlog.is_empty

    async def settled(self) -> None:
        """Wait until the server is idle, see `is_idle`; on any event loop.

        Somebody must be there to work on the jobs; nobody is waited for who is about to send
        something, nor is the clock moved. Cancelled, it only waits no more.

        Raises:
            ClientStateError: the server is not open.
            UsageError: the server's event loop is blocked.
        """
        home, idle = Home.of_this_task(), anyio.Event()

        def tell() -> None:
            with contextlib.suppress(RuntimeError):  # nobody waits any more: the loop is closed
                home.post(idle.set)

        self._do(lambda core: core.when_idle(tell))
        await idle.wait()

    def on_push(self, tell: Callable[[bytes], object] | None) -> None:
        """Have every job told that the server takes from now on, as it stores it; None: no more.

        On the server's thread, which waits meanwhile.
        """

        def listen(core: Core) -> None:
            core.broker.on_push = tell

        self._do(listen)

    # -- time ---------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """The time by the server's clock, UTC: real time, and how far it was moved."""
        return self._ask(lambda core: _snapshots.moment(core.clock()))

    @property
    def fetch_wait(self) -> float:
        """Seconds that a FETCH waits for a job before it answers nil; may be set at any time."""
        return self._ask(lambda core: core.fetch_wait)

    @fetch_wait.setter
    def fetch_wait(self, seconds: float) -> None:
        if not seconds >= 0:
            raise UsageError("fetch_wait is at least 0 seconds")
        self._do(lambda core: core.set_fetch_wait(seconds))

    def advance(
        self,
        by: timedelta | float = 0,
        *,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
        expire_reservations: bool = False,
    ) -> None:
        """Set the server's clock forward, and do all that it would have done until then.

        Every tick on the way runs, in order: scheduled jobs and retries are enqueued, the dead are
        forgotten. Then whoever waits is woken: FETCHes get the jobs, or nil where their time is
        over, and replies that a fault delays are sent. When this returns it has happened, though
        clients on other threads may not have noticed yet. Stretches in which nothing is due cost
        nothing.

        Connected workers count as having beaten all the time, and jobs in work keep as much of
        their reservation as they had.

        Args:
            by: How far, a timedelta or seconds; the other units are added to it.
            days: Days of 24 hours.
            hours: Hours.
            minutes: Minutes.
            seconds: Seconds.
            expire_reservations: Whether jobs in work run out of time on the way, as those of a
                worker that died do.

        Raises:
            UsageError: back in time, or beyond the year 9999; or the server's event loop is
                blocked.
            ClientStateError: the server is not open.
        """
        delta = by if isinstance(by, timedelta) else _seconds(by)
        delta += timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        if delta < timedelta(0):
            raise UsageError("the clock only goes forward")
        self._do(lambda core: _advance(core, delta, expire_reservations=expire_reservations))

    def advance_to_next(self) -> datetime | None:
        """Set the clock forward to when the next scheduled job or retry is enqueued.

        Returns:
            That time, UTC; None where there is none, and the clock was not moved.

        Raises:
            UsageError: the server's event loop is blocked.
            ClientStateError: the server is not open.
        """
        return self._do(_advance_to_next)

    # -- buttons ------------------------------------------------------------------------------

    def quiet(self, wid: str = EVERYBODY) -> None:
        """Tell a worker, or all, to fetch no more jobs; it hears of it at its next beat.

        Raises:
            UsageError: no such worker is connected.
        """
        self._do(lambda core: _buttons.signal(core.broker, wid, WorkerState.QUIET))

    def terminate(self, wid: str = EVERYBODY) -> None:
        """Tell a worker, or all, to end; it hears of it at its next beat.

        Raises:
            UsageError: no such worker is connected.
        """
        self._do(lambda core: _buttons.signal(core.broker, wid, WorkerState.TERMINATE))

    def evict(self, wid: str = EVERYBODY) -> None:
        """Drop a worker, or all, and cut their connections, as if they had not beaten for long.

        Raises:
            UsageError: no such worker is connected.
        """
        self._do(lambda core: core.evict(wid))

    def pause(self, *queues: str) -> None:
        """Let FETCH pass over queues; `*` stands for all.

        Raises:
            UsageError: a queue that had no job yet.
        """
        self._do(lambda core: _buttons.change_queues(core.broker, "pause", queues))

    def resume(self, *queues: str) -> None:
        """Let FETCH look into queues again; `*` stands for all.

        Raises:
            UsageError: a queue that had no job yet.
        """
        self._do(lambda core: _buttons.change_queues(core.broker, "resume", queues))

    def remove(self, *queues: str) -> None:
        """Forget queues and the jobs in them; `*` stands for all.

        Raises:
            UsageError: a queue that had no job yet.
        """
        self._do(lambda core: _buttons.change_queues(core.broker, "remove", queues))

    def requeue(self, of: SetName, *jids: str, jobtype: str = "", pattern: str = "") -> int:
        """Put jobs of a set into their queues now; without a choice, all of them.

        What is chosen and done is what MUTATE does, here and in the next two.

        Args:
            of: The set: `scheduled`, `retries` or `dead`.
            jids: The ids of the jobs; where there are any, the others do not count.
            jobtype: Only jobs of this type.
            pattern: Only jobs whose JSON looks so: `*` stands for any text.

        Returns:
            How many jobs were chosen.

        Raises:
            UsageError: no such set, or a job in it has no legal queue.
        """
        return self._mutate("requeue", of, JobFilter(jids=jids, jobtype=jobtype, regexp=pattern))

    def kill(self, of: SetName, *jids: str, jobtype: str = "", pattern: str = "") -> int:
        """Move jobs of a set to the dead ones; see `requeue`."""
        return self._mutate("kill", of, JobFilter(jids=jids, jobtype=jobtype, regexp=pattern))

    def discard(self, of: SetName, *jids: str, jobtype: str = "", pattern: str = "") -> int:
        """Forget jobs of a set; see `requeue`."""
        return self._mutate("discard", of, JobFilter(jids=jids, jobtype=jobtype, regexp=pattern))

    def clear(self, of: SetName) -> int:
        """Empty a set; return how many jobs were in it.

        Raises:
            UsageError: no such set.
        """
        return self._mutate("clear", of, JobFilter())

    def flush(self) -> None:
        """Forget every job and count, as FLUSH does; workers and reservations stay."""
        self._do(lambda core: core.broker.flush())

    def _mutate(self, command: str, of: SetName, job_filter: JobFilter) -> int:
        return self._do(lambda core: _buttons.mutate_set(core.broker, command, of, job_filter))


def _seconds(number: float) -> timedelta:
    try:
        return timedelta(seconds=number)
    except (OverflowError, ValueError):
        raise UsageError(f"{number} seconds are no span of time") from None


def _advance(core: Core, delta: timedelta, *, expire_reservations: bool) -> None:
    now = _snapshots.moment(core.clock())
    if delta > _LATEST.replace(tzinfo=now.tzinfo) - now:
        raise UsageError("the clock cannot go beyond the year 9999")
    microseconds = delta // timedelta(microseconds=1)
    core.advance(microseconds * 1000, expire_reservations=expire_reservations)


def _advance_to_next(core: Core) -> datetime | None:
    tick = core.broker.next_promotion()
    if tick is None:
        return None
    core.advance(max(0, tick - core.clock()), expire_reservations=False)
    return _snapshots.moment(tick)
