"""Runs that end by themselves: when nothing is left, after so many jobs, after one."""

from typing import Any

import anyio
import pytest

from faktory_async import Job, UsageError, Worker
from tests.worker.peer import OKAY, Line, Peer, peering
from tests.worker.running import running

pytestmark = pytest.mark.anyio


async def done(job: Job) -> None: ...


def worker_of(peer: Peer, handler: Any = done, **options: Any) -> Worker:
    return Worker({"order": handler}, dial=peer.dial, **options)


def jobs(count: int) -> list[Job]:
    return [Job("order", [number], jid=f"job-{number:05}") for number in range(count)]


# -- burst --------------------------------------------------------------------------------------


async def test_a_burst_ends_when_every_queue_is_empty() -> None:
    async with peering() as peer:
        peer.offer(*jobs(30))
        details = await worker_of(peer, burst=True, concurrency=4).run()
        assert details.acked == 30
        assert details.reason == "burst: there is nothing left to do"
        assert details.exit_code == 0
        assert anyio.current_time() < 10


async def test_a_burst_of_nothing_asks_once() -> None:
    async with peering() as peer:
        details = await worker_of(peer, burst=True).run()
        assert (details.acked, len(peer.of("FETCH"))) == (0, 1)


async def test_a_burst_without_a_queue_to_ask_ends_too() -> None:
    async with peering() as peer:
        with anyio.fail_after(60):
            details = await worker_of(peer, burst=True, queues=list).run()
        assert details.reason == "burst: there is nothing left to do"
        assert peer.of("FETCH") == []


async def test_a_burst_waits_for_the_handler_that_ran_when_queues_were_none() -> None:
    asked = 0

    def queues() -> list[str]:
        nonlocal asked
        asked += 1
        return ["default"] if asked == 1 else []

    async def slow(job: Job) -> None:
        await anyio.sleep(30)

    async with peering() as peer:
        peer.offer(*jobs(1))
        details = await worker_of(peer, slow, burst=True, queues=queues).run()
        assert details.acked == 1


async def test_a_burst_waits_for_a_handler_and_works_what_that_one_pushes() -> None:
    async def slow(job: Job) -> None:
        await anyio.sleep(7)
        if job.args == [0]:
            peer.offer(Job("order", [1]))

    async with peering() as peer:
        peer.offer(*jobs(1))
        details = await worker_of(peer, slow, burst=True).run()
        assert details.acked == 2


async def test_a_fetch_that_leaves_a_full_queue_out_does_not_end_a_burst() -> None:
    async def slow(job: Job) -> None:
        await anyio.sleep(30)

    async def only_of_b(line: Line) -> bytes:
        if line.payload == b"b":
            await anyio.sleep(2)
            return b"$-1\r\n"
        return await peer.fetch(line)

    async with peering() as peer:
        peer.always("FETCH", only_of_b)
        peer.offer(Job("order", queue="a"), Job("order", queue="a"))
        worker = worker_of(peer, slow, burst=True, queues=["a", "b"], queue_limits={"a": 1})
        details = await worker.run()
        assert details.acked == 2


async def test_a_burst_goes_on_after_a_fetch_that_failed() -> None:
    async with peering() as peer:
        peer.answer("FETCH", b"-ERR context deadline exceeded\r\n")
        peer.offer(*jobs(1))
        assert (await worker_of(peer, burst=True).run()).acked == 1


# -- max_jobs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 3, 20])
async def test_a_worker_ends_after_so_many_jobs_and_fetches_no_more(concurrency: int) -> None:
    async with peering() as peer:
        peer.offer(*jobs(30))
        details = await worker_of(peer, max_jobs=7, concurrency=concurrency).run()
        assert (details.acked, details.reason) == (7, "max_jobs")
        assert len(peer.reports()) == 7
        assert len(peer.of("FETCH")) == 7


async def test_a_fetch_that_brings_nothing_is_no_job() -> None:
    async with peering() as peer:
        async with running(worker_of(peer, max_jobs=2)) as run:
            await peer.saw("FETCH", 3)
            peer.offer(*jobs(2))
            details = await run.end()
        assert details.acked == 2


async def test_the_last_jobs_may_take_their_time() -> None:
    async def slow(job: Job) -> None:
        await anyio.sleep(300)

    async with peering() as peer:
        peer.offer(*jobs(2))
        details = await worker_of(peer, slow, max_jobs=2, grace=1).run()
        assert (details.acked, details.interrupted) == (2, ())


# -- run_one ------------------------------------------------------------------------------------


async def test_one_job_is_worked_at_a_time() -> None:
    seen: list[Any] = []

    async def order(job: Job) -> None:
        seen.append(job.args[0])

    async with peering() as peer:
        peer.offer(*jobs(2))
        worker = worker_of(peer, order, burst=True)
        assert await worker.run_one()
        assert seen == [0]
        assert await worker.run_one()
        assert not await worker.run_one()
        await anyio.wait_all_tasks_blocked()
        assert peer.open_connections == 0
        peer.offer(*jobs(1))
        assert (await worker.run()).acked == 1
    assert seen == [0, 1, 0]


async def test_one_job_that_fails_was_there_too() -> None:
    async def fail(job: Job) -> None:
        raise ValueError("no")

    async with peering() as peer:
        peer.offer(*jobs(1))
        assert await worker_of(peer, fail).run_one()
        assert [verb for verb, _ in peer.reports()] == ["FAIL"]


async def test_while_it_runs_there_is_no_second_run() -> None:
    async with peering() as peer:
        peer.answer("PUSHB", OKAY)
        worker = worker_of(peer)
        async with running(worker) as run:
            await peer.saw("FETCH")
            with pytest.raises(UsageError, match="runs once"):
                await worker.run_one()
            with pytest.raises(UsageError, match="runs once"):
                await worker.run()
            await run.stop()


async def test_a_worker_does_not_run_beside_its_run_one() -> None:
    async with peering() as peer, anyio.create_task_group() as group:
        worker = worker_of(peer)
        group.start_soon(worker.run_one)
        await peer.saw("FETCH")
        for call in (worker.run, worker.run_one):
            with pytest.raises(UsageError, match="runs once"):
                await call()


@pytest.mark.parametrize("count", [0, -1])
async def test_max_jobs_is_at_least_one(count: int) -> None:
    with pytest.raises(UsageError, match="max_jobs is a whole number"):
        Worker({}, max_jobs=count)
