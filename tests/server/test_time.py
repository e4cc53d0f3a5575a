"""The server's clock, moved: what happens on the way, and who notices."""

import asyncio
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from faktory_async import Client, EmbeddedServer, Job, Worker
from faktory_async.errors import ClientStateError, UsageError
from faktory_async.server import Connection, _door
from faktory_async.server._time_travel import travel
from tests.net._loops import on_every_loop
from tests.server._driver import SECOND, Driver, Sizes, sizes
from tests.server._wire import NIL, OK, Dial, by_memory, by_tcp, connected

R = TypeVar("R")

both_ways = pytest.mark.parametrize("dial", [by_tcp, by_memory])
HELLO_W1 = b'HELLO {"wid":"w1"}\r\n'


def push(jid: str = "a-job-001", more: str = "") -> bytes:
    return f'PUSH {{"jid":"{jid}","queue":"q","jobtype":"a","args":[]{more}}}'.encode()


async def until(condition: Callable[[], bool]) -> None:
    """Give the others turns until something is so."""
    while not condition():
        await anyio.lowlevel.checkpoint()


# -- by a broker alone ----------------------------------------------------------------------------


def jump(driver: Driver, seconds: float, *, expire: bool = False) -> int:
    """Travel, and return how many connections are to be closed."""

    def move(nanoseconds: int) -> None:
        driver.now += nanoseconds

    span = round(seconds * SECOND)
    return len(travel(driver.broker, move, span, expire_reservations=expire))


def test_every_tick_on_the_way_runs_in_its_order() -> None:
    driver = Driver()
    driver.push("job-retry", more='"retry":5')
    driver.fetch()
    driver.ask('FAIL {"jid":"job-retry"}')  # to be retried after 15 s
    driver.push("job-later", more='"at":"2026-11-23T22:00:42Z"')
    jump(driver, 3600)
    fetched = [driver.fetch(), driver.fetch()]
    assert [jid in job for jid, job in zip(["job-retry", "job-later"], fetched, strict=True)] == [
        True,
        True,
    ]
    assert '"enqueued_at":"2026-11-23T22:00:15.125Z"' in fetched[0]
    assert '"enqueued_at":"2026-11-23T22:00:45.125Z"' in fetched[1]


def test_jobs_in_work_keep_what_they_have_of_their_reservation() -> None:
    driver = Driver()
    driver.push(more='"retry":5,"reserve_for":60')
    driver.fetch()
    driver.advance(31)
    jump(driver, 86_400)
    assert sizes(driver) == Sizes(working=1)
    driver.advance(28.9)
    assert sizes(driver) == Sizes(working=1)
    driver.advance(0.1)
    assert sizes(driver) == Sizes(retries=1)


def test_they_run_out_of_time_where_that_is_asked_for_and_come_again() -> None:
    driver = Driver()
    driver.push(more='"retry":5,"reserve_for":60')
    driver.fetch()
    jump(driver, 3600, expire=True)
    assert sizes(driver) == Sizes()
    assert '"errtype":"ReservationExpired"' in driver.fetch()
    assert driver.broker.working.reaped == 1


def test_connected_workers_count_as_having_beaten() -> None:
    driver = Driver()
    driver.dial("w1")
    driver.advance(50)
    assert jump(driver, 86_400) == 0
    assert driver.advance(60) == []
    assert len(driver.advance(16)) == 1


def test_what_was_late_already_is_done_first() -> None:
    driver = Driver()
    driver.dial("w1")
    driver.now += 100 * SECOND  # nobody looked at the clock meanwhile
    assert jump(driver, 1) == 1


def test_who_waits_is_served_at_the_end_in_order_and_with_a_whole_reservation() -> None:
    driver = Driver()
    driver.push("job-next", more='"at":"2026-11-23T22:00:20Z","reserve_for":60')
    driver.push("job-first", more='"at":"2026-11-23T22:00:10Z","reserve_for":60')
    one, two, three = (driver.dial(wid) for wid in ("w1", "w2", "w3"))
    waiting = [driver.wait("FETCH default", on=each) for each in (one, two, three)]
    jump(driver, 7200, expire=True)
    assert waiting[0].reply is not None
    assert b"job-first" in waiting[0].reply
    assert waiting[1].reply is not None
    assert b"job-next" in waiting[1].reply
    assert waiting[2].reply is None
    assert [entry.expires_at - driver.now for entry in driver.broker.working.entries()] == [
        60 * SECOND,
        60 * SECOND,
    ]


