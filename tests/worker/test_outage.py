"""The server is not there, goes away, comes back, or turns the worker away."""

import logging
from datetime import timedelta

import anyio
import pytest

from faktory_async import (
    TLS,
    AddressError,
    AuthenticationError,
    ConnectError,
    Job,
    StopDetails,
    UsageError,
    Worker,
)
from faktory_async.net import MemoryLink, memory_links
from faktory_async.worker._line import Outage
from tests.worker.peer import OKAY, Line, error, peering
from tests.worker.running import running

pytestmark = pytest.mark.anyio


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the log says of the server's absence: `away` and `back`, in order."""
    texts = [record.getMessage() for record in caplog.records if record.levelno > logging.INFO]
    words = {" is away": "away", " is back": "back"}
    return [word for text in texts for mark, word in words.items() if mark in text]


async def accept(job: Job) -> None: ...


async def test_a_worker_may_start_before_its_server(caplog: pytest.LogCaptureFixture) -> None:
    async with peering() as peer:
        peer.refusing = True
        async with running(Worker({"order": accept}, dial=peer.dial)) as run:
            await anyio.sleep(100)
            peer.come_back()
            peer.offer(Job("order"))
            ack = await peer.saw("ACK")
            await run.stop()
        assert ack.at < 100 + 31
    assert said(caplog) == ["away", "back"]


