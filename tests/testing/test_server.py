"""`FaktoryServer`: looked at from outside of its thread."""

import contextlib
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from faktory_async import (
    AuthenticationError,
    Client,
    ClientStateError,
    ConnectError,
    EmbeddedServer,
    Job,
    ServerBusyError,
    UsageError,
    Worker,
    testing,
)
from faktory_async.testing import FaktoryServer


def worker_for(server: FaktoryServer, *, jobs: int) -> Worker:
    """Return a worker that stops after so many jobs; `bad` ones fail."""
    worker = Worker(url=server.url, wid="w1", labels=["blue"], concurrency=1, handle_signals=False)
    left = iter(range(jobs, 0, -1))

    def count() -> None:
        if next(left) == 1:
            worker.stop()

    @worker.register("good")
    async def good(job: Job) -> None:
        count()

    @worker.register("bad")
    async def bad(job: Job) -> None:
        count()
        raise ValueError("no good")

    return worker


def server_threads() -> int:
    return [thread.name for thread in threading.enumerate()].count("faktory embedded server")


# -- what it shows ----------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_what_was_pushed_is_seen_at_once(faktory_server: FaktoryServer) -> None:
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    async with Client() as client:
        first = await client.push(Job("good", [1]))
        second = await client.push(Job("good", [2]))
        mail = await client.push(Job("good", queue="mail"))
        scheduled = await client.push(Job("good", at=later))
        assert faktory_server.counters.connections == 1
    queues = faktory_server.queues
    assert [job.jid for job in queues["default"].jobs] == [first.jid, second.jid]
    assert [job.jid for job in queues["mail"].jobs] == [mail.jid]
    assert [(found.job.jid, found.due) for found in faktory_server.scheduled] == [
        (scheduled.jid, later)
    ]
    assert faktory_server.counters.enqueued == 3


@pytest.mark.asyncio
async def test_what_became_of_jobs_is_seen_when_the_worker_has_stopped(
    faktory_server: FaktoryServer,
) -> None:
    async with Client() as client:
        await client.push(Job("good"))
        retried = await client.push(Job("bad"))
        dead = await client.push(Job("bad", retry=-1))
    await worker_for(faktory_server, jobs=3).run()
    assert [found.job.jid for found in faktory_server.retries] == [retried.jid]
    assert [found.job.jid for found in faktory_server.dead] == [dead.jid]
    assert (faktory_server.counters.processed, faktory_server.counters.failures) == (3, 2)
    assert len(faktory_server.queues["default"]) == 0


@pytest.mark.asyncio
async def test_a_handler_can_look_at_its_own_reservation(faktory_server: FaktoryServer) -> None:
    worker = Worker(wid="w1", labels=["blue"], concurrency=1, handle_signals=False)
    seen: list[object] = []

    @worker.register("look")
    async def look(job: Job) -> None:
        seen.extend((found.job.jid, found.wid) for found in faktory_server.working)
        one = faktory_server.workers["w1"]
        seen.append((one.pid, one.labels))
        worker.stop()

    async with Client() as client:
        job = await client.push(Job("look"))
    await worker.run()
    assert seen == [(job.jid, "w1"), (os.getpid(), ("blue",))]
    assert faktory_server.working == ()


@pytest.mark.asyncio
async def test_a_snapshot_stays_as_it_was(faktory_server: FaktoryServer) -> None:
    async with Client() as client:
        await client.push(Job("good"))
        before = faktory_server.queues
        await client.push(Job("good"))
    assert [len(before["default"]), len(faktory_server.queues["default"])] == [1, 2]


def test_many_threads_may_look_at_once(faktory_server: FaktoryServer) -> None:
    def push_and_look(number: int) -> bool:
        async def push() -> Job:
            async with Client() as client:
                return await client.push(Job("good", [number]))

        jid = anyio.run(push).jid
        return jid in {job.jid for job in faktory_server.queues["default"].jobs}

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(push_and_look, range(20)))
    assert faktory_server.counters.enqueued == 20


# -- what it does -----------------------------------------------------------------------------


def test_its_clock_and_its_buttons_work_without_an_event_loop(
    faktory_server: FaktoryServer,
) -> None:
    async def push() -> Job:
        async with Client() as client:
            return await client.push(Job("good", at=faktory_server.now + timedelta(days=1)))

    job = anyio.run(push)
    faktory_server.advance(days=1, seconds=5)
    [queued] = faktory_server.queues["default"].jobs
    assert queued.jid == job.jid
    faktory_server.pause("default")
    assert faktory_server.is_idle
    with pytest.raises(UsageError, match="no worker 'w1' is connected"):
        faktory_server.quiet("w1")
    faktory_server.fetch_wait = 2
    assert faktory_server.fetch_wait == 2


