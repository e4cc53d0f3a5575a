"""Fetches, reports and cancellations at random: what a consumer fetched has one outcome."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
import pytest

from faktory_async import Client, ClientStateError, Consumer, Job
from faktory_async.net import Link
from tests.client._bringing import BringingLink
from tests.client._setting import skip_native_on_trio
from tests.client._stream import Stream
from tests.worker.peer import NIL, Line, Peer, peering

pytestmark = pytest.mark.anyio
JOBS: Final = 6
# A native cancellation cuts the handing over where the link does not see to the rest by itself.
WAYS: Final = [("scope", "link"), ("scope", "bringing"), ("scope", "stream"), ("task", "bringing")]


class Storm:
    """Whoever uses one consumer, and what comes of it.

    Attributes:
        given: The jids of the jobs that FETCHes were answered.
        taken: Those of the jobs that `fetch` returned.
    """

    def __init__(self, peer: Peer, chance: random.Random, how: str) -> None:
        self.given: list[str] = []
        self.taken: list[str] = []
        self._peer = peer
        self._chance = chance
        self._how = how
        peer.always("FETCH", self._answer)

    async def _answer(self, line: Line) -> bytes:
        reply = await self._peer.fetch(line)
        if reply != NIL:
            self.given.append(reply.partition(b'"jid":"')[2][:8].decode())
        if self._chance.random() < 0.2:
            await anyio.sleep(self._chance.uniform(0, 10))
        return reply

    async def offer(self) -> None:
        for number in range(JOBS):
            await anyio.sleep(self._chance.uniform(0, 2))
            self._peer.offer(Job("order", jid=f"job{number:05}"))

    async def fetch(self, consumer: Consumer) -> None:
        async def once() -> None:
            job = await consumer.fetch("default")
            if job is not None:
                self.taken.append(job.jid)

        for _ in range(8):
            try:
                await self._perhaps_cancelled(once)
            except ClientStateError:
                return
            await anyio.sleep(self._chance.choice([0, 0, self._chance.random()]))

    async def report(self, consumer: Consumer) -> None:
        async def once() -> None:
            if self._chance.random() < 0.5:
                await consumer.ack("87654321")
            else:
                await consumer.fail("87654321", message="x" * 150)

        for _ in range(6):
            await self._perhaps_cancelled(once)
            await anyio.sleep(self._chance.random())

    async def _perhaps_cancelled(self, act: Callable[[], Awaitable[None]]) -> None:
        if self._chance.random() < 0.5:
            await act()
        elif self._how == "scope":
            with anyio.move_on_after(self._chance.uniform(0, 3)):
                await act()
        else:
            try:
                async with asyncio.timeout(self._chance.uniform(0, 3)):
                    await act()
            except TimeoutError:
                return


@asynccontextmanager
async def dialling(peer: Peer, kind: str) -> AsyncGenerator[Callable[[], Awaitable[Any]]]:
    """Give a way to the peer: by a link, by one that takes bytes at once, or by a stream."""
    async with anyio.create_task_group() as readers:

        async def dial() -> Link | Stream:
            link = await peer.dial()
            if kind == "stream":
                return Stream(link)
            return BringingLink(link, readers) if kind == "bringing" else link

        yield dial


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(("how", "kind"), WAYS)
async def test_every_fetched_job_has_one_outcome(
    how: str, kind: str, seed: int, anyio_backend: tuple[str, Any]
) -> None:
    skip_native_on_trio(how, anyio_backend)
    chance = random.Random(f"{how} {kind} {seed}")  # noqa: S311 - not for secrets
    room = 1 << 20 if kind == "bringing" else chance.choice([200, 1 << 20])
    async with peering(room=room) as peer, dialling(peer, kind) as dial:
        storm = Storm(peer, chance, how)
        async with Client(dial=dial) as client, anyio.create_task_group() as tasks:
            tasks.start_soon(storm.offer)
            async with client.consumer() as consumer, anyio.create_task_group() as reporters:
                tasks.start_soon(storm.fetch, consumer)
                for _ in range(chance.randint(0, 3)):
                    reporters.start_soon(storm.report, consumer)
                await anyio.sleep(chance.uniform(0, 10))
        interrupted = [
            line.json["jid"] for line in peer.of("FAIL") if line.json["errtype"] == "Interrupted"
        ]
        assert sorted(interrupted + storm.taken) == storm.given
