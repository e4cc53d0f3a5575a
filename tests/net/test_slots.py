"""The pool for those who cannot wait: a slot at once, or a call when one comes free."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.lowlevel import checkpoint

from faktory_async.errors import ConnectError
from faktory_async.net import Connection, Pool, Right
from tests.net._faktory import Echo
from tests.net._loops import in_virtual_time
from tests.net.test_pool import Network, pooled


async def dialled(pool: Pool) -> Connection:
    """Take a right, and use it."""
    assert isinstance(pool.take_now(), Right)
    return await pool.dial()


@asynccontextmanager
async def with_idle(count: int, *, limit: int) -> AsyncGenerator[tuple[Pool, Network]]:
    """Run a pool in which so many connections lie idle."""
    async with pooled(max_connections=limit) as (pool, network):
        for connection in [await dialled(pool) for _ in range(count)]:
            pool.put_back(connection)
        yield pool, network


async def end_of(network: Network, *numbers: int) -> None:
    """End connections from the server's side."""
    for number in numbers:
        network.servers[number].link.abort()
    await checkpoint()


# -- at once ------------------------------------------------------------------------------------


@in_virtual_time
async def test_without_an_idle_connection_there_is_the_right_to_dial_up_to_the_limit() -> None:
    async with pooled(max_connections=2) as (pool, _):
        rights = [pool.take_now() for _ in range(3)]
        assert [isinstance(right, Right) for right in rights] == [True, True, False]
        assert rights[2] is None
        for right in rights[:2]:
            assert isinstance(right, Right)
            pool.put_back(right)
        assert pool.slots == 0


@in_virtual_time
async def test_an_idle_connection_comes_before_the_right_to_dial() -> None:
    async with with_idle(1, limit=2) as (pool, network):
        connection = pool.take_now()
        assert isinstance(connection, Connection)
        assert await connection.execute(Echo("a")) == "a"
        pool.put_back(connection)
        assert len(network.links) == 1


@in_virtual_time
async def test_who_may_not_dial_gets_an_idle_connection_or_nothing() -> None:
    async with with_idle(1, limit=3) as (pool, _):
        connection = pool.take_now(may_dial=False)
        assert isinstance(connection, Connection)
        assert pool.take_now(may_dial=False) is None
        pool.put_back(connection)


@in_virtual_time
async def test_one_that_lives_is_found_behind_dead_ones() -> None:
    async with with_idle(3, limit=3) as (pool, network):
        await end_of(network, 1, 2)
        assert pool.has_usable
        connection = pool.take_now()
        assert isinstance(connection, Connection)
        assert await connection.execute(Echo("a")) == "a"
        assert pool.slots == 1
        pool.put_back(connection)


@pytest.mark.parametrize("may_dial", [True, False])
@in_virtual_time
async def test_dead_ones_give_their_slots_back(*, may_dial: bool) -> None:
    async with with_idle(3, limit=3) as (pool, network):
        await end_of(network, 0, 1, 2)
        assert pool.has_idle
        assert not pool.has_usable
        slot = pool.take_now(may_dial=may_dial)
        assert isinstance(slot, Right) is may_dial
        assert pool.slots == may_dial
        assert not pool.has_idle
        if isinstance(slot, Right):
            pool.put_back(await pool.dial())
            assert network.open == 1, "the dead ones are freed before a new one is dialled"


@in_virtual_time
async def test_a_right_whose_dial_failed_can_be_put_back() -> None:
    async with pooled() as (pool, network):
        network.failures.append(ConnectError("no"))
        right = pool.take_now()
        assert isinstance(right, Right)
        with pytest.raises(ConnectError):
            await pool.dial()
        assert pool.slots == 1
        pool.put_back(right)
        assert pool.slots == 0


@in_virtual_time
async def test_a_busy_connection_that_is_put_back_is_ended_and_freed() -> None:
    async with pooled() as (pool, network):
        connection = await dialled(pool)
        await connection.send([Echo("a")])
        pool.put_back(connection)
        assert pool.slots == 0
        assert connection.closed
        assert network.links[0].calls[-1] == "abort"


@in_virtual_time
async def test_a_closed_pool_gives_no_right_and_keeps_nothing() -> None:
    async with pooled(max_connections=2) as (pool, _):
        connection = await dialled(pool)
        await pool.aclose()
        assert pool.take_now() is None
        pool.put_back(connection)
        assert pool.slots == 0
        assert connection.closed


# -- in line ------------------------------------------------------------------------------------


@in_virtual_time
async def test_who_claims_is_called_with_the_next_connection() -> None:
    async with pooled() as (pool, _):
        granted: list[Connection | Right] = []
        connection = await dialled(pool)
        pool.claim(granted.append)
        assert granted == []
        pool.put_back(connection)
        assert granted == [connection]
        pool.put_back(connection)
        assert len(granted) == 1


@in_virtual_time
async def test_who_claims_is_called_with_the_right_of_one_that_ended() -> None:
    async with pooled() as (pool, _):
        granted: list[Connection | Right] = []
        connection = await dialled(pool)
        pool.claim(granted.append)
        connection.abort()
        pool.put_back(connection)
        assert isinstance(granted[0], Right)
        assert pool.slots == 1
        pool.put_back(granted[0])
        assert pool.slots == 0


@in_virtual_time
async def test_who_claims_gets_no_dead_connection() -> None:
    async with pooled() as (pool, network):
        granted: list[Connection | Right] = []
        connection = await dialled(pool)
        pool.claim(granted.append)
        await end_of(network, 0)
        assert connection.idle
        pool.put_back(connection)
        assert isinstance(granted[0], Right)
        assert connection.closed
        pool.put_back(granted[0])


@in_virtual_time
async def test_claims_and_leases_are_served_in_their_order() -> None:
    async with pooled() as (pool, network):
        order: list[str] = []
        slots: list[Connection | Right] = []

        def granted(slot: Connection | Right) -> None:
            order.append("claim")
            slots.append(slot)

        async def lease(name: str) -> None:
            async with pool.lease():
                order.append(name)

        connection = await dialled(pool)
        async with anyio.create_task_group() as group:
            group.start_soon(lease, "first")
            await anyio.wait_all_tasks_blocked()
            pool.claim(granted)
            group.start_soon(lease, "last")
            await anyio.wait_all_tasks_blocked()
            pool.put_back(connection)
            while not slots:
                await checkpoint()
            assert order == ["first", "claim"]
            pool.put_back(slots.pop())
        assert order == ["first", "claim", "last"]
        assert len(network.links) == 1
