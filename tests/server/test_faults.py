"""Each fault against our own client: what it raises, and whether the job may be there."""

import socket
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from faktory_async import TLS, Client, EmbeddedServer, Job, Timeouts
from faktory_async.errors import (
    CommandTimeoutError,
    ConnectError,
    ConnectionLostError,
    FaktoryError,
    ProtocolError,
    ServerBusyError,
    UsageError,
)
from faktory_async.server import Fault, Faults
from tests.net._loops import on_every_loop
from tests.net._tls import Authority
from tests.server._wire import NIL, OK, by_memory, by_tcp, connected

# Where nothing but a deadline tells the client, it has a short one.
# Of one thing only: a machine that is busy takes its time for the other.
NO_TIME_TO_CONNECT = Timeouts(connect=0.2, command=30)
NO_TIME_TO_ANSWER = Timeouts(connect=30, command=0.5)
PATIENT = Timeouts(connect=30, command=30)
BUSY = b"-ERR context deadline exceeded\r\n"


class Setting:
    """A server, and how clients come to it.

    Attributes:
        server: The server.
    """

    def __init__(self, way: str, authority: Authority) -> None:
        self._way = way
        self._ca: Path = authority.pem
        files = authority.files_for("127.0.0.1") if way == "tls" else (None, None)
        self.server = EmbeddedServer(grace=0, fetch_wait=30, tls_cert=files[0], tls_key=files[1])

    def client(self, timeouts: Timeouts = PATIENT) -> Client:
        if self._way == "dial":
            return Client(dial=self.server.dial, timeouts=timeouts)
        tls = TLS(ca=self._ca) if self._way == "tls" else None
        return Client(self.server.url, tls=tls, timeouts=timeouts)

    @property
    def stored(self) -> int:
        return self.server.counters.enqueued


@pytest.fixture(params=["tcp", "tls", "dial"])
def setting(request: pytest.FixtureRequest, authority: Authority) -> Setting:
    return Setting(request.param, authority)


async def push_into(fault: Fault, client: Client, jid: str = "a-job-001") -> FaktoryError:
    """Return what a push raises while a fault holds."""
    with fault, pytest.raises(FaktoryError) as caught:
        await client.push(Job("a", jid=jid))
    return caught.value


# -- the way to the server ------------------------------------------------------------------------


@on_every_loop
async def test_refused_connections_are_a_connect_error(setting: Setting) -> None:
    async with setting.server as server, setting.client() as client:
        error = await push_into(server.faults.refuse_connections(), client)
        assert isinstance(error, ConnectError)
        assert not error.maybe_executed
        await client.push(Job("a"))
        with server.faults.refuse_connections():
            await client.push(Job("a"))  # a connection that is there stays
        assert setting.stored == 2


@on_every_loop
async def test_a_refusal_is_the_kernels_own() -> None:
    async with EmbeddedServer() as server, connected(server) as wire:
        port = server.port
        for _ in range(3):
            with server.faults.refuse_connections():
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection(("127.0.0.1", port))
                assert (
                    await wire.ask(b"FETCH") == b"-ERR must call fetch with at least one queue\r\n"
                )
            with socket.create_connection(("127.0.0.1", port)):
                pass
        async with connected(server) as other:
            assert (await other.ask(b"INFO")).startswith(b"$")


@on_every_loop
async def test_a_server_may_end_while_it_refuses_connections() -> None:
    async with EmbeddedServer() as server:
        port = server.port
        with server.faults.refuse_connections():
            await server.aclose()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
    async with EmbeddedServer(port=port) as server:
        for _ in range(3):  # in the very moment
            with server.faults.refuse_connections():
                pass


@on_every_loop
async def test_a_half_open_connection_is_a_connect_error_in_time(setting: Setting) -> None:
    async with setting.server as server:
        async with setting.client(NO_TIME_TO_CONNECT) as client:
            error = await push_into(server.faults.half_open(), client)
        assert isinstance(error, ConnectError)
        assert not error.maybe_executed
        assert setting.stored == 0
        async with setting.client() as client:
            await client.push(Job("a"))


@on_every_loop
async def test_a_half_open_connection_says_nothing_until_it_is_cut() -> None:
    async with EmbeddedServer(handshake_wait=0.01) as server:
        with server.faults.half_open() as fault:
            async with connected(server, hello=None) as wire:
                with anyio.move_on_after(0.1):
                    assert not await wire.link.receive()
                assert fault.hits == 1
                fault.__exit__(None, None, None)
                assert await wire.end() == b""


