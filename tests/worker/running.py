"""A worker that runs beside the test."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio

from faktory_async import StopDetails, Worker
from faktory_async.protocol import Command
from faktory_async.worker import Moment
from faktory_async.worker._crew import Crew


class Running:
    """One `run()` in a task of its own.

    Attributes:
        scope: Cancelling it cancels `run()`.
        error: What `run()` raised.
    """

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.scope = anyio.CancelScope()
        self.error: Exception | None = None
        self.over = anyio.Event()
        self.ended_at = 0.0
        self._details: StopDetails | None = None

    async def run(self) -> None:
        try:
            with self.scope:
                self._details = await self.worker.run()
        except Exception as error:  # noqa: BLE001 - the test asks for it
            self.error = error
        finally:
            self.ended_at = anyio.current_time()
            self.over.set()

    async def end(self) -> StopDetails:
        """Wait for the end of `run()`, which must be a return."""
        await self.over.wait()
        if self.error is not None:
            raise self.error
        assert self._details is not None, "run() was cancelled"
        return self._details

    async def stop(self) -> StopDetails:
        self.worker.stop()
        return await self.end()

    @property
    def returned(self) -> bool:
        return self._details is not None


def with_crew(worker: Worker, change: Callable[[Crew], object]) -> Worker:
    """Let a test change the crew of the worker's run, when it is made."""
    make = worker._make_crew

    def changed(*args: Any, **options: Any) -> Crew:
        crew = make(*args, **options)
        change(crew)
        return crew

    worker._make_crew = changed
    return worker


def by_line(worker: Worker) -> Worker:
    """Let every report go by the line of its own, none in front of a FETCH."""

    def change(crew: Crew) -> None:
        def board(now: Moment) -> Sequence[Command[Any]]:
            return ()

        crew._reports.fetch_leaves = lambda: False
        crew._reports.board = board  # type: ignore[method-assign]  # white box

    return with_crew(worker, change)


@asynccontextmanager
async def running(worker: Worker) -> AsyncGenerator[Running]:
    """Run the worker for the length of a block; it is ended by force where it still runs then."""
    run = Running(worker)
    async with anyio.create_task_group() as group:
        group.start_soon(run.run)
        yield run
        group.cancel_scope.cancel()
