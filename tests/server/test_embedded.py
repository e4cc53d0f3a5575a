"""The embedded server as a whole: opened, closed, full, in process, on sockets of every kind."""

import asyncio
import contextlib
import gc
import json
import socket
import sys
from collections.abc import AsyncGenerator, Callable
from types import SimpleNamespace

import anyio
import anyio.lowlevel
import pytest
import pytest_asyncio

from faktory_async import Client, Job
from faktory_async.errors import AuthenticationError, ClientStateError, ConnectError
from faktory_async.net import NETWORK_ERRORS, AsyncioLink, StreamLink
from faktory_async.server import EmbeddedServer, _embedded, _listener
from faktory_async.server._conversation import Conversation
from tests.net._loops import in_virtual_time, on_asyncio_loops, on_every_loop
from tests.server._wire import (
    GREETING,
    HELLO,
    NIL,
    OK,
    Dial,
    Wire,
    by_memory,
    by_tcp,
    connected,
)

both_ways = pytest.mark.parametrize("dial", [by_tcp, by_memory])

PUSH = b'PUSH {"jid":"a-job-001","queue":"q","jobtype":"a","args":[]}'
NOPE = b"-ERR unknown command NOPE\r\n"
SHUTDOWN = b"-ERR shutdown in progress\r\n"
SECOND = 1_000_000_000


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


async def until(condition: Callable[[], bool]) -> None:
    """Give the others turns until something is so."""
    while not condition():
        await anyio.lowlevel.checkpoint()


# -- open and close -----------------------------------------------------------------------------


@on_every_loop
async def test_listens_on_a_free_port_of_its_own_choice_and_tells_it() -> None:
    async with EmbeddedServer() as server:
        assert server.url == f"tcp://127.0.0.1:{server.port}"
        assert repr(server) == f"<EmbeddedServer {server.url}>"
        async with connected(server) as wire:
            assert await wire.ask(b"NOPE") == NOPE


@on_every_loop
async def test_has_no_port_and_takes_nobody_before_it_is_open() -> None:
    server = EmbeddedServer()
    assert repr(server) == "<EmbeddedServer not open>"
    with pytest.raises(ClientStateError, match="not open"):
        _ = server.url
    with pytest.raises(ConnectionRefusedError):
        await server.dial()


@on_every_loop
async def test_shows_its_password_in_the_url_alone() -> None:
    async with EmbeddedServer(password="a:/ é") as server:
        assert server.url == f"tcp://:a%3A%2F%20%C3%A9@127.0.0.1:{server.port}"
        assert "%C3%A9" not in repr(server) + str(server.address)
        async with Client(server.url) as client:
            await client.push(Job("a"))
        assert len(server.queues["default"]) == 1


@on_every_loop
async def test_a_second_opening_is_refused_and_harms_nothing() -> None:
    async with EmbeddedServer() as server:
        with pytest.raises(ClientStateError, match="open already"):
            await server.open()
        async with connected(server) as wire:
            assert await wire.ask(b"NOPE") == NOPE
    with pytest.raises(ClientStateError, match="closed already"):
        await server.open()


@on_every_loop
async def test_may_be_closed_again_and_unopened() -> None:
    server = EmbeddedServer()
    await server.aclose()
    await server.aclose()
    async with EmbeddedServer() as server:
        await server.aclose()


@on_every_loop
async def test_a_port_that_is_taken_is_an_os_error_and_nothing_is_left() -> None:
    async with EmbeddedServer() as first:
        second = EmbeddedServer(port=first.port)
        with pytest.raises(OSError, match="in use"):
            await second.open()
        assert repr(second) == "<EmbeddedServer closed>"
        async with connected(first) as wire:
            assert await wire.ask(b"NOPE") == NOPE
    gc.collect()  # a socket left open would warn, and so fail this test


