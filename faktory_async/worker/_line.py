"""One connection that is kept: dialled when needed, given up when broken, dialled again."""

import logging
from collections.abc import Callable
from typing import Final

import anyio

from faktory_async.errors import (
    AuthenticationError,
    ConnectError,
    ConnectionLostError,
    FaktoryError,
    UsageError,
)
from faktory_async.net import Connection, Connector
from faktory_async.worker._backoff import Backoff

_log: Final = logging.getLogger("faktory_async.worker")

_IN_A_HURRY: Final = 0.1  # seconds
_AT_ONCE: Final = 0.05  # seconds; more where the dial, three round trips, took more


class Outage:
    """Whether the server is away, as far as all lines of a worker know: one log line each way.

    Lines notice one absence at different times. So each tells during which absence, by number, its
    connection was made: an older one neither begins a new absence nor ends this one.

    Attributes:
        number: How many absences there were.
        reached: Whether any line was ever made.
        away: Whether the server is away now.
        error: Why the last one that was tried was not made, or has broken; None before.
        on_change: Called, by whatever thread notices, when the server has answered for the first
            time, or again; with an error when it is away.
    """

    def __init__(self, address: str) -> None:
        self.number = 0
        self.reached = False
        self.error: Exception | None = None
        self.on_change: Callable[[Exception | None], None] | None = None
        self.away = False
        self._met = False
        self._address = address

    def began(self, error: Exception, since: int) -> None:
        """Note that a line could not be made, or that one broke which was made in `since`."""
        self.error = error
        if not self.away and since == self.number:
            self.away = True
            self.number += 1
            _log.warning("the server %s is away: %s", self._address, error)
            if self.on_change is not None:
                self.on_change(error)

    async def expect(self, seconds: float) -> None:
        """Wait so long for the first line.

        Raises:
            ConnectError: none was made within that time.
        """
        await anyio.sleep(seconds)
        if not self.reached:
            why = "" if self.error is None else f": {self.error}"
            raise ConnectError(
                f"no connection to {self._address} within {seconds:g} s{why}"
            ) from self.error

    def ended(self, since: int) -> None:
        """Note that a line which was made in `since` has proved good."""
        if self.away and since == self.number:
            self.away = False
            _log.warning("the server %s is back", self._address)
            self._met = False
        if not self._met and not self.away:
            self._met = True
            if self.on_change is not None:
                self.on_change(None)


class Line:
    """A connection of its own for one loop of the worker.

    Args:
        connector: Makes the connections.
        outage: What all lines of the worker know of the server.

    Attributes:
        at_once: Within how many seconds an answer comes that had not to wait for anything there.
    """

    def __init__(self, connector: Connector, outage: Outage) -> None:
        self._connector = connector
        self._outage = outage
        self.at_once = _AT_ONCE
        self._connection: Connection | None = None
        self._since = 0
        self._proved = False  # and nothing has gone wrong since
        self._backoff = Backoff()
        self._hurried = anyio.Event()

    @property
    def at_hand(self) -> Connection | None:
        """The connection, if it is good for a command right now."""
        connection = self._connection
        return connection if connection is not None and connection.usable else None

    async def connection(self) -> Connection:
        """Return the connection, a new one where the last one is no good, however long it takes.

        Raises:
            AuthenticationError: waiting would not change the password.
            UsageError: nor what the program says, such as TLS files that are not there.

        Cancelled, nothing is left behind.
        """
        while (connection := await self.attempt()) is None:
            await self.pause()
        return connection

    async def attempt(self) -> Connection | None:
        """Return the connection, or what a single try to make one gives.

        Raises and cancelled: as `connection`.
        """
        if (connection := self.at_hand) is not None:
            return connection
        await self.hang_up()
        begun_at = anyio.current_time()
        try:
            connection = self._connection = await self._connector()
            if not connection.usable:
                raise ConnectionLostError("it ends connections as soon as they are made")
        except (AuthenticationError, UsageError):
            raise
        except FaktoryError as error:
            self._outage.began(error, self._outage.number)
            return None
        self.at_once = max(_AT_ONCE, anyio.current_time() - begun_at)
        self._since = self._outage.number
        self._outage.reached = True
        return connection

    def worked(self) -> None:
        """Note that a command was answered: only that proves a line good."""
        if not self._proved or self._outage.away:
            self._proved = True
            self._outage.ended(self._since)
            self._backoff.reset()

    async def broke(self, error: FaktoryError) -> None:
        """Give the connection up after an error and wait before another one is tried."""
        self._outage.began(error, self._since)
        await self.hang_up()
        await self.pause()

    async def pause(self, news: anyio.Event | None = None) -> None:
        """Wait before the next try: 0.1 s, and longer each time until something worked.

        Args:
            news: Set when there is something else to send, which waits no longer than 0.1 s.
        """
        self._proved = False
        sooner = self._hurried if news is None or self._hurried.is_set() else news
        with anyio.move_on_after(self._backoff.wait()):
            await sooner.wait()
            await anyio.sleep(_IN_A_HURRY)

    def hurry(self) -> None:
        """Wait no longer than 0.1 s before any try from now on: there is not much time left."""
        self._hurried.set()

    async def hang_up(self) -> None:
        """Close the connection, politely where it is idle. Not cut short by a cancelled scope."""
        self._proved = False
        connection, self._connection = self._connection, None
        if connection is not None:
            with anyio.CancelScope(shield=True):
                await connection.aclose()
