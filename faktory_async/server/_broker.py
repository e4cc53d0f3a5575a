"""The state of a Faktory and what its commands do to it; no I/O, no clock of its own."""

import contextlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Final

from msgspec import UNSET

from faktory_async.server._clockwork import (
    PROMOTION_PERIOD,
    PURGE_PERIOD,
    REAPING_PERIOD,
    Clockwork,
)
from faktory_async.server._connection import Connection
from faktory_async.server._document import (
    DEFAULT_QUEUE,
    QUEUE_NAME_RULE,
    Document,
    due_time,
    encode_document,
    is_queue_name,
    normal_escapes,
    refusal,
)
from faktory_async.server._edition import Edition
from faktory_async.server._enterprise import Enterprise
from faktory_async.server._failure import (
    RESERVATION_EXPIRED,
    FailureReport,
    Verdict,
    note_failure,
)
from faktory_async.server._gotime import NANOSECONDS, TimestampError, format_time
from faktory_async.server._gotree import quote
from faktory_async.server._queues import Queues
from faktory_async.server._reservations import Reservation, Reservations
from faktory_async.server._thorough import stored_document
from faktory_async.server._timed_set import TimedSet, moment_of, score_of
from faktory_async.server._waiting import Waiting, WaitingRoom
from faktory_async.server._workers import Introduction, Workers

Clock = Callable[[], int]
Random = Callable[[int], int]

_FIRST_RETRY: Final = 25
_DEAD_FOR: Final = 180 * 24 * 3600 * NANOSECONDS


class TaskCounters:
    """What INFO says about one of the scheduler's tasks.

    Attributes:
        cycles: How often it ran.
        enqueued: How many entries it dealt with.
        wall_time: How long that took, in nanoseconds.
    """

    __slots__ = ("cycles", "enqueued", "wall_time")

    def __init__(self) -> None:
        self.cycles = 0
        self.enqueued = 0
        self.wall_time = 0


