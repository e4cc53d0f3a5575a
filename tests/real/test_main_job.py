"""The main job: many producers in one process, one worker process, a real server, exact counts."""

import sys
from collections import Counter
from pathlib import Path

import anyio
import msgspec
import pytest

from faktory_async import Client, Job, StopDetails, Worker
from tests.real import RealServer

ROOT = Path(__file__).parents[2]
QUEUES = ("main-critical", "main-default", "main-bulk")
JOBS = 10_000
PRODUCERS = 50
CONCURRENCY = 50


def is_bad(number: int) -> bool:
    """One job of a hundred fails."""
    return number % 100 == 99


async def work_all(url: str) -> dict[str, object]:
    """Work until every job was worked; this is what the worker's process does."""
    worker = Worker(url=url, queues=QUEUES, concurrency=CONCURRENCY, handle_signals=False)
    worked: Counter[int] = Counter()

    @worker.register("main")
    async def main(job: Job) -> None:
        number = job.args[0]
        worked[number] += 1
        if len(worked) == JOBS:
            worker.stop()
        await anyio.lowlevel.checkpoint()
        if is_bad(number):
            raise ValueError(f"job {number} is one of a hundred")

    with anyio.fail_after(300):
        details = await worker.run()
    return {
        "distinct": len(worked),
        "most_often": max(worked.values()),
        "details": msgspec.to_builtins(details),
    }


async def push_all(url: str) -> None:
    numbers = iter(range(JOBS))

    async def produce(client: Client) -> None:
        for number in numbers:
            # Those that fail are dead at once: however slow the machine is, none comes back.
            retry = -1 if is_bad(number) else 25
            queue = QUEUES[number % len(QUEUES)]
            await client.push(Job("main", [number], queue=queue, retry=retry))

    async with Client(url) as client, anyio.create_task_group() as group:
        for _ in range(PRODUCERS):
            group.start_soon(produce, client)


@pytest.mark.asyncio
async def test_ten_thousand_jobs_are_worked_once_each_and_counted_exactly(
    fresh_real_server: RealServer,
) -> None:
    url = fresh_real_server.url
    outputs: list[bytes] = []

    async def work() -> None:
        command = [sys.executable, "-m", "tests.real.test_main_job", url]
        outputs.append((await anyio.run_process(command, cwd=ROOT, stderr=None)).stdout)

    async with anyio.create_task_group() as group:
        group.start_soon(work)
        await push_all(url)
    result = msgspec.json.decode(outputs[0])
    async with Client(url) as client:
        info = await client.info()
    failed = sum(map(is_bad, range(JOBS)))
    assert (result["distinct"], result["most_often"]) == (JOBS, 1)
    details = msgspec.convert(result["details"], StopDetails)
    assert details == StopDetails(reason="stop()", acked=JOBS - failed, failed=failed)
    assert (info.total_processed, info.total_failures) == (JOBS, failed)
    assert info.queues == dict.fromkeys(QUEUES, 0)
    assert (info.sets.working, info.sets.retries, info.sets.dead) == (0, 0, failed)


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(anyio.run(work_all, sys.argv[1])))
