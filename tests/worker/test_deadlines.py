"""A handler that takes too long: cancelled, failed in time, and never twice."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from faktory_async import Job, UsageError, Worker
from faktory_async.model import World, use_world, world
from faktory_async.worker import Outcome, extend_deadline, judge_timeout
from tests.worker.peer import Line, peering
from tests.worker.running import running
from tests.worker.virtual import VirtualLoop

pytestmark = pytest.mark.anyio

JOB = "12345678"


async def never(job: Job) -> None:
    await anyio.sleep_forever()


@pytest.mark.parametrize(
    ("reserve_for", "after"),
    [(600, 595), (60, 55), (3, 55), (-5, 55), (0, 1_795), (None, 1_795)],
)
async def test_a_handler_is_cancelled_5_s_before_its_reservation_ends(
    reserve_for: int | None, after: float
) -> None:
    given = "" if reserve_for is None else f',"reserve_for":{reserve_for}'
    async with peering() as peer:
        peer.offer(f'{{"jid":"{JOB}","jobtype":"order","args":[]{given}}}'.encode())
        async with running(Worker({"order": never}, dial=peer.dial, concurrency=1)) as run:
            fetch = await peer.saw("FETCH")
            fail = await peer.saw("FAIL")
            await run.stop()
    assert after <= fail.at - fetch.at < after + 0.1
    assert fail.json["errtype"] == "faktory_async.errors.JobTimeoutError"
    assert fail.json["message"] == (
        f"cancelled 5 s before the end of its reservation of {after + 5} s"
    )
    assert peer.reports() == [("FAIL", JOB)]


async def test_a_reservation_counts_from_when_the_fetch_was_written() -> None:
    async with peering() as peer:

        async def slow(line: Line) -> bytes:
            await anyio.sleep(12)
            return await peer.fetch(line)

        peer.answer("FETCH", slow)
        peer.offer(Job("order", jid=JOB, reserve_for=60))
        async with running(Worker({"order": never}, dial=peer.dial, concurrency=1)) as run:
            fetch = await peer.saw("FETCH")
            fail = await peer.saw("FAIL")
            await run.stop()
    assert 55 <= fail.at - fetch.at < 55.1


@pytest.mark.parametrize("given", [3, timedelta(seconds=3)])
async def test_a_handler_may_have_a_timeout_of_its_own(given: Any) -> None:
    async with peering() as peer:
        worker = Worker(dial=peer.dial, concurrency=1)
        worker.register("order", never, timeout=given)
        peer.offer(Job("order", jid=JOB))
        async with running(worker) as run:
            fetch = await peer.saw("FETCH")
            fail = await peer.saw("FAIL")
            await run.stop()
    assert 3 <= fail.at - fetch.at < 3.1
    assert fail.json["message"] == "cancelled after its timeout of 3 s"


async def test_a_longer_timeout_does_not_outlast_the_reservation() -> None:
    async with peering() as peer:
        worker = Worker(dial=peer.dial, concurrency=1)
        worker.register("order", never, timeout=3_600)
        peer.offer(Job("order", jid=JOB, reserve_for=60))
        async with running(worker) as run:
            fail = await peer.saw("FAIL")
            await run.stop()
    assert fail.json["message"] == "cancelled 5 s before the end of its reservation of 60 s"


async def test_each_of_many_handlers_has_its_own_time() -> None:
    async with peering() as peer:
        worker = Worker(dial=peer.dial, concurrency=50)
        for seconds in range(1, 41):
            worker.register(str(seconds), never, timeout=seconds)
        jobs = [Job(str(seconds)) for seconds in range(40, 0, -1)]
        peer.offer(*jobs)
        async with running(worker) as run:
            await peer.saw("FAIL", 40)
            ended = {line.json["jid"]: line.at for line in peer.of("FAIL")}
            await run.stop()
    assert [round(ended[job.jid]) for job in jobs] == [int(job.kind) for job in jobs]


async def test_a_handler_that_ends_in_time_never_hears_of_its_deadline() -> None:
    async def order(job: Job) -> None:
        await anyio.sleep(54)

    async with peering() as peer:
        peer.offer(*(Job("order", reserve_for=60) for _ in range(3)))
        async with running(Worker({"order": order}, dial=peer.dial)) as run:
            await peer.saw("ACK", 3)
            await anyio.sleep(60)
            await run.stop()
        assert len(peer.reports()) == 3


async def test_a_handler_may_clean_up_and_still_be_failed_in_time() -> None:
    async def order(job: Job) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(1.5)
            notes.append("clean")

    notes: list[str] = []
    async with peering() as peer:
        peer.offer(Job("order", reserve_for=60))
        async with running(Worker({"order": order}, dial=peer.dial, concurrency=1)) as run:
            fetch = await peer.saw("FETCH")
            fail = await peer.saw("FAIL")
            await run.stop()
    assert notes == ["clean"]
    assert 56.5 <= fail.at - fetch.at < 56.6


async def test_a_handler_that_ends_well_after_its_cancellation_has_done_its_job() -> None:
    async def order(job: Job) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(56)

    async with peering() as peer:
        peer.offer(Job("order", jid=JOB, reserve_for=60))
        async with running(Worker({"order": deaf_to(order)}, dial=peer.dial)) as run:
            await peer.saw("ACK")
            await run.stop()
        assert peer.reports() == [("ACK", JOB)]


async def test_a_deaf_handler_is_failed_3_s_before_the_end_and_keeps_its_slot(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def order(job: Job) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(100)

    async with peering() as peer:
        peer.offer(Job("order", jid=JOB, reserve_for=60))
        async with running(Worker({"order": deaf_to(order)}, dial=peer.dial, concurrency=1)) as run:
            fetch = await peer.saw("FETCH")
            fail = await peer.saw("FAIL")
            assert 57 <= fail.at - fetch.at < 57.1
            await anyio.sleep(20)
            assert len(peer.of("FETCH")) == 1
            await peer.saw("FETCH", 2)
            details = await run.stop()
        assert peer.reports() == [("FAIL", JOB)]
    assert details.failed == 1
    assert f"job {JOB} (order) goes on beyond its deadline and keeps its slot" in caplog.text
    assert f"job {JOB} (order) has ended, after it was reported" in caplog.text


def deaf_to(handler: Any) -> Any:
    """Let the handler run in a task that a cancellation does not reach."""

    async def deaf(job: Job) -> None:
        async def work() -> None:
            try:
                await handler(job)
            finally:
                over.set()

        over = anyio.Event()
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as group:
                group.start_soon(work)
                while not over.is_set():
                    try:
                        await over.wait()
                    except asyncio.CancelledError:
                        continue

    return deaf


def test_the_fail_of_a_timeout_tells_where_the_handler_was() -> None:
    async def order(job: Job) -> None:
        await asyncio.sleep(3_600)

    async def main() -> Any:
        async with peering() as peer:
            peer.offer(Job("order"))
            async with running(Worker({"order": order}, dial=peer.dial)) as run:
                fail = await peer.saw("FAIL")
                await run.stop()
            return fail.json["backtrace"]

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        lines = runner.run(main())
    assert any("in order: await asyncio.sleep(3_600)" in line for line in lines)


async def test_an_exception_in_the_cleanup_is_the_failure() -> None:
    async def order(job: Job) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise ValueError("cannot close")

    async with peering() as peer:
        peer.offer(Job("order"))
        async with running(Worker({"order": order}, dial=peer.dial)) as run:
            fail = await peer.saw("FAIL")
            await run.stop()
    assert fail.json["errtype"] == "ValueError"


@pytest.mark.parametrize(("moved", "ends"), [(300, 300), (40, 60)])
async def test_a_handler_can_move_its_deadline_with_its_reservation(
    moved: float, ends: float
) -> None:
    """The server never shortens a reservation."""

    async def order(job: Job) -> None:
        extend_deadline(world().utcnow() + timedelta(seconds=moved))
        await anyio.sleep_forever()

    with calendar():
        async with peering() as peer:
            peer.offer(Job("order", jid=JOB, reserve_for=60))
            async with running(Worker({"order": order}, dial=peer.dial, concurrency=1)) as run:
                fetch = await peer.saw("FETCH")
                fail = await peer.saw("FAIL")
                await run.stop()
    assert fail.json["errtype"] == "faktory_async.errors.JobTimeoutError"
    assert ends - 5 <= fail.at - fetch.at < ends - 4.9


@pytest.mark.parametrize("heeds", [True, False])
async def test_a_judge_that_raises_fails_the_job_that_took_too_long(*, heeds: bool) -> None:
    def judge(error: Exception, job: Job) -> Outcome:
        raise IndexError("no such backoff")

    async def order(job: Job) -> None:
        judge_timeout(judge)
        with anyio.CancelScope(shield=not heeds):
            await (anyio.sleep_forever() if heeds else anyio.sleep(100))

    handler = order if heeds else deaf_to(order)
    async with peering() as peer:
        peer.offer(Job("order", jid=JOB, reserve_for=60))
        async with running(Worker({"order": handler}, dial=peer.dial)) as run:
            fail = await peer.saw("FAIL")
            await run.stop()
        assert peer.reports() == [("FAIL", JOB)]
    assert (fail.json["errtype"], fail.json["message"]) == ("IndexError", "no such backoff")


def test_a_deadline_is_moved_by_an_aware_time_and_in_a_handler() -> None:
    with pytest.raises(UsageError, match="is an aware datetime"):
        extend_deadline(datetime(2026, 1, 1))  # noqa: DTZ001 - what is refused
    with pytest.raises(UsageError, match="outside of a handler"):
        extend_deadline(datetime(2026, 1, 1, tzinfo=UTC))


# -- too late -------------------------------------------------------------------------------------


class Calendar(World):
    """A wall clock that a test moves: by default it stands still, as virtual time has it."""

    def __init__(self) -> None:
        self.slept = 0.0

    def utcnow(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(
            seconds=anyio.current_time() + self.slept
        )


@contextmanager
def calendar() -> Generator[Calendar]:
    with use_world(Calendar()) as world:
        assert isinstance(world, Calendar)
        yield world


@pytest.mark.parametrize(("slept", "reported"), [(54.9, True), (55.1, False)])
async def test_what_comes_with_less_than_5_s_left_is_neither_begun_nor_reported(
    caplog: pytest.LogCaptureFixture,
    slept: float,
    reported: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    begun: list[str] = []

    async def order(job: Job) -> None:
        begun.append(job.jid)

    with calendar() as clock:
        async with peering() as peer:

            async def fetch(line: Line) -> bytes:
                reply = await peer.fetch(line)
                clock.slept += slept  # the machine is suspended while the reply is on its way
                return reply

            peer.answer("FETCH", fetch)
            peer.offer(Job("order", jid=JOB, reserve_for=60), Job("order", jid="87654321"))
            worker = Worker({"order": order}, dial=peer.dial, concurrency=1)
            async with running(worker) as run:
                await peer.saw("FETCH", 3)
                await run.stop()
    assert begun == ([JOB] if reported else []) + ["87654321"]
    assert [jid for _, jid in peer.reports()] == begun
    assert (f"job {JOB} (order) came too late to be begun" in caplog.text) is not reported


async def test_a_machine_that_wakes_up_too_late_cancels_what_it_finds() -> None:
    with calendar() as clock:
        async with peering() as peer:
            peer.offer(Job("order", jid=JOB, reserve_for=600))
            async with running(Worker({"order": never}, dial=peer.dial, concurrency=1)) as run:
                fetch = await peer.saw("FETCH")
                await anyio.sleep(100)
                clock.slept = 494
                fail = await peer.saw("FAIL")
                await run.stop()
    assert 101 <= fail.at - fetch.at <= 106


async def test_a_wall_clock_that_is_set_back_changes_nothing() -> None:
    with calendar() as clock:
        async with peering() as peer:
            peer.offer(Job("order", jid=JOB, reserve_for=60))
            async with running(Worker({"order": never}, dial=peer.dial, concurrency=1)) as run:
                fetch = await peer.saw("FETCH")
                clock.slept = -3_600
                fail = await peer.saw("FAIL")
                await run.stop()
    assert 55 <= fail.at - fetch.at < 55.1
