"""Every job keeps the `retry` it was pushed with, however many are pushed at the same time.

The server's PUSH mixes up what comes at the same time on several connections; PUSHB does not.
"""

from collections import Counter
from typing import Final

import anyio
import pytest

from faktory_async import Client, Job
from faktory_async.model import Envelope
from faktory_async.net import Address, Connection, Connector
from faktory_async.protocol import Ack, Fetch
from tests.real import RealServer

pytestmark = pytest.mark.asyncio

RETRIES: Final = (0, 7, 25)
JOBS: Final = 1_000  # of each client
PUSHERS: Final = 20  # of each client
QUEUE: Final = "retries"


async def push(url: str, retry: int, jobs: int) -> None:
    """Push from many tasks at once, through a client of its own."""
    async with Client(url) as client, anyio.create_task_group() as group:

        async def share() -> None:
            for _ in range(jobs // PUSHERS):
                await client.push(Job(f"retry-{retry}", queue=QUEUE, retry=retry))

        for _ in range(PUSHERS):
            group.start_soon(share)


async def fetched(url: str) -> Counter[tuple[str, int | None]]:
    """Fetch everything, and count by jobtype and `retry`."""
    found = Counter[tuple[str, int | None]]()

    async def consume() -> None:
        connection: Connection = await Connector(Address.parse(url))()
        while (data := await connection.execute(Fetch([QUEUE]))) is not None:
            envelope = Envelope.decode(data)
            found[envelope.jobtype, envelope.job().retry] += 1
            await connection.execute(Ack(envelope.jid))
        await connection.aclose()

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(consume)
    return found


async def wrong_retries(url: str, jobs: int) -> int:
    """Push so many jobs from each of three clients; return how many got another one's `retry`."""
    async with anyio.create_task_group() as group:
        for retry in RETRIES:
            group.start_soon(push, url, retry, jobs)
    found = await fetched(url)
    right = sum(found[f"retry-{retry}", retry] for retry in RETRIES)
    assert found.total() == len(RETRIES) * jobs
    return found.total() - right


async def test_no_job_gets_the_retry_of_another_one(real_server: RealServer) -> None:
    assert await wrong_retries(real_server.url, JOBS) == 0