@on_every_loop
async def test_its_port_is_free_as_soon_as_it_is_closed() -> None:
    async with EmbeddedServer() as first:
        port = first.port
        async with connected(first):
            pass
    async with EmbeddedServer(port=port) as second, connected(second) as wire:
        assert second.port == port
        assert await wire.ask(b"NOPE") == NOPE


@on_every_loop
async def test_a_name_that_does_not_exist_is_an_os_error() -> None:
    with pytest.raises(OSError, match=r"not known|No address|Name"):
        await EmbeddedServer(host="a host with spaces").open()


@on_every_loop
@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
async def test_listens_on_ipv6() -> None:
    async with EmbeddedServer(host="::1") as server:
        assert server.url == f"tcp://[::1]:{server.port}"
        async with connected(server) as wire:
            assert await wire.ask(b"NOPE") == NOPE


@on_every_loop
async def test_a_name_stands_for_one_address_of_ipv4() -> None:
    async with EmbeddedServer(host="localhost") as server:
        assert server.url == f"tcp://localhost:{server.port}"
        with socket.create_connection(("127.0.0.1", server.port)):
            pass


@pytest_asyncio.fixture
async def lasting() -> AsyncGenerator[EmbeddedServer]:
    """Give a server that is opened by one task and closed by another one."""
    async with EmbeddedServer() as server:
        opener = asyncio.current_task()
        yield server
        assert asyncio.current_task() is not opener


@pytest.mark.asyncio
async def test_is_opened_and_closed_by_different_tasks(lasting: EmbeddedServer) -> None:
    async with connected(lasting) as wire:
        assert await wire.ask(b"NOPE") == NOPE


@pytest.mark.asyncio
async def test_serves_on_after_the_task_that_opened_it() -> None:
    server = EmbeddedServer()
    await asyncio.create_task(server.open())
    async with connected(server) as wire:
        assert await wire.ask(b"NOPE") == NOPE
    await asyncio.create_task(server.aclose())


# -- closing while clients are there --------------------------------------------------------------


@on_every_loop
@both_ways
async def test_who_is_connected_at_the_end_is_refused_and_sees_the_end(dial: Dial) -> None:
    """As on the real server: commands are refused and not done, then the connection ends."""
    async with EmbeddedServer(grace=5) as server, connected(server, dial) as wire:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.aclose)
            await until(lambda: server._answers.stopping)
            await wire.send(PUSH + b"\r\n")
            assert await wire.rest() == SHUTDOWN
        assert not server.queues


@on_every_loop
@both_ways
async def test_idle_clients_see_the_end_once_the_grace_is_over(dial: Dial) -> None:
    async with EmbeddedServer(grace=0.05) as server, connected(server, dial) as wire:
        await server.aclose()
        assert await wire.end() == b""


@on_every_loop
@both_ways
async def test_a_fetch_that_waits_at_the_end_gets_an_error(dial: Dial) -> None:
    async with EmbeddedServer(grace=0.05, fetch_wait=60) as server, connected(server, dial) as wire:
        await wire.send(b"FETCH q\r\nNOPE\r\n")
        await until(lambda: bool(server._broker._room))
        await server.aclose()
        assert await wire.end() == b"-ERR redis: client is closed\r\n"


@on_every_loop
async def test_closing_does_not_wait_where_nobody_is() -> None:
    server = EmbeddedServer(grace=60)
    async with server, connected(server) as wire:
        assert await wire.ask(b"NOPE") == NOPE


