"""The two chains: around every push, and around every handler of whatever kind."""

from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest

from faktory_async import (
    App,
    Discard,
    EmbeddedServer,
    Job,
    JobContext,
    Retry,
    UsageError,
    current_context,
)
from faktory_async.app import CallNext
from faktory_async.client import CallNext as PushNext
from tests.app import elsewhere
from tests.app.working import failure_of, push, work

pytestmark = pytest.mark.anyio

Told = list[Any]


def noting(told: Told, name: str) -> Callable[[JobContext[Any], CallNext], Any]:
    async def layer(ctx: JobContext[Any], call_next: CallNext) -> object:
        assert current_context() is ctx
        told.append(f"{name} in")
        try:
            result = await call_next(ctx)
        except Exception as error:
            told.append(f"{name} {type(error).__name__}")
            raise
        told.append(f"{name} out")
        return result

    return layer


def noting_push(told: Told, name: str) -> Callable[[Job, PushNext], Any]:
    async def layer(job: Job, call_next: PushNext) -> Job:
        told.append(f"{name} {job.args}")
        return await call_next(job.with_custom(**{name: len(told)}))

    return layer


# -- around handlers ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_layers_run_around_handlers_the_first_one_outermost(
    server: EmbeddedServer, kind: str
) -> None:
    told: Told = []
    app = App(dial=server.dial, middleware=[noting(told, "a"), noting(told, "b")])
    app.middleware("run")(noting(told, "c"))
    if kind == "async":

        @app.job("order")
        async def order(number: int) -> str:
            told.append(number)
            return "done"
    else:

        @app.job("order")
        def threaded(number: int) -> str:
            told.append(number)
            return "done"

    await push(app, Job("order", [5]))
    assert (await work(app)).acked == 1
    assert told == ["a in", "b in", "c in", 5, "c out", "b out", "a out"]


async def test_a_layer_sees_what_a_handler_returns_and_may_keep_it(app: App) -> None:
    seen: Told = []

    @app.middleware("run")
    async def layer(ctx: JobContext[Any], call_next: CallNext) -> None:
        seen.append(await call_next(ctx))

    @app.job
    async def order() -> str:
        return "done"

    @app.job
    def threaded() -> str:
        return "done too"

    async with app:
        await order.push()
        await threaded.push()
    assert (await work(app, concurrency=1)).acked == 2
    assert seen == ["done", "done too"]


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_what_a_handler_raises_goes_through_the_layers(
    server: EmbeddedServer, kind: str
) -> None:
    told: Told = []
    app = App(dial=server.dial, middleware=[noting(told, "a"), noting(told, "b")])
    how: dict[str, Exception] = {"retry": Retry(60), "discard": Discard(), "error": LookupError()}
    if kind == "async":

        @app.job("order")
        async def order(name: str) -> None:
            raise how[name]
    else:

        @app.job("order")
        def threaded(name: str) -> None:
            raise how[name]

    await push(app, *(Job("order", [name]) for name in how))
    await work(app, concurrency=1)
    assert told == [
        *("a in", "b in", "b Retry", "a Retry"),
        *("a in", "b in", "b Discard", "a Discard"),
        *("a in", "b in", "b LookupError", "a LookupError"),
    ]
    assert len(server.scheduled) == 1
    assert failure_of(server)[0] == "LookupError"


async def test_a_layer_decides_how_a_job_ends(app: App, server: EmbeddedServer) -> None:
    worked: Told = []

    @app.middleware("run")
    async def layer(ctx: JobContext[Any], call_next: CallNext) -> None:
        match ctx.job.args:
            case ["skip"]:
                return
            case ["refuse"]:
                raise PermissionError("not you")
            case ["later"]:
                raise Retry(60)
            case ["forgive"]:
                with pytest.raises(ValueError, match="bad"):
                    await call_next(ctx)
            case _:
                await call_next(ctx)

    @app.job
    async def order(how: str) -> None:
        worked.append(how)
        raise ValueError("bad")

    async with app:
        for how in ("skip", "refuse", "later", "forgive"):
            await order.push(how)
    details = await work(app, concurrency=1)
    assert (details.acked, details.failed) == (2, 1)
    assert worked == ["forgive"]
    assert failure_of(server) == ("PermissionError", "not you")
    assert [entry.job.args for entry in server.scheduled] == [["later"]]


