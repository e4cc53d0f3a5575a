"""In process from everywhere: the server on one event loop, its clients on others."""

import threading
from collections.abc import Callable, Generator
from typing import Any

import anyio
import anyio.from_thread
import pytest

from faktory_async import Client, EmbeddedServer, Job, Worker
from faktory_async.errors import ConnectError, FaktoryError
from faktory_async.net import Home, memory_links
from faktory_async.testing import FaktoryServer
from tests.net._loops import backend, on_every_loop
from tests.server._wire import Wire

LOOPS = ["asyncio", "uvloop", "trio"]


@pytest.fixture(params=LOOPS)
def elsewhere(request: pytest.FixtureRequest) -> Generator[EmbeddedServer]:
    """Give a server on another thread, on each kind of event loop."""
    name, options = backend(request.param)
    with anyio.from_thread.start_blocking_portal(name, options) as portal:
        server = EmbeddedServer(grace=0, fetch_wait=0.05)
        with portal.wrap_async_context_manager(server):
            yield server


@on_every_loop
async def test_a_client_and_a_worker_dial_from_another_thread(elsewhere: EmbeddedServer) -> None:
    worker = Worker(dial=elsewhere.dial, handle_signals=False)
    seen: list[Any] = []

    @worker.register("a")
    async def a(job: Job) -> None:
        seen.append(job.args[0])
        worker.stop()

    async with Client(dial=elsewhere.dial) as client:
        await client.push(Job("a", ["x" * 200_000]))  # more than fits in at once
    await worker.run()
    assert [len(text) for text in seen] == [200_000]
    assert elsewhere.counters.processed == 1


@on_every_loop
async def test_the_fixtures_server_can_be_dialled(faktory_server: FaktoryServer) -> None:
    async with Client(dial=faktory_server.dial) as client:
        await client.push(Job("a"))
    assert faktory_server.counters.enqueued == 1


@on_every_loop
async def test_faults_hold_for_who_dials_from_another_thread(elsewhere: EmbeddedServer) -> None:
    async with Client(dial=elsewhere.dial) as client:
        with elsewhere.faults.refuse_connections(), pytest.raises(ConnectError):
            await client.push(Job("a"))
        await client.push(Job("a"))
        with elsewhere.faults.outage(), pytest.raises(FaktoryError):
            await client.push(Job("a"))
        await client.push(Job("a"))


@on_every_loop
async def test_a_wait_for_the_server_is_ended_by_its_end() -> None:
    with FaktoryServer(fetch_wait=3600) as server:
        wire = Wire(await server.dial())
        await wire.enter()
        assert await wire.ask(b"NOPE") == b"-ERR unknown command NOPE\r\n"
        await wire.send(b"FETCH q\r\n")
        with server.faults.outage():
            assert await wire.end() == b""
        wire.link.abort()
    with pytest.raises(ConnectionRefusedError):
        await server.dial()


@on_every_loop
async def test_a_server_that_ends_before_it_takes_who_dials_is_no_trap() -> None:
    """The dial has handed its request over, and the server's loop comes to its end first."""
    server, begun, held = FaktoryServer(), threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        held.wait()

    with server:
        thread = threading.Thread(target=server._server._door.call, args=(hold,))
        thread.start()
        begun.wait()
        wire = Wire(await server.dial())
        server._server._door.close()
        held.set()
        thread.join()
        assert await wire.end() == b""


@on_every_loop
async def test_nor_is_one_that_has_just_ended(elsewhere: EmbeddedServer) -> None:
    elsewhere._door.close()
    wire = Wire(await elsewhere.dial())
    assert await wire.end() == b""


@pytest.mark.parametrize("one", LOOPS)
@pytest.mark.parametrize("other", LOOPS)
def test_links_in_memory_join_two_threads(one: str, other: str) -> None:
    ours, theirs = memory_links(room=16)
    data = bytes(range(256)) * 4

    async def echo() -> None:
        while received := await theirs.receive():
            await theirs.send(received)
        await theirs.aclose()

    async def ask() -> bytes:
        answer = bytearray()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ours.send, data)
            while len(answer) < len(data):
                answer += await ours.receive()
        await ours.aclose()
        return bytes(answer)

    def run(name: str, function: Callable[[], Any], results: list[Any]) -> None:
        kind, options = backend(name)
        results.append(anyio.run(function, backend=kind, backend_options=options))

    echoed: list[Any] = []
    peer = threading.Thread(target=run, args=(other, echo, []))
    peer.start()
    run(one, ask, echoed)
    peer.join()
    assert echoed == [data]


@pytest.mark.parametrize("name", LOOPS)
def test_who_slept_on_a_loop_that_ended_is_not_woken(name: str) -> None:
    ours, theirs = memory_links()

    async def sleep() -> None:
        with anyio.move_on_after(0.01):
            await ours.receive()

    kind, options = backend(name)
    thread = threading.Thread(
        target=lambda: anyio.run(sleep, backend=kind, backend_options=options)
    )
    thread.start()
    thread.join()
    theirs.abort()
    assert ours.readable()


@on_every_loop
async def test_a_loop_knows_its_own_thread() -> None:
    home, seen = Home.of_this_task(), list[bool]()
    thread = threading.Thread(target=lambda: seen.append(home.is_here()))
    thread.start()
    thread.join()
    assert (home.is_here(), seen) == (True, [False])
