"""The numbers that a client gives to metrics."""

import anyio
import pytest

from faktory_async import Client, ClientStats, ConnectError, Job
from tests.client._setting import ONE, Store, setting
from tests.client.test_group_commit import dying
from tests.worker.peer import peering

pytestmark = pytest.mark.anyio


async def test_a_client_that_did_nothing_has_nothing_to_tell() -> None:
    assert Client().stats == ClientStats()


async def test_pushes_that_come_together_share_a_frame() -> None:
    async with setting(limits=ONE) as it:
        gate = it.peer.hold("PUSHB", it.store)
        await it.start(0)
        await it.start(1, 2)
        stats = it.client.stats
        assert (stats.pushes, stats.frames, stats.connections) == (3, 1, 1)
        gate.open()
    stats = it.client.stats
    assert (stats.pushes, stats.frames, stats.connections) == (3, 2, 0)
    assert (stats.opened, stats.closed) == (1, 1)


async def test_bulk_counts_as_many_pushes_in_few_frames() -> None:
    async with peering() as peer:
        peer.always("PUSHB", Store())
        async with Client(dial=peer.dial, limits=ONE) as client:
            await client.push_bulk(Job("order", [number]) for number in range(2_500))
            stats = client.stats
    assert (stats.pushes, stats.frames, stats.idle) == (2_500, 3, 1)


async def test_waits_and_failed_dials_show() -> None:
    async with peering() as peer:
        gate = peer.hold("FLUSH")
        peer.refusing = True
        async with Client(dial=peer.dial, limits=ONE) as client:
            with pytest.raises(ConnectError):
                await client.flush()
            peer.refusing = False
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(client.flush)
                await gate.reached.wait()
                await anyio.wait_all_tasks_blocked()
                assert client.stats.waiting == 2
                gate.open()
            stats = client.stats
    assert (stats.failed_dials, stats.waits, stats.waiting, stats.opened) == (1, 2, 0, 1)


async def test_a_resend_shows() -> None:
    async with setting(gates=1) as it:
        dying(it, 1)
        await it.start(0, 1)
        await it.dialler.open(0)
        assert it.kinds([0, 1]) == {None}
        assert it.client.stats.resends == 2
