"""From a handler to its runner: on the event loop, in a thread, or in a process."""

import math
import os
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeVar, cast

from anyio import BrokenWorkerProcess, CapacityLimiter, to_process

from faktory_async.model import Job
from faktory_async.net import here
from faktory_async.worker._child import call, work
from faktory_async.worker._current import current_run
from faktory_async.worker._failure import failure
from faktory_async.worker._handlers import Handler, Registration, Runner
from faktory_async.worker._outcome import Ack, Outcome
from faktory_async.worker._thread import Raised, in_thread, to_its_end

R = TypeVar("R")

_MOST_THREADS: Final = 100
# Seconds; processes that were idle for five minutes may be ended.
_SURELY_THERE: Final = 240.0
_DONE: Final = Ack()


class CutShort(Exception):  # noqa: N818 - no error of anybody's
    """The run was cut while its handler was in a thread that heeded it."""


class Kinds:
    """Makes runners.

    Args:
        concurrency: How many jobs are worked at the same time.
        threads: How many `def` handlers run at the same time; by default as many, up to 100.
        processes: How many do so in processes; by default no more than there are processors.

    Attributes:
        threads: The places for `def` handlers.
    """

    def __init__(self, concurrency: int, *, threads: int | None, processes: int | None) -> None:
        threads = min(concurrency, _MOST_THREADS) if threads is None else threads
        processes = min(concurrency, os.cpu_count() or 1) if processes is None else processes
        self.threads: Final = CapacityLimiter(threads)
        self._processes = CapacityLimiter(processes)
        self._unlimited = CapacityLimiter(math.inf)
        self._idle: list[float] = []  # processes that wait for a job, by when they ended one
        self._loop: object = None  # whose they are

    def runner(self, registration: Registration) -> Runner:
        """Return what works a job by this handler."""
        handler = registration.handler
        if registration.run_in is None:
            runner = _on_the_loop(handler)
        elif registration.run_in == "thread":
            runner = self._in_a_thread(handler)
        else:
            runner = self._in_a_process(handler)
        return runner if registration.timeout is None else _limited(runner, registration.timeout)

    def _in_a_thread(self, handler: Handler) -> Runner:
        async def run(job: Job) -> Outcome:
            await self.in_thread(partial(call, handler, job))
            return _DONE

        return run

    async def in_thread(self, function: Callable[[], R]) -> R:
        """Call a `def` handler in a thread; in the handler's own task.

        The thread cannot be cancelled, so nothing ends the wait for it; it can ask by
        `anyio.from_thread.check_cancelled` whether it should end.
        """
        run = current_run()
        with run.by_scope():
            told = await in_thread(function, self.threads)
            if not isinstance(told, Raised):
                return told
            error = told.take()
            try:
                raise error
            finally:
                del error  # which knows this call: a circle
        raise run.timeout_error() if run.timed_out else CutShort

    def _in_a_process(self, handler: Handler) -> Runner:
        async def run(job: Job) -> Outcome:
            return await self.in_process(handler, job, failure)

        return run

    async def in_process(
        self, handler: Handler, job: Job, tell: Callable[[BaseException, Job], R]
    ) -> Ack | R:
        """Call a `def` handler in a process, which is killed by a cancellation."""
        run = current_run()
        try:
            with run.by_scope():
                async with self._processes:
                    await self._have_one()
                    told = await to_process.run_sync(
                        work, handler, job, tell, cancellable=True, limiter=self._unlimited
                    )
                    self._idle.append(time.monotonic())
                    return told
        except BrokenWorkerProcess as error:
            raise ChildProcessError("the process died before the job was done") from error
        raise run.timeout_error() if run.timed_out else CutShort

    async def _have_one(self) -> None:
        """See to it that a process is idle.

        One that is cancelled while it starts would be left behind, so nothing cancels that.
        """
        if self._loop is not (loop := here()):  # each has processes of its own
            self._loop = loop
            self._idle.clear()
        if self._idle and self._idle.pop() > time.monotonic() - _SURELY_THERE:
            return
        self._idle.clear()
        await to_its_end(partial(to_process.run_sync, int, limiter=self._unlimited))


def _on_the_loop(handler: Handler) -> Runner:
    coroutine_function = cast("Callable[[Job], Awaitable[object]]", handler)

    async def run(job: Job) -> Outcome:
        await coroutine_function(job)
        return _DONE

    return run


def _limited(runner: Runner, timeout: float) -> Runner:
    async def run(job: Job) -> Outcome:
        current_run().limit(timeout)
        return await runner(job)

    return run