async def test_a_layer_that_is_not_async_fails_the_job(app: App, server: EmbeddedServer) -> None:
    def layer(ctx: JobContext[Any], call_next: CallNext) -> None: ...

    plain: Any = layer
    app.middleware("run")(plain)

    @app.job
    async def order() -> None: ...

    async with app:
        await order.push()
    await work(app)
    assert failure_of(server)[0] == "TypeError"


async def test_no_layer_runs_around_args_that_do_not_fit(server: EmbeddedServer) -> None:
    told: Told = []
    app = App(dial=server.dial, middleware=[noting(told, "a")])

    @app.job
    async def order(number: int) -> None: ...

    await push(app, Job("order", ["5"]))
    await work(app)
    assert told == []


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"], indirect=True)
@pytest.mark.parametrize("how", ["retry", "lookup", "unpicklable"])
async def test_what_is_raised_in_a_process_comes_out_of_call_next(
    server: EmbeddedServer, how: str
) -> None:
    told: Told = []
    app = App(dial=server.dial)

    @app.middleware("run")
    async def forgetful(ctx: JobContext[Any], call_next: CallNext) -> None:
        try:
            await call_next(ctx)  # what it returns is forgotten
        except Exception as error:
            told.append(type(error).__name__)
            raise

    app.job("plain", run_in="process")(elsewhere.plain.function)
    await push(app, Job("plain", [how]))
    await work(app)
    expected = {"retry": "Retry", "lookup": "LookupError", "unpicklable": "LostError"}
    assert told == [expected[how]]
    assert (len(server.scheduled), len(server.retries)) == ((1, 0) if how == "retry" else (0, 1))


# -- around pushes --------------------------------------------------------------------------------


async def test_layers_run_around_pushes_of_all_kinds(server: EmbeddedServer) -> None:
    told: Told = []
    app = App(dial=server.dial, push_middleware=[noting_push(told, "a")])
    app.middleware("push")(noting_push(told, "b"))

    @app.job
    async def order(number: int) -> None: ...

    async with app:
        assert (await order.push(1)).custom == {"a": 1, "b": 2}
        await app.push_many([order.call(2)])
    await anyio.to_thread.run_sync(order.push_sync, 3)
    app.close_sync()
    assert told == ["a [1]", "b [1]", "a [2]", "b [2]", "a [3]", "b [3]"]
    stored = server.queues["default"].jobs
    assert [job.custom for job in stored] == [{"a": 1, "b": 2}, {"a": 3, "b": 4}, {"a": 5, "b": 6}]


async def test_a_layer_around_pushes_may_refuse(app: App, server: EmbeddedServer) -> None:
    @app.middleware("push")
    async def refuse(job: Job, call_next: PushNext) -> Job:
        raise PermissionError(job.kind)

    @app.job
    async def order() -> None: ...

    async with app:
        with pytest.raises(PermissionError, match="order"):
            await order.push()
    assert server.queues == {}


async def test_an_open_app_takes_no_layers(app: App) -> None:
    async with app:
        with pytest.raises(UsageError, match="the app is open: its middleware is added before"):
            app.middleware("push")
        with pytest.raises(UsageError, match="the app is open: its middleware is added before"):
            app.middleware("run")


async def test_an_app_that_pushes_by_threads_takes_no_layers_either(app: App) -> None:
    @app.job
    async def order() -> None: ...

    await anyio.to_thread.run_sync(order.push_sync)
    with pytest.raises(UsageError, match="the app is open: its middleware is added before"):
        app.middleware("push")
    await anyio.to_thread.run_sync(app.close_sync)
    app.middleware("push")


async def test_there_are_two_chains() -> None:
    chain: Any = "pull"
    with pytest.raises(UsageError, match='there are two chains: "push" and "run"'):
        App().middleware(chain)