class Slow:
    """Clients who do all that can be under way when the server ends."""

    def __init__(self, server: EmbeddedServer) -> None:
        self.server = server

    async def greeted(self) -> None:
        async with connected(self.server, hello=None) as wire:
            await wire.end()

    async def idle(self) -> None:
        async with connected(self.server) as wire:
            await wire.end()

    async def fetching(self) -> None:
        async with connected(self.server) as wire:
            await wire.send(b"FETCH q\r\n" * 100)
            await wire.end()

    async def not_reading(self) -> None:
        async with connected(self.server) as wire:
            with contextlib.suppress(*NETWORK_ERRORS):
                await wire.send((b"X" * 10_000 + b"\r\n") * 2_000)
            await wire.end()

    async def coming(self) -> None:
        with contextlib.suppress(ConnectError):
            while True:
                async with connected(self.server, hello=None) as wire:
                    with contextlib.suppress(*NETWORK_ERRORS):
                        await wire.send(HELLO + b"END\r\n")
                    await wire.end()


@on_every_loop
@pytest.mark.parametrize("grace", [0, 0.05])
async def test_closing_with_busy_clients_leaves_nothing_behind(grace: float) -> None:
    server = EmbeddedServer(grace=grace)
    clients = Slow(server)
    kinds = (clients.greeted, clients.idle, clients.fetching, clients.not_reading, clients.coming)
    async with anyio.create_task_group() as tasks:
        async with server:
            for kind in kinds * 5:
                tasks.start_soon(kind)
            await until(lambda: len(server._core.conversations) >= 20)
            for _ in range(500):
                await anyio.lowlevel.checkpoint()
        assert not server._core.conversations
        assert server.counters.connections == 0
        assert not [
            task.name for task in anyio.get_running_tasks() if "faktory embedded" in str(task.name)
        ]
        tasks.cancel_scope.cancel()
    gc.collect()  # a socket or a task left behind would warn, and so fail this test


@on_every_loop
async def test_closing_that_is_cancelled_ends_the_server_all_the_same() -> None:
    server = EmbeddedServer(grace=60)
    async with anyio.create_task_group() as tasks:
        await server.open()
        async with connected(server) as wire:
            with anyio.move_on_after(0.05) as scope:
                await server.aclose()
            assert scope.cancelled_caught
            assert await wire.end() == b""
        tasks.cancel_scope.cancel()
    with pytest.raises(ConnectionRefusedError):
        await server.dial()


@pytest.mark.asyncio
async def test_so_does_a_closing_that_is_cancelled_by_asyncio() -> None:
    server = EmbeddedServer(grace=60)
    await server.open()
    async with connected(server) as wire:
        closing = asyncio.create_task(server.aclose())
        await until(lambda: server._answers.stopping)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert await wire.end() == b""


@on_every_loop
@pytest.mark.parametrize("turns", range(6))
async def test_opening_that_is_cancelled_leaves_nothing_behind(turns: int) -> None:
    server = EmbeddedServer()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.open)
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    await server.aclose()
    assert repr(server) == "<EmbeddedServer closed>"
    assert not [
        task.name for task in anyio.get_running_tasks() if "faktory embedded" in str(task.name)
    ]
    gc.collect()  # a socket left open would warn, and so fail this test


@pytest.mark.asyncio
@pytest.mark.parametrize("turns", range(6))
async def test_so_does_one_cancelled_by_asyncio(turns: int) -> None:
    server = EmbeddedServer()
    opening = asyncio.create_task(server.open())
    for _ in range(turns):
        await anyio.lowlevel.checkpoint()
    opening.cancel()
    await asyncio.wait([opening])
    await server.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    gc.collect()  # a socket left open would warn, and so fail this test


# -- in process ---------------------------------------------------------------------------------


@on_every_loop
async def test_a_client_may_dial_in_process() -> None:
    async with EmbeddedServer() as server, Client(dial=server.dial) as client:
        await client.push(Job("a", [1]))
        (job,) = server.queues["default"].jobs
        assert job.args == [1]
        assert server.counters.connections == 1


@on_every_loop
async def test_the_password_is_asked_for_in_process_too() -> None:
    async with EmbeddedServer(password="sekrit") as server:
        async with Client(server.url, dial=server.dial) as client:
            await client.push(Job("a"))
        with pytest.raises(AuthenticationError):
            async with Client("tcp://:wrong@anywhere", dial=server.dial) as client:
                await client.push(Job("a"))


