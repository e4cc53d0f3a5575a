"""How outcomes reach the server, and when one is repeated."""

import itertools

import anyio
import pytest

from faktory_async import Job, StopDetails, Worker
from faktory_async.worker import Handler
from tests.worker.peer import OKAY, Line, Peer, error, peering
from tests.worker.running import Running, by_line, running

pytestmark = pytest.mark.anyio

JOB = "12345678"


async def accept(job: Job) -> None: ...


async def refuse(job: Job) -> None:
    raise ValueError("boom")


async def drop(line: Line) -> bytes | None:
    """Read the command and end the connection without a word."""
    return None


async def ignore(line: Line) -> bytes | None:
    """Never answer."""
    await anyio.sleep_forever()
    raise AssertionError("awake")


def worker_of(peer: Peer, handler: Handler, *, concurrency: int = 1) -> Worker:
    return Worker({"order": handler}, dial=peer.dial, concurrency=concurrency)


async def after(run: Running, seconds: float) -> StopDetails:
    """Stop the worker once so much time has passed."""
    await anyio.sleep(seconds)
    return await run.stop()


# -- ACK ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        drop,
        error("context deadline exceeded"),
        error("shutdown in progress"),
        error("too many connections: 2001"),
        b"+WHAT\r\n",
        b"$-1\r\n",
        b":1\r\n",
    ],
)
async def test_an_ack_that_may_not_have_worked_is_repeated(answer: bytes) -> None:
    async with peering() as peer:
        peer.offer(Job("order", jid=JOB))
        peer.answer("ACK", answer, answer)
        async with running(worker_of(peer, accept)) as run:
            await peer.saw("ACK", 3)
            assert await after(run, 100) == StopDetails(reason="stop()", acked=1)
        assert peer.reports() == [("ACK", JOB)] * 3


async def test_an_ack_without_an_answer_is_repeated_until_the_reservation_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with peering() as peer:
        peer.offer(Job("order", jid=JOB, reserve_for=60))
        peer.always("ACK", ignore)
        async with running(worker_of(peer, accept)) as run:
            details = await after(run, 200)
        assert details == StopDetails(reason="stop()", unknown=1)
        assert [line.at for line in peer.of("ACK")] == pytest.approx([0, 15, 30, 45], abs=1)
    assert "12345678 (order): unknown: the server did not confirm its ACK" in caplog.text


@pytest.mark.parametrize(
    ("reserve_for", "seconds"), [(None, 1_800), (30, 60), (0, 1_800), (60, 60), (100, 100)]
)
async def test_a_reservation_is_as_long_as_the_server_makes_it(
    reserve_for: int | None, seconds: int
) -> None:
    async with peering() as peer:
        reserved = "" if reserve_for is None else f'"reserve_for":{reserve_for},'
        peer.offer(f'{{{reserved}"jid":"{JOB}","jobtype":"order","args":[]}}'.encode())
        peer.always("ACK", drop)
        async with running(worker_of(peer, accept)) as run:
            details = await after(run, 2_000)
        assert details.unknown == 1
        last = peer.of("ACK")[-1].at
        assert seconds - 35 < last < seconds


