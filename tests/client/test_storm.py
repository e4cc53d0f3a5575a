"""Thousands of pushes, cancelled, timed out and cut off at random: what they were told is true."""

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import anyio
import anyio.lowlevel
import pytest

from faktory_async import Client, EmbeddedServer, FaktoryError, Job
from tests.net._loops import EAGER, backend

pytestmark = pytest.mark.anyio

PUSHES: Final = 2_500
PUSHERS: Final = 250
SEEDS: Final = (1, 2, 3)


@pytest.fixture(params=["asyncio", EAGER, "uvloop", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, Mapping[str, Any]]:
    return backend(request.param)


class Cuts:
    """Cuts a connection of the server whenever a random number of pushes was told to be stored.

    By the clock instead, a slow machine would be cut in every handshake and store nothing.
    """

    def __init__(self, server: EmbeddedServer, seed: int) -> None:
        self._server = server
        self._random = random.Random(seed)  # noqa: S311 - likewise
        self._left = self._random.randrange(100)

    def count(self) -> None:
        self._left -= 1
        if self._left < 0:
            self._left = self._random.randrange(100)
            if conversations := list(self._server._core.conversations.values()):
                self._random.choice(conversations).hang_up()


class Storm:
    """Pushes that are disturbed at random.

    Attributes:
        told: What the caller of each job knows: "stored", "not stored", or "unknown".
    """

    def __init__(
        self, client: Client, seed: int, cuts: Cuts | None = None, *, natively: bool
    ) -> None:
        self.told: dict[str, str] = {}
        self._client = client
        self._cuts = cuts
        self._random = random.Random(seed)  # noqa: S311 - a storm, no secret
        self._natively = natively

    async def rage(self) -> None:
        async with anyio.create_task_group() as group:
            for _ in range(PUSHERS):
                group.start_soon(self._pusher)

    async def _pusher(self) -> None:
        for _ in range(PUSHES // PUSHERS):
            job = Job("order")
            self.told[job.jid] = "unknown"
            await self._steps(10)
            await self._disturbed(job)

    async def _disturbed(self, job: Job) -> None:
        kind = self._random.random()
        if kind < 0.25:
            await self._cancelled_by_scope(job)
        elif kind < 0.5 and self._natively:
            await self._cancelled_natively(job)
        elif kind < 0.6:
            await self._push(job, self._random.uniform(1e-5, 5e-3))
        else:
            await self._push(job)

    async def _push(self, job: Job, within: float | None = None) -> None:
        try:
            await self._client.push(job, timeout=within)
            self.told[job.jid] = "stored"
            if self._cuts is not None:
                self._cuts.count()
        except FaktoryError as error:
            if not error.maybe_executed:
                self.told[job.jid] = "not stored"

    async def _cancelled_by_scope(self, job: Job) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self._push, job)
            await self._steps(60)
            group.cancel_scope.cancel()

    async def _cancelled_natively(self, job: Job) -> None:
        task = asyncio.create_task(self._push(job))
        await self._steps(60)
        task.cancel()
        await asyncio.wait([task])

    async def _steps(self, most: int) -> None:
        for _ in range(self._random.randrange(most)):
            await anyio.lowlevel.checkpoint()


def check(client: Client) -> None:
    """Nothing is left of the pushes."""
    pushes, pool = client._pushes, client._pool
    assert (
        pushes._traffic.callers
        == pushes._traffic.leading
        == len(pushes._dialling)
        == len(pushes._line)
        == 0
    )
    assert not pushes._frames
    assert pool.slots == len(pool._idle)
    assert all(connection.idle for connection, _ in pool._idle)


@pytest.mark.parametrize("cuts", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
async def test_what_was_told_in_a_storm_is_true(
    seed: int, *, cuts: bool, anyio_backend: tuple[str, Any]
) -> None:
    natively = anyio_backend[0] == "asyncio"
    async with EmbeddedServer() as server, Client(server.url) as client:
        storm = Storm(client, seed, Cuts(server, seed) if cuts else None, natively=natively)
        with anyio.fail_after(30):
            await storm.rage()
            last = await client.push(Job("order"))
        check(client)
        await client.aclose()
        await server._core.wait_until_deserted()  # what it has received it has also stored
        stored = Counter(job.jid for job in server.queues["default"].jobs)
    assert stored[last.jid] == 1
    assert len(storm.told) == PUSHES
    assert [jid for jid, word in storm.told.items() if word == "stored" and stored[jid] != 1] == []
    assert [jid for jid, word in storm.told.items() if word == "not stored" and stored[jid]] == []
    assert max(stored.values()) == 1
    words = Counter(storm.told.values())
    assert words["stored"] > 0, words  # how many depends on how fast the machine is
    assert words["unknown"] > 0, words
    assert words["not stored"] > 0, words
