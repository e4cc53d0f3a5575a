"""Whatever is cancelled wherever it waits: nothing hangs, leaks, or gets another's reply."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import anyio
import pytest
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from faktory_async.net import Address, Connection, Connector, Link, Pool, memory_links
from tests.net._cancel import cancelled_at
from tests.net._faktory import Echo, Recorder, Server, conversation, echoed, trickle
from tests.net._peers import when

ROOM: Final = 4  # less than any command or reply, so that each is sent and read in pieces
ENOUGH: Final = 200

in_every_way = pytest.mark.parametrize(
    ("anyio_backend", "how"),
    [("asyncio-virtual", "scope"), ("asyncio-virtual", "task"), ("trio-virtual", "scope")],
    indirect=["anyio_backend"],
)


class Dialled:
    """A server that takes every dial, and what became of the links."""

    def __init__(self, tasks: TaskGroup) -> None:
        self.tasks = tasks
        self.links: list[Recorder] = []
        self.servers: list[Server] = []

    async def dial(self) -> Link:
        await checkpoint()
        ours, theirs = memory_links(ROOM)
        self.links.append(Recorder(ours))
        self.servers.append(Server(theirs))
        self.tasks.start_soon(self.servers[-1].serve)
        return self.links[-1]

    def lines(self) -> list[str]:
        return [line for server in self.servers for line in server.lines]

    @property
    def left_open(self) -> int:
        return sum("aclose" not in link.calls for link in self.links)


@asynccontextmanager
async def network() -> AsyncGenerator[tuple[Dialled, Connector]]:
    with anyio.fail_after(1000):
        async with anyio.create_task_group() as tg:
            dialled = Dialled(tg)
            yield dialled, Connector(Address(), dial=dialled.dial)
            tg.cancel_scope.cancel()


async def sweep(attempt: Callable[[int], Awaitable[bool]], *, at_least: int) -> None:
    """Attempt with a cancellation at the first wait, at the second one, … until none is left."""
    turns = 0
    while await attempt(turns + 1):
        turns += 1
    assert at_least <= turns < ENOUGH


async def still_right(connection: Connection) -> None:
    """Hold a connection to its word: it is over, or busy with its due, or it just works."""
    if connection.idle:
        assert await connection.execute(Echo("afterwards")) == "afterwards"
    elif connection.closed:
        with pytest.raises(OSError, match=r"connection|sending") as caught:
            await connection.execute(Echo("never"))
        assert vars(caught.value)["_maybe_executed"] is False
    await connection.aclose()
    assert connection.closed


@pytest.mark.anyio
@in_every_way
async def test_execute(how: str) -> None:
    async def attempt(turn: int) -> bool:
        async with network() as (dialled, connector):
            connection = await connector()
            reached = await cancelled_at(connection.execute(Echo("cancelled")), turn, how)
            await still_right(connection)
            assert dialled.left_open == 0
        return reached

    await sweep(attempt, at_least=5)


@pytest.mark.anyio
@in_every_way
async def test_send_then_the_reply_is_received_by_another(how: str) -> None:
    async def attempt(turn: int) -> bool:
        async with network() as (dialled, connector):
            connection = await connector()
            reached = await cancelled_at(connection.send([Echo("cancelled")]), turn, how)
            await still_right(connection)
            assert dialled.left_open == 0
        return reached

    await sweep(attempt, at_least=1)


@pytest.mark.anyio
@in_every_way
async def test_receive_is_taken_up_again_with_nothing_lost(how: str) -> None:
    async def attempt(turn: int) -> bool:
        reached = False
        async with conversation() as (connection, server), anyio.create_task_group() as tg:
            first = await connection.send([Echo("one")])
            second = await connection.send([Echo("two")])
            tg.start_soon(trickle, server, echoed("one") + echoed("two"))
            reached = await cancelled_at(connection.receive(second), turn, how)
            await connection.receive(first)
            await connection.receive(second)
            assert Echo("").decode(first.replies[0]) == "one"
            assert Echo("").decode(second.replies[0]) == "two"
            assert connection.idle
        return reached

    await sweep(attempt, at_least=10)


@pytest.mark.anyio
@in_every_way
async def test_open_leaves_a_connection_or_nothing(how: str) -> None:
    async def attempt(turn: int) -> bool:
        async with network() as (dialled, connector):
            made: list[Connection] = []

            async def connect() -> None:
                made.append(await connector())

            reached = await cancelled_at(connect(), turn, how)
            assert dialled.left_open == len(made)
            for connection in made:
                await still_right(connection)
        return reached

    await sweep(attempt, at_least=5)


@pytest.mark.anyio
@in_every_way
async def test_aclose_frees_the_link(how: str) -> None:
    async def attempt(turn: int) -> bool:
        async with network() as (dialled, connector):
            connection = await connector()
            reached = await cancelled_at(connection.aclose(), turn, how)
            assert dialled.left_open == 0
            assert connection.closed
        return reached

    await sweep(attempt, at_least=1)


@pytest.mark.anyio
@in_every_way
async def test_a_lease_never_loses_its_slot(how: str) -> None:
    async def attempt(turn: int) -> bool:
        async with network() as (dialled, connector):
            pool = Pool(connector, max_connections=1, timeout=5)

            async def use(text: str) -> None:
                async with pool.lease() as connection:
                    assert await connection.execute(Echo(text)) == text

            reached = await cancelled_at(use("cancelled"), turn, how)
            await use("afterwards")
            assert pool.slots == len(pool._idle) == dialled.left_open == 1
            assert "ECHO afterwards" in dialled.lines()
            await pool.aclose()
            assert pool.slots == dialled.left_open == 0
        return reached

    await sweep(attempt, at_least=10)


@pytest.mark.anyio
@in_every_way
async def test_a_waiter_that_is_cancelled_never_loses_the_slot_it_was_granted(how: str) -> None:
    async def attempt(turn: int) -> bool:
        async with network() as (dialled, connector):
            pool = Pool(connector, max_connections=1, timeout=5)

            async def use(text: str) -> None:
                async with pool.lease() as connection:
                    assert await connection.execute(Echo(text)) == text

            dialled.tasks.start_soon(use, "before")
            await checkpoint()
            dialled.tasks.start_soon(cancelled_at, use("cancelled"), turn, how)
            reached = await cancelled_at(use("cancelled too"), turn, how)
            await use("afterwards")
            assert "ECHO afterwards" in dialled.lines()
            await when(lambda: pool.slots == len(pool._idle) == 1)
        return reached

    await sweep(attempt, at_least=3)


@pytest.mark.anyio
@in_every_way
async def test_closing_a_pool_leaves_nothing_open(how: str) -> None:
    async def attempt(turn: int) -> bool:
        async with network() as (dialled, connector):
            pool = Pool(connector, max_connections=3, timeout=5)
            async with pool.lease() as one, pool.lease() as two, pool.lease() as three:
                assert len({one, two, three}) == 3
            reached = await cancelled_at(pool.aclose(), turn, how)
            assert dialled.left_open == pool.slots == 0
        return reached

    await sweep(attempt, at_least=1)
