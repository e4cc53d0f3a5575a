"""Cutting a stream of jobs into the frames of PUSHB. Pure, apart from awaiting the source."""

from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from typing import Final

from faktory_async.model import Job

MAX_JOBS: Final = 1_000
MAX_BYTES: Final = 1024 * 1024


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
        data = job.to_json()
        full = len(self.jobs) >= MAX_JOBS or self._size + len(data) > MAX_BYTES
        if self.jobs and (full or job.jid in self.jobs):
            return False
        self.jobs[job.jid] = data
        self._size += len(data)
        return True


async def frames(jobs: Iterable[Job] | AsyncIterable[Job]) -> AsyncGenerator[Frame]:
    """Yield the jobs as frames, holding one at a time."""
    frame = Frame()
    async for job in _each(jobs):
        if not frame.add(job):
            yield frame
            frame = Frame()
            frame.add(job)
    if frame.jobs:
        yield frame


async def _each(jobs: Iterable[Job] | AsyncIterable[Job]) -> AsyncGenerator[Job]:
    if isinstance(jobs, AsyncIterable):
        async for job in jobs:
            yield job
    else:
        for job in jobs:
            yield job
