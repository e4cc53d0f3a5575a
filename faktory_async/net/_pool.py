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


class Right:
    """The right to dial a connection, and with it a slot."""

    __slots__ = ()


class _Claim:
    """Somebody who waits for a slot and is called with it."""

    def __init__(
        self, granted: Callable[[Connection | Right], None], discard: Callable[[Connection], None]
    ) -> None:
        self._granted = granted
        self._discard = discard

    def grant(self, connection: Connection | None) -> None:
        if connection is None:
            self._granted(Right())
        elif connection.usable:
            self._granted(connection)
        else:
            self._discard(connection)
            self._granted(Right())

    def end(self) -> None:
        """Nothing waits for a closed pool: who closes it has let every claim end."""


class _Waiter:
    """Somebody who waits for a slot: with it comes an idle connection, or None to dial one."""

    def __init__(self) -> None:
        self.event = anyio.Event()
        self.has_slot = False
        self.connection: Connection | None = None

    def grant(self, connection: Connection | None) -> None:
        self.has_slot = True
        self.connection = connection
        self.event.set()

    def end(self) -> None:
        self.event.set()


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
        self._waiters: deque[_Waiter | _Claim] = deque()
        self._dead: list[Connection] = []  # aborted, and still to be freed
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
            waiter.end()
        self._waiters.clear()
        idle, self._idle = self._idle, []
        async with anyio.create_task_group() as goodbyes:
            for connection in idle:
                goodbyes.start_soon(self._drop, connection)
            goodbyes.start_soon(self.bury)

    # -- slots without waiting ----------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether it lends nothing any more."""
        return self._closed

    @property
    def has_idle(self) -> bool:
        """Whether a connection lies idle, dead or not."""
        return bool(self._idle)

    @property
    def has_usable(self) -> bool:
        """Whether a connection lies idle that is not dead."""
        return any(connection.usable for connection in self._idle)

    def take_now(self, *, may_dial: bool = True) -> Connection | Right | None:
        """Take a slot, if there is one at once: a connection, or the right to dial one.

        Args:
            may_dial: Whether a new connection would do.
        """
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            self._discard(connection)
            self._free_slot()
        if may_dial and self._slots < self._max and not self._closed:
            self._slots += 1
            return Right()
        return None

    def claim(self, granted: Callable[[Connection | Right], None]) -> None:
        """Call `granted` with the next slot that comes free, after those who came before."""
        self._waiters.append(_Claim(granted, self._discard))

    async def dial(self) -> Connection:
        """Use a right to dial; when that fails, it remains to be put back.

        Raises:
            FaktoryError: whatever the dial raises.
        """
        await self.bury()
        return await self._connect()

    def put_back(self, slot: Connection | Right) -> None:
        """Give a slot back, from anywhere: an idle connection is kept, any other one aborted."""
        if isinstance(slot, Right):
            self._free_slot()
        elif not slot.idle or self._closed:
            self._discard(slot)
            self._free_slot()
        elif self._waiters:
            self._waiters.popleft().grant(slot)
        else:
            self._idle.append(slot)

    async def bury(self) -> None:
        """Free what aborted connections still hold; on asyncio that is nothing.

        It happens before a dial and with a close; whoever puts one back later has to see to it.
        """
        while self._dead:
            with anyio.CancelScope(shield=True):
                await self._dead.pop().aclose()

    def _discard(self, connection: Connection) -> None:
        connection.abort()  # there is nobody to say goodbye to
        self._dead.append(connection)

    # -- slots --------------------------------------------------------------------------------

    async def _take_by(self, deadline: float) -> Connection:
        if deadline == math.inf:
            return await self._take()
        with anyio.CancelScope(deadline=deadline):
            return await self._take()
        raise PoolTimeoutError("no connection in time")

    async def _take(self) -> Connection:
        if self._closed:
            raise ClientStateError(_CLOSED)
        connection = None
        if self._idle:
            connection = self._idle.pop()
        elif self._slots < self._max:
            self._slots += 1
        else:
            connection = await self._wait()
        if connection is not None and connection.usable:
            return connection
        return await self._dial(connection)

    async def _dial(self, dead: Connection | None) -> Connection:
        """Dial within a slot that this task holds; the slot is passed on when that fails."""
        try:
            if dead is not None:
                dead.abort()  # there is nobody to say goodbye to
                await dead.aclose()
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
            await self._withdraw(waiter)
            raise
        if self._closed:
            await self._withdraw(waiter)
            raise ClientStateError(_CLOSED)
        if waiter.has_slot:
            return waiter.connection
        self._waiters.remove(waiter)
        raise PoolTimeoutError(
            f"no connection came free within {self._timeout:g} s: all {self._max} are in use"
        )

    async def _withdraw(self, waiter: _Waiter) -> None:
        """Take a waiter out; a slot that was granted in the same moment goes to the next one."""
        if waiter.connection is not None:
            await self._give_back(waiter.connection)
        elif waiter.has_slot:
            self._free_slot()
        elif not self._closed:
            self._waiters.remove(waiter)

    async def _give_back(self, connection: Connection) -> None:
        if not connection.idle or self._closed:
            await self._drop(connection)
        elif self._waiters:
            self._waiters.popleft().grant(connection)
        else:
            self._idle.append(connection)

    async def _drop(self, connection: Connection) -> None:
        """Close a connection whose slot this task holds, and pass the slot on."""
        try:
            await connection.aclose()
        finally:
            self._free_slot()

    def _free_slot(self) -> None:
        if self._waiters:
            self._waiters.popleft().grant(None)
        else:
            self._slots -= 1
