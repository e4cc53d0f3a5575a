"""`def` handlers, in threads and in processes: in real time, which is the only one they know."""

import asyncio
import contextvars
import gc
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_process
import pytest
import uvloop

from faktory_async import Job, UsageError, Worker, current_job
from faktory_async.net import Link
from faktory_async.worker import CallNext, Middleware, Outcome
from faktory_async.worker._run import Run
from faktory_async.worker._thread import in_thread
from tests.worker.peer import Peer, peering
from tests.worker.running import Running, running

pytestmark = pytest.mark.anyio


LOOPS: list[tuple[str, dict[str, Any]]] = [
    ("asyncio", {}),
    ("asyncio", {"loop_factory": uvloop.new_event_loop}),
    ("trio", {}),
]


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faktory_async.worker._deadlines._FINALLY", 0.01)


@asynccontextmanager
async def working(
    worker: Callable[[Peer], Worker], *jobs: Job
) -> AsyncGenerator[tuple[Peer, Running]]:
    """Offer the jobs and let the worker work them within the block."""
    async with peering() as peer:
        peer.nil_after = 0.02
        peer.offer(*jobs)
        async with running(worker(peer)) as run:
            yield peer, run
            if not run.over.is_set():
                await run.stop()


async def ended(worker: Callable[[Peer], Worker], *jobs: Job) -> list[Any]:
    """Return the JSON of the reports of these jobs, in the order they were offered."""
    async with working(worker, *jobs) as (peer, _):
        await peer.until(lambda: len(peer.reports()) == len(jobs))
    reports = {line.json["jid"]: line.json for line in peer.lines if line.verb in ("ACK", "FAIL")}
    return [reports[job.jid] for job in jobs]


# -- threads --------------------------------------------------------------------------------------


async def test_def_handlers_run_in_threads_beside_coroutine_functions_on_the_loop() -> None:
    threads: dict[str, threading.Thread] = {}

    def plain(job: Job) -> None:
        threads["plain"] = threading.current_thread()

    async def coroutine(job: Job) -> None:
        threads["coroutine"] = threading.current_thread()

    jobs = Job("plain"), Job("coroutine")
    reports = await ended(
        lambda peer: Worker({"plain": plain, "coroutine": coroutine}, dial=peer.dial), *jobs
    )
    assert reports == [{"jid": job.jid} for job in jobs]
    assert threads["coroutine"] is threading.current_thread() is not threads["plain"]


async def test_a_thread_fails_its_job_by_what_it_raises() -> None:
    def plain(job: Job) -> None:
        raise ValueError("boom")

    [fail] = await ended(lambda peer: Worker({"plain": plain}, dial=peer.dial), Job("plain"))
    assert (fail["errtype"], fail["message"]) == ("ValueError", "boom")
    assert "in plain" in fail["backtrace"][0]


async def test_what_a_thread_raises_is_freed_as_soon_as_it_is_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL, "faktory_async.worker")  # records hold what they tell of

    def plain(job: Job) -> None:
        raise ValueError("boom")

    jobs = [Job("plain") for _ in range(10)]
    gc.collect()
    gc.disable()
    try:
        before = {id(each): each for each in gc.get_objects() if type(each) is Run}
        await ended(lambda peer: Worker({"plain": plain}, dial=peer.dial), *jobs)
        runs = [each for each in gc.get_objects() if type(each) is Run]
        assert [each for each in runs if id(each) not in before] == []
    finally:
        gc.enable()


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
async def test_what_ends_a_program_ends_the_worker_from_a_thread_too(error: BaseException) -> None:
    def plain(job: Job) -> None:
        raise error

    async with peering() as peer:
        peer.nil_after = 0.02
        job = Job("plain")
        peer.offer(job)
        with pytest.raises(type(error)):
            await Worker({"plain": plain}, dial=peer.dial).run()
        assert peer.reports() == [("FAIL", job.jid)]


