"""What a handler knows beside its arguments."""

import logging
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from faktory_async import (
    App,
    Client,
    EmbeddedServer,
    Job,
    JobContext,
    Retries,
    UsageError,
    Worker,
    current_context,
    current_job,
    job_client,
)
from tests.app import elsewhere
from tests.app.working import push, work

pytestmark = pytest.mark.anyio


class State:
    """What a lifespan gives."""

    def __init__(self) -> None:
        self.seen: list[Any] = []


def with_state(state: State, **options: Any) -> App:
    @asynccontextmanager
    async def lifespan() -> AsyncGenerator[State]:
        state.seen.append("entered")
        try:
            yield state
        finally:
            state.seen.append("left")

    return App(lifespan=lifespan, **options)


# -- fields ---------------------------------------------------------------------------------------


def look(ctx: JobContext[State]) -> None:
    assert current_context() is ctx
    assert current_job() is ctx.job
    assert ctx.deadline is not None
    left = ctx.deadline - datetime.now(UTC)
    assert timedelta(seconds=30) < left < timedelta(seconds=61)  # clocks differ a little
    assert not ctx.shutting_down
    ctx.log.info("worked")
    ctx.state.seen.append((ctx.jid, ctx.attempt, ctx.retries_left, ctx.app, repr(ctx)))


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_a_handler_knows_its_job_and_its_surroundings(
    server: EmbeddedServer, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    state = State()
    app = with_state(state, dial=server.dial, timeout=60)
    if kind == "async":

        @app.job("looking")
        async def looking(ctx: JobContext[State]) -> None:
            look(ctx)
    else:
        app.job("looking")(look)
    await push(app, Job("looking", jid="12345678", retry=3))
    assert (await work(app)).acked == 1
    shown = "<JobContext Job(jobtype='looking', jid='12345678', queue='default', args=[])>"
    entered, (*told, representation), left = state.seen
    assert (entered, left) == ("entered", "left")
    assert told == ["12345678", 0, 3, app]
    assert representation.startswith(shown[:60])
    [record] = [record for record in caplog.records if record.name == "faktory_async.jobs"]
    extra = (record.__dict__[name] for name in ("jid", "jobtype", "queue", "attempt"))
    assert tuple(extra) == ("12345678", "looking", "default", 0)


async def test_a_handler_without_a_context_has_one_that_is_current(app: App) -> None:
    seen: list[str] = []

    def deep() -> None:
        seen.append(current_context().jid)

    @app.job
    async def plain() -> None:
        deep()
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, deep)
        await current_context().to_thread(deep)

    @app.job
    def threaded() -> None:
        deep()
        assert current_context().state is None

    async with app:
        one, two = await plain.push(), await threaded.push()
    assert (await work(app, concurrency=1)).acked == 2
    assert seen == [one.jid] * 3 + [two.jid]


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"], indirect=True)
async def test_a_process_has_a_job_and_no_context(server: EmbeddedServer, tmp_path: Path) -> None:
    with elsewhere.app.aimed_at(server.url, server.dial):
        async with elsewhere.app:
            await elsewhere.tell.push(str(tmp_path / "told"))
        assert (await work(elsewhere.app)).acked == 1
    pid, jobtype, known = (tmp_path / "told").read_text().split(" ", 2)
    assert (int(pid) != os.getpid(), jobtype) == (True, "tell")
    assert known == "there is no current context outside of a typed handler"


def test_outside_there_is_no_context_but_a_fake_one() -> None:
    with pytest.raises(UsageError, match="outside of a typed handler"):
        current_context()
    state = State()
    fake = JobContext.fake(state)
    assert (fake.state, fake.job.jobtype, fake.attempt) == (state, "fake", 0)
    assert (fake.deadline, fake.shutting_down) == (None, False)
    with pytest.raises(UsageError, match=r"no app here: give JobContext.fake one"):
        fake.app  # noqa: B018 - asking is the test
    app, job = App(), Job("order", jid="12345678")
    fake = JobContext.fake(state, job=job, app=app)
    assert (fake.app, fake.jid) == (app, "12345678")


