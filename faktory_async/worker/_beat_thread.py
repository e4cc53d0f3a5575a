"""BEAT from a thread of its own, so that a handler that blocks the loop gets nobody forgotten.

It speaks over a blocking socket and waits for the event loop nowhere. A C extension that holds the
GIL stops it too.
"""

import logging
import threading
import time
from typing import Final

import anyio

from faktory_async.errors import AuthenticationError, FaktoryError, ServerError, UsageError
from faktory_async.net import BlockingConnection, Connector, Home
from faktory_async.worker._backoff import Backoff
from faktory_async.worker._beat import EVERY, Pulse
from faktory_async.worker._lag import Lag
from faktory_async.worker._line import Outage

_log: Final = logging.getLogger("faktory_async.worker")

# A missed beat is repeated after so many seconds at most: there are 60 before it matters.
_SOON: Final = 5.0
# How long a thread that is told to end may take for a BEAT in flight, and then for its end.
_IN_FLIGHT: Final = 0.5
_END: Final = 4.0


class ThreadHeart:
    """Beats in a thread, and watches the event loop from there.

    Args:
        connector: Makes the connections; says HELLO with the worker's wid.
        outage: What all lines of the worker know of the server.
        pulse: What is said and done.
        lag: Watches the event loop.
        home: The event loop.
    """

    def __init__(
        self, connector: Connector, outage: Outage, pulse: Pulse, lag: Lag, home: Home
    ) -> None:
        self._connector = connector
        self._outage = outage
        self._pulse = pulse
        self._lag = lag
        self._home = home
        self._told_to_end = threading.Event()
        self._ended = anyio.Event()
        self._error: Exception | None = None
        self._connection: BlockingConnection | None = None
        self._backoff = Backoff()
        self._since = 0

    @property
    def last_beat(self) -> float | None:
        """When the server last answered a BEAT."""
        return self._pulse.last

    @property
    def lag(self) -> float:
        """How many seconds late the event loop last was."""
        return self._lag.seconds

    async def run(self) -> None:
        """Beat until cancelled; the thread has ended then.

        Raises:
            AuthenticationError: the server no longer takes the password.
            UsageError: there is no connecting with these options.
            Exception: whatever else the thread died of.
        """
        thread = threading.Thread(target=self._main, name="faktory beat", daemon=True)
        thread.start()
        try:
            await self._ended.wait()
        finally:
            with anyio.CancelScope(shield=True):
                await self._end(thread)
        if self._error is not None:
            raise self._error

    async def _end(self, thread: threading.Thread) -> None:
        self._told_to_end.set()
        with anyio.move_on_after(_IN_FLIGHT):
            await self._ended.wait()
        if not self._ended.is_set() and self._connection is not None:
            self._connection.interrupt()
        with anyio.move_on_after(_END):
            await self._ended.wait()
        if self._ended.is_set():
            thread.join()  # it has nothing left to do
        else:
            # The resolver of names is all that it can hang in; it ends as soon as that returns.
            _log.warning("the thread that beats has not ended yet")

    # -- in the thread ------------------------------------------------------------------------

    def _main(self) -> None:
        try:
            self._beat_until_told()
        except Exception as error:  # noqa: BLE001 - raised by `run`
            self._error = error
        finally:
            self._home.tell(self._ended.set)

    def _beat_until_told(self) -> None:
        try:
            while not self._told_to_end.is_set():
                self._wait(EVERY if self._beat() else min(self._backoff.wait(), _SOON))
        finally:
            self._hang_up()

    def _wait(self, seconds: float) -> None:
        """Wait, and look after the loop meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._lag.look()
            if self._told_to_end.wait(min(left, self._lag.every)):
                return

    def _beat(self) -> bool:
        """Send one BEAT; False when it must be repeated soon, on a new connection."""
        try:
            connection = self._connection or self._open()
            order = connection.execute(self._pulse.command(), self._connector.timeouts.command)
        except (AuthenticationError, UsageError):
            raise
        except ServerError as error:
            if self._connection is None:  # it was the HELLO that was refused
                self._broke(error)
                return False
            self._worked()
            known = self._pulse.refused(error)
            if not known:
                self._hang_up()
            return known
        except FaktoryError as error:
            self._hang_up()
            self._broke(error)
            return False
        self._worked()
        self._pulse.answered(order)
        return True

    def _open(self) -> BlockingConnection:
        self._since = self._outage.number
        try:
            return self._connector.open_blocking(self._hold)
        except FaktoryError:
            self._hang_up()
            raise

    def _hold(self, connection: BlockingConnection) -> None:
        self._connection = connection

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _worked(self) -> None:
        self._backoff.reset()
        since = self._since
        self._home.tell(lambda: self._outage.ended(since))

    def _broke(self, error: FaktoryError) -> None:
        if self._told_to_end.is_set():
            return  # it was interrupted
        since = self._since
        self._home.tell(lambda: self._outage.began(error, since))
