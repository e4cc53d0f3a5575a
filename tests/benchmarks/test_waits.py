"""The benchmark of waiting workers still runs; what it measures is read by people."""

import pytest

from faktory_async import Client, EmbeddedServer
from faktory_async.testing import FaktoryServer
from tests.benchmarks.waits import idle, latency, sleep

pytestmark = pytest.mark.asyncio


async def test_every_sleeping_job_is_worked() -> None:
    async with EmbeddedServer(fetch_wait=0.05) as server, Client(server.url) as client:
        result = await sleep(server.url, 20, 10, each=0.001)
        info = await client.info()
    assert (result.jobs, result.concurrency) == (20, 10)
    assert result.sockets >= 2  # a fetcher and the heartbeat
    assert (info.total_processed, info.sets.working, info.total_enqueued) == (20, 0, 0)


async def test_latency_pushes_to_the_worker_and_to_the_bare_socket_in_turn() -> None:
    # On a thread of its own, since the bare sockets block this one.
    with FaktoryServer() as server:
        result = await latency(server.url, 3)
        async with Client(server.url) as client:
            info = await client.info()
    assert 0 < result.median_us <= result.p99_us
    assert 0 < result.bare_median_us <= result.bare_p99_us
    assert (info.total_processed, info.sets.working, info.total_enqueued) == (6, 0, 0)


async def test_an_idle_worker_fetches() -> None:
    async with EmbeddedServer(fetch_wait=0.01) as server:
        result = await idle(server.url, 0.1, settled=0.0)
    assert result.seconds >= 0.1
    assert result.commands >= 1
