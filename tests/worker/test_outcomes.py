"""Every kind of outcome, all the way from a runner to the bytes that the server gets."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from faktory_async import Job, StopDetails, UsageError, Worker
from faktory_async.model import World, use_world
from faktory_async.worker import Ack, Dead, Discard, Fail, Outcome, Retry, Runner
from faktory_async.worker._reports import Counts
from tests.worker.peer import Line, Peer, bulk, error, jobs_of, peering
from tests.worker.running import running

pytestmark = pytest.mark.anyio

JOB = "12345678"
BUSY = error("context deadline exceeded")


class Source:
    """Ends every job the same way, or raises when it is asked for one; `stuck` never ends."""

    def __init__(self, outcome: Outcome | BaseException) -> None:
        self.outcome: Any = outcome

    def resolve(self, jobtype: str) -> Runner:
        if isinstance(self.outcome, BaseException):
            raise self.outcome

        async def run(job: Job) -> Outcome:
            if jobtype == "stuck":
                await anyio.sleep_forever()
            ended: Outcome = self.outcome
            return ended

        return run

    def jobtypes(self) -> Collection[str]:
        return ("order", "stuck")

    def running(self) -> AbstractAsyncContextManager[object]:
        return nothing()


@asynccontextmanager
async def nothing() -> AsyncGenerator[None]:
    yield


class Skewed(World):
    """A machine whose clock is wrong against a peer's."""

    def __init__(self, peer: Peer, seconds: float) -> None:
        self._peer = peer
        self._skew = timedelta(seconds=seconds)

    def utcnow(self) -> datetime:
        return self._peer.now() + self._skew


def worker_of(peer: Peer, outcome: Outcome, **options: Any) -> Worker:
    return Worker(Source(outcome), dial=peer.dial, concurrency=5, **options)


def counts(worker: Worker) -> Counts:
    assert worker._crew is not None
    return worker._crew._reports.counts


def story(peer: Peer) -> list[str]:
    """The verbs that tell how jobs ended, in order."""
    told = ("ACK", "FAIL", "PUSHB", "MUTATE", "INFO")
    return [line.verb for line in peer.lines if line.verb in told]


def pushed(peer: Peer, number: int = 0) -> dict[str, Any]:
    [job] = jobs_of(peer.of("PUSHB")[number])
    return job


def ahead(peer: Peer, line: Line) -> int:
    """How many seconds ahead a pushed job comes due, by the peer's clock when it came."""
    [job] = jobs_of(line)
    due = datetime.fromisoformat(job["at"]).timestamp()
    return round(due - peer.epoch - line.at)


async def work(peer: Peer, outcome: Outcome, *jobs: Job, seconds: float = 100) -> Counts:
    """Let a worker end these jobs so, and return what it counted."""
    peer.offer(*jobs)
    worker = worker_of(peer, outcome)
    async with running(worker) as run:
        await anyio.sleep(seconds)
        await run.stop()
    return counts(worker)


# -- each kind ------------------------------------------------------------------------------------


async def test_a_discard_is_acked_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with peering() as peer:
        ended = await work(peer, Discard(reason="not wanted"), Job("order", jid=JOB))
        assert ended == Counts(discarded=1)
        assert story(peer) == ["ACK"]
    assert f"job {JOB} (order): discarded: not wanted" in caplog.text


class Wordless(Exception):  # noqa: N818 - by its character
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("reason", "text"),
    [(ValueError("old"), "old"), (Wordless(), "(its text cannot be read: RuntimeError)"), (7, "7")],
)
async def test_what_a_discard_gives_for_its_reason_may_be_anything(
    caplog: pytest.LogCaptureFixture, reason: Any, text: str
) -> None:
    caplog.set_level(logging.INFO)
    async with peering() as peer:
        ended = await work(peer, Discard(reason=reason), Job("order", jid=JOB))
        assert ended == Counts(discarded=1)
    assert f"job {JOB} (order): discarded: {text}" in caplog.text


@pytest.mark.parametrize("skew", [-60, 0, 60])
@pytest.mark.parametrize(("delay", "seconds"), [(0, 5), (7, 7), (3_600, 3_600)])
async def test_a_retry_is_pushed_by_the_servers_clock_and_then_acked(
    skew: float, delay: float, seconds: float
) -> None:
    async with peering() as peer:
        with use_world(Skewed(peer, skew)):
            ended = await work(peer, Retry(delay=delay, message="x"), Job("order", [1], jid=JOB))
        assert ended == Counts(retried=1)
        assert story(peer) == ["INFO", "PUSHB", "ACK"]
        assert ahead(peer, peer.of("PUSHB")[0]) == seconds
        assert pushed(peer)["args"] == [1]
        assert pushed(peer)["failure"]["message"] == "x"
        assert (pushed(peer)["jid"] == JOB) is (delay >= 10)


