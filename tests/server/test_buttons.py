"""The operator's buttons: pressed on the server, felt by clients and workers."""

from collections.abc import Callable

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from faktory_async import Client, EmbeddedServer, Job, Worker
from faktory_async.errors import UsageError
from faktory_async.server import WorkerState
from tests.net._loops import on_every_loop
from tests.server._wire import NIL, OK, Wire, connected

HELLO_W1 = b'HELLO {"wid":"w1"}\r\n'
HELLO_W2 = b'HELLO {"wid":"w2"}\r\n'
QUIET = b'$17\r\n{"state":"quiet"}\r\n'
TERMINATE = b'$21\r\n{"state":"terminate"}\r\n'


async def beat(wire: Wire, wid: str) -> bytes:
    return await wire.ask(f'BEAT {{"wid":"{wid}"}}'.encode())


# -- workers --------------------------------------------------------------------------------------


@on_every_loop
async def test_one_worker_is_told_or_all() -> None:
    async with (
        EmbeddedServer() as server,
        connected(server, hello=HELLO_W1) as one,
        connected(server, hello=HELLO_W2) as two,
    ):
        server.quiet("w1")
        assert (await beat(one, "w1"), await beat(two, "w2")) == (QUIET, OK)
        server.terminate("w1")
        assert (await beat(one, "w1"), await beat(two, "w2")) == (TERMINATE, OK)
        server.quiet()
        assert (await beat(one, "w1"), await beat(two, "w2")) == (TERMINATE, QUIET)
        server.terminate()
        assert server.workers["w2"].state is WorkerState.TERMINATE


@on_every_loop
async def test_an_evicted_worker_is_cut_off_and_unknown() -> None:
    async with (
        EmbeddedServer() as server,
        connected(server, hello=HELLO_W1) as one,
        connected(server, hello=HELLO_W1) as too,
        connected(server, hello=HELLO_W2) as two,
    ):
        server.evict("w1")
        assert list(server.workers) == ["w2"]
        assert (await one.end(), await too.end()) == (b"", b"")
        assert await beat(two, "w1") == b"-ERR unknown worker w1\r\n"
        server.evict()
        assert await two.end() == b""


PRESS: list[Callable[[EmbeddedServer], None]] = [
    lambda server: server.quiet("w3"),
    lambda server: server.terminate("w3"),
    lambda server: server.evict("w3"),
]


@on_every_loop
@pytest.mark.parametrize("press", PRESS)
async def test_a_worker_that_is_not_there_is_told(press: Callable[[EmbeddedServer], None]) -> None:
    async with EmbeddedServer() as server:
        with pytest.raises(UsageError, match="no worker 'w3' is connected; there are none"):
            press(server)
        async with connected(server, hello=HELLO_W1):
            with pytest.raises(UsageError, match=r"there are w1$"):
                press(server)


@on_every_loop
async def test_our_own_worker_comes_back_under_the_same_roof_after_an_eviction() -> None:
    async with EmbeddedServer(fetch_wait=0.05) as server, Client(server.url) as client:
        worker = Worker(url=server.url, wid="w1", handle_signals=False)
        done = anyio.Event()

        @worker.register("a")
        async def a(job: Job) -> None:
            done.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.run)
            while "w1" not in server.workers:
                await anyio.lowlevel.checkpoint()
            server.evict("w1")
            await client.push(Job("a"))
            await done.wait()
            worker.stop()


# -- queues ---------------------------------------------------------------------------------------


@on_every_loop
async def test_queues_are_paused_resumed_and_removed() -> None:
    async with (
        EmbeddedServer(fetch_wait=0) as server,
        Client(server.url) as client,
        connected(server) as wire,
    ):
        for name in ("one", "two"):
            await client.push(Job("a", queue=name))
        server.pause("one")
        assert server.queues["one"].paused
        assert await wire.ask(b"FETCH one") == NIL
        server.pause("*")
        assert await wire.ask(b"FETCH two") == NIL
        server.resume("*")
        assert not any(queue.paused for queue in server.queues.values())
        server.remove("one", "two")
        assert server.queues == {}


@on_every_loop
async def test_a_queue_that_had_no_job_yet_is_told() -> None:
    async with EmbeddedServer() as server, Client(server.url) as client:
        with pytest.raises(UsageError, match="no queue 'q' has had a job yet; there are none"):
            server.pause("q")
        await client.push(Job("a"))
        with pytest.raises(UsageError, match=r"no queue 'q', 'r' has had .* there are default"):
            server.resume("q", "default", "r")
        with pytest.raises(UsageError, match="remove takes names of queues, or"):
            server.remove()
        assert len(server.queues["default"]) == 1


# -- sets -----------------------------------------------------------------------------------------


@on_every_loop
async def test_jobs_of_a_set_are_requeued_killed_discarded_and_cleared() -> None:
    async with EmbeddedServer() as server, Client(server.url) as client:
        at = server.now.replace(year=server.now.year + 1, day=1)
        jobs = [await client.push(Job(kind, at=at)) for kind in "aabbcd"]
        assert server.requeue("scheduled", jobs[0].jid) == 1
        assert server.requeue("scheduled", jobtype="a") == 1
        assert {job.jid for job in server.queues["default"].jobs} == {jobs[0].jid, jobs[1].jid}
        assert server.kill("scheduled", pattern='*"jobtype":"b"*') == 2
        assert {entry.job.jid for entry in server.dead} == {jobs[2].jid, jobs[3].jid}
        assert server.discard("scheduled", "no-such-jid") == 0
        assert server.discard("scheduled", jobs[4].jid) == 1
        assert server.clear("scheduled") == 1
        assert not server.scheduled
        assert server.requeue("dead") == 2
        server.flush()
        assert server.counters.enqueued == 0


@on_every_loop
async def test_a_requeued_job_goes_to_who_waits() -> None:
    async with (
        EmbeddedServer(fetch_wait=3600) as server,
        Client(server.url) as client,
        connected(server) as wire,
    ):
        job = await client.push(Job("a", at=server.now.replace(year=server.now.year + 1, day=1)))
        await wire.send(b"FETCH default\r\n")
        while not server._broker.waiting():
            await anyio.lowlevel.checkpoint()
        await anyio.to_thread.run_sync(lambda: server.requeue("scheduled"))
        assert job.jid.encode() in await wire.reply()


@on_every_loop
async def test_mistakes_are_told() -> None:
    async with EmbeddedServer() as server, connected(server) as wire:
        with pytest.raises(
            UsageError, match="no set 'working': there are scheduled, retries, dead"
        ):
            server.clear("working")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        job = (
            b'{"jid":"a-job-001","jobtype":"a","args":[],"queue":"a b","at":"2099-01-01T00:00:00Z"}'
        )
        await wire.ask(b"PUSH " + job)
        with pytest.raises(UsageError, match="the server refuses to requeue: queue names must"):
            server.requeue("scheduled")
