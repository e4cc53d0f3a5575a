"""From an exception to a `Fail`. Whatever the exception does, this does not fail."""

import os
from typing import Final, TypeVar

from msgspec.structs import replace

from faktory_async.model import Job
from faktory_async.protocol import (
    MAX_ERRTYPE,
    MAX_MESSAGE,
    backtrace_of,
    cut,
    errtype_of,
    message_of,
)
from faktory_async.worker._outcome import Dead, Fail, Retry

F = TypeVar("F", bound=Fail | Retry | Dead)

MAX_LINES: Final = 50  # that the server keeps
# The server keeps a line whatever its length.
MAX_LINE: Final = 1_000
# The frames of the worker itself, by which every handler is called, tell nobody anything.
_HERE: Final = os.path.dirname(__file__)  # noqa: PTH120 - compared with the names of code objects


def failure(error: BaseException, job: Job | None = None) -> Fail:
    """Return what to report of an exception.

    Args:
        error: What the handler raised.
        job: The job, whose `backtrace` limits the lines: n > 0 means at most min(n, 50), 0 up
            to 50.
    """
    wanted = job.backtrace if job is not None else 0
    lines = min(wanted, MAX_LINES) if wanted > 0 else MAX_LINES
    return bounded(
        Fail(
            errtype=errtype_of(error),
            message=message_of(error),
            backtrace=backtrace_of(error, lines, beyond=_HERE),
        )
    )


def bounded(fail: F) -> F:
    """Return the failure cut to what the server keeps, and to what can be sent."""
    return replace(
        fail,
        errtype=cut(fail.errtype, MAX_ERRTYPE),
        message=cut(fail.message, MAX_MESSAGE),
        backtrace=tuple(cut(line, MAX_LINE) for line in fail.backtrace[:MAX_LINES]),
    )
