"""SIGTERM and SIGINT, once, twice, three times."""

import logging
import os
import signal
import threading
from typing import Final, NoReturn

import anyio

from faktory_async.worker._lifecycle import Lifecycle, Phase

_log: Final = logging.getLogger("faktory_async.worker")
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def can_receive_signals() -> bool:
    """Tell whether this thread and platform can receive signals in an event loop."""
    return os.name == "posix" and threading.current_thread() is threading.main_thread()


async def obey_signals(lifecycle: Lifecycle) -> None:
    """Let the first signal terminate, the second one cut, the third one end the process.

    Cancelled, signals do again what they did before.
    """
    with anyio.open_signal_receiver(*_SIGNALS) as signals:
        async for number in signals:
            name = signal.Signals(number).name
            if lifecycle.phase >= Phase.CUT:
                _end_process(number)
            lifecycle.interrupt(name)
            _log.info("%s: the worker is %s", name, lifecycle.phase.name.lower())


def _end_process(number: int) -> NoReturn:
    """End as the signal ends any process, so that whoever started it can see why."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # the signal is blocked: rather another status than no end
