"""Tracebacks as Python shows them, without the frames that are not the user's."""

import traceback
from pathlib import Path
from typing import Final

from faktory_async.errors import FaktoryError

_OURS: Final = str(Path(__file__).parents[1])
_OF_IMPORTS: Final = ("<frozen importlib", str(Path("importlib", "__init__.py")))


def traceback_of(error: BaseException) -> str:
    """Return the traceback of an error that came out of the user's code.

    The frames that lead there are left out, since they are the command's own. So are, for an error
    that this library raises on purpose, those at its end: the user's line is what counts.
    """
    shown = traceback.TracebackException.from_exception(error)
    frames = list(shown.stack)
    while frames and _leads_there(frames[0].filename):
        frames.pop(0)
    while frames and isinstance(error, FaktoryError) and frames[-1].filename.startswith(_OURS):
        frames.pop()
    shown.stack = traceback.StackSummary.from_list(frames)
    lines = list(shown.format())
    if not frames:  # nothing but the error itself, as Python shows a SyntaxError
        lines = [line for line in lines if not line.startswith("Traceback ")]
    return "".join(lines).rstrip()


def _leads_there(filename: str) -> bool:
    return filename.startswith((_OURS, "<frozen importlib")) or filename.endswith(_OF_IMPORTS[1])
