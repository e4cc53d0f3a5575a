"""Which jobs are being worked, for how long, and where they are."""

import time
from collections.abc import Sequence

from msgspec import Struct

from faktory_async.worker._run import Run
from faktory_async.worker._stacks import stack_of


class JobInFlight(Struct, frozen=True, kw_only=True):
    """A job that a worker has in its hands.

    Attributes:
        jid: Its id.
        jobtype: Its type.
        queue: Where it came from.
        age: For how many seconds it has been worked.
    """

    jid: str
    jobtype: str
    queue: str
    age: float


class Roster:
    """The runs that have begun and not ended; it may be read from any thread.

    Attributes:
        runs: All that were started and have not ended, the oldest first.
    """

    def __init__(self) -> None:
        self.runs: dict[Run, None] = {}

    def names(self) -> list[str]:
        """Return what runs, in words."""
        return [f"{run}, for {age:.1f} s" for run, age in self._all()]

    def jobs(self) -> tuple[JobInFlight, ...]:
        """Return what runs."""
        return tuple(
            JobInFlight(jid=run.jid, jobtype=run.envelope.jobtype, queue=run.queue, age=age)
            for run, age in self._all()
        )

    def stacks(self) -> str:
        """Return every run with the lines that it waits at. In the event loop's thread."""
        parts = [f"{run}, for {age:.1f} s:\n{stack_of(run.work)}" for run, age in self._all()]
        return "\n".join(parts) or "no job is running"

    def _all(self) -> Sequence[tuple[Run, float]]:
        now = time.monotonic()
        # A copy in one step: the loop may go on meanwhile.
        return [(run, now - run.begun_at) for run in [*self.runs] if run.begun_at is not None]
