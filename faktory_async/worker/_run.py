"""One run of a fetched job, from its FETCH to its report."""

import asyncio
import contextlib

import anyio

from faktory_async.model import Envelope, Job, world
from faktory_async.net import on_asyncio
from faktory_async.worker._reservation import Moment, Reservation


def present() -> Moment:
    """Return the present moment, on the event loop's clock and on the wall's."""
    return Moment(anyio.current_time(), world().utcnow().timestamp())


class Run:
    """A job in this worker's hands. Two runs may have the same jid; they are kept apart.

    Args:
        envelope: What FETCH brought.
        fetched_at: When that FETCH was sent.

    Attributes:
        reservation: How long it is ours.
        scope: What the handler runs in.
        was_cut: Whether the run was cut short, perhaps before it began.
        reported: Whether an outcome was handed to the reports; there is only one.
    """

    def __init__(self, envelope: Envelope, fetched_at: Moment) -> None:
        self.envelope = envelope
        self.reservation = Reservation(fetched_at, envelope.reserve_for)
        self.scope = anyio.CancelScope()
        self.was_cut = False
        self.reported = False
        self._task: asyncio.Task[object] | None = None

    @property
    def jid(self) -> str:
        """The job's id."""
        return self.envelope.jid

    def job(self) -> Job:
        """Return the job for its handler.

        Raises:
            InvalidJobError: it cannot be decoded.
        """
        return self.envelope.job()

    def begin(self) -> None:
        """Note that the calling task runs the handler from here on."""
        self._task = asyncio.current_task() if on_asyncio() else None

    async def end(self) -> None:
        """Note that the handler has ended, and take in a cancellation that is still on its way.

        asyncio would end the task as cancelled, which ends the group that it belongs to.
        """
        while self._task is not None and self._task.cancelling():
            self._task.uncancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)

    def cut(self) -> None:
        """Cancel the handler the way its event loop does: once on asyncio, for good on trio.

        On asyncio a `finally` block can await what it needs; a cancelled scope would not let it.
        """
        self.was_cut = True
        if self._task is None:
            self.scope.cancel()
        else:
            self._task.cancel()

    def cut_for_good(self) -> None:
        """Cancel whatever the handler still awaits."""
        self.scope.cancel()

    def __str__(self) -> str:
        return f"job {self.jid} ({self.envelope.jobtype})"
