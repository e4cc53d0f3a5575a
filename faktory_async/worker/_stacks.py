"""Where a task is: the lines its coroutine waits at, outermost first."""

import linecache
from types import FrameType
from typing import Any, Final

# How the kinds of things that can be awaited name their frame and what they wait for.
_NAMES: Final = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await"))


def stack_of(coroutine: object) -> str:
    """Return the stack of a coroutine that is suspended, as a traceback shows it.

    A call that another thread makes is not part of it.
    """
    lines: list[str] = []
    while coroutine is not None:
        frame, coroutine = _step(coroutine)
        if frame is not None:
            lines.append(_line(frame))
    return "\n".join(lines)


def _step(awaited: Any) -> tuple[FrameType | None, object]:
    for frame_name, next_name in _NAMES:
        if hasattr(awaited, frame_name):
            return getattr(awaited, frame_name), getattr(awaited, next_name)
    return None, None


def _line(frame: FrameType) -> str:
    code = frame.f_code
    source = linecache.getline(code.co_filename, frame.f_lineno).strip()
    return f'  File "{code.co_filename}", line {frame.f_lineno}, in {code.co_name}\n    {source}'
