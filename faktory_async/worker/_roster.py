"""Which jobs are being worked, for how long, and where they are."""

import time
from collections.abc import Sequence

from msgspec import Struct

from faktory_async.worker._run import Run
from faktory_async.worker._stacks import current_coroutine, stack_of


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
    """The runs that have begun and not ended; it may be read from any thread."""

    def __init__(self) -> None:
        self._runs: dict[Run, tuple[float, object]] = {}

    def __len__(self) -> int:
        return len(self._runs)

    def begin(self, run: Run) -> None:
        """Note that the calling task works the run from here on."""
        self._runs[run] = (time.monotonic(), current_coroutine())

    def end(self, run: Run) -> None:
        """Note that the run has ended."""
        del self._runs[run]

    def names(self) -> list[str]:
        """Return what runs, in words."""
        return [f"{run}, for {age:.1f} s" for run, age, _ in self._all()]

    def jobs(self) -> tuple[JobInFlight, ...]:
        """Return what runs."""
        return tuple(
            JobInFlight(
                jid=run.jid, jobtype=run.envelope.jobtype, queue=run.envelope.queue, age=age
            )
            for run, age, _ in self._all()
        )

    def stacks(self) -> str:
        """Return every run with the lines that it waits at. In the event loop's thread."""
        parts = [
            f"{run}, for {age:.1f} s:\n{stack_of(coroutine)}" for run, age, coroutine in self._all()
        ]
        return "\n".join(parts) or "no job is running"

    def _all(self) -> Sequence[tuple[Run, float, object]]:
        now = time.monotonic()
        # A copy in one step: the loop may go on meanwhile.
        return [(run, now - began, coroutine) for run, (began, coroutine) in [*self._runs.items()]]
