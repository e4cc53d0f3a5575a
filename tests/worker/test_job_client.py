"""Pushing from inside a handler."""

import anyio
import pytest

from faktory_async import Client, Job, UsageError, Worker, job_client
from tests.worker.peer import jobs_of, peering
from tests.worker.running import running

pytestmark = pytest.mark.anyio


async def push(job: Job) -> None:
    await job_client().push(Job("next", queue=job.kind))


async def test_a_handler_pushes_by_a_client_of_its_worker() -> None:
    async with peering() as peer:
        peer.offer(Job("a"), Job("b"))
        async with running(Worker({"a": push, "b": push}, dial=peer.dial)) as run:
            await peer.saw("ACK", 2)
            await run.stop()
            queues = {job["queue"] for line in peer.of("PUSHB") for job in jobs_of(line)}
            assert queues == {"a", "b"}
        assert peer.open_connections == 0


async def test_a_client_that_is_not_used_dials_nothing() -> None:
    async def order(job: Job) -> None:
        assert job_client().stats.opened == 0

    async with peering() as peer:
        peer.offer(Job("order"))
        async with running(Worker({"order": order}, dial=peer.dial, concurrency=1)) as run:
            await peer.saw("ACK")
            await run.stop()
        assert peer.dials == 2  # FETCH, with the ACK in front of the next one, and BEAT


async def test_a_client_that_was_given_is_used_and_left_open() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        seen: list[Client] = []

        async def order(job: Job) -> None:
            seen.append(job_client())

        peer.offer(Job("order"))
        async with running(Worker({"order": order}, dial=peer.dial, client=client)) as run:
            await peer.saw("ACK")
            await run.stop()
        assert seen == [client]
        await client.push(Job("order"))


async def test_a_handler_pushes_while_the_worker_drains_and_while_it_is_cut() -> None:
    async def order(job: Job) -> None:
        try:
            await asked.wait()
            await push(job)
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await push(job)

    asked = anyio.Event()
    async with peering() as peer:
        peer.offer(Job("order"))
        async with running(Worker({"order": order}, dial=peer.dial, grace=3)) as run:
            await peer.saw("FETCH", 2)
            await anyio.wait_all_tasks_blocked()
            run.worker.stop()
            asked.set()
            await run.end()
        assert len(peer.of("PUSHB")) == 2


def test_there_is_no_job_client_outside() -> None:
    with pytest.raises(UsageError, match="no job client outside of a handler"):
        job_client()


async def test_a_worker_leaves_no_client_behind_in_the_task_that_ran_it() -> None:
    async with peering() as peer:
        worker = Worker({}, dial=peer.dial)
        worker.stop()
        await worker.run()
    with pytest.raises(UsageError):
        job_client()
