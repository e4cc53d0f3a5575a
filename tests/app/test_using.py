"""How one push differs from the others: `using`, many at once, and from code that is not async."""

import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any

import anyio
import anyio.to_thread
import pytest

from faktory_async import (
    App,
    ArgumentsError,
    ClientStateError,
    EmbeddedServer,
    Job,
    PushReport,
    Retries,
    UsageError,
)
from faktory_async.app import SERVER_DEFAULT, JobType, _sync
from faktory_async.model import World, use_world

on_every_loop = pytest.mark.anyio
on_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


class Noon(World):
    def utcnow(self) -> datetime:
        return NOON


def one(a: int) -> None: ...


def job_using(**options: Any) -> Job:
    with use_world(Noon()):
        return App().job(one).using(**options).call(1)


@pytest.mark.parametrize(
    ("options", "field", "value"),
    [
        ({"queue": "slow"}, "queue", "slow"),
        ({"delay": 90}, "at", NOON + timedelta(seconds=90)),
        ({"delay": 0.5}, "at", NOON + timedelta(seconds=0.5)),
        ({"delay": "1h30m"}, "at", NOON + timedelta(minutes=90)),
        ({"delay": timedelta(days=1)}, "at", NOON + timedelta(days=1)),
        ({"delay": 0}, "at", NOON),
        ({"at": NOON}, "at", NOON),
        ({"retry": 3}, "retry", 3),
        ({"retry": "dead"}, "retry", -1),
        ({"retry": "discard"}, "retry", 0),
        ({"retry": Retries(max=4)}, "retry", 4),
        ({"reserve_for": 90}, "reserve_for", 90),
        ({"reserve_for": timedelta(minutes=2)}, "reserve_for", 120),
        ({"reserve_for": SERVER_DEFAULT}, "reserve_for", None),
        ({"reserve_for": None}, "reserve_for", 600),
        ({"jid": "a-jid-of-mine"}, "jid", "a-jid-of-mine"),
        ({"custom": {"a": 1}}, "custom", {"a": 1}),
        ({"unique_for": "1m"}, "custom", {"unique_for": 60, "unique_until": "success"}),
        (
            {"unique_for": 60, "unique_until": "start"},
            "custom",
            {"unique_for": 60, "unique_until": "start"},
        ),
        ({"expires_in": "1h"}, "custom", {"expires_at": "2026-05-04T13:00:00Z"}),
        ({"expires_at": NOON}, "custom", {"expires_at": "2026-05-04T12:00:00Z"}),
        ({"tracked": True}, "custom", {"track": 1}),
        ({"tracked": False}, "custom", {}),
        ({}, "at", None),
    ],
)
def test_an_option_becomes_a_field(options: Any, field: str, value: Any) -> None:
    assert getattr(job_using(**options), field) == value


def test_options_add_up_and_the_last_one_counts() -> None:
    job = App().job(queue="a", retry=2)(one)
    changed = job.using(queue="b", delay=60).using(at=NOON, retry=9)
    assert (changed.call(1).queue, changed.call(1).at, changed.call(1).retry) == ("b", NOON, 9)
    assert changed.using(delay=5).call(1).at != NOON
    with use_world(Noon()):
        expiring = job.using(expires_at=NOON).using(expires_in=60).call(1)
        assert expiring.custom == {"expires_at": "2026-05-04T12:01:00Z"}
        expiring = job.using(expires_in=60).using(expires_at=NOON).call(1)
        assert expiring.custom == {"expires_at": "2026-05-04T12:00:00Z"}
    until = job.using(unique_for=60).using(unique_until="start").call(1).custom
    assert until["unique_until"] == "start"
    plain = job.call(1)
    assert (plain.queue, plain.at, plain.retry, plain.custom) == ("a", None, 2, {})


