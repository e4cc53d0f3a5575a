"""How many fetchers there are, and what a FETCH needs before it leaves."""

from collections.abc import Sequence
from typing import Any

import anyio
import pytest

from faktory_async import Job, Worker
from faktory_async.errors import ConnectionLostError, FaktoryError
from faktory_async.protocol import Ack, Command, Info, Reply
from faktory_async.worker._crew import Crew
from faktory_async.worker._reservation import Moment
from faktory_async.worker._riders import Riders
from tests.worker.peer import NIL, OKAY, Line, Peer, peering
from tests.worker.running import running, with_crew

pytestmark = pytest.mark.anyio


async def accept(job: Job) -> None: ...


def out(peer: Peer) -> list[int]:
    """Follow how many FETCHes are unanswered; the list grows with every change."""
    history = [0]

    async def fetch(line: Line) -> bytes:
        history.append(history[-1] + 1)
        try:
            return await peer.fetch(line)
        finally:
            history.append(history[-1] - 1)

    peer.always("FETCH", fetch)
    return history


async def test_an_idle_worker_keeps_one_fetch_open() -> None:
    async with peering() as peer:
        history = out(peer)
        async with running(Worker({}, dial=peer.dial, concurrency=1_000)) as run:
            await anyio.sleep(600)
            assert max(history) == 1
            assert len(peer.of("FETCH")) == pytest.approx(300, abs=3)
            assert peer.open_connections <= 2  # the fetcher and the heart
            await run.stop()


async def test_fetchers_grow_with_the_load_and_shrink_after_it() -> None:
    async with peering() as peer:
        history = out(peer)
        worker = Worker({"x": accept}, dial=peer.dial, concurrency=1_000, max_fetchers=5)
        async with running(worker) as run:
            await anyio.sleep(10)
            for _ in range(3):
                peer.offer(*(Job("x") for _ in range(500)))
                count = len(peer.reports()) + 500
                await peer.until(lambda count=count: len(peer.reports()) == count)  # type: ignore[misc]  # the default binds the loop's count
                assert max(history) == 5
                await anyio.sleep(9)
                assert history[-1] == 1
                assert peer.open_connections <= 3  # the fetcher, the heart and the reports
                history.clear()
                history.append(1)
            await run.stop()
            assert peer.open_connections == 0
        ended = {line.connection.number for line in peer.of("END")}
        assert ended == {line.connection.number for line in peer.of("HELLO")}


async def test_a_trickle_of_jobs_needs_one_fetcher() -> None:
    async with peering() as peer:
        history = out(peer)
        async with running(Worker({"x": accept}, dial=peer.dial, concurrency=100)) as run:
            for _ in range(100):
                await anyio.sleep(0.3)
                peer.offer(Job("x"))
            await run.stop()
        assert max(history) == 1


async def test_a_distant_server_gets_more_fetchers_too() -> None:
    async def far(line: Line) -> bytes:
        await anyio.sleep(0.2)
        return OKAY

    async def fetch(line: Line) -> bytes:
        await anyio.sleep(0.2)
        return await peer.fetch(line)

    async with peering() as peer:
        peer.always("HELLO", far)
        peer.always("FETCH", fetch)
        peer.offer(*(Job("x") for _ in range(200)))
        async with running(Worker({"x": accept}, dial=peer.dial, concurrency=100)) as run:
            await peer.until(lambda: len(peer.reports()) == 200)
            assert anyio.current_time() < 200 * 0.2 / 3
            await run.stop()


async def test_a_thousand_handlers_need_no_more_than_ten_connections() -> None:
    at_once = most = 0

    async def work(job: Job) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await anyio.sleep(100)
        at_once -= 1

    async with peering() as peer:
        peer.offer(*(Job("x") for _ in range(3_000)))
        async with running(Worker({"x": work}, dial=peer.dial, concurrency=1_000)) as run:
            await peer.until(lambda: len(peer.reports()) == 3_000)
            await run.stop()
        assert most == 1_000
        assert peer.most_open <= 10


async def test_a_fetch_leaves_only_with_a_free_slot_in_hand() -> None:
    in_hand = most = 0

    async def work(job: Job) -> None:
        nonlocal in_hand
        await anyio.sleep(5)
        in_hand -= 1

    async def fetch(line: Line) -> bytes:
        nonlocal in_hand, most
        in_hand += 1
        most = max(most, in_hand)
        answer = await peer.fetch(line)
        if answer == NIL:
            in_hand -= 1
        return answer

    async with peering() as peer:
        peer.always("FETCH", fetch)
        peer.offer(*(Job("x") for _ in range(50)))
        async with running(Worker({"x": work}, dial=peer.dial, concurrency=7)) as run:
            await peer.until(lambda: len(peer.reports()) == 50)
            await run.stop()
        assert most == 7


