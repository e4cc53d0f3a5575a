"""Fetching by hand: nothing is lost, whatever is cancelled."""

import asyncio
from typing import Any

import anyio
import pytest

from faktory_async import (
    Client,
    ClientStateError,
    CommandTimeoutError,
    ConnectError,
    ConnectionLostError,
    Consumer,
    InvalidJobError,
    Job,
    JobNotFoundError,
    ProtocolError,
    UnknownWorkerError,
    UsageError,
)
from tests.client._setting import HOW, after, ignore, quiet, skip_native_on_trio
from tests.client._stream import Stream
from tests.worker.peer import NIL, OKAY, Line, Peer, error, peering

pytestmark = pytest.mark.anyio
JOB = "12345678"


async def test_jobs_are_fetched_and_reported_by_hand() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.offer(Job("order", [1], jid=JOB), Job("order", [2], jid="87654321"))
        async with client.consumer() as consumer:
            job = await consumer.fetch("high", "low")
            assert job is not None
            assert job.args == [1]
            await consumer.ack(job)
            second = await consumer.fetch("high")
            assert second is not None
            assert second.args == [2]
            await consumer.fail("87654321", ValueError("no good"))
            assert await consumer.fetch("high") is None
        assert peer.reports() == [("ACK", JOB), ("FAIL", "87654321")]
        [fail] = peer.of("FAIL")
        assert (fail.json["errtype"], fail.json["message"]) == ("ValueError", "no good")
        assert peer.of("FETCH")[0].payload == b"high low"
        assert client.stats.opened == 0  # the consumer's connection is its own
        await anyio.wait_all_tasks_blocked()
        assert peer.open_connections == 0
        assert peer.lines[-1].verb == "END"


@pytest.mark.parametrize("how", HOW)
async def test_a_fetch_that_was_cancelled_is_taken_up_by_the_next_one(
    how: str, anyio_backend: tuple[str, Any]
) -> None:
    skip_native_on_trio(how, anyio_backend)
    async with peering() as peer, Client(dial=peer.dial) as client:
        async with client.consumer() as consumer:
            if how == "scope":
                with anyio.move_on_after(1):
                    await consumer.fetch("default")
            else:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(1):
                        await consumer.fetch("default")
            assert "FETCH out" in repr(consumer)
            peer.offer(Job("order", jid=JOB))
            job = await consumer.fetch("other")
            assert job is not None
            await consumer.ack(job)
        assert len(peer.of("FETCH")) == 1


async def test_reports_wait_behind_a_fetch_that_is_out() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        async with client.consumer() as consumer:
            with anyio.move_on_after(0.5):
                await consumer.fetch("default")
            began = anyio.current_time()
            await consumer.ack(JOB)
            assert anyio.current_time() - began == pytest.approx(1.5)
            assert await consumer.fetch("default") is None
        assert len(peer.of("FETCH")) == 1


async def test_a_report_behind_a_fetch_has_time_for_both() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.offer(Job("order", jid=JOB))
        peer.answer("FETCH", after(12, peer.fetch))  # as long as a stalled server takes
        peer.answer("ACK", after(6, okay))
        async with client.consumer() as consumer, anyio.create_task_group() as tasks:
            with anyio.move_on_after(0.5):
                await consumer.fetch("default")
            tasks.start_soon(consumer.ack, "87654321")
            job = await consumer.fetch("default")
            assert job is not None
            await consumer.ack(job)
        assert peer.reports() == [("ACK", "87654321"), ("ACK", JOB)]


async def test_a_report_behind_a_fetch_that_comes_bit_by_bit_waits_for_its_end() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:

        async def trickle(line: Line) -> bytes:
            peer.offer(Job("order", ["x" * 100], jid=JOB))
            reply = await peer.fetch(line)
            for byte in reply[:5]:
                await anyio.sleep(10)
                await line.connection.link.send(bytes([byte]))
            return reply[5:]

        peer.answer("FETCH", trickle)
        async with client.consumer() as consumer:
            with anyio.move_on_after(0.5):
                await consumer.fetch("default")
            await consumer.ack("87654321")
            job = await consumer.fetch("default")
            assert job is not None
            assert job.jid == JOB


