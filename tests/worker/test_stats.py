"""What a worker tells of itself, and what it leaves behind."""

import threading

import anyio
import pytest

from faktory_async import Job, StopDetails, Worker, WorkerStats
from tests.worker.peer import peering
from tests.worker.running import running

pytestmark = pytest.mark.anyio
JOB = "12345678"


async def test_a_worker_that_does_not_run_yet_says_so() -> None:
    assert Worker({}).stats == WorkerStats(state="not started")


async def test_what_is_in_flight_is_shown_with_its_age() -> None:
    async def order(job: Job) -> None:
        await anyio.sleep(60)

    async with peering() as peer:
        worker = Worker({"order": order}, dial=peer.dial, queues=["bulk"])
        peer.offer(Job("order", jid=JOB, queue="bulk"))
        async with running(worker) as run:
            await peer.saw("FETCH", 2)
            stats = worker.stats
            [job] = stats.in_flight
            assert (job.jid, job.jobtype, job.queue) == (JOB, "order", "bulk")
            assert job.age >= 0
            assert (stats.state, stats.processed, stats.reconnects) == ("running", 0, 0)
            assert stats.fetchers >= 1
            assert stats.last_fetch is not None
            assert stats.last_beat is not None
            await peer.saw("ACK")
            await run.stop()
        stats = worker.stats
    assert (stats.state, stats.acked, stats.processed, stats.in_flight) == ("stopped", 1, 1, ())


async def test_failures_and_reconnects_are_counted() -> None:
    async def order(job: Job) -> None:
        raise ValueError("no")

    async with peering() as peer:
        worker = Worker({"order": order}, dial=peer.dial)
        peer.offer(Job("order"))
        async with running(worker) as run:
            await peer.saw("FAIL")
            await anyio.sleep(1)
            peer.cut()
            await anyio.sleep(60)
            await run.stop()
        stats = worker.stats
    assert (stats.failed, stats.processed, stats.reconnects) == (1, 1, 1)


async def test_stats_may_be_read_from_any_thread() -> None:
    seen: list[WorkerStats] = []
    async with peering() as peer:
        worker = Worker({}, dial=peer.dial)
        async with running(worker) as run:
            await peer.saw("FETCH")
            thread = threading.Thread(target=lambda: seen.append(worker.stats))
            thread.start()
            thread.join()
            await run.stop()
    assert [stats.state for stats in seen] == ["running"]


@pytest.mark.parametrize(
    ("left", "code"),
    [
        ({"acked": 5, "failed": 2, "late": 1, "rescued": 1}, 0),
        ({"interrupted": (JOB,)}, 6),
        ({"unreported": (JOB,)}, 6),
        ({"fetches_out": 1}, 6),
        ({"unknown": 1}, 6),
        ({"lost": 1}, 6),
    ],
)
async def test_a_process_may_exit_by_what_was_left(left: dict[str, int], code: int) -> None:
    details = StopDetails(reason="SIGTERM", **left)  # type: ignore[arg-type]  # as in the table
    assert details.exit_code == code


async def test_every_end_counts_as_processed_once() -> None:
    details = StopDetails(
        reason="stop()",
        acked=1,
        failed=10,
        retried=100,
        discarded=1_000,
        rescued=10_000,
        late=100_000,
    )
    assert details.processed == 111_111
