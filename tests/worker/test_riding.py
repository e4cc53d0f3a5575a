"""Reports that ride in front of a FETCH: one packet, and the same rules as by the line."""

from typing import Any

import anyio
import pytest

from faktory_async import Job, StopDetails, Worker
from faktory_async.worker._crew import Crew
from faktory_async.worker._reservation import Moment
from tests.worker.peer import NIL, Line, Peer, error, peering
from tests.worker.running import running, with_crew

pytestmark = pytest.mark.anyio
JOB = "12345678"


async def accept(job: Job) -> None: ...


async def refuse(job: Job) -> None:
    raise ValueError("boom")


def worker_of(peer: Peer, handler: Any = accept, **options: Any) -> Worker:
    return Worker({"order": handler}, dial=peer.dial, concurrency=1, **options)


def on_fetch_lines(peer: Peer) -> list[str]:
    """The verbs that came over connections which fetch, HELLO aside."""
    fetching = {line.connection for line in peer.of("FETCH")}
    return [
        line.verb for line in peer.lines if line.connection in fetching and line.verb != "HELLO"
    ]


async def test_a_report_rides_in_front_of_the_next_fetch() -> None:
    async with peering() as peer:
        peer.offer(*(Job("order", [number]) for number in range(3)))
        async with running(worker_of(peer)) as run:
            await peer.saw("FETCH", 4)
            details = await run.stop()
        assert on_fetch_lines(peer)[:7] == ["FETCH", "ACK"] * 3 + ["FETCH"]
        assert peer.dials == 2  # one that fetches and reports, and BEAT
        [*_, ack] = peer.of("ACK")
        assert ack.at == peer.of("FETCH")[3].at
    assert details.acked == 3


async def test_a_fail_rides_too() -> None:
    async with peering() as peer:
        peer.offer(Job("order", jid=JOB))
        async with running(worker_of(peer, refuse)) as run:
            await peer.saw("FETCH", 2)
            details = await run.stop()
        assert on_fetch_lines(peer)[:3] == ["FETCH", "FAIL", "FETCH"]
    assert details.failed == 1


async def test_it_is_settled_while_the_fetch_goes_on() -> None:
    async with peering() as peer:
        peer.offer(Job("order", jid=JOB))
        worker = worker_of(peer)
        async with running(worker) as run:
            await peer.saw("FETCH", 2)
            await anyio.sleep(0.1)
            assert worker.stats.acked == 1
            await run.stop()


async def test_where_no_fetch_is_about_to_leave_it_goes_at_once() -> None:
    async def slow(job: Job) -> None:
        await anyio.sleep(0.5)

    async with peering() as peer:
        peer.offer(Job("order", jid=JOB))
        worker = Worker({"order": slow}, dial=peer.dial, concurrency=2)
        async with running(worker) as run:
            ack = await peer.saw("ACK")
            await run.stop()
        # The other slot's FETCH is out since the job came, for 2 s.
        assert ack.at == pytest.approx(0.5, abs=0.1)
        assert "wid" not in ack.connection.hello


async def test_at_the_end_it_goes_by_the_line() -> None:
    async def quiet_first(job: Job) -> None:
        worker.quiet()

    async with peering() as peer:
        peer.offer(Job("order", jid=JOB))
        worker = worker_of(peer, quiet_first)
        async with running(worker) as run:
            ack = await peer.saw("ACK")
            details = await run.stop()
        assert "wid" not in ack.connection.hello
        assert len(peer.of("FETCH")) == 1
    assert (details.acked, details.unreported) == (1, ())


async def test_an_ack_cut_off_with_its_fetch_is_repeated_by_the_line() -> None:
    async with peering() as peer:
        peer.offer(Job("order", jid=JOB))
        peer.answer("ACK", None)
        async with running(worker_of(peer)) as run:
            second = await peer.saw("ACK", 2)
            details = await run.stop()
        assert "wid" not in second.connection.hello
        assert peer.reports() == [("ACK", JOB)] * 2
    assert details.acked == 1


async def test_a_fail_cut_off_with_its_fetch_is_repeated_within_10_s() -> None:
    async with peering() as peer:
        peer.offer(Job("order", jid=JOB))
        peer.answer("FAIL", None)
        async with running(worker_of(peer, refuse)) as run:
            second = await peer.saw("FAIL", 2)
            details = await run.stop()
        assert second.at < 10
        assert "wid" not in second.connection.hello
    assert (details.failed, details.unknown) == (1, 0)


async def test_a_fail_whose_answer_never_comes_is_unknown_in_the_end() -> None:
    async def never(line: Line) -> bytes | None:
        await anyio.sleep_forever()
        return None

    async with peering() as peer:
        peer.offer(Job("order", jid=JOB))
        peer.always("FAIL", never)
        async with running(worker_of(peer, refuse)) as run:
            await anyio.sleep(60)
            details = await run.stop()
        assert len(peer.of("FAIL")) == 1  # after 15 s its time for repetitions was over
    assert (details.failed, details.unknown) == (0, 1)