async def test_handlers_go_on_while_the_server_is_away_and_are_reported_after(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with peering() as peer:
        steps: list[float] = []

        async def order(job: Job) -> None:
            for _ in range(5):
                await anyio.sleep(10)
                steps.append(anyio.current_time())

        job = Job("order")
        peer.offer(job)
        async with running(Worker({"order": order}, dial=peer.dial)) as run:
            await peer.saw("FETCH", 2)
            await anyio.sleep(5)
            peer.go_away()
            await anyio.sleep(100)
            peer.come_back()
            await peer.saw("ACK")
            await peer.saw("BEAT")
            assert steps == pytest.approx([10, 20, 30, 40, 50], abs=1)
            assert await run.stop() == StopDetails(reason="stop()", acked=1)
        assert peer.reports() == [("ACK", job.jid)]
    assert said(caplog) == ["away", "back"]


async def test_each_absence_is_logged_once_each_way(caplog: pytest.LogCaptureFixture) -> None:
    async with peering() as peer, running(Worker({}, dial=peer.dial, concurrency=8)) as run:
        for _ in range(3):
            await anyio.sleep(60)
            peer.go_away()
            await anyio.sleep(60)
            peer.come_back()
        await anyio.sleep(60)
        await run.stop()
    assert said(caplog) == ["away", "back"] * 3


def test_an_absence_noticed_late_is_no_new_one(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage("tcp://localhost:7419")
    before = outage.number
    outage.began(ConnectionError(), before)
    outage.ended(before)  # a reply that had come before the end
    outage.began(ConnectionError(), before)
    after = outage.number
    assert said(caplog) == ["away"]
    outage.ended(after)
    outage.began(ConnectionError(), before)  # by a connection that nobody had used meanwhile
    assert said(caplog) == ["away", "back"]
    outage.began(ConnectionError(), after)
    assert said(caplog) == ["away", "back", "away"]


async def test_attempts_become_rare_while_the_server_is_away() -> None:
    async with peering() as peer:
        peer.refusing = True
        async with running(Worker({}, dial=peer.dial, concurrency=1)) as run:
            await anyio.sleep(3_600)
            # One fetcher and the heart: 15 to 30 s between attempts.
            assert 200 < peer.dials < 600
            await run.stop()


@pytest.mark.parametrize("words", [b"", b"-ERR too many connections: 2001\r\n"])
async def test_a_server_that_turns_everybody_out_is_not_stormed(
    words: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def turn_out(line: Line) -> bytes | None:
        await line.connection.link.send(OKAY + words)
        return None

    async with peering() as peer:
        peer.always("HELLO", turn_out)
        async with running(Worker({}, dial=peer.dial, concurrency=1)) as run:
            await anyio.sleep(600)
            assert peer.dials < 150
            await run.stop()
    assert said(caplog) == ["away"]


async def test_a_server_that_is_gone_after_every_hello_is_not_stormed() -> None:
    async with peering() as peer:

        async def dial() -> MemoryLink:
            link = await peer.dial()
            link.readable = lambda: True  # type: ignore[method-assign]  # its end has arrived
            return link

        async with running(Worker({}, dial=dial, concurrency=1)) as run:
            await anyio.sleep(600)
            assert 10 < peer.dials < 150
            assert peer.of("FETCH") == []
            await run.stop()


async def test_a_fetch_answered_by_an_error_is_logged_and_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with peering() as peer:
        peer.answer("FETCH", error("context deadline exceeded"), error("shutdown in progress"))
        peer.offer(Job("order"))
        async with running(Worker({"order": accept}, dial=peer.dial, concurrency=1)) as run:
            await peer.saw("ACK")
            await run.stop()
        assert len({line.connection.number for line in peer.of("FETCH")[:3]}) == 1
    assert "a FETCH was answered by an error: context deadline exceeded" in caplog.text


async def test_an_error_is_logged_too_where_the_fetcher_then_leaves(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with peering() as peer:
        peer.offer(Job("order"))
        peer.answer("FETCH", peer.fetch, peer.fetch, error("context deadline exceeded"))
        worker = Worker({"order": accept}, dial=peer.dial, concurrency=5)
        async with running(worker) as run:
            await peer.saw("FETCH", 3)
            await peer.until(lambda: worker.stats.fetchers == 1)
            await run.stop()
    assert "a FETCH was answered by an error: context deadline exceeded" in caplog.text


async def test_a_fetch_with_a_senseless_answer_is_tried_again_elsewhere() -> None:
    async with peering() as peer:
        peer.answer("FETCH", b"+OK\r\n", b"*1\r\n", b"$3\r\nabcdef")
        peer.offer(Job("order"))
        async with running(Worker({"order": accept}, dial=peer.dial, concurrency=1)) as run:
            await peer.saw("ACK")
            await run.stop()
        assert len({line.connection.number for line in peer.of("FETCH")[:4]}) == 4


async def test_a_fetch_is_awaited_for_15_s() -> None:
    async with peering() as peer:
        gate = peer.hold("FETCH", peer.fetch)
        peer.offer(Job("order"))
        async with running(Worker({"order": accept}, dial=peer.dial, concurrency=1)) as run:
            await gate.reached.wait()
            await anyio.sleep(14.9)
            gate.open()
            await peer.saw("ACK")
            await run.stop()
        assert len({line.connection.number for line in peer.of("FETCH")}) == 1


async def test_a_fetch_that_is_not_answered_at_all_is_given_up() -> None:
    async with peering() as peer:
        peer.hold("FETCH")
        peer.offer(Job("order"))
        async with running(Worker({"order": accept}, dial=peer.dial, concurrency=1)) as run:
            ack = await peer.saw("ACK")
            await run.stop()
        assert 15 <= ack.at < 16


# -- for those who want to fail fast -------------------------------------------------------------


@pytest.mark.parametrize("patience", [10, timedelta(seconds=10)])
async def test_a_server_that_is_not_there_in_time_ends_the_run(patience: float | timedelta) -> None:
    async with peering() as peer:
        peer.refusing = True
        worker = Worker({}, dial=peer.dial, connect_timeout=patience)
        async with running(worker) as run:
            with pytest.raises(ConnectError, match=r"within 10 s: .*refuses connections") as caught:
                await run.end()
        assert isinstance(caught.value.__cause__, ConnectError)
        assert caught.value.maybe_executed is False
        assert run.ended_at == pytest.approx(10, abs=0.1)
        assert peer.dials > 5


async def test_a_server_that_only_takes_connections_is_not_there() -> None:
    async def dial() -> MemoryLink:
        return memory_links()[0]

    async with running(Worker({}, dial=dial, connect_timeout=2)) as run:
        with pytest.raises(ConnectError, match=r"within 2 s$"):
            await run.end()
    assert 2 <= run.ended_at < 3


async def test_a_server_that_comes_in_time_is_waited_for_ever_after() -> None:
    async with peering() as peer:
        peer.refusing = True
        async with running(Worker({"order": accept}, dial=peer.dial, connect_timeout=30)) as run:
            await anyio.sleep(10)
            peer.come_back()
            await peer.saw("FETCH")
            assert anyio.current_time() < 30
            peer.go_away()
            await anyio.sleep(600)
            peer.come_back()
            peer.offer(Job("order"))
            await peer.saw("ACK")
            await run.stop()


async def test_whoever_starts_a_worker_in_a_group_gets_the_error_of_its_first_connection() -> None:
    async with peering() as peer:
        peer.refusing = True
        worker = Worker({}, dial=peer.dial, connect_timeout=1)
        with pytest.raises(ExceptionGroup) as caught:
            async with anyio.create_task_group() as group:
                await group.start(worker.run)
        assert caught.group_contains(ConnectError, match="within 1 s")


async def test_one_job_is_not_waited_for_longer_either() -> None:
    async with peering() as peer:
        peer.refusing = True
        with pytest.raises(ConnectError):
            await Worker({}, dial=peer.dial, connect_timeout=1).run_one()


def test_a_negative_connect_timeout_is_a_mistake() -> None:
    with pytest.raises(UsageError, match="connect_timeout"):
        Worker({}, connect_timeout=-1)


# -- turned away ----------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["tcp://:wrong@localhost", "tcp://localhost"])
async def test_a_wrong_password_ends_the_run(url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with peering(password="secret") as peer:
        async with running(Worker({}, dial=peer.dial, url=url)) as run:
            with pytest.raises(AuthenticationError):
                await run.end()
        assert run.ended_at < 1
    assert "wrong" not in caplog.text


async def test_the_right_password_is_proved_by_its_hash_alone() -> None:
    async with peering(password="s3cret/ü") as peer:
        peer.offer(Job("order"))
        worker = Worker({"order": accept}, dial=peer.dial, url="tcp://:s3cret%2F%C3%BC@localhost")
        async with running(worker) as run:
            await peer.saw("ACK")
            await run.stop()
        assert b"s3cret" not in b"".join(line.data for line in peer.lines)


async def test_a_password_that_changes_ends_the_run_after_the_jobs() -> None:
    async with peering() as peer:

        async def order(job: Job) -> None:
            await anyio.sleep(20)

        peer.offer(Job("order"))
        async with running(Worker({"order": order}, dial=peer.dial, concurrency=1)) as run:
            await peer.saw("FETCH")
            peer.password = "new"
            await anyio.sleep(1)
            peer.cut()
            with pytest.raises(AuthenticationError):
                await run.end()
        assert 20 <= run.ended_at < 25


async def test_tls_files_that_are_not_there_end_the_run() -> None:
    worker = Worker({}, url="tcp+tls://localhost:1", tls=TLS(ca="/does/not/exist.pem"), beat="loop")
    async with peering(), running(worker) as run:
        with pytest.raises(AddressError, match="the TLS files cannot be used"):
            await run.end()
    assert run.ended_at < 1


async def test_a_dial_that_is_broken_ends_the_run_in_order() -> None:
    async with peering() as peer:
        finished: list[str] = []

        async def dial() -> MemoryLink:
            if peer.dials >= 2:
                raise LookupError("a mistake in the dial")
            return await peer.dial()

        async def order(job: Job) -> None:
            peer.cut()
            await anyio.sleep(10)
            finished.append(job.jid)

        peer.offer(Job("order", jid="12345678"))
        async with running(Worker({"order": order}, dial=dial, concurrency=2)) as run:
            with pytest.raises(LookupError, match="a mistake in the dial"):
                await run.end()
        assert run.ended_at < 13
    assert finished == ["12345678"]
