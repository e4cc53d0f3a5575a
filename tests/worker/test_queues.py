"""Which queues a FETCH names: strict, by weight, by a function, within limits."""

from collections import Counter
from collections.abc import Sequence
from random import Random

import anyio
import pytest

from faktory_async import Job, UsageError, Worker
from faktory_async.model import World, use_world
from faktory_async.worker._queues import Commands, choice
from faktory_async.worker._slots import Slots
from tests.worker.peer import NIL, Line, Peer, bulk, peering
from tests.worker.running import running

pytestmark = pytest.mark.anyio


class Drawing(World):
    """The same random numbers in every run."""

    def __init__(self) -> None:
        self._random = Random(7419)  # noqa: S311 - a test's dice

    def uniform(self) -> float:
        return self._random.random()


def named(line: Line) -> list[str]:
    return line.payload.decode().split(" ")


# -- the choice, pure -----------------------------------------------------------------------------


def test_a_sequence_is_a_strict_order() -> None:
    choose = choice(["b", "a", "b", "c"])
    assert [list(choose()) for _ in range(3)] == [["b", "a", "c"]] * 3


def test_weights_say_how_often_a_queue_comes_first_and_every_queue_is_always_there() -> None:
    with use_world(Drawing()):
        choose = choice({"critical": 5, "default": 3, "low": 2})
        draws = [tuple(choose()) for _ in range(10_000)]
    assert {frozenset(draw) for draw in draws} == {frozenset({"critical", "default", "low"})}
    first = Counter(draw[0] for draw in draws)
    assert first["critical"] == pytest.approx(5_000, rel=0.1)
    assert first["default"] == pytest.approx(3_000, rel=0.1)
    assert first["low"] == pytest.approx(2_000, rel=0.1)
    second = Counter(draw[1] for draw in draws if draw[0] == "critical")
    assert second["default"] / second["low"] == pytest.approx(3 / 2, rel=0.1)


def test_a_random_number_of_0_is_borne() -> None:
    class Zero(World):
        def uniform(self) -> float:
            return 0.0

    with use_world(Zero()):
        assert sorted(choice({"a": 1, "b": 1})()) == ["a", "b"]


def test_a_function_is_asked_each_time_and_its_names_are_checked() -> None:
    answers: list[Sequence[str]] = [["a"], ("b", "a", "b"), [], "abc", ["a b"]]
    choose = choice(lambda: answers.pop(0))
    assert [list(choose()) for _ in range(3)] == [["a"], ["b", "a"], []]
    with pytest.raises(UsageError, match="must return a sequence of names, not 'abc'"):
        choose()
    with pytest.raises(UsageError, match="no name of a queue"):
        choose()


def test_commands_are_made_once_and_do_not_pile_up() -> None:
    commands = Commands()
    assert commands.fetch(["a", "b"]) is commands.fetch(("a", "b"))
    for number in range(1_000):
        commands.fetch([f"q{number}"])
    assert len(commands._made) <= 256


# -- slots and places, pure -----------------------------------------------------------------------


def test_without_limits_a_slot_is_all_that_counts() -> None:
    slots = Slots(2)
    slots.take(["a", "b"])
    slots.fill(["a", "b"], "b")
    assert list(slots.open(["a", "b"])) == ["a", "b"]
    slots.take(["a"])
    assert list(slots.open(["a", "b"])) == []
    slots.give_back(["a"])
    slots.release("b")
    assert slots.free == 2


def test_a_fetch_that_is_out_counts_as_a_job_of_every_limited_queue_it_names() -> None:
    slots = Slots(10, {"a": 1, "b": 2})
    slots.take(["a", "b", "c"])
    assert list(slots.open(["a", "b", "c"])) == ["b", "c"]
    slots.take(["b", "c"])
    assert list(slots.open(["a", "b", "c"])) == ["c"]
    slots.fill(["a", "b", "c"], "b")  # a is free again, b's place is taken by the job
    assert list(slots.open(["a", "b", "c"])) == ["a", "c"]
    slots.give_back(["b", "c"])
    assert list(slots.open(["a", "b", "c"])) == ["a", "b", "c"]
    slots.release("b")
    slots.take(["b"])
    assert list(slots.open(["b"])) == ["b"]
    assert slots.free == 9


def test_a_job_of_a_queue_that_was_not_named_is_counted_where_it_belongs() -> None:
    slots = Slots(10, {"a": 1})
    slots.take(["b"])
    slots.fill(["b"], "a")
    assert list(slots.open(["a", "b"])) == ["b"]
    slots.release("a")
    assert list(slots.open(["a", "b"])) == ["a", "b"]


# -- a worker -------------------------------------------------------------------------------------


class Holding:
    """A handler that works each job until it is told to finish."""

    def __init__(self) -> None:
        self.begun: list[Job] = []
        self.finish: dict[str, anyio.Event] = {}
        self.news = anyio.Event()

    async def __call__(self, job: Job) -> None:
        self.begun.append(job)
        event = self.finish[job.jid] = anyio.Event()
        self.news.set()
        self.news = anyio.Event()
        await event.wait()

    async def until(self, count: int) -> None:
        while len(self.begun) < count:
            await self.news.wait()

    def finish_all(self) -> None:
        for event in self.finish.values():
            event.set()


def serving(queues: dict[str, list[Job]], peer: Peer) -> None:
    """Let FETCH look at real queues, in the order it names them."""

    async def fetch(line: Line) -> bytes:
        for name in named(line):
            if queues.get(name):
                return bulk(queues[name].pop(0).to_json())
        await anyio.sleep(2)
        return NIL

    peer.always("FETCH", fetch)


