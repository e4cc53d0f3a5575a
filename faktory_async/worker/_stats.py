"""What a worker is doing, for metrics and health checks."""

from msgspec import Struct

from faktory_async.worker._roster import JobInFlight


class WorkerStats(Struct, frozen=True, kw_only=True):
    """The numbers of one moment; those that only grow count from the run's beginning.

    Attributes:
        state: `running`, `quiet`, `terminating`, `cut` or `stopped`.
        in_flight: The jobs that are being worked, and for how long.
        acked: Jobs that ended with an ACK.
        failed: Jobs that ended with a FAIL.
        retried: Jobs that run again at a time of the handler's choosing.
        requeued: Jobs that were interrupted and run again.
        discarded: Jobs that were given up without being a failure.
        rescued: Failed jobs that were pushed again, since the server would have lost them.
        late: Jobs that were done after their reservation had ended: they run again.
        unknown: Reports of which nobody can say whether the server took them.
        lost: Failed jobs that the server may have lost for good.
        reconnects: How often the server went away.
        fetchers: Connections that fetch.
        last_fetch: When a FETCH was last sent, in seconds since the epoch; None before the first.
        last_beat: When the server last answered a BEAT, likewise.
        lag: How many seconds late the event loop last was; 0 where BEAT has no thread.
    """

    state: str
    in_flight: tuple[JobInFlight, ...] = ()
    acked: int = 0
    failed: int = 0
    retried: int = 0
    requeued: int = 0
    discarded: int = 0
    rescued: int = 0
    late: int = 0
    unknown: int = 0
    lost: int = 0
    reconnects: int = 0
    fetchers: int = 0
    last_fetch: float | None = None
    last_beat: float | None = None
    lag: float = 0.0

    @property
    def processed(self) -> int:
        """How many runs came to an end of their own, whichever."""
        return self.acked + self.failed + self.retried + self.discarded + self.rescued + self.late
