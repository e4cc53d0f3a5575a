"""The two proofs: an idle client survives a restart, and `maybe_executed` False is never a lie."""

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import anyio
import anyio.to_thread
import pytest
from anyio.lowlevel import checkpoint

from faktory_async.errors import CommandTimeoutError, ConnectionLostError
from faktory_async.net import Address, AsyncioLink, Connection, Connector, Link, Pool, Timeouts
from faktory_async.protocol import Info
from tests.net._faktory import HI, Echo
from tests.net._loops import on_asyncio_loops, on_every_loop
from tests.net._peers import HOST, Peer, listener, pair, when
from tests.real import RealServer

SURVIVALS: Final = 100


# -- an idle client survives a restart ------------------------------------------------------------


class Raw:
    """A Faktory in this loop that can be restarted at once, on its port."""

    def __init__(self) -> None:
        self.port = 0

    @asynccontextmanager
    async def running(self, ending: Callable[[Peer], None]) -> AsyncGenerator[None]:
        """Serve until the end of the block; then end every connection in that way."""
        peers: list[Peer] = []

        async def accept(listening: socket.socket) -> None:
            while True:
                await anyio.wait_readable(listening)
                peers.append(Peer(listening.accept()[0]))
                tg.start_soon(talk, peers[-1])

        with listener(port=self.port) as listening:
            self.port = listening.getsockname()[1]
            listening.setblocking(False)
            async with anyio.create_task_group() as tg:
                tg.start_soon(accept, listening)
                yield
                tg.cancel_scope.cancel()
        for peer in peers:
            ending(peer)


async def talk(peer: Peer) -> None:
    peer.send(HI)
    assert (await peer.read_line()).startswith(b"HELLO")
    peer.send(b"+OK\r\n")
    while True:
        line = await peer.read_line()
        text = line.strip().partition(b" ")[2]
        peer.send(b"$%d\r\n%b\r\n" % (len(text), text))


@pytest.mark.parametrize("ending", [Peer.close, Peer.reset])
@on_every_loop
async def test_an_idle_client_survives_every_restart_of_a_server(
    ending: Callable[[Peer], None],
) -> None:
    server = Raw()
    survived = 0
    async with server.running(ending):
        connect = Connector(Address(host=HOST, port=server.port))
        pool = Pool(connect, max_connections=4, timeout=5)
        await ask(pool, "before")
    while survived < SURVIVALS:
        async with server.running(ending):
            await ask(pool, f"after {survived}")
            survived += 1
    await pool.aclose()


async def ask(pool: Pool, text: str) -> None:
    async with pool.lease() as connection:
        assert await connection.execute(Echo(text)) == text


@on_every_loop
async def test_idle_clients_survive_every_end_of_the_real_server(
    fresh_real_server: RealServer,
) -> None:
    """Three loops, two ways to end and 17 connections: a hundred survivals."""
    address = Address(host=HOST, port=fresh_real_server.port)
    connections = 17
    pool = Pool(Connector(address), max_connections=connections, timeout=5)

    async def use_all() -> int:
        async with AsyncExitStack() as stack:
            leased = [await stack.enter_async_context(pool.lease()) for _ in range(connections)]
            for connection in leased:
                await connection.execute(Info())
            return len(set(leased))

    assert await use_all() == connections
    for ending in (RealServer.stop, RealServer.kill):
        await anyio.to_thread.run_sync(ending, fresh_real_server)
        await anyio.to_thread.run_sync(fresh_real_server.restart)
        assert await use_all() == connections
    await pool.aclose()


# -- what was surely not executed -----------------------------------------------------------------

COMMANDS: Final = 40
SIZES: Final = (1, 1_000, 2_304, 20_000, 300_000)


class Pipeline:
    """Commands on one connection, to a server that counts the lines it gets."""

    def __init__(self, connection: Connection, peer: Peer) -> None:
        self.connection = connection
        self.peer = peer
        self.answers: dict[int, bool] = {}

    async def ask(self, number: int, size: int) -> None:
        try:
            await self.connection.execute(Echo(f"{number:03d}" + "x" * size))
        except (CommandTimeoutError, ConnectionLostError) as error:
            self.answers[number] = error.maybe_executed

    async def received(self) -> set[int]:
        """Read to the end, and tell which commands came with their newline."""
        lines = (await self.peer.read_to_end()).split(b"\n")[:-1]
        return {int(line[5:8]) for line in lines if line.startswith(b"ECHO ")}