async def test_a_retry_at_a_time_comes_due_then() -> None:
    async with peering() as peer:
        at = datetime.fromtimestamp(peer.epoch + 500, UTC)
        await work(peer, Retry(at=at), Job("order"))
        assert datetime.fromisoformat(pushed(peer)["at"]) == at


async def test_an_ack_follows_a_push_only_when_its_answer_was_read() -> None:
    async with peering() as peer:
        gate = peer.hold("PUSHB", bulk(b"{}"))
        peer.offer(Job("order", jid=JOB))
        async with running(worker_of(peer, Retry(delay=20))) as run:
            await gate.reached.wait()
            await anyio.sleep(10)
            assert peer.of("ACK") == []
            gate.open()
            await peer.saw("ACK")
            await run.stop()


async def test_dead_is_failed_and_killed_where_it_waits() -> None:
    async with peering() as peer:
        ended = await work(peer, Dead(message="gone"), Job("order", jid=JOB, queue="q"))
        assert ended == Counts(failed=1)
        assert story(peer) == ["FAIL", "MUTATE"]
        assert peer.of("MUTATE")[0].json == {
            "cmd": "kill",
            "target": "retries",
            "filter": {"regexp": f'*"jid":"{JOB}","queue":"q","jobtype":"order",*'},
        }


async def test_the_line_of_a_kill_is_one_word() -> None:
    async with peering() as peer:
        await work(peer, Dead(), Job("order of the day", jid=JOB))
        [line] = peer.of("MUTATE")
        assert b" " not in line.payload
        assert '"jobtype":"order of the day"' in line.json["filter"]["regexp"]


async def test_kills_go_one_at_a_time() -> None:
    async with peering() as peer:
        gates = [peer.hold("MUTATE") for _ in range(3)]
        peer.offer(*(Job("order") for _ in range(3)))
        async with running(worker_of(peer, Dead())) as run:
            for number, gate in enumerate(gates):
                await gate.reached.wait()
                await anyio.sleep(1)
                assert len(peer.of("MUTATE")) == number + 1
                gate.open()
            await run.stop()


async def test_dead_without_retries_is_pushed_killed_and_acked() -> None:
    async with peering() as peer:
        ended = await work(peer, Dead(message="gone"), Job("order", jid=JOB, retry=0))
        assert ended == Counts(failed=1)
        assert story(peer) == ["INFO", "PUSHB", "MUTATE", "ACK"]
        assert pushed(peer)["failure"]["message"] == "gone"
        assert peer.of("MUTATE")[0].json["target"] == "scheduled"


# -- rescue ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("skew", [-60, 0, 60])
async def test_a_fail_answered_by_an_error_is_rescued(
    skew: float, caplog: pytest.LogCaptureFixture
) -> None:
    async with peering() as peer:
        peer.answer("FAIL", BUSY)
        with use_world(Skewed(peer, skew)):
            ended = await work(
                peer, Fail(errtype="ValueError", message="boom"), Job("order", jid=JOB, retry=3)
            )
        assert ended == Counts(rescued=1)
        assert story(peer) == ["FAIL", "INFO", "PUSHB"]
        assert 15 <= ahead(peer, peer.of("PUSHB")[0]) <= 44
        job = pushed(peer)
        assert job["custom"] == {"retry_of": JOB}
        assert (job["failure"]["retry_count"], job["failure"]["remaining"]) == (0, 3)
    assert f"job {JOB} (order): rescued: " in caplog.text
    assert job["jid"] in caplog.text


async def test_a_rescue_goes_on_until_it_is_answered() -> None:
    async with peering() as peer:
        peer.answer("FAIL", BUSY)
        peer.answer("PUSHB", *[BUSY] * 12)
        ended = await work(peer, Fail(errtype="x", message="y"), Job("order"), seconds=1_000)
        assert ended == Counts(rescued=1)
        pushes = peer.of("PUSHB")
        assert len(pushes) == 13
        # The same bytes while they are the same job, others after that.
        assert 1 < len({line.data for line in pushes}) < 10
        assert all(ahead(peer, line) >= 2 for line in pushes)


async def test_a_rescue_without_an_answer_is_named_at_the_end() -> None:
    async with peering() as peer:
        peer.answer("FAIL", BUSY)
        peer.always("PUSHB", BUSY)
        peer.offer(Job("order", jid=JOB))
        async with running(worker_of(peer, Fail(errtype="x", message="y"))) as run:
            await peer.saw("PUSHB", 3)
            details = await run.stop()
        assert details.unreported == (JOB,)


async def test_the_servers_time_is_asked_once() -> None:
    async with peering() as peer:
        await work(peer, Retry(), *(Job("order") for _ in range(20)))
        assert len(peer.of("INFO")) == 1
        assert len(peer.of("PUSHB")) == len(peer.of("ACK")) == 20