async def test_fetchers_without_a_slot_leave_all_but_one() -> None:
    async def work(job: Job) -> None:
        await anyio.sleep(60)

    async with peering() as peer:
        peer.offer(*(Job("x") for _ in range(100)))
        async with running(Worker({"x": work}, dial=peer.dial, concurrency=20)) as run:
            await anyio.sleep(30)
            assert peer.most_open > 3
            assert peer.open_connections <= 3
            assert len(peer.of("FETCH")) == 20
            await run.stop()


async def test_while_the_server_is_away_one_fetcher_is_enough() -> None:
    async with peering() as peer:
        peer.offer(*(Job("x") for _ in range(500)))
        async with running(Worker({"x": accept}, dial=peer.dial, concurrency=100)) as run:
            await peer.until(lambda: len(peer.reports()) > 200)
            peer.go_away()
            await anyio.sleep(60)
            dials = peer.dials
            await anyio.sleep(600)
            # A fetcher, the heart and the reports: 15 to 30 s between attempts.
            assert peer.dials - dials < 3 * 600 / 15
            peer.come_back()
            await peer.until(lambda: len(set(peer.reports())) > 400)
            await run.stop()


# -- what rides along -----------------------------------------------------------------------------


class Ridden(Riders):
    """Sends two ACKs in front of the first FETCH."""

    def __init__(self, *commands: Command[Any]) -> None:
        self._commands = commands
        self.landed: list[tuple[Sequence[Reply], float, FaktoryError | None]] = []
        self.news = anyio.Event()
        self.misses = 0

    def board(self, now: Moment) -> Sequence[Command[Any]]:
        self._sent_at = now
        commands, self._commands = self._commands, ()
        return commands

    def land(
        self,
        commands: Sequence[Command[Any]],
        replies: Sequence[Reply],
        error: FaktoryError | None,
    ) -> None:
        self.landed.append((list(replies), anyio.current_time() - self._sent_at.monotonic, error))
        self.news.set()

    def missed(self) -> None:
        self.misses += 1


def ridden_by(worker: Worker, riders: Riders) -> Worker:
    def ride(crew: Crew) -> None:
        crew._fetchers.riders = riders
        crew._gate._riders = riders
        crew._reports.fetch_leaves = lambda: False

    return with_crew(worker, ride)


async def test_what_rides_in_front_gets_its_replies_before_fetch_has_one() -> None:
    async with peering() as peer:
        riders = Ridden(Ack("12345678"), Ack("87654321"))
        worker = ridden_by(Worker({}, dial=peer.dial), riders)
        async with running(worker) as run:
            await riders.news.wait()
            [(replies, seconds, error)] = riders.landed
            assert (len(replies), error) == (2, None)
            assert seconds < 1
            await run.stop()
        verbs = [line.verb for line in peer.lines if line.verb in ("ACK", "FETCH")]
        assert verbs[:3] == ["ACK", "ACK", "FETCH"]
        assert len({line.connection.number for line in peer.of("ACK") + peer.of("FETCH")}) == 1


async def test_riders_are_told_what_was_not_answered() -> None:
    async with peering() as peer:
        peer.answer("ACK", OKAY, None)
        riders = Ridden(Ack("12345678"), Ack("87654321"), Info())
        worker = ridden_by(Worker({}, dial=peer.dial), riders)
        async with running(worker) as run:
            await riders.news.wait()
            [(replies, _, error)] = riders.landed
            assert len(replies) == 1
            assert isinstance(error, ConnectionLostError)
            assert error.maybe_executed
            await peer.saw("FETCH")
            await run.stop()


async def test_riders_are_told_when_no_fetch_leaves_after_all() -> None:
    async with peering() as peer:
        riders = Ridden()
        worker = ridden_by(Worker({"x": accept}, dial=peer.dial, concurrency=1), riders)
        async with running(worker) as run:
            await peer.saw("FETCH")
            worker.quiet()
            peer.offer(Job("x"))
            await peer.saw("ACK")
            assert riders.misses == 1
            assert worker._crew is not None
            assert worker._crew._gate.leaving == 0
            await run.stop()