async def test_a_thread_knows_the_job_and_what_middleware_has_set() -> None:
    tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="nobody")
    seen: list[tuple[Job, str]] = []

    def plain(job: Job) -> None:
        seen.append((current_job(), tenant.get()))
        tenant.set("leaked")

    async def as_tenant(job: Job, call_next: Any) -> None:
        if job.args:
            tenant.set(job.args[0])
        await call_next(job)

    jobs = Job("plain", ["one"]), Job("plain"), Job("plain", ["two"])
    await ended(
        lambda peer: Worker(
            {"plain": plain}, dial=peer.dial, concurrency=1, middleware=[as_tenant]
        ),
        *jobs,
    )
    assert seen == [(jobs[0], "one"), (jobs[1], "nobody"), (jobs[2], "two")]


async def test_a_thread_can_come_back_to_the_loop() -> None:
    seen: list[threading.Thread] = []

    async def on_the_loop() -> None:
        seen.append(threading.current_thread())

    def plain(job: Job) -> None:
        anyio.from_thread.run(on_the_loop)

    await ended(lambda peer: Worker({"plain": plain}, dial=peer.dial), Job("plain"))
    assert seen == [threading.current_thread()]


@pytest.mark.parametrize("threads", [1, 2])
async def test_no_more_threads_at_once_than_there_may_be(threads: int) -> None:
    lock = threading.Lock()
    working = most = 0
    meeting = threading.Barrier(threads)

    def plain(job: Job) -> None:
        nonlocal working, most
        with lock:
            working += 1
            most = max(most, working)
        meeting.wait(30)
        with lock:
            working -= 1

    jobs = [Job("plain") for _ in range(6)]
    await ended(lambda peer: Worker({"plain": plain}, dial=peer.dial, threads=threads), *jobs)
    assert most == threads


async def test_a_function_that_returns_a_coroutine_fails_its_job() -> None:
    async def order(job: Job) -> None: ...

    def plain(job: Job) -> object:
        return order(job)

    [fail] = await ended(lambda peer: Worker({"order": plain}, dial=peer.dial), Job("order"))
    assert fail["message"] == (
        "the handler returned an awaitable: write `async def` to have it awaited"
    )


async def test_a_thread_goes_on_after_its_timeout_keeps_its_slot_and_is_failed_in_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    release = threading.Event()

    def plain(job: Job) -> None:
        release.wait(60)

    def worker(peer: Peer) -> Worker:
        worker = Worker(dial=peer.dial, concurrency=1)
        worker.register("plain", plain, timeout=0.01)
        return worker

    first, second = Job("plain"), Job("plain")
    async with working(worker, first, second) as (peer, _):
        fail = await peer.saw("FAIL")
        assert fail.json["errtype"] == "faktory_async.errors.JobTimeoutError"
        assert fail.json["message"] == "cancelled after its timeout of 0.01 s"
        assert len(peer.of("FETCH")) == 1
        assert f"job {first.jid} (plain) goes on beyond its deadline and keeps its slot" in (
            caplog.text
        )
        release.set()
        await peer.saw("ACK")
    assert peer.reports() == [("FAIL", first.jid), ("ACK", second.jid)]
    assert f"job {first.jid} (plain) has ended, after it was reported" in caplog.text


