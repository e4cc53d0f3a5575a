"""A job that is larger than the worker accepts: failed by its name, and nothing else is harmed."""

import logging
from typing import Any

import anyio
import pytest

from faktory_async import Job, UsageError, Worker
from faktory_async.errors import ProtocolError
from faktory_async.net import Address, Connector, Limits
from faktory_async.protocol import Flush, Info
from tests.worker.peer import Line, Peer, bulk, peering
from tests.worker.running import running

pytestmark = pytest.mark.anyio

# In the server's order of keys: what is of any size comes before the jid.
MONSTER = (
    b'{"retry":0,"failure":{"message":"%b"},"custom":{"jid":"no","a":["%b"]},'
    b'"jid":"monster-1","queue":"default","jobtype":"order","args":["%b"],"reserve_for":60}'
) % (b"}" * 3_000, b'\\"' * 3_000, b"x" * 100_000)


async def accept(job: Job) -> None: ...


def worker_of(peer: Peer, **options: Any) -> Worker:
    options = {"concurrency": 1, "max_reply": 5_000, **options}
    return Worker({"order": accept}, dial=peer.dial, **options)


@pytest.mark.parametrize("size", [700, 1 << 20])
async def test_a_monster_is_failed_by_name_and_the_worker_goes_on(
    size: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with peering(room=size) as peer:
        good = Job("order")
        peer.offer(MONSTER, good)
        async with running(worker_of(peer)) as run:
            await peer.until(lambda: ("ACK", good.jid) in peer.reports())
            details = await run.stop()
        fail = peer.of("FAIL")[0].json
        assert fail["jid"] == "monster-1"
        assert fail["message"] == (
            f"the fetched job has {len(MONSTER)} bytes, more than this worker accepts"
        )
        assert len({line.connection.number for line in peer.of("FETCH")}) == 1
    assert (details.acked, details.failed, details.exit_code) == (1, 1, 0)
    assert "job monster-1 (order) failed" in caplog.text


async def test_the_bound_may_stand_in_the_url() -> None:
    async with peering() as peer:
        peer.offer(MONSTER)
        worker = worker_of(peer, url="tcp://localhost?max_reply=5000", max_reply=None)
        async with running(worker) as run:
            assert (await peer.saw("FAIL")).json["jid"] == "monster-1"
            await run.stop()


async def test_a_job_of_exactly_the_bound_is_worked() -> None:
    async with peering() as peer:
        peer.offer(MONSTER)
        async with running(worker_of(peer, max_reply=len(MONSTER))) as run:
            assert (await peer.saw("ACK")).json["jid"] == "monster-1"
            await run.stop()


async def test_a_monster_without_a_jid_is_left_to_the_server(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with peering() as peer:
        good = Job("order")
        peer.offer(MONSTER.replace(b'"jid":"monster-1"', b'"jib":"monster-1"'), good)
        async with running(worker_of(peer)) as run:
            await peer.until(lambda: ("ACK", good.jid) in peer.reports())
            await run.stop()
        assert peer.of("FAIL") == []
    assert f"by: the fetched job has {len(MONSTER)} bytes" in caplog.text


async def test_a_monster_that_is_cut_short_is_failed_and_never_pushed_again() -> None:
    async with peering() as peer:
        gate = peer.hold("FETCH", bulk(MONSTER))
        async with running(worker_of(peer, interrupted="requeue")) as run:
            await gate.reached.wait()
            run.worker.stop()
            run.worker.stop()
            gate.open()
            details = await run.end()
        assert peer.reports() == [("FAIL", "monster-1")]
        assert peer.of("PUSHB") == []
        assert (details.failed, details.interrupted) == (1, ("monster-1",))


async def test_a_monster_gives_back_the_places_of_its_queue() -> None:
    async with peering() as peer:
        limited = MONSTER.replace(b'"queue":"default"', b'"queue":"limited"')
        peer.offer(limited, limited.replace(b"monster-1", b"monster-2"))
        worker = worker_of(
            peer,
            queues=["limited", "other"],
            queue_limits={"limited": 1},
            concurrency=3,
            max_fetchers=1,
        )
        async with running(worker) as run:
            await peer.saw("FAIL", 2)
            before = len(peer.of("FETCH"))
            await peer.saw("FETCH", before + 2)
            assert peer.of("FETCH")[-1].payload == b"limited other"
            await run.stop()


async def test_a_monster_that_takes_its_time_is_read_as_long_as_it_comes() -> None:
    async def trickle(line: Line) -> bytes | None:
        data = bulk(MONSTER)
        half = len(data) // 2
        await line.connection.link.send(data[:half])
        await anyio.sleep(14)
        await line.connection.link.send(data[half:-1])
        await anyio.sleep(14)
        return data[-1:]

    async with peering() as peer:
        peer.answer("FETCH", trickle)
        async with running(worker_of(peer)) as run:
            assert 28 <= (await peer.saw("FAIL")).at < 29
            await run.stop()
        assert peer.of("FETCH")[0].connection is peer.of("FETCH")[1].connection


async def test_a_monster_that_stops_coming_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)

    async def stall(line: Line) -> bytes | None:
        await line.connection.link.send(bulk(MONSTER)[:50_000])
        await anyio.sleep_forever()
        return None

    async with peering() as peer:
        peer.answer("FETCH", stall)
        peer.offer(Job("order"))
        async with running(worker_of(peer)) as run:
            assert 15 <= (await peer.saw("ACK")).at < 16
            await run.stop()


async def test_another_reply_that_is_too_large_makes_no_sense_and_the_connection_lives() -> None:
    async with peering() as peer:
        peer.answer("INFO", bulk(b'{"a":"%b"}' % (b"x" * 100)))
        connector = Connector(
            Address.resolve("tcp://localhost"),
            dial=peer.dial,
            limits=Limits(max_reply=20),
            skip=True,
        )
        connection = await connector()
        with pytest.raises(ProtocolError, match="INFO with a bulk of 108 bytes"):
            await connection.execute(Info())
        await connection.execute(Flush())
        await connection.aclose()


@pytest.mark.parametrize("bound", [0, -1])
def test_a_bound_below_one_byte_is_a_mistake(bound: int) -> None:
    with pytest.raises(UsageError, match="max_reply"):
        Worker({}, max_reply=bound)
