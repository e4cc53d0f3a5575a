"""Heed signals though a handler blocks the event loop, where the worker would learn of them."""

import itertools
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Final, Self

_STOP: Final = (signal.SIGTERM, signal.SIGINT)
_STOPPED, _OVER = b"s", b"o"
_ENOUGH: Final = 3  # signals that end the process, as they do where nothing is blocked


class EvenBlocked:
    """Says, from a thread of its own, when the first signal has come; the third ends the process.

        with EvenBlocked(tell) as even_blocked:
            ...  # even_blocked.listen(), once others have set their handlers

    Python calls a signal's handler in the main thread, between two steps of whatever runs there. It
    may have been stopped with any lock in its hands, so all that is done there is to write a byte.

    Args:
        tell: Called once.
    """

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._listens = False
        # Counted in one step, between two of which Python may call the handler again.
        self._numbers = itertools.count(1)
        self._reads, self._writes = -1, -1
        self._thread = threading.Thread(target=self._wait, daemon=True)

    def __enter__(self) -> Self:
        self._reads, self._writes = os.pipe()
        self._thread.start()
        return self

    def __exit__(self, *_raised: object) -> None:
        writes, self._writes = self._writes, -1
        os.write(writes, _OVER)
        self._thread.join()
        os.close(writes)
        os.close(self._reads)

    def listen(self) -> None:
        """Put this in front of what handles the signals now, once; from the main thread."""
        if self._listens:
            return
        self._listens = True
        for number in _STOP:
            self._chain(number, signal.getsignal(number))

    def _chain(self, number: signal.Signals, behind: object) -> None:
        def handle(received: int, frame: FrameType | None) -> None:
            self._note(number)
            if callable(behind):
                behind(received, frame)

        signal.signal(number, handle)

    def _note(self, number: signal.Signals) -> None:
        received = next(self._numbers)
        if received == 1 and self._writes >= 0:
            os.write(self._writes, _STOPPED)
        if received == _ENOUGH:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def _wait(self) -> None:
        while os.read(self._reads, 1) == _STOPPED:
            self._tell()
