"""The event loop a worker lives on, for what comes from other threads."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Final, Protocol, cast

from anyio.lowlevel import current_token


class _TrioToken(Protocol):
    def run_sync_soon(self, call: Callable[[], object], /) -> None: ...


class Home:
    """The running event loop and its thread; made by the worker's own task.

    Attributes:
        thread: The identity of the loop's thread.
    """

    def __init__(self) -> None:
        self.thread: Final = threading.get_ident()
        self._loop = current_token().native_token

    def post(self, call: Callable[[], object]) -> None:
        """Let the loop make a call: at once in its own thread, soon from any other one.

        It never waits. A loop that has ended needs to be told nothing any more.
        """
        if threading.get_ident() == self.thread:
            call()
            return
        with contextlib.suppress(RuntimeError):  # the loop is over; trio's RunFinishedError is one
            if isinstance(self._loop, asyncio.AbstractEventLoop):
                self._loop.call_soon_threadsafe(call)
            else:
                cast(_TrioToken, self._loop).run_sync_soon(call)