async def test_a_report_by_itself_has_the_time_of_a_command() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.always("ACK", ignore)
        async with client.consumer() as consumer:
            began = anyio.current_time()
            with pytest.raises(CommandTimeoutError):
                await consumer.ack(JOB)
            assert anyio.current_time() - began == pytest.approx(7)


async def okay(line: Line) -> bytes:
    return OKAY


@pytest.mark.parametrize("first", ["fetch", "report"])
async def test_a_report_and_a_fetch_leave_one_after_the_other(first: str) -> None:
    async with peering() as peer:

        async def dial() -> Stream:
            return Stream(await peer.dial())

        peer.offer(Job("order", jid=JOB))
        fetched: list[Job | None] = []
        async with Client(dial=dial) as client, client.consumer() as consumer:

            async def fetch() -> None:
                fetched.append(await consumer.fetch("default"))

            async def report() -> None:
                await consumer.ack("87654321")
                await consumer.fail("abcdefgh")

            async with anyio.create_task_group() as tasks:
                for each in (fetch, report) if first == "fetch" else (report, fetch):
                    tasks.start_soon(each)
        assert [job and job.jid for job in fetched] == [JOB]
        assert peer.reports() == [("ACK", "87654321"), ("FAIL", "abcdefgh")]


async def test_a_report_that_is_cancelled_halfway_leaves_the_fetch_out() -> None:
    async with peering(room=400) as peer, Client(dial=peer.dial) as client:
        async with client.consumer() as consumer, anyio.create_task_group() as tasks:
            with anyio.move_on_after(0.5):
                await consumer.fetch("default")
            with anyio.CancelScope() as scope:
                tasks.start_soon(cancel_and_offer, scope, peer)
                await consumer.fail("87654321", message="x" * 900)  # more than there is room for
            job = await consumer.fetch("default")
            assert job is not None
            await consumer.ack(job)
        assert peer.reports() == [("FAIL", "87654321"), ("ACK", JOB)]


async def cancel_and_offer(scope: anyio.CancelScope, peer: Peer) -> None:
    await quiet()
    scope.cancel()
    await quiet()
    peer.offer(Job("order", jid=JOB))


async def test_the_end_of_the_block_fails_the_job_that_nobody_took() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        with anyio.move_on_after(1) as scope:
            async with client.consumer() as consumer:
                await consumer.fetch("default")
        assert scope.cancelled_caught
        assert anyio.current_time() == pytest.approx(2, abs=0.5)  # it awaited the FETCH
        assert peer.reports() == []

        async with client.consumer() as consumer:
            with anyio.move_on_after(1):
                await consumer.fetch("default")
            peer.offer(Job("order", jid=JOB))
        assert peer.reports() == [("FAIL", JOB)]
        assert peer.of("FAIL")[0].json["errtype"] == "Interrupted"


@pytest.mark.parametrize("there", ["already", "later", "never"])
async def test_who_still_fetches_when_the_block_ends_does_not_get_the_job(there: str) -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        outcomes: list[object] = []

        async def fetch(consumer: Consumer) -> None:
            try:
                outcomes.append(await consumer.fetch("default"))
            except ClientStateError as left:
                outcomes.append(str(left))

        async with anyio.create_task_group() as tasks, client.consumer() as consumer:
            tasks.start_soon(fetch, consumer)
            await peer.saw("FETCH")
            await quiet()
            if there == "already":
                peer.offer(Job("order", jid=JOB))
            elif there == "later":
                tasks.start_soon(offer_soon, peer)
        assert outcomes == ["the consumer was left"]
        assert peer.reports() == ([] if there == "never" else [("FAIL", JOB)])
        with pytest.raises(ClientStateError):
            await consumer.fetch("default")


async def offer_soon(peer: Peer) -> None:
    await anyio.sleep(0.5)
    peer.offer(Job("order", jid=JOB))


