"""What the pool promises: never too many, never a dead one, never a slot lost, first come first."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final

import anyio
import pytest
from anyio.abc import TaskGroup

from faktory_async.errors import (
    ClientStateError,
    ConnectError,
    ConnectionLostError,
    FaktoryError,
    PoolTimeoutError,
    UsageError,
)
from faktory_async.net import Connection, Ledger, Pool, Right, memory_links
from faktory_async.net._pool import _Waiter
from tests.net._faktory import Echo, Recorder, Server
from tests.net._loops import in_virtual_time, on_virtual_asyncio
from tests.net._peers import when

TIMEOUT: Final = 5.0


class Network:
    """Dials servers in memory, and fails when a test says so."""

    def __init__(self, tasks: TaskGroup) -> None:
        self.tasks = tasks
        self.servers: list[Server] = []
        self.links: list[Recorder] = []
        self.failures: list[Exception] = []
        self.may_dial = anyio.Event()
        self.may_dial.set()

    async def connect(self) -> Connection:
        await self.may_dial.wait()
        if self.failures:
            raise self.failures.pop()
        ours, theirs = memory_links()
        self.links.append(Recorder(ours))
        self.servers.append(Server(theirs))
        self.tasks.start_soon(self.servers[-1].serve)
        return await Connection.open(self.links[-1])

    @property
    def open(self) -> int:
        return sum("aclose" not in link.calls for link in self.links)


@asynccontextmanager
async def pooled(max_connections: int = 1, **options: Any) -> AsyncGenerator[tuple[Pool, Network]]:
    async with anyio.create_task_group() as tg:
        network = Network(tg)
        pool = Pool(network.connect, max_connections=max_connections, timeout=TIMEOUT, **options)
        yield pool, network
        await pool.aclose()
        await when(lambda: pool.slots == 0)
        assert network.open == 0
        assert pool.ledger.opened == pool.ledger.closed == len(network.links)
        tg.cancel_scope.cancel()


class User:
    """A task that leases a connection, and keeps it until it is told to give it back."""

    def __init__(self, pool: Pool, *, deadline: float = float("inf")) -> None:
        self._pool = pool
        self._deadline = deadline
        self.connection: Connection | None = None
        self.error: Exception | None = None
        self.enough = anyio.Event()
        self.scope = anyio.CancelScope()
        self.done = False

    async def __call__(self) -> None:
        try:
            with self.scope:
                async with self._pool.lease(deadline=self._deadline) as self.connection:
                    await self.enough.wait()
        except (ClientStateError, ConnectError, PoolTimeoutError) as error:
            self.error = error
        finally:
            self.done = True

    @property
    def has_one(self) -> bool:
        return self.connection is not None


async def users(pool: Pool, network: Network, count: int) -> list[User]:
    """Start users one after the other."""
    started = [User(pool) for _ in range(count)]
    for number, user in enumerate(started):
        network.tasks.start_soon(user)
        await when(partial(have_begun, pool, started, number + 1))
    return started


def held(started: list[User]) -> int:
    return sum(user.has_one for user in started)


def have_begun(pool: Pool, started: list[User], count: int) -> bool:
    return held(started) + len(pool._waiters) == count


def has_one(user: User) -> bool:
    return user.has_one


def is_done(user: User) -> bool:
    return user.done


# -- lending ------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_connection_is_kept_for_the_next_one() -> None:
    async with pooled() as (pool, network):
        for _ in range(3):
            async with pool.lease() as connection:
                assert await connection.execute(Echo("a")) == "a"
        assert len(network.links) == 1
        assert repr(pool) == "<Pool 1 of 1 connections, 1 idle, 0 waiting>"


@in_virtual_time
async def test_the_one_that_was_used_last_is_lent_first() -> None:
    async with pooled(max_connections=3) as (pool, _):
        async with AsyncExitStack() as stack:
            leased = [await stack.enter_async_context(pool.lease()) for _ in range(3)]
        async with pool.lease() as one, pool.lease() as two:
            assert [one, two] == leased[:2]  # the stack gave the first one back last


@in_virtual_time
async def test_there_are_never_more_than_the_limit() -> None:
    async with pooled(max_connections=2) as (pool, network):
        started = await users(pool, network, 5)
        assert held(started) == network.open == 2
        assert len(pool._waiters) == 3
        for user in started:
            await when(partial(has_one, user))
            assert network.open == pool.slots == 2
            user.enough.set()
            await when(partial(is_done, user))
        assert network.open == 2


@in_virtual_time
async def test_those_who_wait_are_served_in_their_order() -> None:
    async with pooled() as (pool, network):
        started = await users(pool, network, 4)
        for number, user in enumerate(started):
            await when(partial(has_one, user))
            assert [u.has_one for u in started] == [n <= number for n in range(4)]
            user.enough.set()


@in_virtual_time
async def test_a_newcomer_does_not_get_before_those_who_wait() -> None:
    async with pooled() as (pool, network):
        first, second = await users(pool, network, 2)
        first.enough.set()
        await when(lambda: first.done)
        third = User(pool)
        network.tasks.start_soon(third)
        await when(lambda: second.has_one)
        assert not third.has_one
        second.enough.set()
        await when(lambda: third.has_one)
        third.enough.set()


@in_virtual_time
async def test_whoever_waits_too_long_is_told_so() -> None:
    async with pooled() as (pool, _), pool.lease():
        began = anyio.current_time()
        with pytest.raises(PoolTimeoutError, match="within 5 s: all 1 are in use") as caught:
            async with pool.lease():
                raise AssertionError("nothing to lend")
        assert anyio.current_time() - began == pytest.approx(TIMEOUT)
        assert caught.value.maybe_executed is False
        assert not pool._waiters


@in_virtual_time
async def test_a_lease_may_have_a_deadline_of_its_own() -> None:
    async with pooled() as (pool, network):
        async with pool.lease(deadline=anyio.current_time() + 2):
            began = anyio.current_time()
            with pytest.raises(PoolTimeoutError) as caught:
                async with pool.lease(deadline=began + 2):
                    raise AssertionError("nothing to lend")
            assert anyio.current_time() - began == pytest.approx(2)
            assert caught.value.maybe_executed is False
            await anyio.sleep(100)  # the deadline is for the lease, not for its use
        assert network.open == 1


@in_virtual_time
async def test_a_deadline_also_ends_a_dial() -> None:
    async with pooled() as (pool, network):
        network.may_dial = anyio.Event()
        with pytest.raises(PoolTimeoutError):
            async with pool.lease(deadline=anyio.current_time() + 2):
                raise AssertionError("nothing to lend")
        assert pool.slots == 0


# -- dead ones ------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", [b"", b"-ERR shutdown in progress\r\n"])
@in_virtual_time
async def test_an_idle_connection_that_died_is_replaced(sign: bytes) -> None:
    async with pooled() as (pool, network):
        async with pool.lease() as dead:
            pass
        if sign:
            await network.servers[0].link.send(sign)
        else:
            await network.servers[0].link.aclose()
        async with pool.lease() as connection:
            assert connection is not dead
            assert await connection.execute(Echo("a")) == "a"
        assert "aclose" in network.links[0].calls
        assert network.links[0].calls.count("send") == 1  # the HELLO; nobody is there for an END
        assert network.open == 1


@in_virtual_time
async def test_a_connection_that_died_while_it_was_lent_is_not_lent_again() -> None:
    async with pooled() as (pool, network):
        async with pool.lease() as dead:
            dead.abort()
        assert network.open == pool.slots == 0
        async with pool.lease() as connection:
            assert connection is not dead


@in_virtual_time
async def test_a_connection_with_an_unanswered_command_is_not_lent_again() -> None:
    async with pooled() as (pool, network):
        async with pool.lease() as busy:
            await busy.send([Echo("a")])
        assert busy.closed
        assert network.open == pool.slots == 0


@in_virtual_time
async def test_a_waiter_that_is_given_a_dead_connection_dials_before_those_behind_it() -> None:
    """It has waited already; at the end of the line it could wait for ever."""
    async with pooled() as (pool, network):
        first, second, third = await users(pool, network, 3)
        await network.servers[0].link.send(b"-ERR unasked\r\n")
        first.enough.set()
        await when(lambda: second.has_one)
        assert not third.has_one
        assert second.connection is not first.connection
        second.enough.set()
        await when(lambda: third.has_one)
        third.enough.set()


# -- dials that fail ------------------------------------------------------------------------------


@in_virtual_time
async def test_a_dial_that_fails_passes_its_slot_on() -> None:
    async with pooled() as (pool, network):
        network.may_dial = anyio.Event()
        network.failures.append(ConnectError("nobody listens"))
        failing, waiting = User(pool), User(pool)
        network.tasks.start_soon(failing)
        await when(lambda: pool.slots == 1)
        network.tasks.start_soon(waiting)
        await when(lambda: len(pool._waiters) == 1)
        network.may_dial.set()
        await when(lambda: waiting.has_one)
        assert isinstance(failing.error, ConnectError)
        waiting.enough.set()


@in_virtual_time
async def test_after_dials_that_failed_there_is_still_room() -> None:
    async with pooled(max_connections=2) as (pool, network):
        for _ in range(5):
            network.failures.append(ConnectError("nobody listens"))
            with pytest.raises(ConnectError):
                async with pool.lease():
                    raise AssertionError("nothing to lend")
        async with pool.lease() as one, pool.lease() as two:
            assert one is not two


# -- cancelled at the moment of the grant ----------------------------------------------------------


@pytest.mark.parametrize("granted", ["a connection", "the right to dial"])
@pytest.mark.parametrize("then", ["go on", "close"])
@on_virtual_asyncio
async def test_a_waiter_that_is_cancelled_when_it_is_granted_passes_the_slot_on(
    granted: str, then: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a native cancellation can come when a task has already been woken."""
    async with pooled() as (pool, network):
        (first,) = await users(pool, network, 1)
        second, third = User(pool), User(pool)
        task = asyncio.create_task(second())
        await when(lambda: len(pool._waiters) == 1)
        network.tasks.start_soon(third)
        await when(lambda: len(pool._waiters) == 2)
        waiter = pool._waiters[0]
        assert isinstance(waiter, _Waiter)
        grant = waiter.grant

        def grant_and_cancel(connection: Connection | None) -> None:
            grant(connection)
            task.cancel()
            pool.closed = then == "close"

        monkeypatch.setattr(waiter, "grant", grant_and_cancel)
        if granted == "the right to dial" and first.connection is not None:
            first.connection.abort()
        first.enough.set()
        await asyncio.wait([task])
        assert task.cancelled()
        assert waiter.has_slot
        assert (waiter.connection is None) == (granted == "the right to dial")
        assert not second.has_one
        if then == "close":
            await pool.aclose()
            await when(lambda: third.done)
        else:
            await when(lambda: third.has_one)
            third.enough.set()


