"""From an exception to a `Fail`. Whatever the exception does, this does not fail."""

import builtins
import os
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Final, TypeVar

from msgspec.structs import replace

from faktory_async.model import Job
from faktory_async.worker._outcome import Dead, Fail, Retry

F = TypeVar("F", bound=Fail | Retry | Dead)

# What the server keeps; it would cut in the middle of a character.
MAX_ERRTYPE: Final = 100
MAX_MESSAGE: Final = 1_000
MAX_LINES: Final = 50
# The server keeps a line whatever its length.
MAX_LINE: Final = 1_000

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
            errtype=_or_say_why(lambda: _errtype(type(error))),
            message=_or_say_why(lambda: str(error)),
            backtrace=_backtrace(error, lines),
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


def cut(text: str, size: int) -> str:
    """Return at most `size` bytes of the text as UTF-8, whole characters only.

    What no UTF-8 can hold, lone surrogates, becomes a question mark.
    """
    # Not `text.encode`: an exception's text may be of a subclass with ideas of its own.
    return str.encode(text, "utf-8", "replace")[:size].decode("utf-8", "ignore")


def _errtype(kind: type[BaseException]) -> str:
    if kind.__module__ == builtins.__name__:
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def _backtrace(error: BaseException, lines: int) -> tuple[str, ...]:
    frames = traceback.StackSummary.extract(
        traceback.walk_tb(_beyond_us(error.__traceback__)), lookup_lines=False
    )
    return tuple(
        _or_say_why(lambda frame=frame: _line(frame))  # type: ignore[misc]  # the default binds the loop's frame
        for frame in reversed(frames[-lines:])
    )


def _beyond_us(trace: TracebackType | None) -> TracebackType | None:
    """Leave out the frames of the worker itself, by which every handler is called."""
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_HERE):
        trace = trace.tb_next
    return trace


def _line(frame: traceback.FrameSummary) -> str:
    where = f"{frame.filename}:{frame.lineno} in {frame.name}"
    return f"{where}: {frame.line}" if frame.line else where


def _or_say_why(text: Callable[[], str]) -> str:
    try:
        return text()
    except Exception as broken:  # noqa: BLE001 - an exception whose own text raises, however
        return f"(its text cannot be read: {type(broken).__name__})"
