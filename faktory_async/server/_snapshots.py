"""What can be seen of a broker from outside: values that stay as they were when they were taken."""

from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

from faktory_async.model import Envelope, Job
from faktory_async.server._broker import Broker
from faktory_async.server._queues import JobQueue
from faktory_async.server._reservations import Reservation
from faktory_async.server._timed_set import TimedSet, score_of
from faktory_async.server._workers import WorkerRecord, WorkerState

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class QueueSnapshot(Struct, frozen=True):
    """A queue.

    Attributes:
        name: Its name.
        paused: Whether FETCH passes it over.
        payloads: Its jobs as FETCH will answer them, the oldest first.
    """

    name: str
    paused: bool
    payloads: tuple[bytes, ...]

    def __len__(self) -> int:
        return len(self.payloads)

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Its jobs, the oldest first.

        Raises:
            InvalidJobError: for a job that no Python handler could be given.
        """
        return tuple(map(_job, self.payloads))


class TimedSnapshot(Struct, frozen=True):
    """A job that is scheduled, to be retried, or dead.

    Attributes:
        payload: The job as it is stored.
        due: When it leaves its set, UTC: to its queue, or from the dead for good.
    """

    payload: bytes
    due: datetime

    @property
    def job(self) -> Job:
        """The job.

        Raises:
            InvalidJobError: for a job that no Python handler could be given.
        """
        return _job(self.payload)


class WorkingSnapshot(Struct, frozen=True):
    """A job that somebody works on.

    Attributes:
        payload: The job as it was handed out.
        wid: The worker that has it, "" for none.
        reserved_at: Since when, UTC.
        expires_at: Until when, UTC.
    """

    payload: bytes
    wid: str
    reserved_at: datetime
    expires_at: datetime

    @property
    def job(self) -> Job:
        """The job.

        Raises:
            InvalidJobError: for a job that no Python handler could be given.
        """
        return _job(self.payload)


class WorkerSnapshot(Struct, frozen=True):
    """A worker that is connected.

    Attributes:
        wid: Its id.
        hostname: Where it says it runs.
        pid: Its process id.
        labels: Words of its own choice.
        state: How far it has been told to stop.
        connections: How many connections it has.
        rss_kb: The memory that it last reported.
        started_at: When it first said HELLO, UTC.
        last_beat: When it last showed a sign of life, UTC.
    """

    wid: str
    hostname: str
    pid: int
    labels: tuple[str, ...]
    state: WorkerState
    connections: int
    rss_kb: int
    started_at: datetime
    last_beat: datetime


class CountersSnapshot(Struct, frozen=True):
    """What was counted since the start or the last FLUSH.

    Attributes:
        processed: Jobs that were worked on, whatever came of it.
        failures: How many of them failed.
        enqueued: How many jobs wait in queues now.
        connections: How many connections have said HELLO.
        default_retry: The retry that a job gets that names none.
    """

    processed: int
    failures: int
    enqueued: int
    connections: int
    default_retry: int


class Backlog(Struct, frozen=True):
    """What a server has to do still.

    Attributes:
        queued: Jobs in queues that are not paused.
        due: Jobs whose time to be enqueued has come, and which the next tick will enqueue.
        reserved: Jobs that somebody works on.
        unread: Connections on which something was sent that is not read and answered yet; a FETCH
            that waits does not count.
        next_tick: When the first of the scheduled jobs and of those to be retried will be
            enqueued, UTC; None where there are none.
    """

    queued: int
    due: int
    reserved: int
    unread: int
    next_tick: datetime | None

    @property
    def is_empty(self) -> bool:
        """Whether nothing goes on, and nothing will before `next_tick` unless somebody begins."""
        return not (self.queued or self.due or self.reserved or self.unread)


def queues(broker: Broker) -> dict[str, QueueSnapshot]:
    """Return every known queue by its name."""
    return {queue.name: _queue(queue) for queue in broker.queues}


def timed(entries: TimedSet) -> tuple[TimedSnapshot, ...]:
    """Return the entries of a set, the first one due first."""
    return tuple(
        TimedSnapshot(payload, _after(seconds=score)) for score, payload in entries.entries()
    )


def working(broker: Broker) -> tuple[WorkingSnapshot, ...]:
    """Return the jobs in work, the first one to expire first."""
    return tuple(map(_reservation, broker.working.entries()))


def workers(broker: Broker) -> dict[str, WorkerSnapshot]:
    """Return every connected worker by its wid."""
    return {record.introduction.wid: _worker(record) for record in broker.workers.records()}


def counters(broker: Broker) -> CountersSnapshot:
    """Return the counters."""
    return CountersSnapshot(
        processed=broker.processed,
        failures=broker.failures,
        enqueued=sum(len(queue.jobs) for queue in broker.queues),
        connections=len(broker.connections),
        default_retry=broker.default_retry,
    )


def backlog(broker: Broker, unread: int) -> Backlog:
    """Return what there is to do, beside so many connections with something unread."""
    now = broker.clock()
    tick = broker.next_promotion()
    return Backlog(
        queued=sum(len(queue.jobs) for queue in broker.queues if not queue.paused),
        due=broker.scheduled.count_due(score_of(now)) + broker.retries.count_due(score_of(now)),
        reserved=broker.working.stored,
        unread=unread,
        next_tick=None if tick is None else moment(tick),
    )


def _job(payload: bytes) -> Job:
    return Envelope.decode(payload).job()


def _queue(queue: JobQueue) -> QueueSnapshot:
    return QueueSnapshot(queue.name, queue.paused, tuple(queue.jobs))


def _reservation(reservation: Reservation) -> WorkingSnapshot:
    return WorkingSnapshot(
        payload=reservation.payload,
        wid=reservation.wid,
        reserved_at=moment(reservation.reserved_at),
        expires_at=moment(reservation.expires_at),
    )


def _worker(record: WorkerRecord) -> WorkerSnapshot:
    introduction = record.introduction
    return WorkerSnapshot(
        wid=introduction.wid,
        hostname=introduction.hostname,
        pid=introduction.pid,
        labels=introduction.labels,
        state=record.state,
        connections=len(record.connections),
        rss_kb=record.rss_kb,
        started_at=moment(record.started_at),
        last_beat=moment(record.last_beat),
    )


def moment(nanoseconds: int) -> datetime:
    """Return nanoseconds since 1970 as a time in UTC."""
    return _after(microseconds=nanoseconds // 1000)


def _after(*, seconds: float = 0, microseconds: int = 0) -> datetime:
    try:
        return _EPOCH + timedelta(seconds=seconds, microseconds=microseconds)
    except OverflowError:
        # The last day of year 9999 in a western zone is a time that Python does not have.
        return datetime.max.replace(tzinfo=UTC)