@pytest.mark.asyncio
async def test_the_server_tells_a_worker_to_end(faktory_server: FaktoryServer) -> None:
    worker = Worker(wid="w1", handle_signals=False)

    @worker.register("good")
    async def good(job: Job) -> None:
        faktory_server.terminate("w1")
        assert faktory_server.workers["w1"].state.name == "TERMINATE"
        worker.stop()

    async with Client() as client:
        await client.push(Job("good"))
    await worker.run()
    await faktory_server.settled()
    assert faktory_server.counters.processed == 1


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_its_faults_hold_within_their_blocks(faktory_server: FaktoryServer) -> None:
    async with Client() as client:
        with faktory_server.faults.outage(keep_state=False), pytest.raises(ConnectError):
            await client.push(Job("good"))
        with faktory_server.faults.error("ERR out of luck", on="PUSHB", times=1) as fault:
            with pytest.raises(ServerBusyError, match="out of luck"):
                await client.push(Job("good"))
            await client.push(Job("good"))
    assert fault.hits == 1
    assert faktory_server.counters.enqueued == 1


# -- how it is configured ---------------------------------------------------------------------


@pytest.mark.faktory_server(password="far", host="localhost")
class TestMarkers:
    @pytest.mark.faktory_server(password="near")
    def test_the_nearest_one_says_last_and_the_others_what_it_does_not(
        self, faktory_server: FaktoryServer
    ) -> None:
        assert faktory_server.url == f"tcp://:near@localhost:{faktory_server.port}"
        assert os.environ["FAKTORY_URL"] == faktory_server.url

    @pytest.mark.asyncio
    async def test_a_password_is_asked_for(self, faktory_server: FaktoryServer) -> None:
        async with Client() as client:
            await client.push(Job("good"))
        async with Client(f"tcp://{faktory_server.host}:{faktory_server.port}") as stranger:
            with pytest.raises(AuthenticationError):
                await stranger.push(Job("good"))
        assert faktory_server.counters.enqueued == 1

    def test_no_password_is_shown(self, faktory_server: FaktoryServer) -> None:
        assert repr(faktory_server) == f"<FaktoryServer tcp://localhost:{faktory_server.port}>"


@pytest.mark.asyncio
@pytest.mark.faktory_server(edition="enterprise")
async def test_it_can_be_of_the_enterprise_edition(faktory_server: FaktoryServer) -> None:
    async with Client() as client:
        assert (await client.info()).server.description == "Faktory Enterprise"


def test_an_unknown_option_is_answered_by_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"no option 'pass', 'prot'; it has .*password, port"):
        FaktoryServer(prot=7419, **{"pass": "x"})


# -- its life ---------------------------------------------------------------------------------


def test_it_can_be_made_for_a_wider_scope_than_a_test() -> None:
    with FaktoryServer() as server:
        assert server_threads() == 1
        with socket.create_connection((server.host, server.port)) as peer:
            assert peer.recv(100).startswith(b"+HI ")
    assert server_threads() == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, server.port))


def test_what_the_test_raises_goes_through() -> None:
    with pytest.raises(LookupError, match=r"^the test's own$"), FaktoryServer() as server:
        raise LookupError("the test's own")
    with pytest.raises(ClientStateError, match="closed"):
        _ = server.queues


def test_it_shows_nothing_while_it_is_not_open() -> None:
    server = FaktoryServer()
    with pytest.raises(ClientStateError, match="not open"):
        _ = server.url
    with pytest.raises(ClientStateError, match="<FaktoryServer not open> shows what it knows only"):
        _ = server.counters


def test_it_is_opened_once() -> None:
    with FaktoryServer() as server:
        with pytest.raises(ClientStateError, match="open already"):
            server.__enter__()
        assert server.queues == {}
    with pytest.raises(ClientStateError, match="closed already"):
        server.__enter__()


def test_a_taken_port_is_told_and_leaves_no_thread() -> None:
    with FaktoryServer() as first:
        with pytest.raises(OSError, match="in use"), FaktoryServer(port=first.port):
            pass
        assert server_threads() == 1


def test_a_mistake_of_the_server_at_its_end_is_not_hushed_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    close = EmbeddedServer.aclose

    async def fail(self: EmbeddedServer) -> None:
        await close(self)
        raise ArithmeticError("a bug")

    monkeypatch.setattr(EmbeddedServer, "aclose", fail)
    with contextlib.ExitStack() as stack:
        stack.enter_context(FaktoryServer())
        with pytest.raises(ArithmeticError, match="a bug"):
            stack.close()
    assert server_threads() == 0


def test_its_package_knows_its_names_and_no_others() -> None:
    assert "FaktoryServer" in dir(testing)
    with pytest.raises(AttributeError, match="has no attribute 'FaktoryServant'"):
        _ = testing.FaktoryServant