async def test_a_fetch_that_waits_for_a_report_to_leave_is_not_sent_once_the_block_ends() -> None:
    async with peering(room=400) as peer, Client(dial=peer.dial) as client:
        gate = peer.hold("FAIL")
        async with anyio.create_task_group() as tasks:
            async with client.consumer() as consumer:
                tasks.start_soon(fail_in_vain, consumer, "")
                await gate.reached.wait()
                tasks.start_soon(fail_in_vain, consumer, "x" * 900)
                await quiet()
                tasks.start_soon(fetch_in_vain, consumer)
                await quiet()
            gate.open()
        assert peer.of("FETCH") == []


async def fail_in_vain(consumer: Consumer, message: str) -> None:
    with pytest.raises(ConnectionLostError):
        await consumer.fail("abcdefgh", message=message)


async def fetch_in_vain(consumer: Consumer) -> None:
    with pytest.raises(ClientStateError):
        await consumer.fetch("default")


@pytest.mark.parametrize("when", ["FETCH", "FAIL"])
async def test_a_native_cancellation_while_the_block_ends_lets_the_job_be_failed(
    when: str, anyio_backend: tuple[str, Any]
) -> None:
    skip_native_on_trio("task", anyio_backend)
    async with peering() as peer, Client(dial=peer.dial) as client:
        leaving = anyio.Event()

        async def leave_a_fetch_out() -> None:
            async with client.consumer() as consumer:
                with anyio.move_on_after(0.1):
                    await consumer.fetch("default")
                leaving.set()

        gate = peer.hold("FAIL")
        task = asyncio.create_task(leave_a_fetch_out())
        await leaving.wait()
        if when == "FETCH":
            for _ in range(3):
                await quiet()
                task.cancel()
            await quiet()
            peer.offer(Job("order", jid=JOB))
            await gate.reached.wait()
        else:
            peer.offer(Job("order", jid=JOB))
            await gate.reached.wait()
            task.cancel()
            await quiet()
        assert not task.done()
        gate.open()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()
        assert peer.reports() == [("FAIL", JOB)]
        await quiet()
        assert peer.lines[-1].verb == "END"
        assert peer.open_connections == 0


async def test_a_deadline_around_the_block_is_kept_once_the_job_is_failed(
    anyio_backend: tuple[str, Any],
) -> None:
    skip_native_on_trio("task", anyio_backend)

    async def consume(client: Client) -> None:
        async with asyncio.timeout(1), client.consumer() as consumer:
            with anyio.move_on_after(0.1):
                await consumer.fetch("default")

    async with peering() as peer, Client(dial=peer.dial) as client:
        with pytest.raises(TimeoutError):
            await consume(client)
        assert anyio.current_time() == pytest.approx(2, abs=0.5)  # the FETCH had its answer
        await quiet()
        assert peer.lines[-1].verb == "END"


async def test_a_job_that_cannot_be_failed_at_the_end_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.answer("FAIL", error("Job not found"))
        async with client.consumer() as consumer:
            with anyio.move_on_after(1):
                await consumer.fetch("default")
            peer.offer(Job("order", jid=JOB))
    assert f"job {JOB} was fetched, not taken, and not failed: " in caplog.text


async def test_a_fetch_that_is_never_answered_is_given_up_after_15_s() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.always("FETCH", ignore)
        async with client.consumer() as consumer:
            began = anyio.current_time()
            with pytest.raises(CommandTimeoutError) as caught:
                await consumer.fetch("default")
            assert anyio.current_time() - began == pytest.approx(15)
            assert caught.value.maybe_executed


async def test_a_block_that_ends_beside_a_silent_server_ends_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.always("FETCH", ignore)
        async with client.consumer() as consumer:
            with anyio.move_on_after(1):
                await consumer.fetch("default")
    assert "a FETCH was still out" in caplog.text


async def test_a_connection_that_is_lost_is_told_and_stays_lost() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        async with client.consumer() as consumer:
            peer.answer("FETCH", None)
            with pytest.raises(ConnectionLostError):
                await consumer.fetch("default")
            with pytest.raises(ConnectionLostError):
                await consumer.fetch("default")
            with pytest.raises(ConnectionLostError):
                await consumer.ack(JOB)
        async with client.consumer() as another:
            await another.ack(JOB)


