"""Cancelling `run()`: by a scope, natively, once, twice, and at every await."""

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import msgspec
import pytest
import trio
import trio.testing

from faktory_async import Job, Worker
from faktory_async.worker import CallNext, Outcome
from tests.worker.peer import NIL, Line, Peer, peering
from tests.worker.running import running
from tests.worker.virtual import BACKENDS, VirtualLoop, virtual_backend

JOB = "12345678"


async def never(job: Job) -> None:
    await anyio.sleep_forever()


@pytest.mark.anyio
async def test_a_cancelled_scope_fails_the_jobs_within_4_s_and_goes_on() -> None:
    async with peering() as peer:
        jobs = [Job("order", [n]) for n in range(20)]
        peer.offer(*jobs)
        async with running(Worker({"order": never}, dial=peer.dial, concurrency=20)) as run:
            await peer.saw("FETCH", 20)
            await anyio.wait_all_tasks_blocked()
            cancelled_at = anyio.current_time()
            run.scope.cancel()
            await run.over.wait()
            assert not run.returned
            assert run.error is None
            assert run.ended_at - cancelled_at < 4
        assert sorted(peer.reports()) == sorted(("FAIL", job.jid) for job in jobs)


@pytest.mark.anyio
async def test_a_cancelled_worker_awaits_its_fetch_and_fails_what_that_brings() -> None:
    async with peering() as peer:
        async with running(Worker({"order": never}, dial=peer.dial, concurrency=1)) as run:
            fetch = await peer.saw("FETCH")
            run.scope.cancel()
            await anyio.sleep(1)
            assert not fetch.connection.over
            peer.offer(Job("order", jid=JOB))
            await run.over.wait()
        assert peer.reports() == [("FAIL", JOB)]


@pytest.mark.anyio
async def test_a_cancelled_worker_is_not_held_by_a_server_that_says_nothing() -> None:
    async with peering() as peer:
        peer.offer(Job("order", jid=JOB))
        gates = [peer.hold("FAIL"), peer.hold("BEAT")]
        async with running(Worker({"order": never}, dial=peer.dial, concurrency=2)) as run:
            await peer.saw("FETCH", 2)
            peer.hold("FETCH")
            await anyio.sleep(10)
            cancelled_at = anyio.current_time()
            run.scope.cancel()
            await run.over.wait()
            assert run.ended_at - cancelled_at < 4
        assert [gate.reached.is_set() for gate in gates] == [True, True]


@pytest.mark.anyio
async def test_a_timeout_around_run_ends_it() -> None:
    async with peering() as peer:
        worker = Worker({}, dial=peer.dial)
        with anyio.move_on_after(100) as scope:
            await worker.run()
        assert scope.cancelled_caught
        assert peer.open_connections == 0


@pytest.mark.anyio
async def test_a_handler_that_is_cancelled_by_its_own_scope_ends_as_it_says() -> None:
    async def order(job: Job) -> None:
        with anyio.move_on_after(1):
            await anyio.sleep_forever()

    async with peering() as peer:
        peer.offer(Job("order", jid=JOB))
        async with running(Worker({"order": order}, dial=peer.dial)) as run:
            await peer.saw("ACK")
            await run.stop()
        assert peer.reports() == [("ACK", JOB)]


# -- native cancellation --------------------------------------------------------------------------


def on_asyncio(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())


@pytest.mark.parametrize("times", [1, 2, 5])
def test_native_cancellations_fail_the_jobs_within_4_s_and_go_on(times: int) -> None:
    async def main() -> None:
        async with peering() as peer:
            peer.offer(*(Job("order", [n]) for n in range(3)))
            worker = Worker({"order": never}, dial=peer.dial, concurrency=5)
            task = asyncio.create_task(worker.run())
            await peer.saw("FETCH", 5)
            await anyio.wait_all_tasks_blocked()
            cancelled_at = anyio.current_time()
            for _ in range(times):
                task.cancel()
                await asyncio.sleep(0.1)
            with pytest.raises(asyncio.CancelledError):
                await task
            assert anyio.current_time() - cancelled_at < 4
            assert len(peer.reports()) == 3
            assert {verb for verb, _ in peer.reports()} == {"FAIL"}

    on_asyncio(main)


def test_asyncio_timeout_around_run_ends_it_with_its_timeout_error() -> None:
    async def main() -> None:
        async with peering() as peer:
            peer.offer(Job("order", jid=JOB))
            worker = Worker({"order": never}, dial=peer.dial)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(50):
                    await worker.run()
            assert peer.reports() == [("FAIL", JOB)]

    on_asyncio(main)


def test_a_task_that_somebody_else_cancelled_fails_the_job_that_awaits_it() -> None:
    async def main() -> None:
        async def order(job: Job) -> None:
            task = asyncio.create_task(asyncio.sleep(3_600))
            task.cancel()
            await task

        async with peering() as peer:
            peer.offer(Job("order", jid=JOB), Job("order", jid="87654321"))
            async with running(Worker({"order": order}, dial=peer.dial, concurrency=1)) as run:
                fail = await peer.saw("FAIL")
                await peer.saw("FAIL", 2)
                details = await run.stop()
            assert fail.json["errtype"] == "asyncio.exceptions.CancelledError"
            assert (details.failed, details.interrupted) == (2, ())

    on_asyncio(main)


