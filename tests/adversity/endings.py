"""How a worker ends, and what keeps it alive, on the real server; each again and again.

python -m tests.adversity.endings blocked 3    a handler blocks the event loop for 70 s
python -m tests.adversity.endings quiet 20     quiet, from the server's own web page
python -m tests.adversity.endings term 20      SIGTERM in mid-load
"""

import itertools
import os
import signal
import sys
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import patch

import anyio
import anyio.lowlevel
import anyio.to_thread

from faktory_async import Client, Job, StopDetails, Worker
from faktory_async.model import ServerInfo
from faktory_async.worker import _beat_thread
from tests.real import RealServer

_JOBS = 5_000
_SWITCH = 0.02  # seconds that a switch from one thread to the other may take


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a program for a person


# -- a handler that blocks the loop ---------------------------------------------------------------


async def blocked(server: RealServer, seconds: float = 70) -> str:
    """A worker is forgotten after 60 s without a BEAT: its thread beats on."""
    worker = Worker(url=server.url, max_jobs=1)

    @worker.register("block")
    async def block(job: Job) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - that is the point

    async with Client(server.url) as client:
        await client.push(Job("block", reserve_for=600))
        details = await worker.run()
        info = await client.info()
    reaped = info.tasks["Workers"].reaped
    assert (details.acked, reaped, info.total_failures, info.sets.working) == (1, 0, 0, 0), info
    return f"blocked for {seconds:g} s, ACKed, workers reaped: {reaped}"


# -- quiet from the web page ----------------------------------------------------------------------


async def quiet(server: RealServer) -> str:
    """No FETCH is written once the BEAT that said so is understood; what was fetched is worked."""
    worker = Worker(url=server.url, concurrency=20, handle_signals=False)
    fetched_at: list[float] = []
    quiet_at: list[float] = []
    result: list[StopDetails] = []
    took = 0.0
    _watch(worker, fetched_at.append, quiet_at.append)

    @worker.register("order")
    async def order(job: Job) -> None:
        await anyio.sleep(0.02)

    async with Client(server.url) as client, anyio.create_task_group() as group:
        await client.push_bulk(Job("order", [number]) for number in range(_JOBS))

        async def run() -> None:
            result.append(await worker.run())

        group.start_soon(run)
        await _until(lambda: worker.stats.processed > _JOBS // 20)
        await anyio.to_thread.run_sync(_press, server, worker.wid, "quiet")
        began = anyio.current_time()
        await _until(lambda: worker.stats.state == "quiet")
        took = anyio.current_time() - began
        await _until(lambda: worker.stats.fetchers == 0 and not worker.stats.in_flight)
        worker.stop()
    async with Client(server.url) as client:
        info = await client.info()
    left = info.queues["default"]
    late = [at - quiet_at[0] for at in fetched_at if at > quiet_at[0]]
    # The loop may be between its look at the word and its FETCH when the other thread hears it.
    assert max(late, default=0.0) < _SWITCH, f"FETCHes were written so many s later: {late}"
    assert result[0].acked + left == _JOBS, info
    assert info.sets.working == 0, info
    return (
        f"quiet {took:.1f} s after the button, {result[0].acked} ACKed, {left} left, "
        f"{len(late)} late FETCHes"
    )


def quiet_at_once(worker: Worker) -> bool:
    return worker._phases.hushed


def _watch(
    worker: Worker, fetched: Callable[[float], object], quieted: Callable[[float], object]
) -> None:
    """Note when FETCHes are written, and when the worker learns that it is to be quiet."""
    make = worker._make_crew

    def watched(*args: Any, **options: Any) -> Any:
        crew: Any = make(*args, **options)
        sent, answered = crew._fetchers.note_sent, crew._heart._pulse.answered

        def note_fetch() -> None:
            fetched(time.monotonic())
            sent()

        def note_answer(order: str | None) -> None:
            first = order == "quiet" and not quiet_at_once(worker)
            answered(order)
            if first:
                quieted(time.monotonic())

        crew._fetchers.note_sent = note_fetch
        crew._heart._pulse.answered = note_answer
        return crew

    worker._make_crew = watched


def _press(server: RealServer, wid: str, word: str) -> None:
    form = f"wid={wid}&signal={word}".encode()
    url = f"http://127.0.0.1:{server.web_port}/busy"
    with urllib.request.urlopen(url, data=form, timeout=10):
        pass


# -- SIGTERM in mid-load --------------------------------------------------------------------------


async def term(server: RealServer) -> str:
    """After the exit nothing is in the working set, and no job is missing."""
    worker = Worker(url=server.url, concurrency=100, grace=0.5)
    result: list[StopDetails] = []

    @worker.register("order")
    async def order(job: Job) -> None:
        # Some of them will be cut short.
        await anyio.sleep(30 if job.args[0] % 100 == 0 else 0.002)

    async with Client(server.url) as client, anyio.create_task_group() as group:
        await client.push_bulk(Job("order", [number], reserve_for=60) for number in range(_JOBS))

        async def run() -> None:
            result.append(await worker.run())

        group.start_soon(run)
        await _until(lambda: worker.stats.processed > _JOBS // 10)
        os.kill(os.getpid(), signal.SIGTERM)
    async with Client(server.url) as client:
        info = await client.info()
    details = result[0]
    return _balance(details, info)


def _balance(details: StopDetails, info: ServerInfo) -> str:
    queued, retries = info.queues["default"], info.sets.retries
    assert info.sets.working == 0, info
    assert details.acked + queued + retries == _JOBS, (details, info)
    assert details.unreported == ()
    assert details.fetches_out == 0
    return f"{details.acked} ACKed, {retries} in retries, {queued} queued, 0 working: all {_JOBS}"


# -- the program ----------------------------------------------------------------------------------


async def _until(true: Callable[[], bool]) -> None:
    with anyio.fail_after(120):
        while not true():
            await anyio.lowlevel.checkpoint()


SCENES = {"blocked": blocked, "quiet": quiet, "term": term}


def main(name: str, times: str = "1") -> None:
    """Play one scene so many times, each on a server of its own."""
    for number in itertools.islice(itertools.count(1), int(times)):
        # BEAT more often: so the load of `quiet` need not last so long.
        every = patch.object(_beat_thread, "EVERY", 1.0 if name == "quiet" else 15.0)
        with RealServer() as server, every:
            said = anyio.run(partial(SCENES[name], server))
        say(f"{name} {number}: {said}")


if __name__ == "__main__":
    main(*sys.argv[1:])