@pytest.mark.parametrize("keep_state", [True, False])
@on_every_loop
async def test_an_outage_ends_connections_and_then_refuses_them(
    setting: Setting, *, keep_state: bool
) -> None:
    async with setting.server as server, setting.client() as client:
        await client.push(Job("a", jid="a-job-001"))
        with server.faults.outage(keep_state=keep_state):
            with pytest.raises(ConnectError) as caught:
                await client.push(Job("a"))
            assert not caught.value.maybe_executed
        jids = [job.jid for queue in server.queues.values() for job in queue.jobs]
        assert jids == ["a-job-001"] * keep_state
        await client.push(Job("a"))
        assert setting.stored == keep_state + 1


@on_every_loop
async def test_a_server_that_was_killed_forgets_what_is_in_its_memory_alone() -> None:
    hello = b'HELLO {"wid":"w1"}\r\n'
    async with EmbeddedServer(fetch_wait=30) as server:
        async with connected(server, hello=hello) as worker, connected(server) as waiting:
            await worker.ask(b'PUSH {"jid":"a-job-001","jobtype":"a","args":[],"retry":7}')
            await worker.ask(b"FETCH default")
            await waiting.send(b"FETCH default\r\n")
            while not server._broker.waiting():
                await anyio.lowlevel.checkpoint()
            with server.faults.outage():
                assert await worker.end() == b""
                assert await waiting.end() == b""
            assert not server._broker.waiting()
        assert not server.workers
        assert server.counters.connections == 0
        assert server.counters.default_retry == 25
        assert [entry.job.jid for entry in server.working] == ["a-job-001"]
        async with connected(server) as wire:
            assert await wire.ask(b'ACK {"jid":"a-job-001"}') == OK
        assert server.counters.processed == 1


@on_every_loop
async def test_a_killed_server_carries_out_no_command_that_waits_behind_others() -> None:
    async with EmbeddedServer() as server, connected(server, by_memory) as wire:
        push = b'PUSH {"jid":"a-job-%03d","jobtype":"a","args":[]}\r\n'
        lines = b"".join(push % number for number in range(600))
        await wire.send(lines[:60_000])
        while not server.counters.enqueued:
            await anyio.lowlevel.checkpoint()
        stored = server.counters.enqueued
        with server.faults.outage():
            await wire.end()
            for _ in range(10):
                await anyio.lowlevel.checkpoint()
        assert server.counters.enqueued == stored


@on_every_loop
async def test_time_goes_on_while_the_server_is_down_and_is_caught_up_afterwards() -> None:
    async with EmbeddedServer() as server:
        async with connected(server) as wire:
            at = server.now.strftime("%Y-%m-%dT%H:59:59Z").replace(":59:59", ":59:59.9")
            job = f'PUSH {{"jid":"a-job-001","jobtype":"a","args":[],"at":"{at}"}}'
            await wire.ask(job.encode())
        with server.faults.outage():
            server.advance(hours=2)
            assert len(server.scheduled) == 1
        server.advance(5)
        assert len(server.queues["default"]) == 1


@pytest.mark.parametrize("keep_state", [True, False])
@on_every_loop
async def test_what_enterprise_knows_is_in_the_store(*, keep_state: bool) -> None:
    unique = b'{"jid":"a-job-%03d","jobtype":"a","args":[],"custom":{"unique_for":600}}'
    async with EmbeddedServer(edition="enterprise") as server:
        async with connected(server) as wire:
            assert await wire.ask(b"PUSH " + unique % 1) == OK
        with server.faults.outage(keep_state=keep_state):
            pass
        async with connected(server) as wire:
            assert (await wire.ask(b"PUSH " + unique % 2) == OK) is not keep_state


@on_every_loop
async def test_a_server_that_is_down_twice_is_back_when_both_outages_are_over() -> None:
    async with EmbeddedServer() as server:
        with server.faults.outage():
            with server.faults.outage(), server.faults.refuse_connections():
                pass
            with pytest.raises(ConnectionRefusedError):
                await server.dial()
        async with connected(server) as wire:
            assert (await wire.ask(b"INFO")).startswith(b"$")


