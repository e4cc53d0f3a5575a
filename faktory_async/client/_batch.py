"""Batches: jobs that belong together, and what follows them (Enterprise)."""

import copy
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Protocol, Self

from msgspec.structs import force_setattr

from faktory_async.client._ask import Ask
from faktory_async.client._report import PushReport
from faktory_async.errors import ClientStateError, InvalidJobError, UsageError
from faktory_async.model import BatchStatus, Job
from faktory_async.protocol import BatchCommit, BatchNew, BatchOpen, BatchState


class Pusher(Protocol):
    """What a batch pushes its jobs through: its client."""

    async def push(self, job: Job, *, timeout: float | None = None) -> Job:  # noqa: ASYNC109 - as Client.push
        """Store one job."""
        ...

    async def push_bulk(self, jobs: Iterable[Job] | AsyncIterable[Job]) -> PushReport:
        """Store many jobs."""
        ...


class Batch(AbstractAsyncContextManager["Batch"]):
    """A batch that is being filled; made by `batch` and `reopen_batch` of a client.

        async with client.batch("import", success=Job("imported")) as batch:
            for row in rows:
                await batch.push(Job("import_row", [row]))

    The end of the block commits it, and only then may its callbacks follow. After an exception it
    is not committed: the server forgets it in half an hour; jobs that were pushed run all the same.

    Attributes:
        bid: Its id; "" before the block has begun.
    """

    def __init__(self, ask: Ask, pusher: Pusher, opening: BatchNew | BatchOpen) -> None:
        self._ask = ask
        self._pusher = pusher
        self._opening = opening
        self._open = False
        self.bid = opening.bid if isinstance(opening, BatchOpen) else ""

    def __repr__(self) -> str:
        return f"<Batch {self.bid or 'not begun'}>"

    async def __aenter__(self) -> Self:
        if isinstance(self._opening, BatchOpen):
            await self._ask(self._opening)
        elif self.bid:
            raise UsageError("a batch is begun once: client.reopen_batch(bid) adds to it")
        else:
            self.bid = await self._ask(self._opening)
        self._open = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None and self._open:
                await self.commit()
        finally:
            self._open = False

    async def push(self, job: Job, *, timeout: float | None = None) -> Job:  # noqa: ASYNC109 - as Client.push
        """Store one job that belongs to the batch, as `Client.push` does.

        Returns:
            The job with the batch's id in its `custom`.

        Raises:
            ClientStateError: the block has not begun, or is over.
            FaktoryError: as `Client.push`.
        """
        return await self._pusher.push(self._member(job), timeout=timeout)

    async def push_bulk(self, jobs: Iterable[Job] | AsyncIterable[Job]) -> PushReport:
        """Store many jobs that belong to the batch, as `Client.push_bulk` does.

        Returns:
            What became of them.

        Raises:
            ClientStateError: the block has not begun, is over, or ends before the source does.
            Exception: as `Client.push_bulk`.
        """
        self._check_open()
        if isinstance(jobs, AsyncIterable):
            return await self._pusher.push_bulk(self._members_of(jobs))
        return await self._pusher.push_bulk(map(self._member, jobs))

    def batch(
        self,
        description: str | None = None,
        *,
        success: Job | None = None,
        complete: Job | None = None,
    ) -> "Batch":
        """Return a batch within this one: this one's callbacks wait for its callback.

        Args and raises: as `Client.batch`.
        """
        self._check_open()
        opening = new_batch(description, success=success, complete=complete, parent_bid=self.bid)
        return Batch(self._ask, self._pusher, opening)

    async def commit(self) -> None:
        """Say that every job is in. The end of the block does it.

        Raises:
            UnavailableError: no answer; perhaps it was done.
            ServerError: the server refused.
        """
        self._check_open()
        await self._ask(BatchCommit(self.bid))
        self._open = False

    async def status(self) -> BatchStatus:
        """Return how far the batch is.

        Raises:
            UnavailableError: no answer.
            ServerError: the server does not know it any more.
        """
        return await self._ask(BatchState(self.bid))

    # -- inside -------------------------------------------------------------------------------

    def _member(self, job: Job) -> Job:
        """Return the job with the batch's id; what is no job, as it is: the push says so.

        It is not checked here as `with_custom` does: the push does that, and of a bulk it rejects
        the one job that cannot be sent.
        """
        self._check_open()
        if not isinstance(job, Job):  # pyright: ignore[reportUnnecessaryIsInstance]  # programs without types
            return job
        member = copy.copy(job)
        force_setattr(member, "args", job.args.copy())
        force_setattr(member, "custom", {**job.custom, "bid": self.bid})
        return member

    async def _members_of(self, jobs: AsyncIterable[Job]) -> AsyncGenerator[Job]:
        source = aiter(jobs)
        try:
            async for job in source:
                yield self._member(job)
        finally:
            if isinstance(source, AsyncGenerator):  # as the push does with ours
                await source.aclose()

    def _check_open(self) -> None:
        if not self._open:
            raise ClientStateError("a batch takes jobs within its `async with` block")


def new_batch(
    description: str | None,
    *,
    success: Job | None,
    complete: Job | None,
    parent_bid: str | None = None,
) -> BatchNew:
    """Return what begins a batch.

    Raises:
        UsageError: there is no callback.
        InvalidJobError: one of them is no job, or cannot be sent intact.
    """
    if success is None and complete is None:
        raise UsageError("a batch needs success= or complete=, or both: the job that follows")
    return BatchNew(
        description=description,
        parent_bid=parent_bid,
        success=None if success is None else _callback(success, "success"),
        complete=None if complete is None else _callback(complete, "complete"),
    )


def _callback(job: Job, name: str) -> bytes:
    if not isinstance(job, Job):  # pyright: ignore[reportUnnecessaryIsInstance]  # programs without types
        raise InvalidJobError(f"{name} must be a Job, not {type(job).__name__}")
    return job.to_json()