@on_every_loop
async def test_nobody_is_let_in_after_the_end() -> None:
    async with EmbeddedServer() as server:
        pass
    with pytest.raises(ConnectionRefusedError, match="closed"):
        await server.dial()
    with pytest.raises(ConnectError):
        await by_tcp(server)


# -- limits -------------------------------------------------------------------------------------


async def push_one(wire: Wire) -> None:
    assert await wire.ask(PUSH) == OK


@on_every_loop
@both_ways
async def test_one_client_too_many_is_welcomed_then_refused(dial: Dial) -> None:
    async with EmbeddedServer(max_connections=2) as server, connected(server, dial):
        async with connected(server, dial), connected(server, dial, hello=None) as third:
            await third.send(HELLO)
            refusal = OK + b"-ERR too many connections: 3\r\n"
            assert await third.rest() == GREETING + refusal
        async with connected(server, dial, hello=None) as silent:
            await silent.reply()  # who has not said HELLO does not count
            async with connected(server, dial) as fourth:
                await push_one(fourth)


@on_every_loop
@both_ways
async def test_a_place_is_free_when_its_client_sees_the_end(dial: Dial) -> None:
    async with EmbeddedServer(max_connections=1) as server:
        for _ in range(20):
            async with connected(server, dial) as wire:
                await wire.send(b"END\r\n")
                assert await wire.end() == b""


@on_asyncio_loops  # trio gives turns in random order
@both_ways
async def test_the_end_of_a_client_is_known_to_the_next_command_of_another(dial: Dial) -> None:
    async with EmbeddedServer() as server, connected(server, dial) as other:
        async with connected(server, dial, hello=b'HELLO {"wid":"w1"}\r\n') as wire:
            assert list(server.workers) == ["w1"]
            await wire.send(b"END\r\n")
            info = json.loads((await other.ask(b"INFO")).split(b"\r\n")[1])
        assert info["server"]["connections"] == 1
        assert info["faktory"]["tasks"]["Workers"]["size"] == 0


@on_every_loop
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel itself takes fewer")
async def test_hundreds_may_come_at_once() -> None:
    """The kernel holds them all until the loop has a moment; a short line would make them wait."""
    async with EmbeddedServer() as server:
        with contextlib.ExitStack() as stack:
            for _ in range(300):
                sock = socket.create_connection((server.host, server.port), timeout=0.5)
                stack.enter_context(sock)
            await until(lambda: len(server._core.conversations) == 300)


def option(server: EmbeddedServer, level: int, name: int) -> int:
    """Return an option of the socket of the only client."""
    (conversation,) = server._core.conversations.values()
    assert isinstance(conversation._link, AsyncioLink | StreamLink)
    assert conversation._link._socket is not None
    return conversation._link._socket.getsockopt(level, name)


@on_every_loop
async def test_clients_that_vanish_without_a_word_are_found_out_by_keep_alive() -> None:
    async with EmbeddedServer() as server, connected(server):
        assert option(server, socket.SOL_SOCKET, socket.SO_KEEPALIVE)


@on_every_loop
async def test_an_answer_does_not_wait_for_the_one_before_to_be_received() -> None:
    """Without this option a second small answer comes 40 ms late."""
    async with EmbeddedServer() as server, connected(server):
        assert option(server, socket.IPPROTO_TCP, socket.TCP_NODELAY)


# -- time ---------------------------------------------------------------------------------------


@pytest.fixture
def virtual_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server's clock be that of the virtual loop."""
    start = 1_795_471_200 * SECOND  # a whole hour

    def time_ns() -> int:
        try:
            return start + round(anyio.current_time() * SECOND)
        except anyio.NoEventLoopError:
            return start

    monkeypatch.setattr(_embedded, "time", SimpleNamespace(time_ns=time_ns))