class Broker:
    """Queues, sets, reservations, workers and counters.

    Args:
        clock: Returns the time in nanoseconds since 1970.
        rand: Returns a random integer from 0 to one below its argument.
        edition: Which Faktory it is.

    Attributes:
        edition: Which Faktory it is.
        enterprise: What only Enterprise has; None on the free edition.
        default_retry: The retry of a job that names none. PUSH overwrites it, as on the real
            server.
        processed: How many jobs were worked on, whatever came of it.
        failures: How many of them failed.
        connections: The connections that said HELLO.
        on_push: Called with every job that was taken, as it is stored.
    """

    def __init__(self, clock: Clock, rand: Random, edition: Edition = Edition.OSS) -> None:
        self.clock: Final = clock
        self.rand: Final = rand
        self.started_at = clock()
        self.edition: Final = edition
        self.enterprise: Final = Enterprise(rand) if edition is Edition.ENTERPRISE else None
        self.default_retry = _FIRST_RETRY
        self.processed = 0
        self.failures = 0
        self.queues: Final = Queues()
        self.scheduled: Final = TimedSet()
        self.retries: Final = TimedSet()
        self.dead: Final = TimedSet()
        self.working: Final = Reservations()
        self.workers: Final = Workers()
        self.tasks: Final = {name: TaskCounters() for name in ("Scheduled", "Retries", "Dead")}
        self.connections: Final[dict[Connection, None]] = {}
        self.on_push: Callable[[bytes], object] | None = None
        self._room = WaitingRoom()
        self._room_closed = False
        self._clockwork = Clockwork(self.started_at)

    # -- jobs in ------------------------------------------------------------------------------

    def push(self, document: Document, created_at: int | None = None) -> str | None:
        """Take a job; return why not, in the server's words, if it is refused.

        Args:
            document: The job; its defaults are filled in.
            created_at: When its command came, for a job that does not say; now if not given.
        """
        text = refusal(document)
        if text is not None:
            return text
        now = self.clock()
        due = 0
        if document.at:
            try:
                due = due_time(document.at)
            except TimestampError as error:
                return error.text
        self._complete(document, now if created_at is None else created_at)
        if due <= now and (text := self._queue_refusal(document.queue)) is not None:
            return text
        if self.enterprise is not None:
            text = self.enterprise.admit(document, max(due, now), now)
            if text is not None:
                return text
        self._store(document, due, now)
        return None

    def _store(self, document: Document, due: int, now: int) -> None:
        if due > now:
            self.scheduled.add(encode_document(document), score_of(due))
        else:
            self._enqueue(document, now)
        if self.on_push is not None:
            self.on_push(encode_document(document))

    def push_callbacks(self, now: int) -> None:
        """Push the callbacks of batches that are due: after whatever changes a batch."""
        if self.enterprise is None:
            return
        for document in self.enterprise.take_callbacks():
            due = due_time(document.at) if document.at else 0
            self._complete(document, now)
            self.enterprise.admit_callback(document, max(due, now), now)
            self._store(document, due, now)

    def _complete(self, document: Document, created_at: int) -> None:
        if not document.queue:
            document.queue = DEFAULT_QUEUE
        if document.retry is UNSET:
            document.retry = self.default_retry
        if not document.created_at:
            document.created_at = format_time(created_at)

    def _queue_refusal(self, name: str) -> str | None:
        if name not in self.queues and not is_queue_name(name):
            return f"cannot get {quote(name)} queue: {QUEUE_NAME_RULE}"
        return None

    def _enqueue(self, document: Document, now: int) -> None:
        document.enqueued_at = format_time(now)
        self.append(document.queue, encode_document(document), now)

    def append(self, name: str, payload: bytes, now: int) -> None:
        """Put a payload into a queue, or hand it to who waits for it."""
        queue = self.queues.open(name)
        waiting = None if self._room_closed else self._room.first(name)
        if self.enterprise is not None:
            self.enterprise.enqueued(payload, now)
        if waiting is None:
            queue.jobs.append(payload)
        elif not self._is_expired(payload, now):
            waiting.deliver(self._hand_out(payload, waiting.connection.wid, now))

    def requeue(self, name: str, payload: bytes, now: int) -> None:
        """Put a stored payload into a queue as it is; FETCH only writes its escapes anew."""
        self.append(name, normal_escapes(payload), now)

    # -- jobs out -----------------------------------------------------------------------------

    def fetch(self, names: Sequence[str], wid: str) -> bytes | None:
        """Reserve the next job and return the reply; None when there is none now."""
        while (payload := self.queues.pop(names)) is not None:
            now = self.clock()
            if not self._is_expired(payload, now):
                return self._hand_out(payload, wid, now)
        return None

    def _is_expired(self, payload: bytes, now: int) -> bool:
        return self.enterprise is not None and self.enterprise.is_expired(payload, now)

    def wait(self, connection: Connection, names: Iterable[str]) -> Waiting:
        """Let a connection wait for a job of these queues, or for nothing if there are none."""
        allowed = (name for name in names if not self._is_paused(name))
        waiting = Waiting(connection, allowed, self.clock(), self._end_wait)
        connection.waiting = waiting
        self._room.enter(waiting)
        return waiting

    def waiting(self) -> list[Waiting]:
        """Return the FETCHes that wait, in the order of their arrival."""
        return list(self._room)

    @contextlib.contextmanager
    def nobody_served(self) -> Generator[None]:
        """Let jobs that come meanwhile stay in their queues, and serve who waits at the end."""
        self._room_closed = True
        try:
            yield
        finally:
            self._room_closed = False
        for waiting in self._room:
            reply = self.fetch(waiting.queues, waiting.connection.wid)
            if reply is not None:
                waiting.deliver(reply)

    def _end_wait(self, waiting: Waiting) -> None:
        self._room.leave(waiting)
        waiting.connection.waiting = None
        if waiting.connection.closed:
            self._forget(waiting.connection)

    def _is_paused(self, name: str) -> bool:
        queue = self.queues.get(name)
        return queue is not None and queue.paused

    def _hand_out(self, payload: bytes, wid: str, now: int) -> bytes:
        reservation = self.working.reserve(payload, wid, now)
        if self.enterprise is not None:
            self.enterprise.fetched(reservation.jid, now)
        return b"$%d\r\n%b\r\n" % (len(payload), payload)

    # -- reports ------------------------------------------------------------------------------

    def acknowledge(self, jid: str) -> None:
        """End a reservation; an unknown jid is nothing to complain about."""
        reservation = self.working.release(jid)
        if reservation is not None:
            self.working.remove(reservation)
            self.processed += 1
            if self.enterprise is not None:
                now = self.clock()
                self.enterprise.succeeded(jid, now)
                self.push_callbacks(now)

    def fail(self, jid: str, report: FailureReport) -> bool:
        """End a reservation with a failure; return whether the jid was reserved."""
        reservation = self.working.release(jid)
        if reservation is None:
            return False
        if self.working.remove(reservation):
            self._fail(reservation, report, self.clock())
        return True

    def _fail(self, reservation: Reservation, report: FailureReport, now: int) -> None:
        self.processed += 1
        self.failures += 1
        document = stored_document(reservation.payload)
        verdict, due = note_failure(document, report, now, self.rand)
        if self.enterprise is not None:
            self.enterprise.failed(reservation.jid, verdict, now)
        match verdict:
            case Verdict.RETRY:
                self.retries.add(encode_document(document), score_of(due))
            case Verdict.BURY:
                self.bury(encode_document(document), now)
            case Verdict.DISCARD:
                pass
        self.push_callbacks(now)

    def bury(self, payload: bytes, now: int) -> None:
        """Put a payload into the dead set for 180 days."""
        self.dead.add(payload, score_of(now + _DEAD_FOR))
        if self.enterprise is not None:
            self.enterprise.buried(payload, now)

    def flush(self) -> None:
        """Forget every job and count; names, pauses, reservations and workers stay."""
        self.queues.flush()
        for entries in (self.scheduled, self.retries, self.dead):
            entries.clear()
        self.working.flush()
        if self.enterprise is not None:
            self.enterprise.flush()
        self.processed = self.failures = 0

    def restart(self, *, keep_state: bool) -> None:
        """Forget what a server that was killed does not find again when it starts.

        Args:
            keep_state: Whether its store is still there: queues, sets, reservations and counters.
                Workers, connections and the default retry are gone in any case.
        """
        if not keep_state:
            for kept in (self.queues, self.scheduled, self.retries, self.dead, self.working):
                kept.clear()
            if self.enterprise is not None:
                self.enterprise.flush()
            self.processed = self.failures = 0
        self.connections.clear()
        self.workers.clear()
        self.working.reaped = 0
        self.tasks.update((name, TaskCounters()) for name in self.tasks)
        self.default_retry = _FIRST_RETRY
        self.started_at = self.clock()
        self._clockwork.restart(self.started_at)

    # -- connections --------------------------------------------------------------------------

    def connect(self, connection: Connection, introduction: Introduction) -> None:
        """Count a connection that said HELLO; one with a wid is a worker's."""
        connection.identified = True
        connection.wid = introduction.wid
        self.connections[connection] = None
        if introduction.wid:
            self.workers.register(connection, introduction, self.clock())

    def disconnect(self, connection: Connection) -> None:
        """Note that a connection is over; while it waits in FETCH it still counts."""
        connection.closed = True
        if connection.waiting is None:
            self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        self.connections.pop(connection, None)
        self.workers.leave(connection)

    # -- the clock ----------------------------------------------------------------------------

    def next_tick(self) -> int:
        """Return when `run_due` is to be called next, in nanoseconds since 1970."""
        return self._clockwork.tick_for(0, PROMOTION_PERIOD)

    def next_promotion(self) -> int | None:
        """Return at which tick the next job leaves the scheduled ones or the retries, if any."""
        scores = [entries.first_score() for entries in (self.scheduled, self.retries)]
        first = min((score for score in scores if score is not None), default=None)
        if first is None:
            return None
        return self._clockwork.tick_for(moment_of(first), PROMOTION_PERIOD)

    def run_due(self) -> list[Connection]:
        """Do what the scheduler has to do until now, tick by tick.

        Returns:
            The connections that are to be closed because their worker does not beat.
        """
        now = self.clock()
        closing: list[Connection] = []
        while (tick := min(self._due_ticks(), default=now + 1)) <= now:
            self._count_cycles(tick)
            closing += self._run(tick)
        self._count_cycles(now)
        return closing

    def _count_cycles(self, until: int) -> None:
        for name, period in _CYCLES.items():
            self.tasks[name].cycles += self._clockwork.count(until, period)
        self._clockwork.advance(until)

    def _due_ticks(self) -> Iterator[int]:
        """The next tick of each task that will find something to do."""
        for entries, period in (
            (self.scheduled, PROMOTION_PERIOD),
            (self.retries, PROMOTION_PERIOD),
            (self.dead, PURGE_PERIOD),
        ):
            score = entries.first_score()
            if score is not None:
                yield self._clockwork.tick_for(moment_of(score), period)
        ours = None if self.enterprise is None else self.enterprise.first_deadline()
        for deadline in (self.working.first_deadline(), self.workers.first_deadline(), ours):
            if deadline is not None:
                yield self._clockwork.tick_for(deadline, REAPING_PERIOD)

    def _run(self, tick: int) -> list[Connection]:
        seconds = tick // NANOSECONDS
        self._promote("Scheduled", self.scheduled, tick)
        self._promote("Retries", self.retries, tick)
        if seconds % PURGE_PERIOD == 0:
            self._purge(tick)
        if seconds % REAPING_PERIOD == 0:
            self._reap_reservations(tick)
            self._expire(tick)
            return self.workers.reap(tick)
        return []

    def _promote(self, name: str, entries: TimedSet, now: int) -> None:
        begin = self.clock()
        counters = self.tasks[name]
        while (payload := entries.pop_due(score_of(now))) is not None:
            document = stored_document(payload)
            # An illegal queue name comes out only here: such a job is lost, as on the real server.
            if self._queue_refusal(document.queue) is None:
                self._enqueue(document, now)
                counters.enqueued += 1
        counters.wall_time += self.clock() - begin

    def _purge(self, now: int) -> None:
        while self.dead.pop_due(score_of(now)) is not None:
            self.tasks["Dead"].enqueued += 1

    def _expire(self, now: int) -> None:
        if self.enterprise is not None:
            self.enterprise.expire(now)
            self.push_callbacks(now)

    def _reap_reservations(self, now: int) -> None:
        for entry in self.working.take_expired(now):
            # Where a jid is in work twice, the later record pays for the earlier entry.
            reservation = self.working.release(entry.jid)
            if reservation is not None:
                self.working.reaped += 1
                self._fail(reservation, RESERVATION_EXPIRED, now)


_CYCLES: Final = {
    "Scheduled": PROMOTION_PERIOD,
    "Retries": PROMOTION_PERIOD,
    "Dead": PURGE_PERIOD,
}
