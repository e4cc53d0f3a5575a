"""A worker that is a part of a larger program: other threads, other task groups."""

import threading
from typing import Any

import anyio
import pytest

from faktory_async import AuthenticationError, Client, Job, Worker
from faktory_async.testing import FaktoryServer
from tests.net._loops import backend, on_every_loop
from tests.net._peers import when
from tests.worker.running import running


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Real loops, other than elsewhere in this folder."""
    return backend(request.param)


@on_every_loop
async def test_another_thread_can_make_it_quiet_and_stop_it() -> None:
    with FaktoryServer() as server:
        worker = Worker({}, url=server.url)
        async with running(worker) as run:
            await when(lambda: worker.stats.last_fetch is not None)
            threading.Thread(target=worker.quiet).start()
            await when(lambda: worker.stats.state == "quiet")
            threading.Thread(target=worker.stop).start()
            details = await run.end()
    assert details.reason == "stop()"


@on_every_loop
async def test_a_worker_that_has_ended_may_be_stopped_again() -> None:
    with FaktoryServer() as server:
        worker = Worker({}, url=server.url, burst=True)
        await worker.run()
        worker.stop()
        thread = threading.Thread(target=worker.stop)
        thread.start()
        thread.join()
    assert worker.stats.state == "stopped"


def test_a_worker_of_a_loop_that_is_over_may_be_stopped_too() -> None:
    with FaktoryServer() as server:
        for backend_name in ("asyncio", "trio"):
            worker = Worker({}, url=server.url, burst=True)
            thread = threading.Thread(
                target=anyio.run, args=(worker.run,), kwargs={"backend": backend_name}
            )
            thread.start()
            thread.join()
            worker.stop()
            assert worker.stats.state == "stopped"


@on_every_loop
async def test_a_worker_works_in_a_thread_of_its_own() -> None:
    worked = threading.Event()

    async def order(job: Job) -> None:
        worked.set()

    with FaktoryServer() as server:
        worker = Worker({"order": order}, url=server.url)
        thread = threading.Thread(target=anyio.run, args=(worker.run,))
        thread.start()
        async with Client(server.url) as client:
            await client.push(Job("order"))
        await when(worked.is_set)
        worker.stop()
        await anyio.to_thread.run_sync(thread.join)
        assert server.counters.processed == 1


@on_every_loop
async def test_start_returns_when_the_worker_is_known_and_fetches() -> None:
    with FaktoryServer() as server:
        worker = Worker({}, url=server.url, wid="w1", handle_signals=False)
        async with anyio.create_task_group() as group:
            await group.start(worker.run)
            assert "w1" in server.workers
            assert worker.stats.last_fetch is not None
            worker.stop()


@on_every_loop
async def test_start_returns_for_a_worker_that_was_stopped_before_it_began() -> None:
    worker = Worker({}, url="tcp://127.0.0.1:1")
    worker.stop()
    async with anyio.create_task_group() as group:
        await group.start(worker.run)


@on_every_loop
async def test_start_raises_what_keeps_the_worker_from_beginning() -> None:
    with FaktoryServer(password="secret") as server:
        worker = Worker({}, url=f"tcp://{server.host}:{server.port}")
        with pytest.raises(ExceptionGroup) as caught:
            async with anyio.create_task_group() as group:
                await group.start(worker.run)
    assert caught.group_contains(AuthenticationError)


@on_every_loop
async def test_the_end_of_a_web_apps_task_group_ends_the_worker_in_order() -> None:
    started = anyio.Event()

    async def order(job: Job) -> None:
        started.set()
        await anyio.sleep_forever()

    with FaktoryServer() as server:
        worker = Worker({"order": order}, url=server.url, handle_signals=False)
        async with Client(server.url) as client, anyio.create_task_group() as group:
            group.start_soon(worker.run)
            await client.push(Job("order"))
            await started.wait()
            group.cancel_scope.cancel()
        assert len(server.retries) == 1
        assert server.working == ()
