"""SIGTERM and SIGINT, once, twice, three times; SIGTSTP and SIGTTIN."""

import logging
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NoReturn

import anyio
from anyio.abc import TaskGroup

from faktory_async.net import Home
from faktory_async.worker._lifecycle import Lifecycle, Phase

_log: Final = logging.getLogger("faktory_async.worker")

# By name: not every system has all of them.
_QUIET: Final = "SIGTSTP"
_SHOW: Final = "SIGTTIN"
_STOP: Final = ("SIGTERM", "SIGINT", "SIGBREAK")
_LOOPS_RECEIVE_THEM = os.name == "posix"
# Of this process, in its main thread: who obeys signals, and what they did before.
_obeying: Final[list[object]] = []
_before: Final[dict[signal.Signals, Any]] = {}


def can_receive_signals() -> bool:
    """Tell whether this thread can receive signals: only the main one of a process can."""
    return threading.current_thread() is threading.main_thread()


class Signals:
    """Obeys signals: TSTP makes quiet, the first TERM or INT terminates, the second one cuts.

    The third one ends the process; TTIN logs what runs. On Windows, where event loops cannot
    receive them, INT and BREAK are taken by `signal.signal`.

    Args:
        lifecycle: What they drive.
        show: Says what runs, and where it is.
    """

    def __init__(self, lifecycle: Lifecycle, show: Callable[[], str]) -> None:
        self._lifecycle = lifecycle
        self._show = show

    @contextmanager
    def obeyed(self, group: TaskGroup, home: Home) -> Generator[None]:
        """Obey signals in the block; afterwards they do again what they did before.

        Args:
            group: Runs what receives them. Nothing of it is left when the block has ended.
            home: The event loop.
        """
        numbers = _known(_QUIET, _SHOW, *_STOP)
        if not _LOOPS_RECEIVE_THEM:
            with _handled(numbers, lambda number: home.tell(lambda: self.received(number))):
                yield
            return
        scope = anyio.CancelScope()
        with _restored(numbers), anyio.open_signal_receiver(*numbers) as signals:
            group.start_soon(self._receive, signals, scope)
            try:
                yield
            finally:
                scope.cancel()

    async def _receive(self, signals: AsyncIterator[int], scope: anyio.CancelScope) -> None:
        with scope:
            while not scope.cancel_called:  # then the receiver is closed, and says so
                number = await anext(signals)
                try:
                    self.received(number)
                except Exception:  # noqa: BLE001 - of a stack that cannot be shown, say: the run goes on
                    _log.exception("%s could not be obeyed", signal.Signals(number).name)

    def received(self, number: int) -> None:
        """Do what the signal asks for."""
        name = signal.Signals(number).name
        if name == _SHOW:
            _log.warning("%s: what runs here:\n%s", name, self._show())
            return
        if name == _QUIET:
            self._lifecycle.advance(Phase.QUIET, name)
        else:
            if self._lifecycle.phase >= Phase.CUT:
                _end_process(number)
            self._lifecycle.interrupt(name)
        _log.info("%s: the worker is %s", name, self._lifecycle.phase.name.lower())


def _known(*names: str) -> list[signal.Signals]:
    return [signal.Signals[name] for name in names if name in signal.Signals.__members__]


@contextmanager
def _restored(numbers: Sequence[signal.Signals]) -> Generator[None]:
    """Let signals do afterwards what they did before; asyncio gives them back to the system.

    Runs that overlap may end in any order: the last one gives back what the first one found.
    """
    if not _obeying:
        _before.update((number, signal.getsignal(number)) for number in numbers)
    run = object()
    _obeying.append(run)
    try:
        yield
    finally:
        _obeying.remove(run)
        while not _obeying and _before:
            number, handler = _before.popitem()
            # What a loop has put there does nothing without what the loop has forgotten.
            if handler is not None and not _is_a_loops(handler):
                signal.signal(number, handler)


def _is_a_loops(handler: object) -> bool:
    module: object = getattr(handler, "__module__", None)
    return isinstance(module, str) and module.partition(".")[0] in ("asyncio", "uvloop")


@contextmanager
def _handled(
    numbers: Sequence[signal.Signals], received: Callable[[int], object]
) -> Generator[None]:
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        for number in numbers:
            signal.signal(number, lambda number, _: received(number))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_process(number: int) -> NoReturn:
    """End as the signal ends any process, so that whoever started it can see why."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # the signal is blocked: rather another status than no end