@in_virtual_time
async def test_an_empty_fetch_takes_two_seconds() -> None:
    async with EmbeddedServer() as server, connected(server, by_memory) as wire:
        start = anyio.current_time()
        assert await wire.ask(b"FETCH q") == NIL
        assert anyio.current_time() - start == pytest.approx(2)


@in_virtual_time
@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.parametrize("fetching", [False, True])
async def test_a_worker_that_does_not_beat_is_cut_off_with_all_its_connections(
    *, fetching: bool
) -> None:
    hello = b'HELLO {"wid":"w1"}\r\n'
    async with (
        EmbeddedServer(fetch_wait=2) as server,
        connected(server, by_memory) as producer,
        connected(server, by_memory, hello=hello) as one,
        connected(server, by_memory, hello=hello) as other,
    ):
        start = anyio.current_time()
        if fetching:
            await one.send(b"FETCH q\r\n" * 100)
        assert (await one.end()).replace(NIL, b"") == b""
        assert await other.end() == b""
        assert 60 < anyio.current_time() - start <= 77
        assert not server.workers
        assert await producer.ask(b"NOPE") == NOPE


@in_virtual_time
@pytest.mark.usefixtures("virtual_clock")
async def test_one_that_beats_stays() -> None:
    hello = b'HELLO {"wid":"w1"}\r\n'
    async with (
        EmbeddedServer() as server,
        connected(server, by_memory, hello=hello) as silent,
        connected(server, by_memory, hello=hello) as beating,
    ):
        for _ in range(5):
            assert await beating.ask(b'BEAT {"wid":"w1"}') == OK
            with anyio.move_on_after(30):
                await silent.rest()
        assert await silent.ask(b"NOPE") == NOPE
        assert server.workers["w1"].connections == 2


@in_virtual_time
@pytest.mark.usefixtures("virtual_clock")
async def test_a_scheduled_job_is_enqueued_when_it_is_due_and_handed_to_who_waits() -> None:
    at = b"2026-11-23T22:00:07Z"
    async with (
        EmbeddedServer(fetch_wait=60) as server,
        connected(server, by_memory) as producer,
        connected(server, by_memory) as worker,
    ):
        job = b'{"jid":"a-job-001","queue":"q","jobtype":"a","args":[],"at":"%b"}' % at
        start = anyio.current_time()
        assert await producer.ask(b"PUSH " + job) == OK
        assert b"a-job-001" in await worker.ask(b"FETCH q")
        assert start + 7 < anyio.current_time() <= start + 12


# -- FETCH ----------------------------------------------------------------------------------------


@on_every_loop
@both_ways
async def test_a_fetch_is_woken_at_once_by_a_push_of_another_client(dial: Dial) -> None:
    async with (
        EmbeddedServer(fetch_wait=3600) as server,
        connected(server, dial) as worker,
        connected(server, dial) as producer,
    ):
        await worker.send(b"FETCH other q\r\n")
        await until(lambda: bool(server._broker._room))
        await push_one(producer)
        assert b"a-job-001" in await worker.reply()
        assert not server.queues["q"].payloads


@on_every_loop
async def test_the_fetch_of_a_dead_client_still_takes_a_job() -> None:
    """The real server does not notice a client's end before its FETCH is answered."""
    async with EmbeddedServer(fetch_wait=3600) as server, connected(server) as producer:
        async with connected(server, hello=b'HELLO {"wid":"w1"}\r\n') as worker:
            await worker.send(b"FETCH q\r\n")
            await until(lambda: bool(server._broker._room))
            worker.reset()
        assert await producer.ask(b"NOPE") == NOPE
        assert list(server.workers) == ["w1"]
        await push_one(producer)
        assert [reservation.wid for reservation in server.working] == ["w1"]
        await until(lambda: not server.workers)
        assert server.counters.connections == 1