async def test_what_cannot_be_read_is_failed_and_told() -> None:
    broken = b'{"jid":"12345678","jobtype":"order","queue":"default","args":{"no":"list"}}'
    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.offer(broken)
        async with client.consumer() as consumer:
            with pytest.raises(InvalidJobError):
                await consumer.fetch("default")
        assert peer.reports() == [("FAIL", JOB)]


@pytest.mark.parametrize("args", ["{}", "[1]"])
@pytest.mark.parametrize("taken", [True, False])
async def test_what_has_no_jid_is_told_and_not_reported(
    args: str, *, taken: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        async with client.consumer() as consumer:
            if not taken:
                with anyio.move_on_after(1):
                    await consumer.fetch("default")
            peer.offer(b'{"jobtype":"order","args":%b}' % args.encode())
            if taken:
                with pytest.raises(ProtocolError, match="has no jid to report it by"):
                    await consumer.fetch("default")
        assert peer.reports() == []
    assert ("has no jid to report it by" in caplog.text) is not taken


class SilentError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "errtype", "message"),
    [
        (OSError("no \udce9clair.txt"), "OSError", "no ?clair.txt"),
        (SilentError(), f"{__name__}.SilentError", "(its text cannot be read: RuntimeError)"),
        (ValueError("é" * 600), "ValueError", "é" * 500),
        (None, "menu?", "?"),
    ],
)
async def test_a_fail_is_sent_whatever_the_error_is(
    error: Exception | None, errtype: str, message: str
) -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        async with client.consumer() as consumer:
            await consumer.fail(JOB, error, errtype="menu\udce9", message="\ud800")
        [fail] = peer.of("FAIL")
        assert (fail.json["errtype"], fail.json["message"]) == (errtype, message)


async def test_a_consumer_with_a_wid_is_a_worker_that_beats() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.answer("BEAT", b"+OK\r\n", b'$17\r\n{"state":"quiet"}\r\n', error("unknown worker w1"))
        async with client.consumer(wid="w1", labels=["by-hand"]) as consumer:
            assert await consumer.beat() is None
            assert await consumer.beat(rss_kb=1, state="quiet") == "quiet"
            with pytest.raises(UnknownWorkerError):
                await consumer.beat()
        hello = peer.connections[0].hello
        assert (hello["wid"], hello["labels"]) == ("w1", ["by-hand"])
        assert peer.of("BEAT")[1].json == {"wid": "w1", "rss_kb": 1, "current_state": "quiet"}


async def test_only_a_worker_beats() -> None:
    async with (
        peering() as peer,
        Client(dial=peer.dial) as client,
        client.consumer() as consumer,
    ):
        with pytest.raises(UsageError, match="with a wid"):
            await consumer.beat()
        assert repr(consumer) == "<Consumer without a wid>"
        peer.answer("FETCH", NIL)
        with pytest.raises(UsageError):
            await consumer.fetch()
        queues: Any = ["a", "b"]
        for names in (["a b"], [queues]):
            with pytest.raises(UsageError):
                await consumer.fetch(*names)
        nothing: Any = None
        for report in (consumer.ack, consumer.fail):
            with pytest.raises(UsageError, match="a Job or a jid, not NoneType"):
                await report(nothing)
        assert await consumer.fetch("a") is None


async def test_where_no_server_is_the_block_does_not_begin() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.refusing = True
        with pytest.raises(ConnectError):
            async with client.consumer():
                raise AssertionError("it has begun")


async def test_a_report_of_a_job_that_is_not_reserved_is_refused() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.answer("FAIL", error(f"Job not found {JOB}"))
        async with client.consumer() as consumer:
            with pytest.raises(JobNotFoundError):
                await consumer.fail(JOB, errtype="Mistake", message="never fetched")
            await consumer.ack(JOB)


async def test_two_fetches_at_once_are_refused_since_both_would_get_the_same_job() -> None:
    async with (
        peering() as peer,
        Client(dial=peer.dial) as client,
        client.consumer() as consumer,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(consumer.fetch, "default")
        await peer.saw("FETCH")
        with pytest.raises(UsageError, match="one job at a time"):
            await consumer.fetch("default")