@pytest.mark.parametrize("anyio_backend", LOOPS[:2], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("times", [1, 3])
async def test_a_thread_keeps_its_slot_when_middleware_gives_it_up(times: int) -> None:
    release, ended = threading.Event(), threading.Event()
    beginning, cancelled = anyio.Event(), anyio.Event()

    def plain(job: Job) -> None:
        anyio.from_thread.run_sync(beginning.set)
        release.wait(60)
        ended.set()

    gives_up = cancelled_natively(beginning, cancelled, times)
    had_ended: list[bool] = []

    async def middleware(job: Job, call_next: CallNext) -> None:
        async def watched(job: Job) -> Outcome:
            try:
                return await call_next(job)
            finally:
                had_ended.append(ended.is_set())

        await gives_up(job, watched)

    async with working(
        lambda peer: Worker({"plain": plain}, dial=peer.dial, middleware=[middleware]), Job("plain")
    ) as (peer, _):
        await cancelled.wait()
        release.set()
        await peer.saw("FAIL")
    assert had_ended == [True]


@pytest.mark.parametrize("anyio_backend", LOOPS[:2], ids=["asyncio", "uvloop"])
async def test_a_call_that_middleware_gives_up_before_a_thread_has_it_is_never_made() -> None:
    begun, release = threading.Event(), threading.Event()

    def plain(job: Job) -> None:
        begun.set()
        release.wait(60)

    def never(job: Job) -> None:
        raise AssertionError(job)

    beginning, cancelled = anyio.Event(), anyio.Event()
    gives_up = cancelled_natively(beginning, cancelled, times=1)

    async def middleware(job: Job, call_next: CallNext) -> None:
        await (gives_up if job.jobtype == "never" else _go_on)(job, call_next)

    first, second = Job("plain"), Job("never")
    async with working(
        lambda peer: Worker(
            {"plain": plain, "never": never}, dial=peer.dial, threads=1, middleware=[middleware]
        ),
        first,
        second,
    ) as (peer, _):
        await anyio.to_thread.run_sync(begun.wait, 30)
        beginning.set()
        try:
            assert (await peer.saw("FAIL")).json["errtype"] == "TimeoutError"
        finally:
            release.set()
        await peer.saw("ACK")
    assert peer.reports() == [("FAIL", second.jid), ("ACK", first.jid)]


async def _go_on(job: Job, call_next: CallNext) -> None:
    await call_next(job)


@pytest.mark.parametrize("anyio_backend", LOOPS[:2], ids=["asyncio", "uvloop"])
async def test_a_call_in_a_thread_may_be_closed() -> None:
    begun, release = threading.Event(), threading.Event()

    def blocking() -> None:
        begun.set()
        release.wait(60)

    call = in_thread(blocking, anyio.CapacityLimiter(1))
    while not isinstance(call.send(None), asyncio.Future):
        await anyio.lowlevel.checkpoint()
    assert begun.wait(30)
    call.close()  # as Python does with what is left when the loop is gone
    release.set()


async def test_a_thread_may_meet_its_own_job_again() -> None:
    release = threading.Event()
    runs: list[str] = []

    def plain(job: Job) -> None:
        runs.append(job.jid)
        if len(runs) == 1:
            release.wait(60)

    def worker(peer: Peer) -> Worker:
        worker = Worker(dial=peer.dial, concurrency=2)
        worker.register("plain", plain, timeout=0.01)
        return worker

    job = Job("plain")
    async with working(worker, job) as (peer, _):
        await peer.saw("FAIL")
        peer.offer(job)
        await peer.saw("ACK")
        release.set()
    assert runs == [job.jid] * 2
    assert peer.reports() == [("FAIL", job.jid), ("ACK", job.jid)]


async def test_a_thread_that_asks_whether_it_is_cancelled_ends_at_its_timeout() -> None:
    def plain(job: Job) -> None:
        while True:
            anyio.from_thread.check_cancelled()
            time.sleep(0.001)

    def worker(peer: Peer) -> Worker:
        worker = Worker(dial=peer.dial)
        worker.register("plain", plain, timeout=0.01)
        return worker

    [fail] = await ended(worker, Job("plain"))
    assert fail["errtype"] == "faktory_async.errors.JobTimeoutError"


async def test_a_thread_that_asks_whether_it_is_cancelled_ends_when_the_worker_does() -> None:
    begun = threading.Event()

    def plain(job: Job) -> None:
        begun.set()
        while True:
            anyio.from_thread.check_cancelled()
            time.sleep(0.001)

    job = Job("plain")
    async with working(lambda peer: Worker({"plain": plain}, dial=peer.dial, grace=0), job) as (
        peer,
        run,
    ):
        await anyio.to_thread.run_sync(begun.wait, 30)
        details = await run.stop()
    assert details.interrupted == (job.jid,)
    assert peer.of("FAIL")[0].json["errtype"] == "Interrupted"


async def test_a_job_that_waits_for_a_thread_is_cut_like_any_other() -> None:
    begun, release = threading.Event(), threading.Event()

    def plain(job: Job) -> None:
        begun.set()
        release.wait(60)

    first, second = Job("plain"), Job("plain")
    async with working(
        lambda peer: Worker({"plain": plain}, dial=peer.dial, threads=1, grace=0), first, second
    ) as (peer, run):
        await anyio.to_thread.run_sync(begun.wait, 30)
        await peer.saw("FETCH", 3)
        run.worker.stop()
        await peer.saw("FAIL", 1)
        release.set()
        await run.end()
    assert {jid for _, jid in peer.reports()} == {first.jid, second.jid}


# -- processes ------------------------------------------------------------------------------------


def say_who(job: Job) -> None:
    raise ValueError(f"{current_job() == job} {os.getpid() != job.args[0]}")


def succeed(job: Job) -> None: ...


def spin(job: Job) -> None:
    while True:
        time.sleep(1)


def die(job: Job) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leave(job: Job) -> None:
    raise SystemExit(3)


def be_interrupted(job: Job) -> None:
    signal.raise_signal(signal.SIGINT)


class Unpicklable(BaseException):
    def __reduce__(self) -> Any:
        raise TypeError("not me")


def raise_something_odd(job: Job) -> None:
    raise Unpicklable("odd")


def in_processes(**handlers: Any) -> Callable[[Peer], Worker]:
    def worker(peer: Peer) -> Worker:
        worker = Worker(dial=peer.dial, processes=1)
        for jobtype, handler in handlers.items():
            worker.register(jobtype, handler, run_in="process", timeout=60)
        return worker

    return worker


async def test_a_process_works_its_job_and_knows_it() -> None:
    handlers = in_processes(
        succeed=succeed, say_who=say_who, be_interrupted=be_interrupted, odd=raise_something_odd
    )
    jobs = Job("succeed"), Job("say_who", [os.getpid()]), Job("be_interrupted"), Job("odd")
    ack, fail, interrupted, odd = await ended(handlers, *jobs)
    assert ack == {"jid": jobs[0].jid}
    assert (fail["errtype"], fail["message"]) == ("ValueError", "True True")
    assert f"{__file__}:" in fail["backtrace"][0]
    assert "in say_who" in fail["backtrace"][0]
    assert interrupted == {"jid": jobs[2].jid}  # Ctrl-C is the worker's business
    assert (odd["errtype"], odd["message"]) == (f"{__name__}.Unpicklable", "odd")


async def test_a_process_that_dies_fails_its_job_and_the_next_one_has_a_new_process() -> None:
    jobs = Job("die"), Job("succeed")
    fail, ack = await ended(in_processes(die=die, succeed=succeed), *jobs)
    assert fail["errtype"] == "ChildProcessError"
    assert fail["message"] == "the process died before the job was done"
    assert ack == {"jid": jobs[1].jid}


async def test_a_process_can_end_the_worker() -> None:
    async with peering() as peer:
        peer.nil_after = 0.02
        job = Job("leave")
        peer.offer(job)
        with pytest.raises(SystemExit):
            await in_processes(leave=leave)(peer).run()
        assert peer.reports() == [("FAIL", job.jid)]


def start_programs(job: Job) -> None:
    subprocess.run([sys.executable, "-c", "print('hello')"], check=True)
    said = subprocess.run([sys.executable, "-c", "input()"], check=False, stderr=subprocess.PIPE)
    assert b"EOFError" in said.stderr
    os.write(1, b"hello")


async def test_programs_that_a_process_starts_are_kept_off_its_pipes() -> None:
    jobs = [Job("start_programs"), Job("succeed")]
    handlers = in_processes(start_programs=start_programs, succeed=succeed)
    assert await ended(handlers, *jobs) == [{"jid": job.jid} for job in jobs]


def cancelled_natively(
    beginning: anyio.Event, cancelled: anyio.Event, times: int = 3
) -> Middleware:
    """Return middleware that gives up what it calls as `asyncio.timeout` does, once it begins."""

    async def middleware(job: Job, call_next: CallNext) -> None:
        task = asyncio.current_task()
        assert task is not None

        async def cancel() -> None:
            await beginning.wait()
            try:
                for _ in range(times):
                    task.cancel()
                    await anyio.wait_all_tasks_blocked()
            finally:
                cancelled.set()

        canceller = asyncio.create_task(cancel())
        try:
            await call_next(job)
        except asyncio.CancelledError:
            raise TimeoutError from None
        finally:
            await canceller

    return middleware


@pytest.mark.parametrize("how", ["timeout", "stop", "middleware"])
async def test_a_process_is_not_left_behind_that_was_to_be_killed_while_it_started(
    monkeypatch: pytest.MonkeyPatch, how: str, anyio_backend: tuple[str, object]
) -> None:
    if how == "middleware" and anyio_backend[0] == "trio":
        pytest.skip("trio has no native cancellation")
    started: list[anyio.abc.Process] = []
    start = anyio.open_process
    beginning = anyio.Event()

    async def slowly(*args: Any, **options: Any) -> anyio.abc.Process:
        process = await start(*args, **options)
        started.append(process)
        beginning.set()
        return process

    def worker(peer: Peer) -> Worker:
        middleware = [cancelled_natively(beginning, anyio.Event())] if how == "middleware" else []
        worker = Worker(dial=peer.dial, grace=0, middleware=middleware)
        timeout = 0.01 if how == "timeout" else 60
        worker.register("succeed", succeed, run_in="process", timeout=timeout)
        return worker

    monkeypatch.setattr("anyio.to_process.open_process", slowly)
    async with working(worker, Job("succeed")) as (peer, run):
        await beginning.wait()
        if how == "stop":
            await run.stop()
        await peer.saw("FAIL")
    idle = [process for process, _ in anyio.to_process._process_pool_idle_workers.get()]
    assert [process for process in started if process.returncode is None] == idle


def test_each_event_loop_has_processes_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of another one's, a worker does not believe that they wait for a job."""
    started = 0
    run_sync = anyio.to_process.run_sync

    async def counted(function: Any, *args: Any, **options: Any) -> Any:
        nonlocal started
        started += function is int
        return await run_sync(function, *args, **options)

    monkeypatch.setattr("anyio.to_process.run_sync", counted)
    box: list[Peer] = []

    async def dial() -> Link:
        return await box[-1].dial()

    worker = Worker(dial=dial, processes=1)
    worker.register("succeed", succeed, run_in="process")

    async def work_one() -> None:
        async with peering() as peer:
            peer.nil_after = 0.02
            box.append(peer)
            peer.offer(Job("succeed"))
            assert await worker.run_one()

    for _ in range(2):
        anyio.run(work_one)
    assert started == 2


async def test_a_process_is_killed_at_its_timeout() -> None:
    def worker(peer: Peer) -> Worker:
        worker = Worker(dial=peer.dial)
        worker.register("spin", spin, run_in="process", timeout=0.5)
        return worker

    [fail] = await ended(worker, Job("spin"))
    assert fail["errtype"] == "faktory_async.errors.JobTimeoutError"


async def test_a_function_that_has_vanished_is_noticed_before_the_first_fetch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with peering() as peer:
        worker = in_processes(succeed=succeed)(peer)
        monkeypatch.setitem(globals(), "succeed", None)
        with pytest.raises(UsageError, match="the handler of 'succeed' cannot be pickled"):
            await worker.run()
        assert peer.dials == 0
