"""Quiet, terminate, stop, grace and the cut."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import anyio
import pytest

from faktory_async import Job, StopDetails, UsageError, Worker
from faktory_async.worker import Handler, Outcome
from faktory_async.worker._crew import Crew
from faktory_async.worker._lifecycle import Lifecycle, Phase
from faktory_async.worker._outcome import INTERRUPTED
from tests.worker.peer import Peer, bulk, peering
from tests.worker.running import Running, running, with_crew

pytestmark = pytest.mark.anyio

JOB = "12345678"


class Slow:
    """A handler that works until it is told to finish; it notes what happens to it."""

    def __init__(self, last_words: Callable[[], Awaitable[object]] | None = None) -> None:
        self.started = anyio.Event()
        self.finish = anyio.Event()
        self.notes: list[str] = []
        self._last_words = last_words

    async def __call__(self, job: Job) -> None:
        self.started.set()
        try:
            await self.finish.wait()
            self.notes.append("finished")
        finally:
            if self._last_words is not None:
                await self._last_words()
            self.notes.append("finally")


async def deaf(job: Job) -> None:
    """Ignore every cancellation, for a minute."""
    until = anyio.current_time() + 60
    with anyio.CancelScope(shield=True):
        while anyio.current_time() < until:
            with suppress(asyncio.CancelledError):  # a native one passes through the shield
                await anyio.sleep(until - anyio.current_time())


@asynccontextmanager
async def at_work(
    handler: Handler, *, grace: float | timedelta = 25, concurrency: int = 1
) -> AsyncGenerator[tuple[Peer, Running]]:
    """Run a worker that has begun one job."""
    async with peering() as peer:
        peer.offer(Job("order", jid=JOB))
        worker = Worker({"order": handler}, dial=peer.dial, grace=grace, concurrency=concurrency)
        async with running(worker) as run:
            if isinstance(handler, Slow):
                await handler.started.wait()
            else:
                await peer.saw("FETCH")
                await anyio.wait_all_tasks_blocked()
            yield peer, run


# -- the states, pure -----------------------------------------------------------------------------


def test_a_lifecycle_only_moves_forward() -> None:
    changes: list[Phase] = []
    life = Lifecycle(lambda: changes.append(life.phase))
    life.advance(Phase.QUIET, "quiet()")
    life.advance(Phase.QUIET, "again")
    life.advance(Phase.RUNNING, "back")
    assert (life.phase, life.reason, changes) == (Phase.QUIET, "quiet()", [Phase.QUIET])


def test_the_first_interrupt_terminates_and_the_second_cuts() -> None:
    life = Lifecycle(lambda: None)
    life.interrupt("SIGTERM")
    assert (life.phase, life.beat_state) == (Phase.TERMINATING, "terminate")
    life.interrupt("SIGINT")
    life.interrupt("SIGINT")
    assert (life.phase, life.reason) == (Phase.CUT, "SIGTERM")


def test_one_signal_after_the_servers_terminate_leaves_the_grace() -> None:
    life = Lifecycle(lambda: None)
    life.advance(Phase.TERMINATING, "the server said terminate")
    life.interrupt("SIGTERM")
    assert (life.phase, life.reason) == (Phase.TERMINATING, "the server said terminate")
    life.interrupt("SIGTERM")
    assert life.phase is Phase.CUT


def test_a_quiet_worker_was_ended_by_what_ended_it() -> None:
    life = Lifecycle(lambda: None)
    assert life.beat_state is None
    life.advance(Phase.QUIET, "quiet()")
    assert life.beat_state == "quiet"
    life.interrupt("SIGTERM")
    assert life.reason == "SIGTERM"


# -- stop -----------------------------------------------------------------------------------------


async def test_stop_ends_an_idle_worker_without_a_job() -> None:
    async with peering() as peer, running(Worker({}, dial=peer.dial)) as run:
        await peer.saw("FETCH")
        assert await run.stop() == StopDetails(reason="stop()")
        assert peer.open_connections == 0
    assert {line.connection.number for line in peer.of("END")} == {
        line.connection.number for line in peer.of("HELLO")
    }


async def test_stop_before_run_makes_it_end_at_once() -> None:
    async with peering() as peer:
        worker = Worker({}, dial=peer.dial)
        worker.stop()
        assert (await worker.run()).reason == "stop()"
        assert peer.dials == 0


async def test_a_worker_runs_once() -> None:
    async with peering() as peer, running(Worker({}, dial=peer.dial, wid="w")) as run:
        await peer.saw("FETCH")
        assert repr(run.worker) == "<Worker w running>"
        with pytest.raises(UsageError, match="a worker runs once"):
            await run.worker.run()
        await run.stop()
        assert repr(run.worker) == "<Worker w stopped>"
        with pytest.raises(UsageError, match="a worker runs once"):
            await run.worker.run()


async def test_a_handler_that_finishes_within_the_grace_is_acked() -> None:
    slow = Slow()
    async with at_work(slow) as (peer, run):
        run.worker.stop()
        await anyio.sleep(24)
        slow.finish.set()
        details = await run.end()
    assert peer.reports() == [("ACK", JOB)]
    assert details == StopDetails(reason="stop()", acked=1)
    assert run.ended_at < 30


@pytest.mark.parametrize("grace", [25, 3.5, timedelta(seconds=3.5), 0])
async def test_a_handler_that_does_not_is_cut_and_failed(grace: float | timedelta) -> None:
    slow = Slow()
    async with at_work(slow, grace=grace) as (peer, run):
        details = await run.stop()
    assert slow.notes == ["finally"]
    [fail] = peer.of("FAIL")
    assert fail.json == {
        "jid": JOB,
        "errtype": "Interrupted",
        "message": "the worker stopped before the job was finished",
        "backtrace": [],
    }
    seconds = grace.total_seconds() if isinstance(grace, timedelta) else grace
    assert fail.at == pytest.approx(seconds, abs=0.1)
    assert details == StopDetails(reason="stop()", failed=1, interrupted=(JOB,))
    assert peer.reports() == [("FAIL", JOB)]


async def test_a_second_stop_cuts_at_once() -> None:
    slow = Slow()
    async with at_work(slow) as (peer, run):
        run.worker.stop()
        await anyio.sleep(1)
        details = await run.stop()
        assert (await peer.saw("FAIL")).at == pytest.approx(1, abs=0.1)
    assert (details.reason, details.interrupted) == ("stop()", (JOB,))


async def test_a_finally_block_of_a_cut_handler_has_2_seconds() -> None:
    async def clean_up() -> None:
        # On trio a scope stays cancelled, so handlers there shield what they must do.
        with anyio.CancelScope(shield=on_trio()):
            await anyio.sleep(1)
            await anyio.sleep(1)

    slow = Slow(clean_up)
    async with at_work(slow, grace=0) as (peer, run):
        details = await run.stop()
    assert slow.notes == ["finally"]
    assert peer.reports() == [("FAIL", JOB)]
    assert details.interrupted == (JOB,)


def on_trio() -> bool:
    return "trio" in anyio.get_cancelled_exc_class().__module__


async def test_a_finally_block_that_takes_longer_is_cancelled_too() -> None:
    slow = Slow(anyio.sleep_forever)
    async with at_work(slow, grace=0) as (peer, run):
        details = await run.stop()
        assert run.ended_at < 4
    assert slow.notes == []
    assert peer.reports() == [("FAIL", JOB)]
    assert details == StopDetails(reason="stop()", failed=1, interrupted=(JOB,))


async def test_whatever_it_awaits_after_that_is_cancelled_too() -> None:
    async def again_and_again() -> None:
        for _ in range(3):
            with suppress(anyio.get_cancelled_exc_class()):
                await anyio.sleep_forever()

    async with at_work(Slow(again_and_again), grace=0) as (_, run):
        await run.stop()
        assert run.ended_at < 4


async def test_a_cut_handler_that_ends_well_is_acked() -> None:
    async def stubborn(job: Job) -> None:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            return

    async with at_work(stubborn, grace=0) as (peer, run):
        details = await run.stop()
    assert peer.reports() == [("ACK", JOB)]
    assert details == StopDetails(reason="stop()", acked=1)


async def test_a_cut_handler_that_raises_fails_with_its_own_words() -> None:
    async def fragile(job: Job) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            try:
                await anyio.sleep_forever()
            finally:
                raise ValueError("the rollback failed")

    async with at_work(fragile, grace=0) as (peer, run):
        details = await run.stop()
    [fail] = peer.of("FAIL")
    assert fail.json["errtype"] == "ExceptionGroup"
    assert details == StopDetails(reason="stop()", failed=1)


async def test_the_end_of_a_deaf_handlers_job_is_told_when_it_is_reported() -> None:
    told: list[tuple[str, Outcome]] = []

    def note(job: Job, outcome: Outcome) -> None:
        told.append((job.jid, outcome))

    async with peering() as peer:
        peer.offer(Job("order", jid=JOB))
        worker = Worker({"order": deaf}, dial=peer.dial, grace=5, on_job_end=note)
        async with running(worker) as run:
            await peer.saw("FETCH", 2)
            await run.stop()
    assert told == [(JOB, INTERRUPTED)]


async def test_a_deaf_handler_that_was_failed_for_its_timeout_was_not_interrupted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with peering() as peer:
        peer.offer(Job("order", jid=JOB))
        worker = Worker(dial=peer.dial, grace=5)
        worker.register("order", deaf, timeout=5)
        async with running(worker) as run:
            await peer.saw("FAIL")
            details = await run.stop()
        assert peer.reports() == [("FAIL", JOB)]
    assert details == StopDetails(reason="stop()", failed=1)
    assert "is reported as interrupted" not in caplog.text


async def test_a_deaf_handler_is_reported_in_time_and_waited_for() -> None:
    async with at_work(deaf, grace=5) as (peer, run):
        run.worker.stop()
        fail = await peer.saw("FAIL")
        assert fail.at < 5 + 2.5
        assert not run.over.is_set()
        details = await run.end()
    assert details == StopDetails(reason="stop()", failed=1, interrupted=(JOB,))
    assert peer.reports() == [("FAIL", JOB)]
    assert run.ended_at >= 60


# -- quiet ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before run", "on start"])
async def test_a_worker_that_is_quiet_before_its_first_fetch_begins_and_ends_at_once(
    when: str,
) -> None:
    async with peering() as peer:

        def on_start() -> None:
            worker.quiet()

        worker = Worker({}, dial=peer.dial, on_start=on_start)
        if when == "before run":
            worker.quiet()
        with anyio.fail_after(2):
            async with anyio.create_task_group() as group:
                await group.start(worker.run)
                worker.stop()
        assert peer.of("FETCH") == []


async def test_a_quiet_worker_fetches_nothing_finishes_its_jobs_and_stays() -> None:
    slow = Slow()
    async with at_work(slow, concurrency=3) as (peer, run):
        await peer.saw("FETCH", 2)
        run.worker.quiet()
        await anyio.sleep(310)
        assert len(peer.of("FETCH")) == 2
        assert len(peer.of("BEAT")) == 21
        assert not run.over.is_set()
        slow.finish.set()
        await peer.saw("ACK")
        assert await run.stop() == StopDetails(reason="stop()", acked=1)


async def test_what_a_fetch_in_flight_still_brings_is_worked_while_quiet() -> None:
    async def order(job: Job) -> None: ...

    async with peering() as peer:
        async with running(Worker({"order": order}, dial=peer.dial, concurrency=1)) as run:
            await peer.saw("FETCH")
            run.worker.quiet()
            peer.offer(Job("order", jid=JOB))
            await peer.saw("ACK")
            await run.stop()
        assert len(peer.of("FETCH")) == 1


async def test_what_a_fetch_brings_within_the_grace_is_worked() -> None:
    slow = Slow()
    async with peering() as peer, running(Worker({"order": slow}, dial=peer.dial)) as run:
        await peer.saw("FETCH")
        run.worker.stop()
        peer.offer(Job("order", jid=JOB))
        await slow.started.wait()
        slow.finish.set()
        assert await run.end() == StopDetails(reason="stop()", acked=1)


async def test_what_a_fetch_brings_after_the_cut_is_failed_unstarted() -> None:
    slow = Slow()
    async with peering() as peer:
        async with running(Worker({"order": slow}, dial=peer.dial, concurrency=1)) as run:
            await peer.saw("FETCH")
            run.worker.stop()
            run.worker.stop()
            await anyio.sleep(1)
            peer.offer(Job("order", jid=JOB))
            details = await run.end()
        assert peer.reports() == [("FAIL", JOB)]
        assert not slow.started.is_set()
    assert details == StopDetails(reason="stop()", failed=1, interrupted=(JOB,))


async def test_a_job_that_arrives_in_the_moment_of_the_cut_is_not_started() -> None:
    started: list[str] = []

    async def order(job: Job) -> None:
        started.append(job.jid)

    async with peering() as peer:

        def cut_when_one_begins(crew: Crew) -> None:
            begin = crew._start

            def cut_then_begin(*args: object) -> None:
                begin(*args)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
                worker.stop()
                worker.stop()

            crew._start = cut_then_begin  # type: ignore[method-assign,assignment]  # white box

        worker = Worker({"order": order}, dial=peer.dial, concurrency=1)
        with_crew(worker, cut_when_one_begins)
        peer.offer(Job("order", jid=JOB))
        async with running(worker) as run:
            details = await run.end()
        assert peer.reports() == [("FAIL", JOB)]
    assert started == []
    assert details == StopDetails(reason="stop()", failed=1, interrupted=(JOB,))


async def test_a_fetch_without_an_answer_is_named_at_the_end() -> None:
    async with peering() as peer:
        gate = peer.hold("FETCH")
        async with running(Worker({}, dial=peer.dial, concurrency=2, grace=0)) as run:
            await gate.reached.wait()
            assert await run.stop() == StopDetails(reason="stop()", fetches_out=1)
            assert run.ended_at < 4


# -- what the server says -------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 5])
async def test_a_server_that_says_quiet_stops_every_fetcher(concurrency: int) -> None:
    async with peering() as peer:
        peer.answer("BEAT", b"+OK\r\n")
        peer.always("BEAT", bulk(b'{"state":"quiet"}'))
        async with running(Worker({}, dial=peer.dial, concurrency=concurrency)) as run:
            await anyio.sleep(20)
            fetched = len(peer.of("FETCH"))
            await anyio.sleep(600)
            assert len(peer.of("FETCH")) == fetched
            states = [line.json.get("current_state") for line in peer.of("BEAT")]
            assert states[:2] == [None, None]
            assert set(states[2:]) == {"quiet"}
            assert (await run.stop()).reason == "stop()"


async def test_a_server_that_says_terminate_ends_the_worker_in_order() -> None:
    slow = Slow()
    async with at_work(slow) as (peer, run):
        peer.always("BEAT", bulk(b'{"state":"terminate"}'))
        await anyio.sleep(20)
        assert not run.over.is_set()
        slow.finish.set()
        details = await run.end()
    assert details == StopDetails(reason="the server said terminate", acked=1)


async def test_a_terminating_worker_goes_on_beating_and_says_so() -> None:
    async with at_work(Slow(), grace=100) as (peer, run):
        await run.stop()
    states = [line.json.get("current_state") for line in peer.of("BEAT")]
    assert states[1:] == ["terminate"] * 6


async def test_a_word_of_a_newer_server_is_ignored() -> None:
    async with peering() as peer:
        peer.always("BEAT", bulk(b'{"state":"dance"}'))
        async with running(Worker({}, dial=peer.dial)) as run:
            await anyio.sleep(60)
            assert not run.over.is_set()
            await run.stop()
