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

from faktory_async.errors import ClientStateError, PoolTimeoutError, TooManyConnectionsError
from faktory_async.net._connection import Connection
from faktory_async.net._ledger import Ledger
from faktory_async.net._native import Native

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
        max_idle: How many of them are kept while nobody uses them; None for all.
        idle_expiry: Seconds after which an idle connection is not lent again; None for never.
        ledger: Notes what happens.

    Attributes:
        closed: Whether it lends nothing any more.
        limit: How many connections there may be.
        slots: How many connections are lent, idle or being dialled.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        *,
        max_connections: int,
        timeout: float,
        max_idle: int | None = None,
        idle_expiry: float | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self._connect = connect
        self.limit = max_connections
        self._timeout = timeout
        self._max_idle = max_connections if max_idle is None else max_idle
        self._expiry = math.inf if idle_expiry is None else idle_expiry
        self.ledger = Ledger() if ledger is None else ledger
        self._native = Native()
        self._idle: list[tuple[Connection, float]] = []  # and since when; the oldest first
        self._lent: set[Connection] = set()  # for a block
        self._dials: set[anyio.CancelScope] = set()
        self.slots = 0
        self._waiters: deque[_Waiter | _Claim] = deque()
        self._dead: list[Connection] = []  # aborted, and still to be freed
        self.closed = False

    def __repr__(self) -> str:
        return (
            f"<Pool {self.slots} of {self.limit} connections, "
            f"{len(self._idle)} idle, {len(self._waiters)} waiting>"
        )

    @contextlib.asynccontextmanager
    async def lease(self, *, deadline: float = math.inf) -> AsyncGenerator[Connection]:
        """Lend a connection for the length of a block.

        Args:
            deadline: Until when, on anyio's clock, to wait and dial.

        Before every reuse the link is asked whether something came in: an idle connection has
        nothing to receive, so data or an end means that it is dead, and another one is dialled.
        A connection with an unanswered command is not lent again but closed, and so is one that
        the server has just said to be one too many.

        Raises:
            PoolTimeoutError: none came free in time; `maybe_executed` is False.
            ClientStateError: the pool is closed.
            FaktoryError: whatever the dial raises.
        """
        connection = await self._take_by(deadline)
        self._lent.add(connection)
        try:
            yield connection
        except TooManyConnectionsError:
            connection.abort()  # the server is about to do so
            raise
        finally:
            self._lent.discard(connection)
            await self._give_back(connection)

    async def take(self) -> Connection:
        """Lend a connection as `lease` does, until it is put back."""
        connection = await self._take()
        self._lent.add(connection)
        return connection

    async def aclose(self) -> None:
        """Lend nothing any more and close the idle connections; the lent ones end when they return.

        May be called again. Cancelled, the connections are ended without a goodbye.
        """
        self._end_waiting()
        idle, self._idle = self._idle, []
        async with anyio.create_task_group() as goodbyes:
            for connection, _ in idle:
                goodbyes.start_soon(self._drop, connection)
            goodbyes.start_soon(self.bury)

    def cut(self) -> None:
        """Lend nothing any more, and end every dial and every connection that is lent for a block.

        Who uses one of them gets a `ConnectionLostError`, who dials or waits a `ClientStateError`.
        """
        self._end_waiting()
        for scope in self._dials:
            scope.cancel()
        for connection in self._lent:
            connection.abort()

    def _end_waiting(self) -> None:
        self.closed = True
        for waiter in self._waiters:
            waiter.end()
        self._waiters.clear()

    # -- slots without waiting ----------------------------------------------------------------

    @property
    def has_idle(self) -> bool:
        """Whether a connection lies idle, dead or not."""
        return bool(self._idle)

    @property
    def has_slot(self) -> bool:
        """Whether there is a slot at once: an idle connection, dead or not, or room for one."""
        return bool(self._idle) or self.slots < self.limit

    @property
    def has_usable(self) -> bool:
        """Whether a connection lies idle that is not dead."""
        return any(connection.usable for connection, _ in self._idle)

    @property
    def has_lent(self) -> bool:
        """Whether a connection is lent for a block: it will come back."""
        return bool(self._lent)

    @property
    def idle(self) -> int:
        """How many connections lie idle."""
        return len(self._idle)

    @property
    def room(self) -> int:
        """How many more connections may be made."""
        return self.limit - self.slots

    @property
    def waiting(self) -> int:
        """How many wait for a connection."""
        return len(self._waiters)

    def take_now(self, *, may_dial: bool = True) -> Connection | Right | None:
        """Take a slot, if there is one at once: a connection, or the right to dial one.

        Args:
            may_dial: Whether a new connection would do.
        """
        connection = self.take_idle()
        if connection is not None:
            return connection
        if may_dial and self.slots < self.limit and not self.closed:
            self.slots += 1
            return Right()
        return None

    def take_idle(self) -> Connection | None:
        """Take a connection that lies idle, if there is one."""
        while (connection := self._idle_one()) is not None:
            if connection.usable:
                return connection
            self._discard(connection)
            self._free_slot()
        return None

    def claim(self, granted: Callable[[Connection | Right], None]) -> None:
        """Call `granted` with the next slot that comes free, after those who came before."""
        self.ledger.waits += 1
        self._waiters.append(_Claim(granted, self._discard))

    async def dial(self) -> Connection:
        """Use a right to dial; when that fails, it remains to be put back.

        Raises:
            FaktoryError: whatever the dial raises.
        """
        await self.bury()
        return await self._new()

    def put_back(self, slot: Connection | Right) -> None:
        """Give a slot back, from anywhere: an idle connection is kept, any other one aborted."""
        if isinstance(slot, Right):
            self._free_slot()
            return
        self._lent.discard(slot)
        if not slot.idle or self.closed:
            self._discard(slot)
            self._free_slot()
        elif self._waiters:
            self._waiters.popleft().grant(slot)
        elif not self._keep(slot):
            self._discard(slot)
            self._free_slot()

    async def bury(self) -> None:
        """Free what aborted connections still hold; on asyncio that is nothing.

        It happens before a dial and with a close; whoever puts one back later has to see to it.
        """
        while self._dead:
            with anyio.CancelScope(shield=True):
                await self._dead.pop().aclose()

    def _discard(self, connection: Connection) -> None:
        self.ledger.disconnected(connection)
        connection.abort()  # there is nobody to say goodbye to
        self._dead.append(connection)

    # -- idle connections ---------------------------------------------------------------------

    def _idle_one(self) -> Connection | None:
        """Take the connection that was used last out of the idle ones."""
        if not self._idle:
            return None
        connection, since = self._idle.pop()
        if self._expiry < math.inf and since + self._expiry <= self._native.now():
            self._idle.append((connection, since))
            self._expire()  # and so are the others, which were used before it
            return None
        return connection

    def _keep(self, connection: Connection) -> bool:
        """Put a connection to the idle ones, unless there are enough of them."""
        since = 0.0
        if self._expiry < math.inf:
            since = self._native.now()
            if self._idle:
                self._expire()
        if len(self._idle) >= self._max_idle:
            return False
        self._idle.append((connection, since))
        return True

    def _expire(self) -> None:
        """End those that were idle for too long."""
        now = self._native.now()
        while self._idle and self._idle[0][1] + self._expiry <= now:
            self._discard(self._idle.pop(0)[0])
            self._free_slot()

    # -- slots --------------------------------------------------------------------------------

    async def _take_by(self, deadline: float) -> Connection:
        if deadline == math.inf:
            return await self._take()
        with anyio.CancelScope(deadline=deadline):
            return await self._take()
        raise PoolTimeoutError("no connection in time")

    async def _take(self) -> Connection:
        if self.closed:
            raise ClientStateError(_CLOSED)
        connection = self._idle_one()
        if connection is None:
            if self.slots < self.limit:
                self.slots += 1
            else:
                connection = await self._wait()
        if connection is not None and connection.usable:
            return connection
        return await self._dial(connection)

    async def _dial(self, dead: Connection | None) -> Connection:
        """Dial within a slot that this task holds; the slot is passed on when that fails."""
        try:
            if dead is not None:
                self.ledger.disconnected(dead)
                dead.abort()  # there is nobody to say goodbye to
                await dead.aclose()
            return await self._new()
        except BaseException:
            self._free_slot()
            raise

    async def _new(self) -> Connection:
        """Dial and note what came of it."""
        self._native = Native()  # before the first dial there was perhaps no event loop yet
        with anyio.CancelScope() as scope:
            self._dials.add(scope)
            try:
                connection = await self._connect()
            except Exception:
                self.ledger.failed += 1
                raise
            finally:
                self._dials.discard(scope)
            self.ledger.connected()
            if not scope.cancel_called:
                return connection
            self._discard(connection)  # it was made in the moment of the cut
        raise ClientStateError(_CLOSED)

    async def _wait(self) -> Connection | None:
        self.ledger.waits += 1
        waiter = _Waiter()
        self._waiters.append(waiter)
        try:
            with anyio.move_on_after(self._timeout):
                await waiter.event.wait()
        except BaseException:
            await self._withdraw(waiter)
            raise
        if self.closed:
            await self._withdraw(waiter)
            raise ClientStateError(_CLOSED)
        if waiter.has_slot:
            return waiter.connection
        self._waiters.remove(waiter)
        raise PoolTimeoutError(
            f"no connection came free within {self._timeout:g} s: all {self.limit} are in use"
        )

    async def _withdraw(self, waiter: _Waiter) -> None:
        """Take a waiter out; a slot that was granted in the same moment goes to the next one."""
        if waiter.connection is not None:
            await self._give_back(waiter.connection)
        elif waiter.has_slot:
            self._free_slot()
        elif not self.closed:
            self._waiters.remove(waiter)

    async def _give_back(self, connection: Connection) -> None:
        if not connection.idle or self.closed:
            await self._drop(connection)
        elif self._waiters:
            self._waiters.popleft().grant(connection)
        elif not self._keep(connection):
            await self._drop(connection)

    async def _drop(self, connection: Connection) -> None:
        """Close a connection whose slot this task holds, and pass the slot on."""
        self.ledger.disconnected(connection)
        try:
            await connection.aclose()
        finally:
            self._free_slot()

    def _free_slot(self) -> None:
        if self._waiters:
            self._waiters.popleft().grant(None)
        else:
            self.slots -= 1
