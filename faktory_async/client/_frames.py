"""Cutting a stream of jobs into the frames of PUSHB. Pure."""

import warnings
from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from typing import Final

from faktory_async.errors import FaktoryError, InvalidJobError, ProtocolError
from faktory_async.model import Job, world

MAX_JOBS: Final = 1_000
MAX_BYTES: Final = 1024 * 1024

_LONG_AGO: Final = timedelta(days=1)


def encoded(job: Job, max_bytes: int) -> bytes:
    """Return the job as it is sent; one that is due since more than a day draws a `UserWarning`.

    Raises:
        InvalidJobError: for what is no job, cannot be encoded, or is larger than that.
    """
    if not isinstance(job, Job):  # pyright: ignore[reportUnnecessaryIsInstance]  # programs without types
        raise InvalidJobError(f"must be a Job, not {type(job).__name__}")
    if job.at is not None and world().utcnow() - job.at > _LONG_AGO:
        warnings.warn(
            # Nothing here differs from job to job: Python remembers every text that it has shown.
            f"`at` of the {job.jobtype!r} is more than a day ago: the job will run at once",
            stacklevel=3,
        )
    data = job.to_json()
    if len(data) > max_bytes:
        raise InvalidJobError(
            f"{job.jobtype} {job.jid} has {len(data)} bytes; "
            f"the limit is {max_bytes}, see Limits(max_job=...)"
        )
    return data


def meant_for_all(jids: Iterable[str], errors: Mapping[str, FaktoryError]) -> FaktoryError | None:
    """Return what holds for those jobs of a frame that its reply does not name; None for stored.

    Args:
        jids: The jobs of the frame.
        errors: What the reply says, by jid.
    """
    sent = set(jids)
    strangers = errors.keys() - sent
    if not strangers:
        return None
    # The server names a job that nobody sent. Of one job alone it can only mean that one; among
    # several nobody knows whose refusal it is.
    error = errors[min(strangers)]
    if len(sent) == 1:
        return error
    return ProtocolError(f"the server refused a job that was not sent: {error}")


class Frame:
    """Jobs that go out together: at most 1,000, or 1 MiB, and no jid twice.

    The reply names failed jobs by their jid, so within one frame it must be unique.

    Args:
        start: How many jobs of the source came before its first one.

    Attributes:
        jobs: The encoded jobs by jid, as long as nothing is known of them.
        accepted: How many the server has stored.
        errors: Why others are not stored, by jid; those too that never could be sent.
        unknown: Why nobody knows of others whether they are, by jid.
        sent: Whether any of them may have reached the server.
        error: Why it was not sent.
    """

    __slots__ = ("accepted", "error", "errors", "jobs", "sent", "size", "start", "unknown")

    def __init__(self, start: int) -> None:
        self.start = start
        self.jobs: dict[str, bytes] = {}
        self.size = 0
        self.accepted = 0
        self.errors: dict[str, Exception] = {}
        self.unknown: dict[str, FaktoryError] = {}
        self.sent = False
        self.error: FaktoryError | None = None

    def settle(self, jids: Collection[str], error: FaktoryError | None) -> None:
        """Note what became of these jobs, once they were sent: an error, or None for stored."""
        self.sent = True
        if error is None and len(jids) == len(self.jobs):  # all of them at once, as nearly always
            self.accepted += len(jids)
            self.jobs.clear()
            return
        for jid in jids:
            del self.jobs[jid]
            if error is None:
                self.accepted += 1
            elif error.maybe_executed:
                self.unknown[jid] = error
            else:
                self.errors[jid] = error


class Cutter:
    """Collects jobs until they make a frame.

    Args:
        most: How many jobs a frame has at most.

    Attributes:
        read: How many jobs came so far.
        frame: The one that is not complete.
    """

    def __init__(self, most: int) -> None:
        self.read = 0
        self.frame = Frame(0)
        self._most = most

    def add(self, jid: str, data: bytes) -> Frame | None:
        """Take a job in; return a frame where one is complete."""
        frame = self.frame
        complete = None
        if frame.size + len(data) > MAX_BYTES or jid in frame.jobs or jid in frame.errors:
            complete = self.rest()
            frame = self.frame
        frame.jobs[jid] = data
        frame.size += len(data)
        self.read += 1
        return self.rest() if self.read - frame.start == self._most else complete

    def refuse(self, jid: str, error: Exception) -> Frame | None:
        """Take note of a job that cannot be sent; return a frame where one is complete."""
        complete = self.rest() if jid in self.frame.jobs or jid in self.frame.errors else None
        self.frame.errors[jid] = error
        self.read += 1
        return self.rest() if self.read - self.frame.start == self._most else complete

    def rest(self) -> Frame | None:
        """Return what has come since the last frame, if anything has."""
        if self.read == self.frame.start:
            return None
        complete, self.frame = self.frame, Frame(self.read)
        return complete