@asynccontextmanager
async def pipeline(patience: float = 30.0) -> AsyncGenerator[Pipeline]:
    made: list[Connection] = []
    with pair(small=True) as (sock, peer):

        async def dial() -> Link:
            loop = asyncio.get_running_loop()
            _, link = await loop.create_connection(AsyncioLink, sock=sock.dup())
            sock.close()
            return link

        async def connect() -> None:
            timeouts = Timeouts(connect=30, command=patience)
            made.append(await Connector(Address(), dial=dial, timeouts=timeouts)())

        async with anyio.create_task_group() as tg:
            tg.start_soon(connect)
            peer.send(HI)
            await peer.read_line()
            peer.send(b"+OK\r\n")
        try:
            yield Pipeline(made[0], peer)
        finally:
            await made[0].aclose()


async def read_some(line: Pipeline, chance: random.Random) -> None:
    """Let the server read now and then, as a slow one does."""
    for _ in range(chance.randrange(60)):
        if chance.random() < 0.3:
            with contextlib.suppress(BlockingIOError):
                line.peer.received += line.peer.socket.recv(chance.choice(SIZES))
        await checkpoint()


def abort(line: Pipeline) -> None:
    line.connection.abort()


def abort_while_room_is_made(line: Pipeline) -> None:
    line.connection.abort()
    line.peer.take()


def half_close(line: Pipeline) -> None:
    line.peer.half_close()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("end", [abort, abort_while_room_is_made, half_close])
@on_asyncio_loops
async def test_what_is_said_not_to_be_executed_never_reached_the_server(
    end: Callable[[Pipeline], None], seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - to be repeatable, not to be safe
    # While all wait for the first one to be sent, nobody sees that the peer half-closed.
    async with pipeline(patience=0.3 if end is half_close else 30) as line:
        async with anyio.create_task_group() as tg:
            for number in range(COMMANDS):
                tg.start_soon(line.ask, number, chance.choice(SIZES))
            await read_some(line, chance)
            end(line)
        received = await line.received()
        told = {number: number in received for number in range(COMMANDS)}
        assert line.answers == told
        assert not all(told.values())


@pytest.mark.parametrize("how", ["by a scope", "natively"])
@pytest.mark.parametrize("seed", range(4))
@on_asyncio_loops
async def test_the_others_are_told_the_truth_when_the_one_who_sends_is_cancelled(
    how: str, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - to be repeatable, not to be safe
    async with pipeline() as line:
        tasks: dict[int, asyncio.Task[None]] = {}
        scopes = [anyio.CancelScope() for _ in range(COMMANDS)]

        async def ask(number: int) -> None:
            with scopes[number]:
                await line.ask(number, chance.choice(SIZES))

        for number in range(COMMANDS):
            tasks[number] = asyncio.create_task(ask(number))
        await read_some(line, chance)
        await when(lambda: line.connection._link.unsent() > 0)
        for number, task in tasks.items():  # the first ones wait for replies, the last for a turn
            task.cancel() if how == "natively" else scopes[number].cancel()
            await checkpoint()
            if line.connection.closed:
                break
        line.peer.take()
        await asyncio.wait(tasks.values())
        received = await line.received()
        assert line.answers
        assert {n: n in received for n in line.answers} == line.answers


@pytest.mark.parametrize("seed", range(4))
@on_asyncio_loops
async def test_a_deadline_that_passes_while_bytes_leave_tells_the_truth(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - to be repeatable, not to be safe
    async with pipeline(patience=0.05) as line:
        async with anyio.create_task_group() as tg:
            for number in range(COMMANDS):
                tg.start_soon(line.ask, number, chance.choice(SIZES))
        line.peer.take()
        received = await line.received()
        assert line.answers == {number: number in received for number in range(COMMANDS)}


@on_asyncio_loops
async def test_after_a_reset_nothing_is_denied_that_the_server_has_got() -> None:
    got: set[int] = set()
    async with pipeline() as line:
        async with anyio.create_task_group() as tg:
            for number in range(COMMANDS):
                tg.start_soon(line.ask, number, 1_000)
            await when(lambda: line.connection._link.unsent() > 0)
            line.peer.take()
            got |= {int(each[5:8]) for each in line.peer.received.split(b"\n")[:-1]}
            line.peer.reset()
        assert got
        denied = {number for number, maybe in line.answers.items() if not maybe}
        assert not denied & got
        assert set(line.answers) == set(range(COMMANDS))
        assert line.answers[COMMANDS - 1] is False
