"""A worker and the real server: failures as they are kept, orders, restarts."""

import logging
import socket
import urllib.request
from functools import partial

import anyio
import pytest

from faktory_async import Client, Failure, Job, StopDetails, Worker
from faktory_async.worker import _beat_thread
from tests.real import RealServer

pytestmark = pytest.mark.asyncio


def tell(server: RealServer, line: str) -> None:
    """Send the server one command that answers OK."""
    with (
        socket.create_connection((server.host, server.port), timeout=10) as connection,
        connection.makefile("rb") as replies,
    ):
        replies.readline()
        connection.sendall(b'HELLO {"v":2}\r\n' + line.encode() + b"\r\n")
        assert [replies.readline() for _ in range(2)] == [b"+OK\r\n"] * 2


async def test_a_failure_is_kept_as_the_worker_told_it(real_server: RealServer) -> None:
    failures: list[Failure | None] = []
    worker = Worker(url=real_server.url, queues=["failures"])
    message = "é" * 700  # 1,400 bytes

    @worker.register("failing")
    async def failing(job: Job) -> None:
        failures.append(job.failure)
        if job.failure is not None:
            return worker.stop()
        raise ValueError(message)

    async def requeue() -> None:
        while True:
            await anyio.to_thread.run_sync(
                partial(
                    tell,
                    real_server,
                    'MUTATE {"cmd":"requeue","target":"retries","filter":{"jids":["failing-1"]}}',
                )
            )
            await anyio.wait_all_tasks_blocked()

    async with Client(real_server.url) as client:
        await client.push(Job("failing", jid="failing-1", queue="failures"))
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(requeue)
            details = await worker.run()
            assert (details.acked, details.failed) == (1, 1)
            group.cancel_scope.cancel()
    first, second = failures
    assert first is None
    assert second is not None
    assert (second.errtype, second.message) == ("ValueError", "é" * 500)
    place = f"{__file__}:{failing.__code__.co_firstlineno + 5} in failing"
    assert second.backtrace == (f"{place}: raise ValueError(message)",)
    assert (second.retry_count, second.remaining) == (0, 25)


@pytest.mark.parametrize("order", ["quiet", "terminate"])
async def test_the_operators_word_is_obeyed(
    fresh_real_server: RealServer, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_beat_thread, "EVERY", 0.05)
    server = fresh_real_server
    worker = Worker(url=server.url, concurrency=1)

    @worker.register("order")
    async def handler(job: Job) -> None: ...

    def post() -> None:
        form = f"wid={worker.wid}&signal={order}".encode()
        with urllib.request.urlopen(
            f"http://127.0.0.1:{server.web_port}/busy", data=form, timeout=10
        ):
            pass

    with anyio.fail_after(30):
        async with Client(server.url) as client, anyio.create_task_group() as group:
            await client.push(Job("order"))

            async def operate() -> None:
                # The server can crash when it is told so while workers connect: a fetcher, the
                # heart and this client make three.
                while (await client.info()).server.connections < 3 or not worker.stats.acked:
                    await anyio.lowlevel.checkpoint()
                await anyio.to_thread.run_sync(post)
                if order == "quiet":
                    await worker._phases.reached(worker._phases.lifecycle.phase.QUIET)
                    worker.stop()

            group.start_soon(operate)
            details = await worker.run()
            reason = "stop()" if order == "quiet" else "the server said terminate"
            assert details == StopDetails(reason=reason, acked=1)


async def test_a_worker_lives_through_a_restart_of_the_server(
    fresh_real_server: RealServer, caplog: pytest.LogCaptureFixture
) -> None:
    server = fresh_real_server
    worker = Worker(url=server.url, concurrency=4)
    started, back, after = anyio.Event(), anyio.Event(), anyio.Event()

    @worker.register("long")
    async def long(job: Job) -> None:
        started.set()
        await back.wait()

    @worker.register("after")
    async def note(job: Job) -> None:
        after.set()

    with anyio.fail_after(60):
        async with Client(server.url) as client, anyio.create_task_group() as group:
            await client.push(Job("long"))

            async def restart() -> None:
                await started.wait()
                await anyio.to_thread.run_sync(server.restart)
                back.set()
                await client.push(Job("after"))
                await after.wait()
                worker.stop()

            group.start_soon(restart)
            details = await worker.run()
            info = await client.info()
            assert (info.total_processed, info.total_failures, info.sets.working) == (2, 0, 0)
            assert details == StopDetails(reason="stop()", acked=2)
    absences = [
        word
        for record in caplog.records
        if record.name == "faktory_async.worker" and record.levelno >= logging.WARNING
        for word in ("away", "back")
        if f" is {word}" in record.getMessage()
    ]
    assert absences == ["away", "back"]


async def test_two_workers_share_a_queue_and_no_job_is_worked_twice(
    real_server: RealServer,
) -> None:
    worked: list[int] = []
    workers = [
        Worker(url=real_server.url, queues=["shared"], concurrency=5, handle_signals=False)
        for _ in range(2)
    ]

    async def order(job: Job) -> None:
        worked.append(job.args[0])
        if len(worked) == 200:
            for worker in workers:
                worker.stop()

    async with Client(real_server.url) as client:
        await client.push_bulk(Job("order", [n], queue="shared") for n in range(200))
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            for worker in workers:
                worker.register("order", order)
                group.start_soon(worker.run)
    assert sorted(worked) == list(range(200))