def test_each_job_has_a_jid_of_its_own() -> None:
    job = App().job(one).using(queue="a")
    assert len({job.call(1).jid for _ in range(10)}) == 10


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"delay": 1, "at": NOON}, "a job has a delay or a time, not both"),
        ({"expires_in": 1, "expires_at": NOON}, "after a duration or at a time, not both"),
        ({"unique_until": "start"}, "unique_until needs unique_for"),
        ({"unique_for": 60, "unique_until": "later"}, 'unique_until is "success" or "start"'),
        ({"unique_for": 0.5}, "at least 1 second"),
        ({"ETA": 1, "delai": 1}, "there is no option ETA, delai; there are queue, delay, at"),
        ({"delay": -1}, "a delay is not negative"),
        ({"delay": "soon"}, "'soon' is no duration"),
        ({"delay": 1e15}, "a delay ends before the year 10000"),
        ({"at": datetime(2026, 5, 4)}, "at: is a naive datetime"),  # noqa: DTZ001 - that is the point
        ({"retry": "never"}, 'retry is a number, "dead", "discard"'),
        ({"reserve_for": 5}, "reserve_for: must be at least 60"),
        ({"queue": "a b"}, "queue: must consist of"),
        ({"jid": "short"}, "jid: must have at least 8 characters"),
        ({"custom": {1: 2}}, "custom: has a key of type int"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_at_once(options: Any, said: str) -> None:
    job = App().job(one)
    with pytest.raises(UsageError, match=said):
        job.using(**options)


# -- pushing --------------------------------------------------------------------------------------


@on_every_loop
async def test_a_push_stores_the_job_that_it_returns(app: App, server: EmbeddedServer) -> None:
    job = app.job(queue="q")(one)
    async with app:
        pushed = await job.push(1)
        later = await job.using(delay="1h", retry=3).push(a=2)
    [stored] = server.queues["q"].jobs
    assert (stored.jid, stored.args) == (pushed.jid, [1])
    [scheduled] = server.scheduled
    assert (scheduled.job.jid, scheduled.job.args, scheduled.job.retry) == (later.jid, [2], 3)
    assert scheduled.due == later.at


@on_every_loop
async def test_a_closed_app_pushes_nothing_and_says_how_to_open_it(app: App) -> None:
    job = app.job(one)
    for _ in range(2):
        with pytest.raises(ClientStateError, match="write `async with app:` around the program"):
            await job.push(1)
        async with app:
            await job.push(1)


@on_every_loop
async def test_an_app_may_be_opened_more_than_once(app: App, server: EmbeddedServer) -> None:
    job = app.job(one)
    async with app:
        async with app, app:
            client = app.client()
            await job.push(1)
        assert app.client() is client
        await job.push(2)
    with pytest.raises(ClientStateError):
        app.client()
    assert len(server.queues["default"]) == 2


@on_every_loop
async def test_tasks_may_open_and_close_an_app_as_they_like(app: App) -> None:
    job = app.job(one)

    async def once() -> None:
        async with app:
            await job.push(1)

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(once)
    with pytest.raises(ClientStateError):
        app.client()


@on_every_loop
async def test_loops_on_other_threads_have_connections_of_their_own(
    app: App, server: EmbeddedServer
) -> None:
    job = app.job(one)

    async def elsewhere() -> None:
        with pytest.raises(ClientStateError):
            app.client()
        async with app:
            await job.push(2)

    async with app:
        await job.push(1)
        await anyio.to_thread.run_sync(anyio.run, elsewhere)
        await job.push(3)
    assert len(server.queues["default"]) == 3


@on_every_loop
async def test_an_app_is_the_lifespan_of_a_web_app(app: App) -> None:
    async with app.asgi_lifespan(object()):
        await app.job(one).push(1)
    with pytest.raises(ClientStateError):
        app.client()


@on_every_loop
async def test_calls_are_pushed_by_the_thousand(app: App, server: EmbeddedServer) -> None:
    job = app.job(one)
    reports: list[int] = []

    async def more() -> AsyncGenerator[Job]:
        yield job.using(queue="more").call(5)

    def note(report: PushReport) -> None:
        reports.append(report.accepted)

    async with app:
        report = await app.push_many((job.call(a) for a in range(1_500)), progress=note)
        assert (report.accepted, report.error) == (1_500, None)
        assert (await app.push_many(more())).accepted == 1
    assert reports[-1] == 1_500
    assert len(server.queues["default"]) == 1_500
    assert server.queues["more"].jobs[0].args == [5]


@on_every_loop
async def test_a_call_that_does_not_fit_ends_the_pushing_of_many(app: App) -> None:
    job: Any = app.job(one)

    def calls() -> Iterator[Job]:
        yield job.call(1)
        yield job.call("2")

    async with app:
        with pytest.raises(ArgumentsError):
            await app.push_many(calls())


# -- from code that is not async ------------------------------------------------------------------


@pytest.fixture
def sync_app(app: App) -> Iterator[App]:
    yield app
    app.close_sync()


@on_every_loop
async def test_a_thread_beside_a_loop_pushes(sync_app: App, server: EmbeddedServer) -> None:
    job = sync_app.job(one)
    pushed = await anyio.to_thread.run_sync(job.push_sync, 1)
    later = await anyio.to_thread.run_sync(job.using(delay=60).push_sync, 2)
    assert [stored.jid for stored in server.queues["default"].jobs] == [pushed.jid]
    assert [entry.job.jid for entry in server.scheduled] == [later.jid]


@on_every_loop
async def test_many_threads_push_and_the_connections_may_be_closed_meanwhile(
    sync_app: App, server: EmbeddedServer
) -> None:
    job = sync_app.job(one)
    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(anyio.to_thread.run_sync, job.push_sync, number)
    await anyio.to_thread.run_sync(sync_app.close_sync)
    await anyio.to_thread.run_sync(sync_app.close_sync)
    await anyio.to_thread.run_sync(job.push_sync, 20)
    assert {stored.args[0] for stored in server.queues["default"].jobs} == set(range(21))


@on_every_loop
async def test_a_bare_thread_pushes(sync_app: App, server: EmbeddedServer) -> None:
    thread = Thread(target=sync_app.job(one).push_sync, args=(1,))
    thread.start()
    await anyio.to_thread.run_sync(thread.join)
    assert len(server.queues["default"]) == 1


@on_every_loop
async def test_inside_of_a_loop_a_thread_would_be_blocked(app: App) -> None:
    with pytest.raises(UsageError, match=r"write `await ...push\(...\)`"):
        app.job(one).push_sync(1)


@on_every_loop
async def test_what_does_not_fit_is_refused_in_a_thread_too(sync_app: App) -> None:
    job: Any = sync_app.job(one)
    with pytest.raises(ArgumentsError):
        await anyio.to_thread.run_sync(job.push_sync, "1")


PROGRAM = """
import gc
from faktory_async import App

app = App()

@app.job
def one(a: int) -> None: ...

assert [one.push_sync(a).args for a in range({})] == [[0], [1]]
{}
print("pushed")
"""


@on_asyncio
@on_every_loop
@pytest.mark.parametrize("last", ["", "app.close_sync()", "del app, one; gc.collect()"])
async def test_a_script_pushes_and_ends(server: EmbeddedServer, last: str) -> None:
    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-W", "error", "-X", "dev", "-c", PROGRAM.format(2, last)],
            env={**os.environ, "FAKTORY_URL": server.url},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    result = await anyio.to_thread.run_sync(run)
    assert (result.returncode, result.stdout, result.stderr) == (0, "pushed\n", "")
    assert len(server.queues["default"]) == 2


@on_every_loop
async def test_where_there_can_be_no_further_event_loop_it_says_so(
    sync_app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OSError("too many open files")

    monkeypatch.setitem(_sync._LOOP, "loop_factory", fail)
    with pytest.raises(OSError, match="too many open files"):
        await anyio.to_thread.run_sync(sync_app.job(one).push_sync, 1)


FORKING = """
import os, signal, sys
from faktory_async import App

app = App()

@app.job
def one(a: int) -> None: ...

one.push_sync(0)
child = os.fork()
if not child:
    signal.alarm(20)  # ends it where it hangs
    for number in range({pushes}):
        one.push_sync(1)
    sys.exit()
_, status = os.waitpid(child, 0)
one.push_sync(2)
print("the child ended with", status)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@on_asyncio
@on_every_loop
@pytest.mark.parametrize("pushes", [0, 1, 2])
async def test_a_forked_child_pushes_on_its_own_and_ends(
    server: EmbeddedServer, pushes: int
) -> None:
    def run() -> subprocess.CompletedProcess[str]:
        # Python 3.12 warns of every fork of a program with threads.
        options = ["-W", "error", "-W", "ignore::DeprecationWarning", "-X", "dev"]
        return subprocess.run(  # noqa: S603 - our own program
            [sys.executable, *options, "-c", FORKING.format(pushes=pushes)],
            env={**os.environ, "FAKTORY_URL": server.url},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    result = await anyio.to_thread.run_sync(run)
    assert (result.stdout, result.stderr) == ("the child ended with 0\n", "")
    assert [stored.args[0] for stored in server.queues["default"].jobs] == [0, *[1] * pushes, 2]


@on_asyncio
@on_every_loop
async def test_another_server_in_the_environment_gets_what_is_pushed_from_then_on(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = App()
    job: JobType[[int]] = app.job(one)
    async with EmbeddedServer() as other:
        for number, target in enumerate([server, other, server]):
            monkeypatch.setenv("FAKTORY_URL", target.url)
            await anyio.to_thread.run_sync(job.push_sync, number)
        await anyio.to_thread.run_sync(app.close_sync)
        assert [stored.args for stored in server.queues["default"].jobs] == [[0], [2]]
        assert [stored.args for stored in other.queues["default"].jobs] == [[1]]
