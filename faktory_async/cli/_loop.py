"""Which event loop the worker runs on."""

from importlib.util import find_spec
from typing import Any, Final, NamedTuple

from faktory_async.cli._errors import USAGE, CommandError
from faktory_async.cli._settings import Loop

_HOW: Final = {"uvloop": 'pip install "faktory-async[standard]"', "trio": "pip install trio"}


class Backend(NamedTuple):
    """An event loop, for `anyio.run`.

    Attributes:
        name: What people call it.
        backend: What anyio calls it.
        options: The options of the latter.
    """

    name: str
    backend: str
    options: dict[str, Any]


def backend_of(loop: Loop) -> Backend:
    """Return the event loop that was asked for; `auto` is uvloop where that is installed.

    Raises:
        CommandError: it is not installed.
    """
    if loop in _HOW and find_spec(loop) is None:
        raise CommandError(USAGE, f"{loop} is not installed: {_HOW[loop]}")
    if loop == "trio":
        return Backend("trio", "trio", {})
    fast = loop == "uvloop" or (loop == "auto" and find_spec("uvloop") is not None)
    return Backend("uvloop" if fast else "asyncio", "asyncio", {"use_uvloop": fast})
