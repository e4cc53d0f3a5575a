"""The door to a server's own thread: whoever is on another one hands over what is to be done."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTimeError
from functools import partial
from typing import Any, Final, TypeVar

from faktory_async.errors import ClientStateError, UsageError
from faktory_async.net import Home

R = TypeVar("R")

# What the event loop does between two looks at its door takes milliseconds; who is silent for so
# long is blocked, perhaps by waiting for the very thread that asks.
PATIENCE: Final = 10.0


class Door:
    """Runs functions on the thread of the event loop that opened it, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._home: Home | None = None
        self._handed_over: set[Future[Any]] = set()

    @property
    def is_open(self) -> bool:
        """Whether somebody is there."""
        return self._home is not None

    def open(self) -> None:
        """Serve from now on, on the event loop of the calling task."""
        self._home = Home.of_this_task()

    def close(self) -> None:
        """Serve no more; who waits is told so. May be called again."""
        with self._lock:
            self._home = None
            left = list(self._handed_over)
        for future in left:
            future.cancel()

    def call(self, do: Callable[[], R]) -> R:
        """Run a function on the loop's thread, between two of its steps, and return its result.

        On that thread itself it runs at once.

        Raises:
            ClientStateError: the server is not open, or was closed meanwhile.
            UsageError: the event loop does not answer: it is blocked. The function was not run.
            Exception: what the function raises.
        """
        home = self._home
        if home is not None and home.is_here():
            return do()
        future = self._hand_over(do)
        try:
            return future.result(PATIENCE)
        except NotInTimeError:
            if not future.cancel():
                return future.result()  # begun: it only computes, so it ends
            raise UsageError(
                f"the event loop of the embedded server has not answered for {PATIENCE:g} s: "
                "something blocks it, perhaps by waiting for this thread"
            ) from None
        except BaseException:
            if future.cancelled():
                raise ClientStateError("the embedded server was closed meanwhile") from None
            raise

    def hand_over(self, do: Callable[[], object], otherwise: Callable[[], object]) -> None:
        """Have a function run on the loop's thread, soon; on that thread itself it runs at once.

        Args:
            do: The function.
            otherwise: What happens instead, on any thread, where the server is closed before.
        """
        if self._home is not None and self._home.is_here():
            do()
            return
        try:
            future = self._hand_over(do)
        except ClientStateError:
            otherwise()
        else:
            future.add_done_callback(lambda ended: otherwise() if ended.cancelled() else None)

    def _hand_over(self, do: Callable[[], R]) -> Future[R]:
        future: Future[R] = Future()
        with self._lock:
            home = self._home
            if home is None:
                raise ClientStateError("the embedded server is not open")
            self._handed_over.add(future)
        future.add_done_callback(self._handed_over.discard)
        try:
            home.post(partial(_run, future, do))
        except RuntimeError:
            future.cancel()
            raise ClientStateError(
                "the event loop of the embedded server is closed, and the server was not"
            ) from None
        return future


def _run(future: Future[R], do: Callable[[], R]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(do())
    except BaseException as error:  # noqa: BLE001 - it is raised where it was asked for
        future.set_exception(error)
