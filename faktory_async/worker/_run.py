"""One run of a fetched job, from its FETCH to its report."""

from typing import Final

import anyio

from faktory_async.model import Envelope, Job

# What the server makes of a job's `reserve_for`.
_DEFAULT_RESERVATION: Final = 1_800
_LEAST_RESERVATION: Final = 60


class Run:
    """A job in this worker's hands. Two runs may have the same jid; they are kept apart.

    Args:
        envelope: What FETCH brought.
        fetched_at: When that FETCH was sent, on anyio's clock: the reservation is not older.

    Attributes:
        scope: Cancelled when the run is cut short.
        reported: Whether an outcome was handed to the reports; there is only one.
    """

    def __init__(self, envelope: Envelope, fetched_at: float) -> None:
        self.envelope = envelope
        self.fetched_at = fetched_at
        self.scope = anyio.CancelScope()
        self.reported = False
        self._seconds = _DEFAULT_RESERVATION

    @property
    def jid(self) -> str:
        """The job's id."""
        return self.envelope.jid

    @property
    def reserved_until(self) -> float:
        """When the reservation surely still holds, on anyio's clock."""
        return self.fetched_at + self._seconds

    def job(self) -> Job:
        """Return the job for its handler.

        Raises:
            InvalidJobError: it cannot be decoded.
        """
        job = self.envelope.job()
        if job.reserve_for:  # the server takes 0 for "not given"
            self._seconds = max(job.reserve_for, _LEAST_RESERVATION)
        return job

    def __str__(self) -> str:
        return f"job {self.jid} ({self.envelope.jobtype})"