@on_every_loop
async def test_hundreds_may_wait_and_each_gets_a_job_of_its_own() -> None:
    count = 200
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(EmbeddedServer(fetch_wait=3600, grace=0))
        wires = [await stack.enter_async_context(connected(server)) for _ in range(count)]
        for wire in wires:
            await wire.send(b"FETCH q\r\n")
        await until(lambda: len(server._broker._room) == count)
        async with Client(server.url) as client:
            await client.push_bulk(Job("a", [number], queue="q") for number in range(count))
        args = [json.loads((await wire.reply()).split(b"\r\n")[1])["args"][0] for wire in wires]
        assert sorted(args) == list(range(count))


# -- what it knows, and mistakes ----------------------------------------------------------------


@on_every_loop
async def test_shows_what_it_knows() -> None:
    hello = b'HELLO {"wid":"w1","hostname":"h","pid":3,"labels":["a"]}\r\n'
    async with EmbeddedServer() as server, connected(server, hello=hello) as wire:
        jobs = (
            b'{"jid":"a-dead-01","jobtype":"a","args":[],"queue":"q","retry":-1},'
            b'{"jid":"a-retry-1","jobtype":"a","args":[],"queue":"q"},'
            b'{"jid":"a-work-01","jobtype":"a","args":[],"queue":"q"},'
            b'{"jid":"a-queued1","jobtype":"a","args":[],"queue":"q"},'
            b'{"jid":"a-later-1","jobtype":"a","args":[],"at":"2099-01-01T00:00:00Z"}'
        )
        lines = [
            b"PUSHB [%b]" % jobs,
            *[b"FETCH q"] * 3,
            b'FAIL {"jid":"a-dead-01"}',
            b'FAIL {"jid":"a-retry-1"}',
            b"QUEUE PAUSE q",
        ]
        for line in lines:
            assert not (await wire.ask(line)).startswith(b"-")
        assert [job.jid for job in server.queues["q"].jobs] == ["a-queued1"]
        assert server.queues["q"].paused
        assert [entry.job.jid for entry in server.scheduled] == ["a-later-1"]
        assert [entry.job.jid for entry in server.retries] == ["a-retry-1"]
        assert [entry.job.jid for entry in server.dead] == ["a-dead-01"]
        assert [(entry.job.jid, entry.wid) for entry in server.working] == [("a-work-01", "w1")]
        assert server.workers["w1"].hostname == "h"
        assert server.counters.failures == server.counters.processed == 2


@on_every_loop
async def test_a_mistake_in_the_scheduler_does_not_end_the_server(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    async with EmbeddedServer() as server:
        monkeypatch.setattr(server._broker, "run_due", fail)
        monkeypatch.setattr(server._broker, "next_tick", lambda: 0)
        await until(lambda: len(caplog.records) > 1)
        async with connected(server) as wire:
            assert await wire.ask(b"NOPE") == NOPE
    assert "failed at its scheduler's work" in caplog.text
    assert "ZeroDivisionError" in caplog.text


@on_every_loop
async def test_a_mistake_that_nothing_caught_is_raised_when_the_server_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(_: Conversation) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Conversation, "run", fail)
    server = EmbeddedServer()
    await server.open()
    link = await server.dial()
    await until(lambda: not server._core.conversations)
    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        await server.aclose()
    link.abort()


# -- platforms ------------------------------------------------------------------------------------


@on_every_loop
async def test_needs_no_more_of_keep_alive_than_the_platform_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(socket, "TCP_KEEPCNT")
    async with EmbeddedServer() as server, connected(server) as wire:
        assert await wire.ask(b"NOPE") == NOPE


@on_asyncio_loops
async def test_a_socket_that_cannot_be_listened_on_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(sock: socket.socket) -> None:
        raise PermissionError("not this one")

    monkeypatch.setattr(_listener, "prepare", fail)
    with pytest.raises(PermissionError):
        await EmbeddedServer().open()
    gc.collect()  # a socket left open would warn, and so fail this test