async def test_a_limited_queue_takes_no_more_slots_and_leaves_the_others_theirs() -> None:
    queues = {
        "reports": [Job("x", queue="reports") for _ in range(20)],
        "default": [Job("x") for _ in range(20)],
    }
    holding = Holding()
    async with peering() as peer:
        serving(queues, peer)
        worker = Worker(
            {"x": holding},
            dial=peer.dial,
            queues=["reports", "default"],
            queue_limits={"reports": 2},
            concurrency=10,
        )
        async with running(worker) as run:
            await holding.until(10)
            await anyio.sleep(10)
            counts = Counter(job.queue for job in holding.begun)
            assert counts == {"reports": 2, "default": 8}
            [first, *_] = [job for job in holding.begun if job.queue == "reports"]
            holding.finish[first.jid].set()
            await holding.until(11)
            assert holding.begun[10].queue == "reports"
            worker.quiet()
            holding.finish_all()
            await run.stop()


async def test_jobs_of_a_limited_queue_never_overlap_beyond_the_limit() -> None:
    at_once = most = 0

    async def work(job: Job) -> None:
        nonlocal at_once, most
        if job.queue == "one":
            at_once += 1
            most = max(most, at_once)
        await anyio.sleep(0.01)
        if job.queue == "one":
            at_once -= 1

    queues = {
        "one": [Job("x", queue="one") for _ in range(100)],
        "any": [Job("x", queue="any") for _ in range(100)],
    }
    async with peering() as peer:
        serving(queues, peer)
        worker = Worker(
            {"x": work},
            dial=peer.dial,
            queues={"one": 1, "any": 1},
            queue_limits={"one": 1},
            concurrency=10,
        )
        async with running(worker) as run:
            await peer.until(lambda: len(peer.reports()) == 200)
            await run.stop()
    assert most == 1


async def test_a_limited_queue_that_has_room_again_is_watched_at_once() -> None:
    """A FETCH that does not name it may be out for 2 s; another one leaves meanwhile."""
    queues = {"one": [Job("x", queue="one")], "any": []}
    holding = Holding()
    async with peering() as peer:
        serving(queues, peer)
        worker = Worker(
            {"x": holding},
            dial=peer.dial,
            queues=["one", "any"],
            queue_limits={"one": 1},
            concurrency=10,
        )
        async with running(worker) as run:
            await holding.until(1)
            await peer.until(lambda: named(peer.of("FETCH")[-1]) == ["any"])
            await anyio.sleep(0.5)
            queues["one"].append(Job("x", queue="one"))
            before = anyio.current_time()
            holding.finish_all()
            await holding.until(2)
            assert anyio.current_time() - before < 0.1
            worker.quiet()
            holding.finish_all()
            await run.stop()


async def test_when_every_queue_is_full_nothing_is_fetched() -> None:
    holding = Holding()
    async with peering() as peer:
        peer.offer(Job("x", queue="a"), Job("x", queue="a"))
        worker = Worker(
            {"x": holding}, dial=peer.dial, queues=["a"], queue_limits={"a": 1}, concurrency=5
        )
        async with running(worker) as run:
            await holding.until(1)
            await anyio.sleep(60)
            assert len(peer.of("FETCH")) == 1
            holding.finish_all()
            await holding.until(2)
            worker.quiet()
            holding.finish_all()
            await run.stop()


async def test_queues_can_be_changed_while_the_worker_runs() -> None:
    async with peering() as peer:
        worker = Worker({}, dial=peer.dial, queues=["a", "b"])
        async with running(worker) as run:
            await peer.saw("FETCH")
            worker.set_queues({"c": 1})
            await peer.saw("FETCH", 2)
            with pytest.raises(UsageError, match="no name of a queue"):
                worker.set_queues(["c d"])
            with pytest.raises(UsageError, match="at least one queue"):
                worker.set_queues([])
            worker.set_queues(lambda: ["d", "e"])
            await peer.saw("FETCH", 3)
            await run.stop()
    assert [named(line) for line in peer.of("FETCH")] == [["a", "b"], ["c"], ["d", "e"]]


async def test_while_a_function_names_no_queue_nothing_is_fetched() -> None:
    queues: list[str] = []
    async with (
        peering() as peer,
        running(Worker({}, dial=peer.dial, queues=lambda: queues)) as run,
    ):
        await anyio.sleep(60)
        assert peer.of("FETCH") == []
        queues.append("a")
        fetch = await peer.saw("FETCH")
        assert fetch.at <= 62.2
        await run.stop()


async def test_a_function_that_raises_ends_the_worker_with_that_error() -> None:
    def choose() -> Sequence[str]:
        raise LookupError("no such place")

    async with peering() as peer, running(Worker({}, dial=peer.dial, queues=choose)) as run:
        with pytest.raises(LookupError, match="no such place"):
            await run.end()
        assert peer.of("FETCH") == []


async def test_a_function_that_ends_the_program_ends_the_worker_with_its_jobs_reported() -> None:
    asked = 0

    def choose() -> list[str]:
        nonlocal asked
        asked += 1
        if asked == 3:
            raise SystemExit(3)
        return ["default"]

    async def order(job: Job) -> None:
        await anyio.sleep(1)

    jobs = [Job("order", jid=f"job-{number:05}") for number in range(2)]
    async with peering() as peer:
        peer.offer(*jobs)
        worker = Worker({"order": order}, dial=peer.dial, concurrency=5, queues=choose)
        with pytest.raises(SystemExit):
            await worker.run()
        assert sorted(peer.reports()) == [("ACK", job.jid) for job in jobs]
    assert worker.stats.state == "stopped"
