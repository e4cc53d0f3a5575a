"""End the process when a handler does not let the worker end."""

import logging
import os
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from faktory_async.cli._errors import UNFINISHED
from faktory_async.cli._logs import COMMAND

# A worker is through with all but such handlers within 4 s; the rest is for a busy machine.
_AFTER_THE_GRACE: Final = 5.0
_TO_SAY_IT: Final = 1.0


class LastResort:
    """Ends the process some seconds after the grace, whoever still runs.

        with LastResort(25, names) as last_resort:
            Worker(..., on_state_change=last_resort.on_state_change)

    `Worker.run` waits for a handler that swallows its cancellation, and for one that sits in a
    thread, as structured concurrency wants it. But whoever runs a command has asked for its end,
    and sends SIGKILL next. By then every job is reported, or the server will retry it where the
    event loop is what is blocked, so that nothing is lost by ending here: by `os._exit`, since
    `sys.exit` would wait for the very same threads and tasks. It is done by a thread of its own
    because the event loop may be what is blocked.

    Args:
        grace: How long handlers may go on once the worker is told to stop, in seconds.
        running: Returns the names of the jobs that still run.
    """

    def __init__(self, grace: float, running: Callable[[], str]) -> None:
        self._grace = grace
        self._running = running
        self._timer: threading.Timer | None = None
        self._setting = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._cancel()

    def on_state_change(self, state: str) -> None:
        """Note how far the worker is: a listener; from any thread."""
        if state == "terminating":
            self._end_in(self._grace + _AFTER_THE_GRACE)
        elif state == "cut":
            self._end_in(_AFTER_THE_GRACE)

    def _end_in(self, seconds: float) -> None:
        with self._setting:
            self._cancel()
            self._timer = threading.Timer(seconds, self._end)
            self._timer.daemon = True
            self._timer.start()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _end(self) -> None:
        # A pipe that nobody reads may be what all are waiting for: say it, but do not wait either.
        words = threading.Thread(target=self._say, daemon=True)
        words.start()
        words.join(_TO_SAY_IT)
        os._exit(UNFINISHED)

    def _say(self) -> None:
        left = self._running()
        COMMAND.error("ended, although this goes on: %s", left, extra={"event": "killed"})
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