async def test_the_servers_time_is_asked_until_it_is_told() -> None:
    async with peering() as peer:
        peer.answer("INFO", BUSY, error("shutdown in progress"))
        assert await work(peer, Retry(), Job("order")) == Counts(retried=1)
        assert len(peer.of("INFO")) == 3


async def test_a_server_without_info_has_our_time() -> None:
    async with peering() as peer:
        peer.answer("INFO", error("unknown command INFO"))
        with use_world(Skewed(peer, 0)):
            await work(peer, Retry(delay=20), Job("order"))
        assert ahead(peer, peer.of("PUSHB")[0]) == 20


async def test_the_servers_time_is_moved_up_by_what_it_fetched() -> None:
    async with peering() as peer:
        await_later = datetime.fromtimestamp(peer.epoch + 500, UTC)
        later = await_later.isoformat().encode()
        worker = worker_of(peer, Retry(delay=20))
        peer.offer(Job("order"))
        async with running(worker) as run:
            await peer.saw("ACK")
            peer.offer(
                b'{"jid":"87654321","jobtype":"order","args":[],"queue":"default",'
                b'"enqueued_at":"%b"}' % later
            )
            await peer.saw("ACK", 2)
            await run.stop()
        assert 500 < ahead(peer, peer.of("PUSHB")[1]) <= 520


# -- interrupted ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("interrupted", "retry", "verbs"),
    [
        ("fail", 25, ["FAIL"]),
        ("fail", -1, ["FAIL"]),
        ("fail", 0, ["INFO", "PUSHB", "ACK"]),
        ("requeue", 25, ["INFO", "PUSHB", "ACK"]),
        ("requeue", 0, ["INFO", "PUSHB", "ACK"]),
    ],
)
async def test_a_job_that_is_cut_short_is_failed_or_requeued(
    interrupted: Any, retry: int, verbs: list[str]
) -> None:
    async with peering() as peer:
        peer.offer(Job("stuck", jid=JOB, retry=retry))
        worker = worker_of(peer, Ack(), interrupted=interrupted, grace=1)
        async with running(worker) as run:
            await peer.saw("FETCH", 2)
            details = await run.stop()
        assert story(peer) == verbs
        assert details.interrupted == (JOB,)
        assert details.unreported == ()
        requeued = len(verbs) > 1
        assert counts(worker) == (Counts(requeued=1) if requeued else Counts(failed=1))
        if requeued:
            assert ahead(peer, peer.of("PUSHB")[0]) == 10
            assert pushed(peer)["custom"] == {"retry_of": JOB}


async def test_interrupted_is_one_of_two_words() -> None:
    with pytest.raises(UsageError, match="'fail' or 'requeue'"):
        Worker(interrupted="drop")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# -- what makes no sense --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"delay": 1, "at": datetime.now(UTC)},
        {"at": datetime(2026, 1, 1)},  # noqa: DTZ001 - that is the point
        {"delay": -1},
        {"delay": float("inf")},
        {"delay": float("nan")},
        {"delay": timedelta(seconds=-1)},
    ],
)
async def test_a_retry_that_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Retry(**options)


async def test_what_a_source_says_of_a_cause_is_cut_to_what_the_server_keeps() -> None:
    async with peering() as peer:
        cause = Retry(errtype="é" * 80, message="m\ud800" * 800, backtrace=("x" * 2_000,) * 60)
        await work(peer, cause, Job("order"))
        failure = pushed(peer)["failure"]
        assert failure["errtype"] == "é" * 50
        assert failure["message"] == "m?" * 500
        assert failure["backtrace"] == ["x" * 1_000] * 50


@pytest.mark.parametrize("error", [ValueError("no"), asyncio.CancelledError(), GeneratorExit()])
async def test_a_source_that_raises_when_it_is_asked_fails_the_job_alone(
    error: BaseException,
) -> None:
    async with peering() as peer:
        peer.offer(Job("order", jid=JOB))
        async with running(Worker(Source(error), dial=peer.dial)) as run:
            fail = await peer.saw("FAIL")
            assert fail.json["errtype"].endswith(type(error).__name__)
            await run.stop()


async def test_a_source_that_ends_the_program_fails_the_job_and_ends_the_worker() -> None:
    async with peering() as peer:
        peer.offer(Job("order", jid=JOB))
        with pytest.raises(SystemExit):
            await Worker(Source(SystemExit(3)), dial=peer.dial).run()
        assert peer.reports() == [("FAIL", JOB)]


async def test_details_name_nothing_that_was_delivered() -> None:
    async with peering() as peer:
        peer.offer(Job("order"))
        async with running(worker_of(peer, Ack())) as run:
            await peer.saw("ACK")
            assert await run.stop() == StopDetails(reason="stop()", acked=1)
