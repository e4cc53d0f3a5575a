"""From an exception, and all that belongs to it, to text. Whatever it does, this does not fail."""

import builtins
import traceback
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from types import TracebackType
from typing import Any, Final, TypeVar

T = TypeVar("T")

# What the server keeps; it would cut in the middle of a character.
MAX_ERRTYPE: Final = 100
MAX_MESSAGE: Final = 1_000

# How many exceptions are told of; a chain of causes may have no end.
_MOST: Final = 10
# Characters of what is said of an exception beside others.
_BRIEF: Final = 300


def errtype_of(error: BaseException) -> str:
    """Return `ValueError` for what Python brings along, else `module.Qualname`."""
    return _or_say_why(lambda: _name(type(error)))


def message_of(error: BaseException) -> str:
    """Return its text, what a group holds, and its notes, each on a line of its own."""
    inside = "; ".join(_brief(part) for part in islice(_leaves(error), _MOST))
    text = _or_say_why(lambda: str(error))
    return "\n".join([f"{text}: {inside}" if inside else text, *_notes(error)])


def backtrace_of(error: BaseException, lines: int, *, beyond: str) -> tuple[str, ...]:
    """Return where it was raised, innermost frame first, then its members, causes and contexts.

    Args:
        error: The exception.
        lines: How many there may be. Where they are too few, each part loses its outer frames.
        beyond: The path of a directory: outer frames of its files are left out.
    """
    parts = [_frames(error, lines, beyond)]
    parts += (
        [head, *_frames(other, lines, beyond)] for head, other in islice(_others(error), _MOST)
    )
    fitted: list[str] = []
    for number, part in enumerate(parts):
        left = lines - len(fitted)
        later = sum(min(len(other), 2) for other in parts[number + 1 :])
        least = 2 if number else (left + 1) // 2
        fitted += part[: min(left, max(left - later, least))]
    return tuple(fitted)


def cut(text: str, size: int) -> str:
    """Return at most `size` bytes of the text as UTF-8, whole characters only.

    What no UTF-8 can hold, lone surrogates, becomes a question mark.
    """
    # Not `text.encode`: an exception's text may be of a subclass with ideas of its own.
    start = str.__getitem__(text, slice(size))
    return start.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")


# -- what belongs to an exception -----------------------------------------------------------------


def _others(error: BaseException) -> Iterator[tuple[str, BaseException]]:
    """Yield what the exception holds and what led to it, each once, with what to say of it."""
    seen = {id(error)}
    waiting = list(reversed(_around(error)))
    while waiting:
        how, other = waiting.pop()
        if id(other) in seen:
            continue
        seen.add(id(other))
        yield f"{how} {_brief(other)}", other
        waiting += reversed(_around(other))


def _around(error: BaseException) -> list[tuple[str, BaseException]]:
    """Return its neighbours, the way Python itself would show them."""
    near = [("in the group:", member) for member in _members(error)]
    cause = _own(error, "__cause__")
    context = _own(error, "__context__")
    if cause is not None:
        near.append(("caused by", cause))
    elif context is not None and not _own(error, "__suppress_context__"):
        near.append(("while handling", context))
    return near


def _leaves(error: BaseException, depth: int = _MOST) -> Iterator[BaseException]:
    for member in _members(error):
        if depth and _members(member):
            yield from _leaves(member, depth - 1)
        else:
            yield member


def _members(error: BaseException) -> Sequence[BaseException]:
    if not issubclass(type(error), BaseExceptionGroup):  # `isinstance` would ask the exception
        return ()
    descriptor: Any = BaseExceptionGroup.__dict__["exceptions"]
    members: Sequence[BaseException] = descriptor.__get__(error)
    return members


def _notes(error: BaseException) -> list[str]:
    # Anybody may set any attribute of this name.
    none: list[str] = []
    notes = _or(lambda: list(islice(error.__notes__, _MOST)), none)
    return [_or_say_why(lambda note=note: str(note)) for note in notes]  # type: ignore[misc]  # the default binds the loop's note


def _own(error: BaseException, name: str) -> Any:
    """Return an attribute as Python set it, whatever the exception's own type says to it."""
    descriptor: Any = BaseException.__dict__[name]
    return descriptor.__get__(error)


# -- its words ------------------------------------------------------------------------------------


def _brief(error: BaseException) -> str:
    kind = errtype_of(error)
    text = " ".join([_or_say_why(lambda: str(error)), *_notes(error)])
    line = " ".join(text[:_BRIEF].split())
    return f"{kind}: {line}" if line else kind


def _name(kind: type[BaseException]) -> str:
    if kind.__module__ == builtins.__name__:
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def _frames(error: BaseException, lines: int, beyond: str) -> list[str]:
    return _or(lambda: _read_frames(error, lines, beyond), ["(its backtrace cannot be read)"])


def _read_frames(error: BaseException, lines: int, beyond: str) -> list[str]:
    frames = traceback.StackSummary.extract(
        traceback.walk_tb(_beyond(beyond, _own(error, "__traceback__"))), lookup_lines=False
    )
    return [
        _or_say_why(lambda frame=frame: _line(frame))  # type: ignore[misc]  # the default binds the loop's frame
        for frame in reversed(frames[-lines:])
    ]


def _beyond(directory: str, trace: TracebackType | None) -> TracebackType | None:
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(directory):
        trace = trace.tb_next
    return trace


def _line(frame: traceback.FrameSummary) -> str:
    where = f"{frame.filename}:{frame.lineno} in {frame.name}"
    return f"{where}: {frame.line}" if frame.line else where


# -- whatever it does -----------------------------------------------------------------------------


def _or_say_why(text: Callable[[], str]) -> str:
    try:
        return str.__str__(text())  # a subclass may have ideas of its own
    except KeyboardInterrupt:
        raise  # of somebody at the keyboard, most likely
    except BaseException as broken:  # noqa: BLE001 - an exception whose own text raises, however
        return f"(its text cannot be read: {type(broken).__name__})"


def _or(value: Callable[[], T], otherwise: T) -> T:
    try:
        return value()
    except Exception:  # noqa: BLE001 - the attributes of a stranger
        return otherwise
