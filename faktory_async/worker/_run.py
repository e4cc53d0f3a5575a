"""One run of a fetched job, from its FETCH to its report."""

import asyncio
import contextlib
import math
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final, cast

import anyio

from faktory_async.errors import JobTimeoutError
from faktory_async.model import Envelope, Job, world
from faktory_async.net import Native, current_time, on_asyncio
from faktory_async.worker._failure import failure
from faktory_async.worker._outcome import Outcome
from faktory_async.worker._reservation import Moment, Reservation

# Seconds before the end of its reservation at which a handler is cancelled: its `finally` blocks
# and its FAIL need some.
MARGIN: Final = 5.0

_NO_SCOPE: Final = cast("AbstractContextManager[object, bool]", nullcontext())


def present() -> Moment:
    """Return the present moment, on the event loop's clock and on the wall's."""
    return Moment(current_time(), world().time())


def clock() -> Callable[[], Moment]:
    """Return what tells the present moment: for those who ask often, in one event loop."""
    monotonic, wall = Native().now, world().time
    return lambda: Moment(monotonic(), wall())


class Run:
    """A job in this worker's hands. Two runs may have the same jid; they are kept apart.

    Args:
        envelope: What FETCH brought.
        fetched_at: When that FETCH was sent.

    Attributes:
        reservation: How long it is ours.
        job: What the handler gets; None until it is decoded.
        was_cut: Whether the run was cut short, perhaps before it began.
        timed_out: Whether its deadline has passed.
        deadline: When the handler is cancelled, on anyio's clock; infinite before it begins.
        on_deadline: Called when the deadline is set or moved.
        on_begin: Called with the job before its handler is.
        judge: Says what it means that the handler's time is up.
        reported: Whether an outcome was handed to the reports; there is only one.
        fatal: What the handler raised to end the whole program.
    """

    def __init__(self, envelope: Envelope, fetched_at: Moment) -> None:
        self.envelope = envelope
        self.reservation = Reservation(fetched_at, envelope.reserve_for)
        self.job: Job | None = None
        self.was_cut = False
        self.timed_out = False
        self.deadline = math.inf
        self.on_deadline: Callable[[Run], None] = _nobody
        self.on_begin: Callable[[Job], None] | None = None
        self.judge: Callable[[Exception, Job], Outcome] = failure
        self.reported = False
        self.fatal: BaseException | None = None
        self._task: asyncio.Task[object] | None = None
        self._scope: anyio.CancelScope | None = None
        self._limit = math.inf
        self._timeout = math.inf

    @property
    def jid(self) -> str:
        """The job's id."""
        return self.envelope.jid

    def decode(self) -> Job:
        """Return the job for its handler.

        Raises:
            InvalidJobError: it cannot be decoded.
        """
        job = self.job = self.envelope.job()
        return job

    # -- its deadline -------------------------------------------------------------------------

    def expect(self) -> bool:
        """Set the deadline by the reservation; False where there is no time to begin at all."""
        self._set_deadline()
        return self.reservation.left(present()) > MARGIN

    def due(self, now: Moment) -> float:
        """Return when the deadline is, on the event loop's clock, should the machine not sleep."""
        return self.deadline - self._slept(now)

    @property
    def due_by_the_wall(self) -> float:
        """When the deadline is, in Unix seconds."""
        began = self.reservation.began
        return began.wall + self.deadline - began.monotonic

    def limit(self, timeout: float) -> None:
        """Let the handler take no longer than `timeout` seconds from now on."""
        now = present()
        self._limit = now.monotonic + timeout + self._slept(now)
        self._timeout = timeout
        self._set_deadline()

    def extend(self, until: float) -> None:
        """Note that the server has moved the end of the reservation.

        Args:
            until: The new end, in Unix seconds.
        """
        self.reservation.seconds = until - self.reservation.began.wall
        self._set_deadline()

    def postpone(self, seconds: float) -> None:
        """Set the deadline anew, to `seconds` after now."""
        now = present()
        self.deadline = now.monotonic + seconds + self._slept(now)

    def timeout_error(self) -> JobTimeoutError:
        """Return what is reported of a handler whose deadline has passed."""
        if self._last_moment < self._limit:
            return JobTimeoutError(
                f"cancelled {MARGIN:g} s before the end of its reservation of "
                f"{self.reservation.seconds:g} s"
            )
        return JobTimeoutError(f"cancelled after its timeout of {self._timeout:g} s")

    @property
    def _last_moment(self) -> float:
        return self.reservation.began.monotonic + self.reservation.seconds - MARGIN

    def _set_deadline(self) -> None:
        if self.timed_out:
            return  # what was cancelled stays cancelled
        self.deadline = min(self._limit, self._last_moment)
        self.on_deadline(self)

    def _slept(self, now: Moment) -> float:
        """Return the seconds since the FETCH that the event loop's clock did not see."""
        began = self.reservation.began
        return now.since(began) - (now.monotonic - began.monotonic)

    # -- cancelling its handler ---------------------------------------------------------------

    def begin(self) -> AbstractContextManager[object, bool]:
        """Return what the handler is to be run in, by the calling task."""
        if on_asyncio():
            self._task = asyncio.current_task()
            return _NO_SCOPE
        self._scope = anyio.CancelScope()
        return self._scope

    @contextmanager
    def by_scope(self) -> Generator[anyio.CancelScope]:
        """Let a cancellation reach no more than the scope of this block.

        Unlike a native one, it does not end the wait for a thread that goes on.
        """
        before = self._task, self._scope
        with anyio.CancelScope() as scope:
            self._task, self._scope = None, scope
            try:
                yield scope
            finally:
                self._task, self._scope = before

    async def end(self) -> None:
        """Note that the handler has ended, and take in a cancellation that is still on its way.

        asyncio would end the task as cancelled, which ends the group that it belongs to.
        """
        task, self._task = self._task, None
        if task is None:
            return
        # Not until there is none: a group that is cancelled itself sends ever more of them.
        for _ in range(task.cancelling()):
            task.uncancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)

    def cut(self) -> None:
        """Cancel the handler, since the worker stops."""
        self.was_cut = True
        self._cancel()

    def time_out(self) -> None:
        """Cancel the handler, since its time is up."""
        self.timed_out = True
        self._cancel()

    def _cancel(self) -> None:
        """Cancel the way the event loop does: once on asyncio, for good on trio.

        On asyncio a `finally` block can await what it needs; a cancelled scope would not let it.
        """
        if self._task is not None:
            self._task.cancel()
        elif self._scope is not None:
            self._scope.cancel()

    def __str__(self) -> str:
        return f"job {self.jid} ({self.envelope.jobtype})"


def _nobody(_run: Run) -> None:
    """Stand in for whoever watches the deadline."""
