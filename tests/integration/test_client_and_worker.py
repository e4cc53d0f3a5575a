"""A job goes out, comes back and is worked: client, server and worker together."""

import anyio
import pytest
from anyio.abc import TaskStatus
from msgspec.structs import force_setattr

from faktory_async import (
    AuthenticationError,
    Client,
    EmbeddedServer,
    Job,
    JobRejectedError,
    Limits,
    StopDetails,
    Worker,
)

pytestmark = pytest.mark.anyio


class Tally:
    """Handlers that stop their worker once enough jobs were worked."""

    def __init__(self, enough: int) -> None:
        self.worked: list[Job] = []
        self.done = anyio.Event()
        self._enough = enough

    async def work(self, job: Job) -> None:
        self.worked.append(job)
        if len(self.worked) >= self._enough:
            self.done.set()

    async def refuse(self, job: Job) -> None:
        await self.work(job)
        raise ValueError(f"no {job.args[0]}")


async def run_until(done: anyio.Event, worker: Worker) -> StopDetails:
    async def stop() -> None:
        await done.wait()
        worker.stop()

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(stop)
            details = await worker.run()
            group.cancel_scope.cancel()
            return details
    raise AssertionError("not reached")


async def test_a_pushed_job_arrives_as_it_was(server: EmbeddedServer) -> None:
    tally = Tally(1)
    job = Job("order", ["ISBN-13:9781718501850", {"a": [1, 2.5, None]}], custom={"locale": "fr"})
    async with Client(server.url) as client:
        await client.push(job)
        details = await run_until(tally.done, Worker({"order": tally.work}, url=server.url))
        [worked] = tally.worked
        assert worked.enqueued_at is not None
        assert (worked.jid, worked.args, worked.custom) == (job.jid, job.args, job.custom)
        assert (worked.created_at, worked.retry, worked.reserve_for) == (
            job.created_at,
            job.retry,
            job.reserve_for,
        )
        assert details == StopDetails(reason="stop()", acked=1)
        info = await client.info()
        assert (info.total_processed, info.total_failures, info.sets.working) == (1, 0, 0)


async def test_a_dial_in_process_works_like_a_socket(server: EmbeddedServer) -> None:
    tally = Tally(10)
    async with Client(dial=server.dial) as client:
        report = await client.push_bulk(Job("order", [number]) for number in range(10))
        assert report.accepted == 10
        await run_until(tally.done, Worker({"order": tally.work}, dial=server.dial))
    assert sorted(job.args[0] for job in tally.worked) == list(range(10))


async def test_many_jobs_of_which_some_fail_are_counted_exactly(server: EmbeddedServer) -> None:
    tally = Tally(1_000)
    worker = Worker(
        {"good": tally.work, "bad": tally.refuse}, url=server.url, queues=["a", "b"], concurrency=50
    )
    async with Client(server.url, limits=Limits(max_connections=4)) as client:

        async def push(number: int) -> None:
            kind, queue = ("good", "bad")[number % 10 == 0], ("a", "b")[number % 2]
            await client.push(Job(kind, [number], queue=queue))

        async with anyio.create_task_group() as group:
            for number in range(1_000):
                group.start_soon(push, number)
        details = await run_until(tally.done, worker)
        info = await client.info()
    assert (details.acked, details.failed, details.unreported) == (900, 100, ())
    assert (info.total_processed, info.total_failures) == (1_000, 100)
    assert (info.total_enqueued, info.sets.working, info.sets.retries) == (0, 0, 100)
    assert sorted(job.args[0] for job in tally.worked) == list(range(1_000))


async def test_the_first_queue_goes_first(server: EmbeddedServer) -> None:
    tally = Tally(20)
    async with Client(server.url) as client:
        for number in range(20):
            await client.push(Job("order", queue=("low", "high")[number % 2]))
    worker = Worker({"order": tally.work}, url=server.url, queues=["high", "low"], concurrency=1)
    await run_until(tally.done, worker)
    assert [job.queue for job in tally.worked] == ["high"] * 10 + ["low"] * 10


async def test_a_failed_job_waits_for_its_retry(server: EmbeddedServer) -> None:
    tally = Tally(1)
    async with Client(server.url) as client:
        await client.push(Job("bad", ["way"], jid="12345678"))
        await run_until(tally.done, Worker({"bad": tally.refuse}, url=server.url))
        info = await client.info()
    assert (info.sets.retries, info.total_failures) == (1, 1)


async def test_a_worker_is_known_to_the_server_while_it_runs(server: EmbeddedServer) -> None:
    tally = Tally(1)
    async with Client(server.url) as client:

        async def known() -> int | None:
            return (await client.info()).tasks["Workers"].size

        async def look(job: Job) -> None:
            assert await known() == 1
            await tally.work(job)

        await client.push(Job("look"))
        details = await run_until(tally.done, Worker({"look": look}, url=server.url))
        assert details.acked == 1
        assert await known() == 0


async def test_a_handler_pushes_another_job(server: EmbeddedServer) -> None:
    tally = Tally(1)
    async with Client(server.url) as client:

        async def first(job: Job) -> None:
            await client.push(Job("second", job.args))

        await client.push(Job("first", ["x"]))
        await run_until(tally.done, Worker({"first": first, "second": tally.work}, url=server.url))
    assert tally.worked[0].args == ["x"]


async def test_a_password_opens_the_door_and_none_does_not() -> None:
    tally = Tally(1)
    async with EmbeddedServer(password="sesame", fetch_wait=0.1) as server:
        async with Client(server.url) as client:
            await client.push(Job("order"))
        await run_until(tally.done, Worker({"order": tally.work}, url=server.url))
        bare = f"tcp://127.0.0.1:{server.port}"
        async with Client(bare) as client:
            with pytest.raises(AuthenticationError):
                await client.info()
        with pytest.raises(AuthenticationError):
            await Worker(url=bare).run()


async def test_the_server_refuses_what_only_it_can_judge(server: EmbeddedServer) -> None:
    async with Client(server.url) as client:
        job = Job("order")
        force_setattr(job, "reserve_for", 86_401)
        with pytest.raises(JobRejectedError, match="reserved for more than one day"):
            await client.push(job)


async def test_flush_leaves_nothing(server: EmbeddedServer) -> None:
    async with Client(server.url) as client:
        await client.push(Job("order"))
        await client.flush()
        info = await client.info()
    assert (info.total_enqueued, info.total_processed) == (0, 0)


async def test_an_idle_client_and_a_worker_live_through_a_restart() -> None:
    tally = Tally(2)
    worked_one = anyio.Event()
    over = anyio.Event()

    async def order(job: Job) -> None:
        await tally.work(job)
        worked_one.set()

    async def serve_twice(*, task_status: TaskStatus[EmbeddedServer]) -> None:
        async with EmbeddedServer(fetch_wait=0.1) as first:
            port = first.port
            task_status.started(first)
            await worked_one.wait()
        async with EmbeddedServer(port=port, fetch_wait=0.1):
            back.set()
            await over.wait()

    back = anyio.Event()
    async with anyio.create_task_group() as group:
        server: EmbeddedServer = await group.start(serve_twice)
        async with Client(server.url) as client:

            async def push_again() -> None:
                await back.wait()
                await client.push(Job("order", [2]))

            await client.push(Job("order", [1]))
            worker = Worker({"order": order}, url=server.url)
            group.start_soon(push_again)
            details = await run_until(tally.done, worker)
        assert [job.args for job in tally.worked] == [[1], [2]]
        assert details.unreported == ()
        over.set()
