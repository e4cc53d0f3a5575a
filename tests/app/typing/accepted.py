"""What both type checkers accept, and as what they see it. It is only checked, never run."""

from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, assert_type

from faktory_async import (
    SERVER_DEFAULT,
    App,
    Backoff,
    ContextJob,
    Job,
    JobContext,
    JobType,
    PushReport,
    Retries,
    Router,
    TypedJob,
    Worker,
    current_context,
)
from faktory_async.app import CallNext


class State:
    """What the lifespan gives."""

    name = "state"


@asynccontextmanager
async def lifespan() -> AsyncGenerator[State]:
    yield State()


app = App(lifespan=lifespan, timeout="2m")
router = Router(queue="mail")


@app.job
async def plain(a: int, b: str = "b") -> float:
    return a


@app.job
def threaded(a: int, *rest: str) -> bool:
    return not rest and a == 1


@app.job("Named", queue="q", retry=Retries(max=3, backoff=Backoff.fixed("1m")), redact=["a"])
async def named(a: int) -> None: ...


@app.job
async def bare(ctx: JobContext, a: int) -> None:
    assert_type(ctx.state, None)


@router.job(retry="dead", reserve_for=SERVER_DEFAULT)
async def stateful(ctx: JobContext[State], a: int, b: str = "b") -> str:
    assert_type(ctx.state, State)
    assert_type(ctx.job, Job)
    assert_type(ctx.deadline, datetime | None)
    assert_type(await ctx.to_thread(len, b), int)
    return ctx.state.name


@router.job("in a thread", timeout=5)
def threaded_context(ctx: JobContext[State]) -> int:
    return ctx.attempt


@app.stub("Resize")
def resize(image: int, size: str = "large") -> None: ...


@app.middleware("run")
async def around(ctx: JobContext[Any], call_next: CallNext) -> object:
    return await call_next(ctx)


app.include(router, prefix="mail.")


async def pushing() -> None:
    assert_type(await plain.push(1), Job)
    assert_type(await plain.push(1, "b"), Job)
    assert_type(await plain.push(b="b", a=1), Job)
    assert_type(await threaded.push(1, "x", "y"), Job)
    assert_type(await named.push(1), Job)
    assert_type(await bare.push(1), Job)
    assert_type(await stateful.push(1, b="b"), Job)
    assert_type(await threaded_context.push(), Job)
    assert_type(await resize.push(1, size="small"), Job)
    assert_type(stateful.push_sync(1), Job)
    assert_type(plain.call(1), Job)
    assert_type(await app.push_many(plain.call(a) for a in range(5)), PushReport)


async def using() -> None:
    assert_type(await plain.using(delay="10m", queue="q").push(1, b="b"), Job)
    assert_type(await stateful.using(at=datetime.now(UTC)).using(retry=5).push(1), Job)
    stateful.using(retry=Retries(max=5), reserve_for=timedelta(minutes=5), jid="a-jid-of-mine")
    stateful.using(custom={"a": 1}, unique_for="1h", unique_until="start", expires_in=5)
    stateful.using(expires_at=datetime.now(UTC), tracked=True, reserve_for=SERVER_DEFAULT)
    resize.using(delay=timedelta(hours=1)).push_sync(1)


async def calling() -> None:
    assert_type(await plain(1), float)
    assert_type(threaded(1, "x"), bool)
    assert_type(await stateful(JobContext.fake(State()), 1), str)
    assert_type(await bare(JobContext.fake(), 1), None)
    assert_type(threaded_context(JobContext.fake(State())), int)
    assert_type(current_context(), JobContext[Any])


def generic(plain_job: JobType[[int]], with_context: JobType[[int, str]]) -> None:
    plain_job.push_sync(1)
    with_context.push_sync(1, "b")


kept: TypedJob[[int], Coroutine[Any, Any, None]] = named
kept_too: ContextJob[None, [int], Coroutine[Any, Any, None]] = bare
worker = Worker(app, queues=["mail"])
