"""One run of a fetched job, from its FETCH to its report."""

import asyncio
import math
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

import anyio
from msgspec import Struct

from faktory_async.errors import JobTimeoutError
from faktory_async.model import Envelope, Job, world
from faktory_async.net import Native, current_time
from faktory_async.worker._failure import failure
from faktory_async.worker._outcome import Outcome
from faktory_async.worker._reservation import Moment, Reservation, effective

# Seconds before the end of its reservation at which a handler is cancelled: its `finally` blocks
# and its FAIL need some.
MARGIN: Final = 5.0
_LONGEST: Final = 100  # characters of a jid or jobtype that are shown


def present() -> Moment:
    """Return the present moment, on the event loop's clock and on the wall's."""
    return Moment(current_time(), world().time())


def clock() -> Callable[[], Moment]:
    """Return what tells the present moment: for those who ask often, in one event loop."""
    monotonic, wall = Native().now, world().time
    return lambda: Moment(monotonic(), wall())


class Run(Struct, eq=False):
    """A job in this worker's hands. Two runs may have the same jid; they are kept apart.

    Attributes:
        envelope: What FETCH brought.
        reservation: How long it is ours.
        jid: The job's id.
        queue: Where it came from.
        job: What the handler gets; None until it is decoded.
        work: What works it, to be looked at; None before it is begun.
        begun_at: When that began, on the clock of `time.monotonic`; None before.
        was_cut: Whether the run was cut short, perhaps before it began.
        timed_out: Whether its deadline has passed.
        deadline: When the handler is cancelled, on anyio's clock; infinite before it begins.
        on_deadline: Called when the deadline is set or moved.
        on_begin: Called with the job before its handler is.
        judge: Says what it means that the handler's time is up.
        reported: Whether an outcome was handed to the reports; there is only one.
        fatal: What the handler raised to end the whole program.
    """

    envelope: Envelope
    reservation: Reservation
    jid: str
    queue: str
    job: Job | None = None
    work: object = None
    begun_at: float | None = None
    was_cut: bool = False
    timed_out: bool = False
    deadline: float = math.inf
    on_deadline: Callable[["Run"], None] | None = None
    on_begin: Callable[[Job], None] | None = None
    judge: Callable[[Exception, Job], Outcome] = failure
    reported: bool = False
    fatal: BaseException | None = None
    _task: asyncio.Task[object] | None = None
    _scope: anyio.CancelScope | None = None
    _limit: float = math.inf
    _timeout: float = math.inf

    @staticmethod
    def of(envelope: Envelope, fetched_at: Moment) -> "Run":
        """Return a run of what a FETCH has brought that was sent at that moment."""
        reservation = Reservation(fetched_at, effective(envelope.reserve_for))
        return Run(envelope, reservation, envelope.jid, envelope.queue)

    def decode(self) -> Job:
        """Return the job for its handler.

        Raises:
            InvalidJobError: it cannot be decoded.
        """
        job = self.job = self.envelope.job()
        return job

    # -- its deadline -------------------------------------------------------------------------

    def expect(self, now: Moment) -> bool:
        """Set the deadline by the reservation; False where there is no time to begin at all."""
        self._set_deadline()
        return self.reservation.left(now) > MARGIN

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
        seconds = until - self.reservation.began.wall
        self.reservation.seconds = max(seconds, self.reservation.seconds)  # it never shortens one
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
        if self.on_deadline is not None:
            self.on_deadline(self)

    def _slept(self, now: Moment) -> float:
        """Return the seconds since the FETCH that the event loop's clock did not see."""
        began = self.reservation.began
        return now.since(began) - (now.monotonic - began.monotonic)

    # -- cancelling its handler ---------------------------------------------------------------

    def begin(self) -> anyio.CancelScope | None:
        """Let a cancellation reach the calling task; what is returned, the handler must run in."""
        try:
            self._task = asyncio.current_task()
        except RuntimeError:  # no loop of asyncio runs: it is trio's
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

    def end(self) -> None:
        """Note that the handler has ended: no cancellation reaches its task any more."""
        self._task = None

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
        return f"job {_shown(self.jid)} ({_shown(self.envelope.jobtype)})"


def _shown(text: str) -> str:
    """Return what another program has made up as logs can have it: on one line, and not endless."""
    short = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return short if short.isprintable() else repr(short)
