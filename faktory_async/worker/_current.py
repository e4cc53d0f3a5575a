"""What a handler can ask for from wherever it is: the job, and the run that works it."""

from contextvars import ContextVar
from datetime import datetime
from typing import Final

from faktory_async.errors import UsageError
from faktory_async.model import Job
from faktory_async.worker._run import Run

the_job: Final[ContextVar[Job]] = ContextVar("faktory_async_current_job")
the_run: Final[ContextVar[Run]] = ContextVar("faktory_async_current_run")


def current_job() -> Job:
    """Return the job that is being worked, inside its handler and whatever that calls.

    In threads and worker processes too.

    Raises:
        UsageError: outside of a handler.
    """
    try:
        return the_job.get()
    except LookupError:
        raise UsageError("there is no current job outside of a handler") from None


def current_run() -> Run:
    """Return the run of the job that is being worked.

    Raises:
        UsageError: outside of a handler, or in a worker process.
    """
    try:
        return the_run.get()
    except LookupError:
        raise UsageError("there is no current run outside of a handler") from None


def extend_deadline(until: datetime) -> None:
    """Move the deadline of the running handler, after the server has moved its reservation.

    That is what Enterprise's `TRACK SET` with `reserve_until` does; nothing is sent from here. A
    `timeout` of the handler stays.

    Args:
        until: The new end of the reservation, aware.

    Raises:
        UsageError: outside of a handler, in a worker process, or the time is naive.
    """
    if until.utcoffset() is None:
        raise UsageError("the end of a reservation is an aware datetime: write datetime.now(UTC)")
    current_run().extend(until.timestamp())
