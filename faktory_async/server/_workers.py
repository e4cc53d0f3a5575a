"""The registry of workers: who said HELLO with a wid, and whether it still beats."""

from enum import IntEnum
from typing import Final

from msgspec import Struct

from faktory_async.server._connection import Connection
from faktory_async.server._gotime import NANOSECONDS

EVERYBODY: Final = "all"
_PATIENCE: Final = 60 * NANOSECONDS


class WorkerState(IntEnum):
    """How far a worker has been told to stop; it only goes forward."""

    RUNNING = 0
    QUIET = 1
    TERMINATE = 2


class Introduction(Struct, frozen=True, kw_only=True):
    """What a HELLO says of a worker.

    Attributes:
        wid: Its id.
        hostname: Where it runs.
        pid: Its process id.
        labels: Words of its own choice.
    """

    wid: str
    hostname: str = ""
    pid: int = 0
    labels: tuple[str, ...] = ()


class WorkerRecord:
    """One wid.

    Attributes:
        introduction: What its first HELLO said.
        started_at: When that was, in nanoseconds since 1970.
        last_beat: When it last showed a sign of life, likewise.
        state: How far it has been told to stop.
        rss_kb: The memory that it last reported.
        connections: Its connections.
    """

    __slots__ = ("connections", "introduction", "last_beat", "rss_kb", "started_at", "state")

    def __init__(self, introduction: Introduction, now: int) -> None:
        self.introduction = introduction
        self.started_at = now
        self.last_beat = now
        self.state = WorkerState.RUNNING
        self.rss_kb = 0
        self.connections: dict[Connection, None] = {}

    def signal(self, state: WorkerState) -> None:
        """Move on to a state; there is no way back."""
        self.state = max(self.state, state)


class Workers:
    """Every worker that is connected.

    Attributes:
        reaped: How many were dropped because they did not beat.
    """

    def __init__(self) -> None:
        self.reaped = 0
        self._records: dict[str, WorkerRecord] = {}

    def __len__(self) -> int:
        return len(self._records)

    def records(self) -> list[WorkerRecord]:
        """Return every record, the oldest first."""
        return list(self._records.values())

    def register(self, connection: Connection, introduction: Introduction, now: int) -> None:
        """Note that a connection said HELLO with a wid."""
        record = self._records.get(introduction.wid)
        if record is None:
            record = WorkerRecord(introduction, now)
            self._records[introduction.wid] = record
            connection.own_record = record
        record.connections[connection] = None

    def leave(self, connection: Connection) -> None:
        """Note that a connection is over; the last one takes the worker with it."""
        record = self._records.get(connection.wid)
        if record is not None and connection in record.connections:
            del record.connections[connection]
            if not record.connections:
                del self._records[connection.wid]

    def beat(self, wid: str, state: str, rss_kb: int, now: int) -> WorkerState | None:
        """Note a sign of life and return the state to answer with; None for an unknown wid."""
        record = self._records.get(wid)
        if record is None:
            return None
        record.last_beat = now
        record.rss_kb = rss_kb
        record.signal(_STATES.get(state, WorkerState.RUNNING))
        return record.state

    def beat_all(self, now: int) -> None:
        """Count every worker as having beaten now."""
        for record in self._records.values():
            record.last_beat = now

    def evict(self, wid: str) -> list[Connection]:
        """Drop one worker, or `all`; return the connections that are to be closed."""
        gone = [known for known in self._records if wid in (known, EVERYBODY)]
        self.reaped += len(gone)
        return [connection for wid in gone for connection in self._records.pop(wid).connections]

    def clear(self) -> None:
        """Forget every worker and count, as a server that starts does."""
        self._records.clear()
        self.reaped = 0

    def signal(self, wid: str, state: WorkerState) -> None:
        """Tell one worker, or `all`, to stop, as an operator does; an unknown wid is ignored."""
        for known, record in self._records.items():
            if wid in (known, EVERYBODY):
                record.signal(state)

    def first_deadline(self) -> int | None:
        """Return when the first worker is overdue; None without workers."""
        beats = [record.last_beat for record in self._records.values()]
        return min(beats) + _PATIENCE + 1 if beats else None

    def reap(self, now: int) -> list[Connection]:
        """Drop who did not beat for a minute; return the connections that are to be closed."""
        overdue = [
            wid for wid, record in self._records.items() if now - record.last_beat > _PATIENCE
        ]
        self.reaped += len(overdue)
        return [connection for wid in overdue for connection in self._records.pop(wid).connections]


_STATES: Final = {"quiet": WorkerState.QUIET, "terminate": WorkerState.TERMINATE}