async def test_a_fake_makes_progress_and_uses_threads() -> None:
    fake = JobContext.fake()
    await fake.progress(50)
    assert await fake.to_thread(divmod, 7, 2) == (3, 1)


async def test_a_record_carries_the_handlers_own_words_too(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    @app.job
    async def order(ctx: JobContext) -> None:
        ctx.log.info("paid", extra={"amount": 5, "attempt": "mine"})

    async with app:
        job = await order.push()
    await work(app)
    [record] = [record for record in caplog.records if record.getMessage() == "paid"]
    known = record.__dict__
    assert (known["jid"], known["amount"], known["attempt"]) == (job.jid, 5, "mine")


async def test_a_handler_in_a_thread_pushes(app: App, server: EmbeddedServer) -> None:
    @app.job
    def order(ctx: JobContext) -> None:
        rest.push_sync(1)
        anyio.from_thread.run(rest.push, 2)
        anyio.from_thread.run(job_client().push, Job("rest", [3], queue="rest"))

    @app.job(queue="rest")
    async def rest(number: int) -> None: ...

    async with app:
        await order.push()
    assert (await work(app)).acked == 1
    await anyio.to_thread.run_sync(app.close_sync)
    assert [job.args for job in server.queues["rest"].jobs] == [[1], [2], [3]]


@pytest.mark.parametrize("opened", [False, True])
async def test_a_thread_pushes_to_where_coroutines_push(
    server: EmbeddedServer, *, opened: bool
) -> None:
    app = App("tcp://127.0.0.1:1")

    @app.job
    def order() -> None:
        rest.push_sync(1)
        anyio.from_thread.run(rest.push, 2)

    @app.job(queue="rest")
    async def rest(number: int) -> None: ...

    async with EmbeddedServer() as worked, Client(dial=worked.dial) as client:
        await client.push(order.call())
        worker = Worker(app, dial=worked.dial, burst=True)
        if opened:
            with app.aimed_at(server.url, server.dial):
                await app.__aenter__()
        assert (await worker.run()).acked == 1
        if opened:
            await app.__aexit__(None, None, None)
        await anyio.to_thread.run_sync(app.close_sync)
        there = server if opened else worked
        assert [job.args for job in there.queues["rest"].jobs] == [[1], [2]]


async def test_a_thread_pushes_another_apps_jobs_to_that_ones_server(
    app: App, server: EmbeddedServer
) -> None:
    async with EmbeddedServer() as elsewhere:
        other = App(elsewhere.url, dial=elsewhere.dial)

        @app.job
        def order() -> None:
            theirs.push_sync()

        @other.job
        async def theirs() -> None: ...

        async with app:
            await order.push()
        assert (await work(app)).acked == 1
        await anyio.to_thread.run_sync(other.close_sync)
        assert len(elsewhere.queues["default"].jobs) == 1


async def test_attempts_are_counted(app: App, server: EmbeddedServer) -> None:
    seen: list[tuple[int, int]] = []

    @app.job(retry=2)
    async def failing(ctx: JobContext) -> None:
        seen.append((ctx.attempt, ctx.retries_left))
        raise ValueError

    async with app:
        await failing.push()
    for _ in range(3):
        await work(app)
        server.advance_to_next()
    assert seen == [(0, 2), (1, 1), (2, 0)]
    assert len(server.dead) == 1


@pytest.mark.parametrize(("retry", "left"), [(-1, 0), (0, 0), (1, 1)])
async def test_words_without_retries_leave_none(retry: int, left: int) -> None:
    assert JobContext.fake(job=Job("order", retry=retry)).retries_left == left


async def test_contexts_do_not_leak_between_jobs(app: App) -> None:
    seen: list[tuple[str, str, str]] = []
    started: list[str] = []
    all_there = anyio.Event()

    @app.job
    async def order(ctx: JobContext, name: str) -> None:
        started.append(name)
        if len(started) == 10:
            all_there.set()
        await all_there.wait()
        in_thread = await ctx.to_thread(lambda: current_context().job.args[0])
        seen.append((name, current_context().job.args[0], in_thread))

    async with app:
        await app.push_many(order.call(str(number)) for number in range(10))
    assert (await work(app)).acked == 10
    assert sorted(seen) == [(str(n), str(n), str(n)) for n in range(10)]
    with pytest.raises(UsageError):
        current_context()


# -- the lifespan ---------------------------------------------------------------------------------


async def test_a_lifespan_is_entered_once_per_run_and_never_for_pushing(
    server: EmbeddedServer,
) -> None:
    state = State()
    app = with_state(state, dial=server.dial)

    @app.job
    async def order(ctx: JobContext[State]) -> None:
        ctx.state.seen.append("worked")

    async with app:
        await app.push_many([order.call(), order.call()])
    assert state.seen == []
    await work(app)
    assert state.seen == ["entered", "worked", "worked", "left"]
    await anyio.to_thread.run_sync(order.push_sync)
    app.close_sync()
    await work(app)
    assert state.seen[4:] == ["entered", "worked", "left"]


@pytest.mark.parametrize("when", ["entering", "leaving"])
async def test_the_error_of_a_lifespan_ends_the_run(server: EmbeddedServer, when: str) -> None:
    @asynccontextmanager
    async def lifespan() -> AsyncGenerator[None]:
        if when == "entering":
            raise LookupError("no database")
        yield
        raise LookupError("no database")

    app = App(lifespan=lifespan, dial=server.dial)
    with pytest.raises(LookupError, match="no database"):
        await work(app)
    assert app._opened == {}


async def test_a_lifespan_may_push(server: EmbeddedServer) -> None:
    @asynccontextmanager
    async def lifespan() -> AsyncGenerator[None]:
        await order.push(1)
        yield
        await order.push(2)

    app = App(lifespan=lifespan, dial=server.dial)

    @app.job
    async def order(number: int) -> None: ...

    assert (await work(app)).acked == 1
    assert [job.args for job in server.queues["default"].jobs] == [[2]]


async def test_a_worker_within_a_handler_has_the_state_of_its_own_app(
    server: EmbeddedServer,
) -> None:
    state = State()
    outer, inner = with_state(state, dial=server.dial), App(dial=server.dial)
    seen: list[Any] = []

    @inner.job(queue="inner")
    async def within(ctx: JobContext) -> None:
        seen.append(ctx.state)

    @outer.job
    async def around(ctx: JobContext[State]) -> None:
        await work(inner, queues=["inner"])
        seen.append(ctx.state)

    async with outer, inner:
        await within.push()
        await around.push()
    await work(outer)
    assert seen == [None, state]


# -- on the way out -------------------------------------------------------------------------------


async def test_a_handler_sees_that_its_worker_stops_and_pushes_meanwhile(
    app: App, server: EmbeddedServer
) -> None:
    seen: list[bool] = []
    started, stopped = anyio.Event(), anyio.Event()

    @app.job
    async def order(ctx: JobContext) -> None:
        seen.append(ctx.shutting_down)
        started.set()
        await stopped.wait()
        seen.append(ctx.shutting_down)
        await rest.push(1)
        await job_client().push(Job("rest", [2], queue="rest"))

    @app.job(queue="rest")
    async def rest(number: int) -> None: ...

    async with app:
        await order.push()
    worker = Worker(app, handle_signals=False)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(worker.run)
            await started.wait()
            worker.stop()
            stopped.set()
    assert seen == [False, True]
    assert [job.args for job in server.queues["rest"].jobs] == [[1], [2]]


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_a_handler_is_over_at_its_deadline(
    app: App, server: EmbeddedServer, kind: str
) -> None:
    if kind == "async":

        @app.job("slow", timeout=0.05)
        async def slow() -> None:
            await anyio.sleep_forever()
    else:

        @app.job("slow", timeout=0.05)
        def slow_thread() -> None:
            while True:  # until it is told that its time is up
                anyio.from_thread.check_cancelled()

    await push(app, Job("slow"))
    assert (await work(app)).failed == 1
    [retry] = server.retries
    assert retry.job.failure is not None
    assert retry.job.failure.errtype == "faktory_async.errors.JobTimeoutError"


@pytest.mark.parametrize("fatal", [True, False])
async def test_a_policy_judges_a_timeout_too(
    app: App, server: EmbeddedServer, *, fatal: bool
) -> None:
    policy = Retries(fatal=(TimeoutError,) if fatal else (), on=(TimeoutError,))

    @app.job(timeout=0.05, retry=policy)
    async def slow() -> None:
        await anyio.sleep_forever()

    async with app:
        await slow.push()
    await work(app)
    assert (len(server.dead), len(server.retries)) == ((1, 0) if fatal else (0, 1))


# -- progress -------------------------------------------------------------------------------------


@pytest.mark.parametrize("tracked", [True, False])
async def test_on_the_free_server_progress_is_a_line_in_the_log(
    app: App, caplog: pytest.LogCaptureFixture, *, tracked: bool
) -> None:
    caplog.set_level(logging.DEBUG, "faktory_async.jobs")

    @app.job
    async def order(ctx: JobContext) -> None:
        await ctx.progress(40, "resizing")

    async with app:
        await order.using(tracked=tracked).push()
    assert (await work(app)).acked == 1
    assert "order is at 40 %: resizing" in caplog.text


Prolong = Callable[[JobContext, datetime], Any]


async def by_progress(ctx: JobContext, until: datetime) -> None:
    await ctx.progress(50, "half", reserve_until=until)


async def by_client(ctx: JobContext, until: datetime) -> None:
    await job_client().track_set(ctx.jid, percent=50, desc="half", reserve_until=until)


@pytest.mark.parametrize("prolong", [by_progress, by_client])
@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_progress_is_known_to_enterprise_and_moves_the_deadline(
    prolong: Prolong, kind: str
) -> None:
    deadlines: list[datetime | None] = []
    async with EmbeddedServer(edition="enterprise", fetch_wait=0.02) as server:
        app = App(dial=server.dial, reserve_for=60)
        until = datetime.now(UTC) + timedelta(hours=1)
        if kind == "async":

            @app.job("order")
            async def order(ctx: JobContext) -> None:
                deadlines.append(ctx.deadline)
                await prolong(ctx, until)
                deadlines.append(ctx.deadline)
        else:

            @app.job("order")
            def threaded(ctx: JobContext) -> None:
                deadlines.append(ctx.deadline)
                anyio.from_thread.run(prolong, ctx, until)
                deadlines.append(ctx.deadline)

        await push(app, Job("order", jid="12345678", reserve_for=60).tracked())
        assert (await work(app)).acked == 1
        async with app:
            progress = await app.client().track_get("12345678")
    assert (progress.percent, progress.desc) == (50, "half")
    before, after = deadlines
    assert before is not None
    assert after is not None
    assert before < datetime.now(UTC) + timedelta(seconds=60)
    assert abs(after - (until - timedelta(seconds=5))) < timedelta(seconds=1)


@pytest.mark.parametrize(
    ("percent", "until", "said"),
    [
        (101, None, "percent"),
        (-1, None, "percent"),
        (5, datetime(2026, 1, 1), "aware"),  # noqa: DTZ001 - that is the point
    ],
)
@pytest.mark.parametrize("tracked", [True, False])
async def test_progress_that_makes_no_sense_is_refused_everywhere(
    percent: int, until: datetime | None, said: str, *, tracked: bool
) -> None:
    job = Job("order").tracked() if tracked else Job("order")
    with pytest.raises(UsageError, match=said):
        await JobContext.fake(job=job).progress(percent, reserve_until=until)
