"""A few connections, shared: last in, first out, and never a dead one.

The bookkeeping is synchronous and stands in critical sections without an await. What is passed on
is a *slot*: an idle connection, or the right to dial one. It needs no background task, so the tasks
that open and close a pool may differ.
"""

import contextlib
import math
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

import anyio

from faktory_async.errors import ClientStateError, PoolTimeoutError
from faktory_async.net._connection import Connection

_CLOSED: Final = "the client is closed"


class _Waiter:
    """Somebody who waits for a slot: `granted` is a connection, or None for the right to dial."""

    def __init__(self) -> None:
        self.event = anyio.Event()
        self.granted: Connection | None = None


class Pool:
    """Lends connections.

    Args:
        connect: Dials and shakes hands, bounded in time by itself.
        max_connections: How many connections exist at most.
        timeout: Seconds to wait for a connection to come free.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        *,
        max_connections: int,
        timeout: float,
    ) -> None:
        self._connect = connect
        self._max = max_connections
        self._timeout = timeout
        self._idle: list[Connection] = []
        self._slots = 0  # connections lent, idle or being dialled
        self._waiters: deque[_Waiter] = deque()
        self._closed = False

    def __repr__(self) -> str:
        return (
            f"<Pool {self._slots} of {self._max} connections, "
            f"{len(self._idle)} idle, {len(self._waiters)} waiting>"
        )

    @contextlib.asynccontextmanager
    async def lease(self, *, deadline: float = math.inf) -> AsyncGenerator[Connection]:
        """Lend a connection for the length of a block.

        Args:
            deadline: Until when, on anyio's clock, to wait and dial.

        Before every reuse the link is asked whether something came in: an idle connection has
        nothing to receive, so data or an end means that it is dead, and another one is dialled.
        A connection with an unanswered command is not lent again but closed.

        Raises:
            PoolTimeoutError: none came free in time; `maybe_executed` is False.
            ClientStateError: the pool is closed.
            FaktoryError: whatever the dial raises.
        """
        connection = await self._take_by(deadline)
        try:
            yield connection
        finally:
            await self._give_back(connection)

    async def aclose(self) -> None:
        """Lend nothing any more and close the idle connections; the lent ones end when they return.

        May be called again. Cancelled, the connections are ended without a goodbye.
        """
        self._closed = True
        for waiter in self._waiters:
            waiter.event.set()
        self._waiters.clear()
        idle, self._idle = self._idle, []
        self._slots -= len(idle)
        try:
            for connection in idle:
                await connection.aclose()
        finally:
            for connection in idle:
                connection.abort()

    # -- slots --------------------------------------------------------------------------------

    async def _take_by(self, deadline: float) -> Connection:
        if deadline == math.inf:
            return await self._take()
        with anyio.CancelScope(deadline=deadline):
            return await self._take()
        raise PoolTimeoutError("no connection in time")

    async def _take(self) -> Connection:
        while not self._closed:
            if self._idle:
                connection = self._idle.pop()
            elif self._slots < self._max:
                self._slots += 1
                return await self._dial()
            else:
                granted = await self._wait()
                if granted is None:
                    return await self._dial()
                connection = granted
            if connection.usable:
                return connection
            await self._drop(connection)
        raise ClientStateError(_CLOSED)

    async def _dial(self) -> Connection:
        """Dial within a slot that this task holds; the slot is passed on when that fails."""
        try:
            return await self._connect()
        except BaseException:
            self._free_slot()
            raise

    async def _wait(self) -> Connection | None:
        waiter = _Waiter()
        self._waiters.append(waiter)
        try:
            with anyio.move_on_after(self._timeout):
                await waiter.event.wait()
        except BaseException:
            self._withdraw(waiter)
            raise
        if not waiter.event.is_set():
            self._waiters.remove(waiter)
            raise PoolTimeoutError(
                f"no connection came free within {self._timeout:g} s: all {self._max} are in use"
            )
        if waiter.granted is None and self._closed:
            raise ClientStateError(_CLOSED)
        return waiter.granted

    def _withdraw(self, waiter: _Waiter) -> None:
        """Take a waiter out; a slot that was granted in the same moment goes to the next one."""
        if not waiter.event.is_set():
            self._waiters.remove(waiter)
        elif waiter.granted is not None:
            self._offer(waiter.granted)
        elif not self._closed:
            self._free_slot()

    async def _give_back(self, connection: Connection) -> None:
        if connection.idle and not self._closed:
            self._offer(connection)
        else:
            await self._drop(connection)

    def _offer(self, connection: Connection) -> None:
        if self._waiters:
            waiter = self._waiters.popleft()
            waiter.granted = connection
            waiter.event.set()
        else:
            self._idle.append(connection)

    def _free_slot(self) -> None:
        if self._waiters:
            self._waiters.popleft().event.set()
        else:
            self._slots -= 1

    async def _drop(self, connection: Connection) -> None:
        if not connection.idle:
            connection.abort()
        self._free_slot()
        with anyio.CancelScope(shield=True):
            await connection.aclose()