def test_thirty_days_leave_the_counters_that_walking_leaves() -> None:
    jumping, walking = Driver(), Driver()
    days = 30 * 86_400
    for driver in (jumping, walking):
        driver.push(more='"at":"2026-12-01T00:00:03Z"')
    jump(jumping, days)
    for _ in range(days // 3600):
        walking.advance(3600)
    found = [
        {name: (task.cycles, task.enqueued) for name, task in driver.broker.tasks.items()}
        for driver in (jumping, walking)
    ]
    assert found[0] == found[1]
    assert found[0]["Scheduled"] == (days // 5, 1)
    assert found[0]["Dead"] == (days // 60, 0)


def test_ticks_at_which_nothing_is_due_are_not_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver()
    driver.push(more='"at":"2026-12-01T00:00:03Z"')
    ran: list[int] = []
    run = driver.broker._run

    def count(tick: int) -> list[Connection]:
        ran.append(tick)
        return run(tick)

    monkeypatch.setattr(driver.broker, "_run", count)
    jump(driver, 30 * 86_400)
    assert len(ran) == 1


# -- by a server ----------------------------------------------------------------------------------


@on_every_loop
@both_ways
async def test_a_fetch_that_waits_gets_the_job_that_was_for_later(dial: Dial) -> None:
    async with (
        EmbeddedServer(fetch_wait=3600 * 24 * 365) as server,
        connected(server, dial) as worker,
        connected(server, dial) as producer,
    ):
        at = (server.now + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
        assert await producer.ask(push(more=f',"at":"{at}"')) == OK
        await worker.send(b"FETCH q\r\n")
        await until(lambda: bool(server._broker.waiting()))
        server.advance(timedelta(days=2))
        assert server.scheduled
        server.advance(days=1, seconds=5)
        assert not server.scheduled
        assert [entry.job.jid for entry in server.working] == ["a-job-001"]
        assert b"a-job-001" in await worker.reply()


@on_every_loop
async def test_a_fetch_whose_time_is_over_gets_nothing() -> None:
    async with EmbeddedServer(fetch_wait=3600) as server, connected(server) as wire:
        await wire.send(b"FETCH q\r\n")
        await until(lambda: bool(server._broker.waiting()))
        server.advance(1800)
        assert server._broker.waiting()
        server.advance(1801)
        assert await wire.reply() == NIL
        await wire.send(b"FETCH q\r\n")
        await until(lambda: bool(server._broker.waiting()))
        server.fetch_wait = 0
        assert server.fetch_wait == 0
        assert await wire.reply() == NIL
        assert await wire.ask(b"FETCH q") == NIL


@on_every_loop
async def test_the_next_tick_comes_when_the_clock_says_so() -> None:
    async with EmbeddedServer() as server:
        ticks: list[int] = []
        server._core.catch_up = lambda: ticks.append(1)  # type: ignore[method-assign]
        await anyio.lowlevel.checkpoint()
        server._clock.move(5 * SECOND)
        server._clock.nudge()
        await until(lambda: bool(ticks))


@on_every_loop
async def test_the_clock_only_goes_forward_and_not_too_far() -> None:
    async with EmbeddedServer() as server:
        before = server.now
        for wrong in (-1, timedelta(days=-1), float("nan"), float("inf"), timedelta.max):
            with pytest.raises(UsageError):
                server.advance(wrong)
        assert server.now - before < timedelta(minutes=10)
        with pytest.raises(UsageError, match="at least 0"):
            server.fetch_wait = -1


@on_every_loop
async def test_it_goes_to_the_next_job_by_itself() -> None:
    async with EmbeddedServer() as server, connected(server) as wire:
        assert server.advance_to_next() is None
        at = (server.now + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
        await wire.ask(push(more=f',"at":"{at}"'))
        backlog = server.backlog
        assert (backlog.queued, backlog.due, backlog.reserved) == (0, 0, 0)
        moment = server.advance_to_next()
        assert moment == backlog.next_tick
        assert len(server.queues["q"]) == 1
        assert timedelta(0) <= server.now - datetime.fromisoformat(at) < timedelta(seconds=10)


@on_every_loop
async def test_a_closed_server_has_no_time() -> None:
    server = EmbeddedServer()
    with pytest.raises(ClientStateError, match="not open"):
        server.advance(1)
    async with server:
        pass
    with pytest.raises(ClientStateError, match="not open"):
        server.advance(1)
    with pytest.raises(ClientStateError, match="not open"):
        server.pause("q")
    assert server.counters.connections == 0


# -- from other threads ---------------------------------------------------------------------------


@on_every_loop
async def test_every_thread_may_move_the_clock() -> None:
    async with EmbeddedServer() as server:
        before = server.now
        await anyio.to_thread.run_sync(lambda: server.advance(hours=1))
        assert server.now - before >= timedelta(hours=1)
        assert await anyio.to_thread.run_sync(lambda: server.queues) == {}


@on_every_loop
async def test_a_blocked_loop_is_told_and_nothing_happens_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_door, "PATIENCE", 0.05)
    async with EmbeddedServer() as server:
        before, errors = server.now, list[BaseException]()

        def advance() -> None:
            try:
                server.advance(hours=1)
            except UsageError as error:
                errors.append(error)

        thread = threading.Thread(target=advance)
        thread.start()
        thread.join()  # on the server's own thread: a deadlock, if there could be one
        assert "something blocks it" in str(errors[0])
        await anyio.lowlevel.checkpoint()
        assert server.now - before < timedelta(minutes=10)


class Impatient(Future[R]):
    """What was handed over, with the caller's patience over as soon as it has begun."""

    def result(self, timeout: float | None = None) -> R:
        if timeout is not None:
            while not self.running() and not self.done():
                pass
            raise TimeoutError
        return super().result()


@on_every_loop
async def test_what_has_begun_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_door, "Future", Impatient)
    async with EmbeddedServer() as server:
        assert await anyio.to_thread.run_sync(lambda: server.fetch_wait) == 2


@on_every_loop
async def test_a_server_that_ends_meanwhile_is_told() -> None:
    server = EmbeddedServer()
    await server.open()
    errors: list[str] = []

    def advance() -> None:
        try:
            server.advance(hours=1)
        except ClientStateError as error:
            errors.append(str(error))

    thread = threading.Thread(target=advance)
    thread.start()
    while not server._door._handed_over:
        pass  # the loop gets no turn
    await server.aclose()
    thread.join()
    assert errors == ["the embedded server was closed meanwhile"]


def test_a_loop_that_ended_under_an_open_server_is_told() -> None:
    door = _door.Door()
    asyncio.run(opened(door))
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(door.call, int)
        with pytest.raises(ClientStateError, match="is closed, and the server was not"):
            asked.result()


async def opened(door: _door.Door) -> None:
    door.open()


@on_every_loop
async def test_what_fails_on_the_servers_thread_is_raised_where_it_was_asked_for() -> None:
    async with EmbeddedServer() as server:
        with pytest.raises(UsageError, match="no worker 'nobody' is connected"):
            await anyio.to_thread.run_sync(lambda: server.quiet("nobody"))


# -- the life of a job ----------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_job_goes_through_all_its_retries_to_the_dead() -> None:
    async with EmbeddedServer(fetch_wait=3600) as server, Client(server.url) as client:
        start = server.now
        worker = Worker(url=server.url, handle_signals=False)
        attempts: list[int] = []

        @worker.register("doomed")
        async def doomed(job: Job) -> None:
            before = None if job.failure is None else job.failure.retry_count
            attempts.append(0 if before is None else before + 1)
            raise ValueError("again")

        await client.push(Job("doomed"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.run)
            while not server.dead:
                await until(lambda: bool(server.retries or server.dead))
                server.advance_to_next()
            worker.stop()
            server.fetch_wait = 0
        assert attempts == list(range(26))
        [entry] = server.dead
        assert entry.job.failure is not None
        assert (entry.job.failure.retry_count, entry.job.failure.remaining) == (25, 0)
        assert entry.job.failure.failed_at is not None
        assert entry.job.failure.failed_at - start < timedelta(minutes=1)
        assert timedelta(days=20) < server.now - start < timedelta(days=23)
        assert server.counters.failures == 26


def test_the_start_is_utc() -> None:
    assert EmbeddedServer().now.tzinfo is UTC


# -- quiescence -----------------------------------------------------------------------------------


@on_every_loop
async def test_it_is_idle_when_nothing_is_queued_due_reserved_or_unread() -> None:
    async with EmbeddedServer(fetch_wait=3600) as server, connected(server) as wire:
        assert server.is_idle
        await wire.ask(push())
        assert server.backlog.queued == 1
        await wire.ask(b"QUEUE PAUSE q")
        assert server.backlog.queued == 0
        server.resume("q")
        await wire.ask(b"FETCH q")
        assert server.backlog.reserved == 1
        await wire.ask(b'ACK {"jid":"a-job-001"}')
        assert server.is_idle
        await wire.send(b"FETCH q\r\n")
        await until(lambda: bool(server._broker.waiting()))
        assert server.is_idle
        await wire.send(b"an unfinished line")
        assert not server.is_idle
        with socket.create_connection((server.host, server.port)):
            assert server.backlog.unread == 2


@on_every_loop
async def test_what_is_late_is_due() -> None:
    async with EmbeddedServer() as server, connected(server) as wire:
        at = (server.now + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
        await wire.ask(push(more=f',"at":"{at}"'))
        assert server.backlog.next_tick is not None
        server._clock.move(4 * 86_400 * SECOND)
        assert server.backlog.due == 1
        server.advance(5)
        assert (server.backlog.due, server.backlog.queued) == (0, 1)


@on_every_loop
async def test_one_can_wait_until_it_is_idle() -> None:
    async with EmbeddedServer(fetch_wait=3600) as server, connected(server) as wire:
        await server.settled()
        await wire.ask(push())
        settled: list[bool] = []

        async def wait() -> None:
            await server.settled()
            settled.append(server.is_idle)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await wire.ask(b"FETCH q")
            assert settled == []
            await wire.send(b'ACK {"jid":"a-job-001"}\r\n')
        assert settled == [True]


@on_every_loop
async def test_one_can_wait_for_it_on_another_thread_too() -> None:
    async with EmbeddedServer() as server, Client(server.url) as client:
        await client.push(Job("a"))
        await anyio.to_thread.run_sync(lambda: server.requeue("dead"))
        server.flush()
        await anyio.to_thread.run_sync(asyncio.run, server.settled())