@pytest.mark.parametrize("awaits", [True, False])
def test_a_handler_that_cancels_its_own_task_ends_like_any_other(awaits: bool) -> None:  # noqa: FBT001 - a parameter of the test
    async def main() -> None:
        async def order(job: Job) -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            if awaits:
                await asyncio.sleep(0)

        async with peering() as peer:
            peer.offer(Job("order", jid=JOB), Job("order", jid="87654321"))
            async with running(Worker({"order": order}, dial=peer.dial, concurrency=1)) as run:
                verb = "FAIL" if awaits else "ACK"
                await peer.saw(verb, 2)
                await run.stop()
            assert peer.reports() == [(verb, JOB), (verb, "87654321")]

    on_asyncio(main)


def test_an_interrupt_that_reaches_run_itself_ends_it_in_order() -> None:
    """Where signals are not ours, trio gives a KeyboardInterrupt to its main task."""

    async def main() -> None:
        async with peering() as peer:
            peer.offer(Job("order", jid=JOB))
            worker = Worker({"order": never}, dial=peer.dial, handle_signals=False)
            async with anyio.create_task_group() as group:
                group.start_soon(interrupt, peer)
                try:
                    await worker.run()
                finally:
                    reports.extend(peer.reports())

    @trio.lowlevel.enable_ki_protection
    async def interrupt(peer: Peer) -> None:
        await peer.saw("FETCH", 2)
        await trio.testing.wait_all_tasks_blocked()
        signal.raise_signal(signal.SIGINT)

    reports: list[tuple[str, str]] = []
    with pytest.raises(BaseExceptionGroup) as caught:
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert caught.value.subgroup(KeyboardInterrupt) is not None
    assert reports == [("FAIL", JOB)]


# -- at every await -------------------------------------------------------------------------------


class Sweep:
    """Runs of a worker with four jobs, each ended after one step of the loop more."""

    def __init__(self) -> None:
        self.given: list[str] = []

    async def slow(self, job: Job) -> None:
        for _ in range(5):
            await anyio.lowlevel.checkpoint()

    async def around(self, job: Job, call_next: CallNext) -> None:
        await anyio.lowlevel.checkpoint()
        try:
            await call_next(job)
        finally:
            await anyio.lowlevel.checkpoint()

    async def listen(self, job: Job, outcome: Outcome) -> None:
        await anyio.lowlevel.checkpoint()

    @asynccontextmanager
    async def worker(self) -> AsyncGenerator[Worker]:
        """Check at the end that each fetched job has exactly one report."""
        async with peering() as peer:

            async def fetch(line: Line) -> bytes:
                reply = await peer.fetch(line)
                if reply != NIL:
                    self.given.append(msgspec.json.decode(reply.partition(b"\r\n")[2])["jid"])
                return reply

            peer.always("FETCH", fetch)
            peer.offer(*(Job("order", [n]) for n in range(4)))
            worker = Worker(
                dial=peer.dial,
                concurrency=2,
                middleware=[self.around],
                on_job_end=self.listen,
            )
            worker.register("order", self.slow, timeout=3_600)
            yield worker
            await peer.until(lambda: peer.open_connections == 0)
            assert sorted(jid for _, jid in peer.reports()) == sorted(self.given)

    async def end_by(self, end: str, steps: int) -> None:
        async with self.worker() as worker, running(worker) as run:
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            if end == "scope":
                run.scope.cancel()
            for _ in range(("stop", "stop twice").index(end) + 1 if end != "scope" else 0):
                worker.stop()
            await run.over.wait()
            assert run.error is None
            assert run.returned is (end != "scope")

    async def end_natively(self, times: int, steps: int) -> None:
        async with self.worker() as worker:
            task = asyncio.create_task(worker.run())
            for _ in range(steps):
                await asyncio.sleep(0)
            for _ in range(times):
                task.cancel()
                await asyncio.sleep(0)
            with pytest.raises(asyncio.CancelledError):
                await task


STEPS = 150  # enough for all four jobs


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("end", ["scope", "stop", "stop twice"])
def test_every_fetched_job_is_reported_wherever_the_end_comes(backend: str, end: str) -> None:
    given: set[int] = set()
    for steps in range(STEPS):
        sweep = Sweep()
        name, options = virtual_backend(backend)
        anyio.run(sweep.end_by, end, steps, backend=name, backend_options=dict(options))
        given.add(len(sweep.given))
    assert {0, 4} <= given


@pytest.mark.parametrize("times", [1, 2])
def test_every_fetched_job_is_reported_wherever_a_native_cancellation_comes(times: int) -> None:
    given: set[int] = set()
    for steps in range(STEPS):
        sweep = Sweep()
        on_asyncio(partial(sweep.end_natively, times, steps))
        given.add(len(sweep.given))
    assert {0, 4} <= given
