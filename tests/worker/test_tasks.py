"""The tasks that jobs have, and who owns them."""

import asyncio
import contextvars

import anyio
import pytest

from faktory_async import Job, Worker
from faktory_async.worker._crew import Crew
from faktory_async.worker._tasks import task_owner
from tests.worker.peer import peering
from tests.worker.running import running, with_crew

pytestmark = pytest.mark.anyio


async def test_the_block_ends_when_all_tasks_have() -> None:
    ended: list[float] = []

    async def work(seconds: float) -> None:
        await anyio.sleep(seconds)
        ended.append(seconds)

    async with task_owner() as start:
        for seconds in (2, 1, 3):
            start(work(seconds), name="work")
    assert ended == [1, 2, 3]


async def test_a_task_has_a_name_and_the_context_of_who_starts_it() -> None:
    variable = contextvars.ContextVar[str]("variable")
    seen: list[str | None] = []

    async def work() -> None:
        seen.extend((variable.get(), anyio.get_current_task().name))

    async with task_owner() as start:
        variable.set("here")
        start(work(), name="12345678")
        variable.set("there")
    assert seen == ["here", "12345678"]


def test_a_task_that_begins_at_once_has_its_name_already() -> None:
    seen: list[str | None] = []

    async def work() -> None:
        seen.append(anyio.get_current_task().name)

    async def main() -> None:
        # Before Python 3.12 there is none: then tasks begin as ever, and have their names too.
        asyncio.get_running_loop().set_task_factory(getattr(asyncio, "eager_task_factory", None))
        async with task_owner() as start:
            start(work(), name="12345678")

    asyncio.run(main())
    assert seen == ["12345678"]


async def test_a_block_that_is_cancelled_cancels_its_tasks_and_waits_for_them() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("work")

    with anyio.move_on_after(1) as scope:
        async with task_owner() as start:
            start(work(), name="work")
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert ended == ["work"]


async def test_an_error_in_a_task_comes_out_of_the_block() -> None:
    async def work() -> None:
        await anyio.lowlevel.checkpoint()
        raise ValueError("boom")

    async def own() -> None:
        async with task_owner() as start:
            start(work(), name="work")
            await anyio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        await own()
    assert caught.group_contains(ValueError, match="boom")


async def test_a_mistake_of_ours_ends_the_worker_in_order_and_is_raised() -> None:
    async def order(job: Job) -> None:
        if job.jid == "good-one":
            await anyio.sleep(3)

    def break_one(crew: Crew) -> None:
        finish = crew._finish

        def broken(run: object, outcome: object) -> None:
            if getattr(run, "jid", None) == "bad-job1":
                raise AssertionError("a mistake")
            finish(run, outcome)  # type: ignore[arg-type]

        crew._finish = broken  # type: ignore[method-assign]  # white box

    async with peering() as peer:
        peer.offer(Job("order", jid="good-one"), Job("order", jid="bad-job1"))
        worker = with_crew(Worker({"order": order}, dial=peer.dial, concurrency=2), break_one)
        async with running(worker) as run:
            with pytest.raises(AssertionError, match="a mistake"):
                await run.end()
        assert peer.reports() == [("ACK", "good-one")]


def test_jobs_are_plain_tasks_on_asyncio_also_where_those_begin_at_once() -> None:
    tasks: list[asyncio.Task[object] | None] = []

    async def order(job: Job) -> None:
        tasks.append(asyncio.current_task())
        await asyncio.sleep(0)

    async def main() -> None:
        eager = getattr(asyncio, "eager_task_factory", None)
        async with peering() as peer:
            peer.offer(Job("order"), Job("order"))
            async with running(Worker({"order": order}, dial=peer.dial)) as run:
                asyncio.get_running_loop().set_task_factory(eager)
                await peer.saw("ACK", 2)
                await run.stop()

    asyncio.run(main())
    assert len(set(tasks)) == 2
