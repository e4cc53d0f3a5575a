"""The benchmark of rates still runs; what it measures is read by people."""

import sys

import anyio
import msgspec
import pytest

from faktory_async import Client, EmbeddedServer
from tests.benchmarks.rates import CASES, Rate

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("clients", [1, 5])
async def test_a_case_does_all_of_its_jobs(case: str, clients: int) -> None:
    async with EmbeddedServer(fetch_wait=0.05) as server, Client(server.url) as client:
        rate = await CASES[case](server.url, 50, clients)
        info = await client.info()
    kind = case.removeprefix("floor-").removeprefix("typed-")
    assert (rate.case, rate.clients, rate.jobs) == (kind, clients, 50)
    assert rate.rate > 0
    if rate.case.startswith("work"):
        assert (info.total_processed, info.sets.working, info.total_enqueued) == (50, 0, 0)
    else:
        assert info.queues == {"default": 50}


async def test_the_command_prints_one_line_of_json() -> None:
    async with EmbeddedServer() as server:
        command = [sys.executable, "-m", "tests.benchmarks.rates", "push", "10", "2"]
        result = await anyio.run_process(command, env={"FAKTORY_URL": server.url})
    [line] = result.stdout.splitlines()
    rate = msgspec.json.decode(line, type=Rate)
    assert (rate.peer, rate.case, rate.clients, rate.jobs) == (
        "faktory-async asyncio",
        "push",
        2,
        10,
    )