@pytest.mark.parametrize("text", ['invalid ACK {"jid":"12345678"}', "unknown command ACK"])
async def test_an_ack_that_the_server_does_not_understand_is_never_repeated(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with peering() as peer:
        peer.offer(Job("order", jid=JOB))
        peer.answer("ACK", error(text))
        async with running(worker_of(peer, accept)) as run:
            details = await after(run, 100)
        assert details == StopDetails(reason="stop()", unknown=1)
        assert peer.reports() == [("ACK", JOB)]
    assert text in caplog.text


# -- FAIL -----------------------------------------------------------------------------------------


async def test_a_fail_that_broke_off_is_repeated_at_once() -> None:
    async with peering() as peer:
        peer.offer(Job("order", jid=JOB))
        peer.answer("FAIL", drop)
        async with running(worker_of(peer, refuse)) as run:
            await peer.saw("FAIL", 2)
            assert await after(run, 100) == StopDetails(reason="stop()", failed=1)
        assert peer.reports() == [("FAIL", JOB)] * 2


async def test_a_fail_is_repeated_only_within_10_s_of_its_first_write() -> None:
    async with peering() as peer:
        peer.offer(Job("order", jid=JOB))
        peer.always("FAIL", drop)
        async with running(worker_of(peer, refuse)) as run:
            details = await after(run, 100)
        times = [line.at for line in peer.of("FAIL")]
        assert details == StopDetails(reason="stop()", unknown=1)
        assert 3 < len(times) < 10
        assert times[-1] < times[0] + 10


async def test_a_fail_without_an_answer_is_not_repeated_too_late() -> None:
    async with peering() as peer:
        peer.offer(Job("order", jid=JOB))
        peer.always("FAIL", ignore)
        async with running(worker_of(peer, refuse)) as run:
            details = await after(run, 100)
        assert details == StopDetails(reason="stop()", unknown=1)
        assert peer.reports() == [("FAIL", JOB)]


async def test_a_fail_that_was_surely_not_executed_is_repeated_for_long() -> None:
    async with peering() as peer:
        peer.offer(Job("order", jid=JOB))
        peer.answer("FAIL", *[error("shutdown in progress")] * 8)
        async with running(by_line(worker_of(peer, refuse))) as run:
            last = await peer.saw("FAIL", 9)
            details = await after(run, 5)
        assert last.at > 10
        assert details == StopDetails(reason="stop()", failed=1)


async def test_a_fail_that_was_never_written_goes_out_when_the_server_is_back() -> None:
    async with peering() as peer:
        peer.offer(Job("order", jid=JOB))

        async def fail_when_away(job: Job) -> None:
            peer.go_away()
            raise ValueError("boom")

        async with running(worker_of(peer, fail_when_away)) as run:
            await anyio.sleep(300)
            assert peer.of("FAIL") == []
            peer.come_back()
            fail = await peer.saw("FAIL")
            assert await after(run, 5) == StopDetails(reason="stop()", failed=1)
        assert fail.at < 300 + 31


async def test_a_fail_whose_bytes_stayed_here_was_never_written() -> None:
    async with peering(room=600) as peer:
        peer.offer(Job("order", jid=JOB, backtrace=1))

        async def fail_at_length(job: Job) -> None:
            raise ValueError("x" * 1_000)

        async def read_nothing(line: Line) -> bytes:
            line.connection.link.receive = anyio.sleep_forever  # type: ignore[method-assign,assignment]  # the peer is stuck
            return OKAY

        # On the line of the reports, which says HELLO without a wid.
        async def hello(line: Line) -> bytes:
            if "wid" in line.json or peer.dials > 3:
                return OKAY
            return await read_nothing(line)

        peer.always("HELLO", hello)
        async with running(by_line(worker_of(peer, fail_at_length))) as run:
            fail = await peer.saw("FAIL")
            assert await after(run, 5) == StopDetails(reason="stop()", failed=1)
        assert fail.at > 10


@pytest.mark.parametrize("text", ["Job not found 12345678", "missing JID", "invalid FAIL x"])
async def test_an_error_to_a_fail_is_unknown_and_never_repeated(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with peering() as peer:
        peer.offer(Job("order", jid=JOB))
        peer.answer("FAIL", error(text))
        async with running(worker_of(peer, refuse)) as run:
            details = await after(run, 100)
        assert peer.reports() == [("FAIL", JOB)]
    assert details == StopDetails(reason="stop()", unknown=1)
    assert f"job {JOB} (order): unknown: its FAIL was" in caplog.text
    assert text in caplog.text


# -- many -----------------------------------------------------------------------------------------


async def test_reports_that_wait_go_out_together_and_in_order() -> None:
    async with peering() as peer:
        gate = peer.hold("ACK")
        jobs = [Job("order", [n]) for n in range(50)]
        peer.offer(*jobs)
        async with running(by_line(worker_of(peer, accept, concurrency=1))) as run:
            await gate.reached.wait()
            # Reports never keep slots: all jobs are worked while the first ACK is unanswered.
            await peer.until(lambda: len(peer.of("FETCH")) == 51)
            assert len(peer.of("ACK")) == 1
            gate.open()
            await peer.saw("ACK", 50)
            details = await run.stop()
        assert peer.reports() == [("ACK", job.jid) for job in jobs]
        assert len({line.connection.number for line in peer.of("ACK")}) == 1
    assert details.acked == 50


async def test_of_reports_cut_off_only_the_unanswered_are_repeated() -> None:
    async with peering() as peer:
        jobs = [Job("order", [n]) for n in range(6)]
        peer.offer(*jobs)
        gate = peer.hold("ACK")
        peer.answer("ACK", OKAY, error("context deadline exceeded"), drop)
        async with running(by_line(worker_of(peer, accept))) as run:
            await gate.reached.wait()
            await peer.until(lambda: len(peer.of("FETCH")) == 7)
            gate.open()
            await anyio.sleep(5)
            details = await run.stop()
        numbers = {job.jid: n for n, job in enumerate(jobs)}
        told = [numbers[jid] for _, jid in peer.reports()]
        # How many had left when the connection ended is up to the event loop.
        assert list(dict.fromkeys(told)) == [0, 1, 2, 3, 4, 5]
        assert {2} <= {number for number in told if told.count(number) > 1} <= {2, 3}
    assert details.acked == 6


async def test_what_is_repeated_holds_nothing_up_that_is_new() -> None:
    ended_at: dict[str, float] = {}

    async def order(job: Job) -> None:
        await anyio.sleep(job.args[0])
        ended_at[job.jid] = anyio.current_time()

    async def busy_with_one(line: Line) -> bytes | None:
        return error("shutdown in progress") if line.json["jid"] == JOB else OKAY

    jobs = [Job("order", [60 + 7 * number], jid=f"job-{number:05}") for number in range(8)]
    async with peering() as peer:
        peer.always("ACK", busy_with_one)
        peer.offer(Job("order", [1], jid=JOB), *jobs)
        worker = worker_of(peer, order, concurrency=20)
        async with running(worker) as run:
            await peer.saw("FETCH", len(jobs) + 2)
            worker.quiet()  # so that nothing rides in front of a FETCH
            await after(run, 200)
        acked_at = {line.json["jid"]: line.at for line in peer.of("ACK")}
        late = [acked_at[job.jid] - ended_at[job.jid] for job in jobs]
        assert max(late) < 0.2
        repeated = sum(line.json["jid"] == JOB for line in peer.of("ACK"))
    assert repeated < 60, "it is not repeated more often by that than 10 times a second"


async def test_a_job_with_the_same_jid_is_a_run_of_its_own() -> None:
    async with peering() as peer:
        outcomes = itertools.cycle([refuse, accept])

        async def order(job: Job) -> None:
            await next(outcomes)(job)

        peer.offer(Job("order", jid=JOB), Job("order", jid=JOB))
        async with running(worker_of(peer, order)) as run:
            await peer.saw("ACK")
            details = await run.stop()
        assert peer.reports() == [("FAIL", JOB), ("ACK", JOB)]
    assert (details.acked, details.failed) == (1, 1)


# -- the end --------------------------------------------------------------------------------------


async def test_what_the_server_could_not_be_told_is_named_at_the_end() -> None:
    async with peering() as peer:
        peer.offer(Job("order", jid=JOB), Job("order", jid="87654321"))
        peer.always("ACK", ignore)
        async with running(worker_of(peer, accept)) as run:
            await peer.saw("ACK")
            await peer.until(lambda: len(peer.of("FETCH")) == 3)
            details = await run.stop()
        assert details == StopDetails(reason="stop()", unreported=(JOB, "87654321"))


async def test_a_report_that_waits_for_its_next_try_goes_out_before_the_end() -> None:
    async with peering() as peer:
        peer.offer(Job("order", jid=JOB))
        peer.answer("ACK", *[error("shutdown in progress")] * 10)
        async with running(worker_of(peer, accept)) as run:
            await peer.saw("ACK", 10)  # the next try would come in about 30 s
            details = await run.stop()
        assert details == StopDetails(reason="stop()", acked=1)


async def test_a_stopped_worker_does_not_storm_a_server_that_is_away() -> None:
    async with peering() as peer:
        peer.offer(Job("order", jid=JOB))

        async def order(job: Job) -> None:
            peer.go_away()

        async with running(worker_of(peer, order)) as run:
            await anyio.sleep(200)
            dials = peer.dials
            details = await run.stop()
        assert details == StopDetails(reason="stop()", unreported=(JOB,))
        assert peer.dials - dials < 25