@on_every_loop
async def test_a_server_that_is_down_does_not_tick_and_does_not_ask_all_the_time() -> None:
    async with EmbeddedServer() as server:
        ticks: list[int] = []
        server._core.catch_up = lambda: ticks.append(1)  # type: ignore[method-assign]
        with server.faults.outage():
            server.advance(minutes=1)
            for _ in range(50):
                await anyio.lowlevel.checkpoint()
            assert ticks == []
        server._clock.move(5_000_000_000)
        server._clock.nudge()
        while not ticks:
            await anyio.lowlevel.checkpoint()


# -- commands -------------------------------------------------------------------------------------


@pytest.mark.parametrize("executed", [True, False])
@on_every_loop
async def test_a_stall_is_a_timeout_and_the_job_may_be_there(
    setting: Setting, *, executed: bool
) -> None:
    async with setting.server as server, setting.client(NO_TIME_TO_ANSWER) as client:
        error = await push_into(server.faults.stall(on="PUSHB", executed=executed), client)
        assert isinstance(error, CommandTimeoutError)
        assert error.maybe_executed
        assert setting.stored == executed


@on_every_loop
async def test_a_stalled_connection_is_silent_and_is_cut_at_the_end() -> None:
    async with EmbeddedServer() as server, connected(server) as wire:
        with server.faults.stall(on="INFO", times=1) as fault:
            await wire.send(b"FETCH\r\nINFO\r\nFETCH\r\n")
            assert await wire.reply() == b"-ERR must call fetch with at least one queue\r\n"
            while not fault.hits:
                await anyio.lowlevel.checkpoint()
            async with connected(server) as other:
                assert (await other.ask(b"INFO")).startswith(b"$")
        assert await wire.end() == b""


@on_every_loop
async def test_a_server_ends_while_somebody_is_stalled_and_somebody_delayed() -> None:
    server = EmbeddedServer(grace=0.01)
    async with server, connected(server) as one, connected(server) as other:
        with server.faults.stall(on="INFO"), server.faults.delay(3600, on="FETCH"):
            await one.send(b"INFO\r\n")
            await other.send(b"FETCH\r\n")
            await server.aclose()
            assert await one.end() == b""
            await other.end()


@pytest.mark.parametrize("executed", [True, False])
@on_every_loop
async def test_an_error_is_the_servers_word(setting: Setting, *, executed: bool) -> None:
    async with setting.server as server, setting.client() as client:
        fault = server.faults.error("ERR out of luck", on="PUSHB", times=1, executed=executed)
        error = await push_into(fault, client)
        assert isinstance(error, ServerBusyError)
        assert error.text == "out of luck"
        assert error.maybe_executed
        assert fault.hits == 1
        assert setting.stored == executed


@pytest.mark.parametrize("stored", [True, False])
@on_every_loop
async def test_an_exceeded_deadline_may_have_stored_the_job(
    setting: Setting, *, stored: bool
) -> None:
    async with setting.server as server, setting.client() as client:
        error = await push_into(server.faults.deadline_exceeded(stored=stored), client)
        assert isinstance(error, ServerBusyError)
        assert error.text == "context deadline exceeded"
        assert error.maybe_executed
        assert setting.stored == stored


@on_every_loop
async def test_a_delay_that_is_longer_than_patience_is_a_timeout(setting: Setting) -> None:
    async with setting.server as server, setting.client(NO_TIME_TO_ANSWER) as client:
        error = await push_into(server.faults.delay(3600, on="PUSHB"), client)
        assert isinstance(error, CommandTimeoutError)
        assert error.maybe_executed
        assert setting.stored == 1


@on_every_loop
async def test_a_delayed_reply_comes_when_the_clock_says_so(setting: Setting) -> None:
    async with setting.server as server, setting.client() as client:
        with server.faults.delay(3600, on="PUSHB") as fault:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.push, Job("a"))
                while not fault.hits:
                    await anyio.lowlevel.checkpoint()
                server.advance(hours=1)
        assert setting.stored == 1


@on_every_loop
async def test_what_is_still_delayed_at_the_end_of_the_block_is_sent_then() -> None:
    async with EmbeddedServer() as server, connected(server) as wire:
        with server.faults.delay(float("inf")) as fault:
            await wire.send(b"FETCH\r\n")
            while not fault.hits:
                await anyio.lowlevel.checkpoint()
        assert await wire.reply() == b"-ERR must call fetch with at least one queue\r\n"


