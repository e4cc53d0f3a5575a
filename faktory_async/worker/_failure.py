"""From an exception to a `Fail`. Whatever the exception does, this does not fail."""

from typing import Final, TypeVar

from msgspec.structs import replace

from faktory_async.model import Job
from faktory_async.worker._backtrace import backtrace, errtype, message
from faktory_async.worker._outcome import Dead, Fail, Retry

F = TypeVar("F", bound=Fail | Retry | Dead)

# What the server keeps; it would cut in the middle of a character.
MAX_ERRTYPE: Final = 100
MAX_MESSAGE: Final = 1_000
MAX_LINES: Final = 50
# The server keeps a line whatever its length.
MAX_LINE: Final = 1_000


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
        Fail(errtype=errtype(error), message=message(error), backtrace=backtrace(error, lines))
    )


def bounded(fail: F) -> F:
    """Return the failure cut to what the server keeps, and to what can be sent."""
    return replace(
        fail,
        errtype=cut(fail.errtype, MAX_ERRTYPE),
        message=cut(fail.message, MAX_MESSAGE),
        backtrace=tuple(cut(line, MAX_LINE) for line in fail.backtrace[:MAX_LINES]),
    )


def cut(text: str, size: int) -> str:
    """Return at most `size` bytes of the text as UTF-8, whole characters only.

    What no UTF-8 can hold, lone surrogates, becomes a question mark.
    """
    # Not `text.encode`: an exception's text may be of a subclass with ideas of its own.
    start = str.__getitem__(text, slice(size))
    return start.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")
