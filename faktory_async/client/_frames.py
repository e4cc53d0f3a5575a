"""Cutting a stream of jobs into the frames of PUSHB. Pure, apart from awaiting the source."""

from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from typing import Final

from faktory_async.errors import InvalidJobError
from faktory_async.model import Job

MAX_JOBS: Final = 1_000
MAX_BYTES: Final = 1024 * 1024


def encoded(job: Job) -> bytes:
    """Return the job as it is sent.

    Raises:
        InvalidJobError: for what is no job, or cannot be encoded.
    """
    if not isinstance(job, Job):  # pyright: ignore[reportUnnecessaryIsInstance]  # programs without types
        raise InvalidJobError(f"must be a Job, not {type(job).__name__}")
    return job.to_json()


class Frame:
    """Jobs that go out together: at most 1,000, or 1 MiB, and no jid twice.

    The reply names failed jobs by their jid, so within one frame it must be unique.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, bytes] = {}
        self._size = 0

    def add(self, job: Job) -> bool:
        """Take the job in, or return False where it belongs into the next frame.

        Raises:
            InvalidJobError: when it cannot be encoded.
        """
        data = encoded(job)
        full = len(self.jobs) >= MAX_JOBS or self._size + len(data) > MAX_BYTES
        if self.jobs and (full or job.jid in self.jobs):
            return False
        self.jobs[job.jid] = data
        self._size += len(data)
        return True


async def frames(jobs: Iterable[Job] | AsyncIterable[Job]) -> AsyncGenerator[Frame]:
    """Yield the jobs as frames, holding one at a time.

    Raises:
        InvalidJobError: for what is no job, or cannot be encoded.
    """
    cutter = _Cutter()
    # Two loops, since one generator more, left unfinished by an error, would have to be closed too.
    if isinstance(jobs, AsyncIterable):
        async for job in jobs:
            if (frame := cutter.add(job)) is not None:
                yield frame
    else:
        for job in jobs:
            if (frame := cutter.add(job)) is not None:
                yield frame
    if cutter.frame.jobs:
        yield cutter.frame


class _Cutter:
    def __init__(self) -> None:
        self.frame = Frame()

    def add(self, job: Job) -> Frame | None:
        """Take the job in; return the frame before it where that is complete."""
        if self.frame.add(job):
            return None
        complete, self.frame = self.frame, Frame()
        self.frame.add(job)
        return complete