# -- replies --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 5])
@on_every_loop
async def test_a_reply_that_ends_early_is_a_lost_connection(setting: Setting, size: int) -> None:
    async with setting.server as server, setting.client() as client:
        error = await push_into(server.faults.close_after(size, on="PUSHB"), client)
        assert isinstance(error, ConnectionLostError)
        assert error.maybe_executed
        assert setting.stored == 1


@on_every_loop
async def test_a_truncated_reply_is_a_timeout(setting: Setting) -> None:
    async with setting.server as server, setting.client(NO_TIME_TO_ANSWER) as client:
        error = await push_into(server.faults.truncate(4, on="PUSHB"), client)
        assert isinstance(error, CommandTimeoutError)
        assert error.maybe_executed
        assert setting.stored == 1


@on_every_loop
async def test_garbage_is_a_protocol_error(setting: Setting) -> None:
    async with setting.server as server, setting.client() as client:
        error = await push_into(server.faults.garbage(on="PUSHB"), client)
        assert isinstance(error, ProtocolError)
        assert error.maybe_executed
        assert setting.stored == 1


@on_every_loop
async def test_so_is_garbage_for_a_greeting_but_then_nothing_was_done(setting: Setting) -> None:
    async with setting.server as server, setting.client() as client:
        for fault in (
            server.faults.garbage(b"HTTP/1.1 400 Bad Request\r\n", on="HI"),
            server.faults.close_after(3, on="HI"),
            server.faults.close_after(0, on="HELLO"),
            server.faults.error("ERR not now", on="HELLO"),
        ):
            error = await push_into(fault, client)
            assert not error.maybe_executed
        assert setting.stored == 0


# -- a stalled Redis, command by command ----------------------------------------------------------


@on_every_loop
async def test_a_map_names_the_jobs_and_validation_goes_first() -> None:
    good = b'{"jid":"a-good-01","jobtype":"a","args":[]}'
    bad = b'{"jid":"short","jobtype":"a","args":[]}'
    refused = b'"short":"jobs must have a reasonable jid parameter"'
    async with EmbeddedServer() as server, connected(server) as wire:
        for stored in (False, True):
            with server.faults.deadline_exceeded(stored=stored):
                reply = await wire.ask(b"PUSHB [%b,%b]" % (good, bad))
                body = reply.split(b"\r\n")[1]
                assert body == b'{"a-good-01":"context deadline exceeded",%b}' % refused
                assert await wire.ask(b"PUSH " + good) == BUSY
                assert await wire.ask(b"PUSH " + bad) == b"-ERR " + refused.split(b'"')[3] + b"\r\n"
                assert (await wire.ask(b"PUSHB {")).startswith(b"-ERR invalid JSON")
            assert server.counters.enqueued == 2 * stored


JOB = b'{"jid":"a-job-001","jobtype":"a","args":[],"retry":5,"reserve_for":60}'


@on_every_loop
@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("verb", [b"FAIL", b"ACK"])
async def test_a_report_ends_the_reservation_whether_or_not_its_outcome_is_stored(
    verb: bytes, *, stored: bool
) -> None:
    report = verb + b' {"jid":"a-job-001"}'
    async with EmbeddedServer() as server, connected(server) as wire:
        await wire.ask(b"PUSH " + JOB)
        await wire.ask(b"FETCH default")
        with server.faults.deadline_exceeded(stored=stored):
            assert await wire.ask(verb + b" nonsense") == b"-ERR invalid %b nonsense\r\n" % verb
            assert await wire.ask(report) == BUSY
            again = await wire.ask(report)
        assert again == (OK if verb == b"ACK" else b"-ERR Job not found a-job-001\r\n")
        assert server.counters.processed == stored
        server.advance(minutes=5, expire_reservations=True)
        assert not server.working
        assert not server.retries
        assert server.counters.enqueued == (stored and verb == b"FAIL")


@on_every_loop
async def test_a_fetch_takes_nothing_or_takes_a_job_for_good() -> None:
    async with EmbeddedServer() as server, connected(server) as wire:
        await wire.ask(b"PUSH " + JOB)
        with server.faults.deadline_exceeded(on="FETCH", stored=False):
            assert await wire.ask(b"FETCH default") == BUSY
        assert server.counters.enqueued == 1
        with server.faults.deadline_exceeded(on="FETCH", stored=True):
            assert (await wire.ask(b"FETCH default")).startswith(b"-ERR cannot add element in the")
            assert await wire.ask(b"FETCH default") == BUSY
        while not server.is_idle:
            await anyio.lowlevel.checkpoint()