async def test_a_report_that_is_answered_in_front_of_a_fetch_that_is_lost_counts_once() -> None:
    async with peering() as peer:
        peer.offer(Job("order", jid=JOB))
        peer.answer("FETCH", peer.fetch, None)
        async with running(worker_of(peer)) as run:
            await peer.saw("FETCH", 3)
            details = await run.stop()
        assert peer.reports() == [("ACK", JOB)]
    assert details.acked == 1


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [("Job not found 12345678", "unknown"), ("context deadline exceeded", "rescued")],
)
async def test_an_error_to_a_fail_that_rode_counts_as_by_the_line(
    answer: str, verdict: str
) -> None:
    async with peering() as peer:
        peer.offer(Job("order", jid=JOB))
        peer.answer("FAIL", error(answer))
        worker = worker_of(peer, refuse)
        async with running(worker) as run:
            await anyio.sleep(30)
            await run.stop()
        assert getattr(worker.stats, verdict) == 1
        assert len(peer.of("FAIL")) == 1


async def test_many_reports_ride_in_one_packet() -> None:
    gate = anyio.Event()

    async def together(job: Job) -> None:
        await gate.wait()

    async with peering() as peer:
        peer.offer(*(Job("order", [number]) for number in range(20)))
        worker = Worker({"order": together}, dial=peer.dial, concurrency=20, max_fetchers=1)
        async with running(worker) as run:
            await peer.until(lambda: len(worker.stats.in_flight) == 20)
            peer.answer("FETCH", NIL)
            gate.set()
            await peer.saw("ACK", 20)
            details = await run.stop()
        assert len(peer.reports()) == 20
        assert len({jid for _, jid in peer.reports()}) == 20
    assert details.acked == 20


# -- how a ride may end ---------------------------------------------------------------------------


@pytest.mark.parametrize("patient", [True, False], ids=["answered", "never answered"])
@pytest.mark.parametrize(("handler", "verb"), [(accept, "ACK"), (refuse, "FAIL")])
async def test_a_rider_whose_worker_is_cancelled_gets_its_answer_or_is_named(
    handler: Any, verb: str, *, patient: bool
) -> None:
    ends: list[StopDetails] = []
    async with peering() as peer:
        peer.offer(Job("order", jid=JOB))
        gate = peer.hold(verb)
        async with running(worker_of(peer, handler, on_stop=ends.append)) as run:
            await gate.reached.wait()
            run.scope.cancel()
            if patient:
                await anyio.sleep(1)
                gate.open()
            await run.over.wait()
        assert not run.returned
        assert peer.reports() == [(verb, JOB)]  # once: what was written is not written again
    [details] = ends
    assert details.processed == patient
    assert details.unreported == (() if patient else (JOB,))


def cut_when_boarded(worker: Worker, peer: Peer) -> Worker:
    """Let the connections die when a report has boarded, before a byte of it is written."""

    def change(crew: Crew) -> None:
        board = crew._reports.board

        def boarded(now: Moment) -> Any:
            commands = board(now)
            if commands:
                peer.go_away()
            return commands

        crew._reports.board = boarded  # type: ignore[method-assign]  # to strike in between

    return with_crew(worker, change)


@pytest.mark.parametrize(("handler", "verb"), [(accept, "ACK"), (refuse, "FAIL")])
async def test_a_rider_whose_connection_dies_before_it_is_written_is_sent_however_late(
    handler: Any, verb: str
) -> None:
    async with peering() as peer:
        peer.offer(Job("order", jid=JOB))
        worker = cut_when_boarded(worker_of(peer, handler), peer)
        async with running(worker) as run:
            await peer.until(lambda: peer.refusing)
            await anyio.sleep(60)  # a FAIL that was written is not repeated so late
            assert peer.reports() == []
            peer.come_back()
            report = await peer.saw(verb)
            details = await run.stop()
        assert "wid" not in report.connection.hello
        assert peer.reports() == [(verb, JOB)]
    assert (details.processed, details.unknown, details.unreported) == (1, 0, ())


@pytest.mark.parametrize(
    ("handler", "verb", "verdict", "times"),
    [(accept, "ACK", "acked", 2), (refuse, "FAIL", "unknown", 1)],
)
async def test_a_rider_whose_connection_dies_after_it_was_written_obeys_the_rules_of_repetition(
    handler: Any, verb: str, verdict: str, times: int
) -> None:
    async def die(line: Line) -> bytes | None:
        peer.go_away()
        return None

    async with peering() as peer:
        peer.offer(Job("order", jid=JOB))
        peer.answer(verb, die)
        worker = worker_of(peer, handler)
        async with running(worker) as run:
            await peer.saw(verb)
            await anyio.sleep(60)
            peer.come_back()
            await peer.until(lambda: worker.stats.processed + worker.stats.unknown == 1)
            details = await run.stop()
        assert peer.reports() == [(verb, JOB)] * times
    assert getattr(details, verdict) == 1
    assert details.unreported == ()


@pytest.mark.parametrize(("handler", "verb"), [(accept, "ACK"), (refuse, "FAIL")])
async def test_a_rider_that_the_connection_never_took_is_sent_by_the_line(
    handler: Any, verb: str
) -> None:
    async def stop_reading(line: Line) -> bytes | None:
        connection = line.connection.link

        async def receive() -> bytes:
            await anyio.sleep_forever()
            return b""

        connection.receive = receive  # type: ignore[method-assign]  # it reads no more
        return await peer.fetch(line)

    async with peering(room=20) as peer:  # less than a report has
        peer.offer(Job("order", jid=JOB))
        peer.answer("FETCH", stop_reading)
        async with running(worker_of(peer, handler)) as run:
            report = await peer.saw(verb)
            details = await run.stop()
        assert report.at >= 15  # so long it was given to leave
        assert "wid" not in report.connection.hello
        assert peer.reports() == [(verb, JOB)]
    assert (details.processed, details.unknown, details.unreported) == (1, 0, ())