@pytest.mark.parametrize("granted", ["a connection", "the right to dial"])
@in_virtual_time
async def test_a_waiter_that_is_granted_a_slot_when_the_pool_closes_gets_nothing(
    granted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with pooled() as (pool, network):
        first, second = await users(pool, network, 2)
        waiter = pool._waiters[0]
        assert isinstance(waiter, _Waiter)
        grant = waiter.grant

        def grant_and_close(connection: Connection | None) -> None:
            grant(connection)
            pool.closed = True

        monkeypatch.setattr(waiter, "grant", grant_and_close)
        if granted == "the right to dial" and first.connection is not None:
            first.connection.abort()
        first.enough.set()
        await when(lambda: second.done)
        assert isinstance(second.error, ClientStateError)
        assert network.open == pool.slots == 0


@in_virtual_time
async def test_a_waiter_that_gives_up_leaves_the_line() -> None:
    async with pooled() as (pool, network):
        first, second, third = await users(pool, network, 3)
        second.scope.cancel()
        await when(lambda: second.done)
        assert len(pool._waiters) == 1
        first.enough.set()
        await when(lambda: third.has_one)
        third.enough.set()


# -- the end --------------------------------------------------------------------------------------


@in_virtual_time
async def test_closing_a_pool_ends_the_waiting_and_lets_the_lent_ones_finish() -> None:
    async with pooled() as (pool, network):
        lent, waiting = await users(pool, network, 2)
        await pool.aclose()
        await when(lambda: waiting.done)
        assert isinstance(waiting.error, ClientStateError)
        assert lent.connection is not None
        assert await lent.connection.execute(Echo("a")) == "a"
        lent.enough.set()
        await when(lambda: lent.done)
        assert network.open == 0
        with pytest.raises(ClientStateError, match="closed"):
            async with pool.lease():
                raise AssertionError("closed")
        await pool.aclose()


@in_virtual_time
async def test_closing_a_pool_says_goodbye_on_every_idle_connection() -> None:
    async with pooled(max_connections=3) as (pool, network):
        async with pool.lease(), pool.lease(), pool.lease():
            pass
        await pool.aclose()
        await when(lambda: all(server.lines[-1:] == ["END"] for server in network.servers))
        assert len(network.servers) == 3


# -- idle connections -----------------------------------------------------------------------------


@in_virtual_time
async def test_a_connection_that_was_idle_for_too_long_is_replaced() -> None:
    async with pooled(idle_expiry=60.0) as (pool, network):
        async with pool.lease() as first:
            pass
        await anyio.sleep(59)
        async with pool.lease() as again:
            assert again is first
        await anyio.sleep(60)
        async with pool.lease() as second:
            assert second is not first
        assert len(network.links) == 2


@in_virtual_time
async def test_those_that_nobody_needs_any_more_end_when_they_are_too_old() -> None:
    async with pooled(3, idle_expiry=60.0) as (pool, network):
        for user in (started := await users(pool, network, 3)):
            user.enough.set()
        await when(lambda: all(map(is_done, started)))
        for _ in range(3):
            await anyio.sleep(30)
            async with pool.lease():
                pass
        assert pool.idle == 1
        assert pool.slots == 1


@in_virtual_time
@pytest.mark.parametrize("way", ["lease", "slot"])
async def test_no_more_than_the_limit_are_kept_idle(way: str) -> None:
    async with pooled(3, max_idle=1) as (pool, network):
        if way == "lease":
            for user in (started := await users(pool, network, 3)):
                user.enough.set()
            await when(lambda: all(map(is_done, started)))
        else:
            rights = [pool.take_now() for _ in range(3)]
            assert all(isinstance(right, Right) for right in rights)
            for connection in [await pool.dial() for _ in rights]:
                pool.put_back(connection)
        assert pool.idle == 1
        assert pool.slots == 1


@in_virtual_time
async def test_where_none_is_kept_idle_those_who_wait_still_get_it() -> None:
    async with pooled(1, max_idle=0) as (pool, network):
        first, second = await users(pool, network, 2)
        first.enough.set()
        await when(partial(has_one, second))
        assert second.connection is first.connection
        second.enough.set()
        await when(partial(is_done, second))
        assert pool.idle == 0


# -- the cut ------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_cut_ends_who_waits_who_dials_and_who_has_one() -> None:
    async with pooled(2) as (pool, network):
        [user] = await users(pool, network, 1)
        network.may_dial = anyio.Event()
        dialler, waiter = User(pool), User(pool)
        network.tasks.start_soon(dialler)
        await when(lambda: pool.slots == 2)
        network.tasks.start_soon(waiter)
        await when(lambda: pool.waiting == 1)
        pool.cut()
        await when(lambda: dialler.done and waiter.done)
        assert type(dialler.error) is type(waiter.error) is ClientStateError
        assert user.connection is not None
        assert type(user.connection.error) is ConnectionLostError
        user.enough.set()


@in_virtual_time
async def test_a_connection_that_is_made_in_the_moment_of_the_cut_is_not_lent() -> None:
    async with pooled() as (pool, network):
        connect = pool._connect

        async def connect_and_cut() -> Connection:
            connection = await connect()
            pool.cut()
            return connection

        pool._connect = connect_and_cut
        user = User(pool)
        network.tasks.start_soon(user)
        await when(partial(is_done, user))
        assert type(user.error) is ClientStateError


# -- the ledger ---------------------------------------------------------------------------------


class Diary:
    """What the hooks were told."""

    def __init__(self) -> None:
        self.connects = 0
        self.ends: list[FaktoryError | None] = []
        self.ledger = Ledger(self.connected, self.ends.append)

    def connected(self) -> None:
        self.connects += 1


@in_virtual_time
async def test_hooks_hear_of_every_connection_and_why_it_ended() -> None:
    diary = Diary()
    async with pooled(ledger=diary.ledger) as (pool, network):
        async with pool.lease():
            assert diary.connects == 1
        await network.servers[0].link.aclose()  # while it is idle
        async with pool.lease() as connection:
            assert diary.connects == 2
            assert [str(end) for end in diary.ends] == ["the server ended an idle connection"]
            connection.abort()
        async with pool.lease() as connection:
            await connection.send([Echo("its answer is not awaited")])
        assert [type(end) for end in diary.ends] == [ConnectionLostError] * 3
        assert "reply still due" in str(diary.ends[-1])
        async with pool.lease():
            pass
    assert diary.connects == len(diary.ends) == 4
    assert diary.ends[-1] is None


@in_virtual_time
async def test_a_hook_that_fails_costs_nobody_anything(caplog: pytest.LogCaptureFixture) -> None:
    def fail(*args: object) -> None:
        raise RuntimeError("a hook's own mistake")

    async with pooled(ledger=Ledger(fail, fail)) as (pool, _), pool.lease():
        pass
    assert [record.message for record in caplog.records] == [
        "on_connect failed",
        "on_disconnect failed",
    ]


@in_virtual_time
async def test_waits_and_failed_dials_are_counted() -> None:
    async with pooled() as (pool, network):
        network.failures.append(ConnectError("not now"))
        with pytest.raises(ConnectError):
            async with pool.lease():
                pass
        started = await users(pool, network, 3)
        for user in started:
            user.enough.set()
        await when(lambda: all(map(is_done, started)))
        assert (pool.ledger.failed, pool.ledger.waits, pool.ledger.opened) == (1, 2, 1)


async def later() -> None: ...


@pytest.mark.parametrize("hook", [later, "connected"])
@pytest.mark.parametrize("name", ["on_connect", "on_disconnect"])
def test_a_hook_that_nobody_could_call_is_refused(name: str, hook: Any) -> None:
    hooks: Any = {name: hook}
    with pytest.raises(UsageError, match=f"{name} is a plain function"):
        Ledger(**hooks)