@on_every_loop
async def test_what_needs_no_redis_is_answered_as_ever() -> None:
    async with (
        EmbeddedServer() as server,
        connected(server, hello=b'HELLO {"wid":"w1"}\r\n') as wire,
    ):
        await wire.ask(b"PUSH " + JOB)
        with server.faults.deadline_exceeded(stored=False) as fault:
            assert await wire.ask(b'BEAT {"wid":"w1"}') == OK
            assert fault.hits == 0
            assert await wire.ask(b"FLUSH") == BUSY
            assert server.counters.enqueued == 1
        with server.faults.deadline_exceeded(on=("FLUSH", "BEAT"), stored=True):
            assert await wire.ask(b'BEAT {"wid":"w1"}') == OK
            assert await wire.ask(b"FLUSH") == BUSY
        assert server.counters.enqueued == 0


# -- which commands, and several faults at once ---------------------------------------------------


@on_every_loop
async def test_a_fault_strikes_as_often_as_it_should_and_whom_it_should() -> None:
    async with (
        EmbeddedServer() as server,
        connected(server, hello=b'HELLO {"wid":"w1"}\r\n') as worker,
        connected(server) as other,
    ):
        ok = b"-ERR must call fetch with at least one queue\r\n"
        with server.faults.error("NO", on={"FETCH"}, wid="w1", skip=1, times=2) as fault:
            assert fault.holds
            assert await other.ask(b"FETCH") == ok
            said = [await worker.ask(b"FETCH") for _ in range(4)]
        assert said == [ok, b"-NO\r\n", b"-NO\r\n", ok]
        assert fault.hits == 2
        assert not fault.holds
        with fault:
            assert fault.hits == 0
            assert await worker.ask(b"FETCH") == ok
            assert await worker.ask(b"FETCH") == b"-NO\r\n"


@on_every_loop
async def test_faults_work_together() -> None:
    async with EmbeddedServer() as server, connected(server, by_tcp) as wire:
        faults = server.faults
        with (
            faults.delay(60),
            faults.error("ERR late and short", times=1) as error,
            faults.truncate(6, times=1),
        ):
            await wire.send(b"INFO\r\n")
            while not error.hits:
                await anyio.lowlevel.checkpoint()
            server.advance(60)
            await anyio.lowlevel.checkpoint()
            while len(wire.buffer) < 6:
                wire.buffer += await wire.link.receive()
        assert bytes(wire.buffer) == b"-ERR l"


@on_every_loop
async def test_a_fetch_that_waits_may_be_struck_too() -> None:
    async with EmbeddedServer(fetch_wait=0) as server, connected(server) as wire:
        with server.faults.truncate(2, on="FETCH"):
            await wire.send(b"FETCH q\r\n")
            assert await wire.link.receive() == NIL[:2]
        with server.faults.stall(on="FETCH", executed=True) as fault:
            await wire.send(b"FETCH q\r\n")
            while not fault.hits:
                await anyio.lowlevel.checkpoint()


MISTAKES: list[tuple[Callable[[Faults], Fault], str]] = [
    (lambda faults: faults.stall(on="PUSHBULK"), "no command is called PUSHBULK; there are HI,"),
    (lambda faults: faults.stall(times=-1), "at least 0"),
    (lambda faults: faults.stall(skip=-1), "at least 0"),
    (lambda faults: faults.delay(-1), "at least 0 seconds"),
    (lambda faults: faults.close_after(-1), "at least 0 bytes"),
    (lambda faults: faults.error("two\r\nlines"), "one line"),
]


@pytest.mark.parametrize(("make", "complaint"), MISTAKES)
def test_mistakes_are_told(make: Callable[[Faults], Fault], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        make(EmbeddedServer().faults)


@on_every_loop
async def test_a_fault_holds_once_at_a_time_and_ends_with_its_server() -> None:
    async with EmbeddedServer() as server:
        fault = server.faults.stall()
        with fault:
            with pytest.raises(UsageError, match="holds already"):
                fault.__enter__()
            await server.aclose()
        assert not fault.holds
