"""The start of many workers at the same time."""

from typing import Any

import anyio
import pytest

import faktory_async.worker._worker
from faktory_async import Job, Worker
from faktory_async.model import World, use_world
from faktory_async.worker._crew import SPREAD
from tests.client._setting import quiet
from tests.worker.peer import Peer, peering
from tests.worker.running import running

pytestmark = pytest.mark.anyio
JOB = "12345678"


@pytest.fixture(autouse=True)
def spread(at_once: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faktory_async.worker._worker, "SPREAD", SPREAD)


class Chance(World):
    """A world with a dice of the test's own."""

    def __init__(self, share: float) -> None:
        self.share = share

    def uniform(self) -> float:
        return self.share


async def accept(job: Job) -> None: ...


def worker_of(peer: Peer, **options: Any) -> Worker:
    return Worker({"order": accept}, dial=peer.dial, **options)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
async def test_the_first_dials_come_at_a_moment_of_chance(share: float) -> None:
    async with peering() as peer:
        began = anyio.current_time()
        with use_world(Chance(share)):
            async with running(worker_of(peer)) as run:
                for verb in ("FETCH", "BEAT"):
                    assert (await peer.saw(verb)).at - began == pytest.approx(share * SPREAD)
                await run.stop()


async def test_workers_that_start_together_dial_apart() -> None:
    async with peering() as peer:
        began = anyio.current_time()
        workers = [worker_of(peer) for _ in range(20)]
        async with anyio.create_task_group() as group:
            for number, worker in enumerate(workers):
                with use_world(Chance(number / len(workers))):
                    group.start_soon(worker.run)
            await peer.saw("FETCH", len(workers))
            for worker in workers:
                worker.stop()
        moments = [line.at - began for line in peer.of("FETCH")]
        expected = [SPREAD * number / len(workers) for number in range(len(workers))]
        assert moments == pytest.approx(expected)


async def test_only_the_first_dials_wait() -> None:
    async with peering() as peer:
        with use_world(Chance(0.99)):
            worker = worker_of(peer)
            async with running(worker) as run:
                await peer.saw("FETCH")
                sent = anyio.current_time()
                peer.offer(Job("order", jid=JOB), *(Job("order") for _ in range(5)))
                await peer.saw("ACK", 6)
                assert anyio.current_time() == pytest.approx(sent)
                await run.stop()


async def test_a_worker_that_is_stopped_meanwhile_dials_no_more() -> None:
    async with peering() as peer:
        with use_world(Chance(0.99)):
            async with running(worker_of(peer)) as run:
                await quiet()
                began = anyio.current_time()
                details = await run.stop()
                assert run.ended_at == pytest.approx(began)
        assert peer.of("FETCH") == []
        assert details.exit_code == 0


async def test_a_burst_and_one_job_wait_for_nothing() -> None:
    async with peering() as peer:
        began = anyio.current_time()
        with use_world(Chance(0.99)):
            async with running(worker_of(peer, burst=True)) as run:
                assert (await peer.saw("FETCH")).at == pytest.approx(began)
                await run.stop()
            peer.offer(Job("order"))
            began = anyio.current_time()
            before = len(peer.of("FETCH"))
            assert await worker_of(peer).run_one()
            assert (await peer.saw("FETCH", before + 1)).at == pytest.approx(began)
