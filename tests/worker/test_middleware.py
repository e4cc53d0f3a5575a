"""What runs around handlers, and what becomes of jobs that have none."""

import contextvars
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from typing import Any

import anyio
import pytest

from faktory_async import Job, Worker, current_job
from faktory_async.worker import Ack, CallNext, Fail, Handler, Middleware, Outcome, Runner
from tests.worker.peer import peering
from tests.worker.running import running

pytestmark = pytest.mark.anyio


async def ended(
    handlers: Any, *jobs: Job, middleware: Sequence[Middleware] = (), default: Handler | None = None
) -> list[Any]:
    """Let a worker work the jobs one at a time and return the JSON of what it reports."""
    async with peering() as peer:
        peer.offer(*jobs)
        worker = Worker(
            handlers,
            dial=peer.dial,
            concurrency=1,
            middleware=middleware,
            default_handler=default,
        )
        async with running(worker) as run:
            await peer.until(lambda: len(peer.reports()) == len(jobs))
            await run.stop()
        return [line.json for line in peer.lines if line.verb in ("ACK", "FAIL")]


def noting(notes: list[str], name: str) -> Middleware:
    async def middleware(job: Job, call_next: CallNext) -> None:
        notes.append(f"{name} {job.kind}")
        try:
            await call_next(job)
        finally:
            notes.append(f"/{name}")

    return middleware


async def test_middleware_runs_around_every_handler_in_its_order() -> None:
    notes: list[str] = []

    async def order(job: Job) -> None:
        notes.append("handler")

    around = [noting(notes, "a"), noting(notes, "b")]
    await ended({"order": order, "mail": order}, Job("order"), Job("mail"), middleware=around)
    one = ["a order", "b order", "handler", "/b", "/a"]
    assert notes == [*one, "a mail", "b mail", "handler", "/b", "/a"]


async def boom(job: Job) -> None:
    raise ValueError("boom")


async def okay(job: Job) -> None: ...


async def test_what_a_handler_raises_comes_out_of_call_next() -> None:
    seen: list[Exception] = []

    async def watch(job: Job, call_next: CallNext) -> Outcome:
        try:
            return await call_next(job)
        except ValueError as error:
            seen.append(error)
            raise

    [fail] = await ended({"order": boom}, Job("order"), middleware=[watch])
    assert (fail["errtype"], fail["message"]) == ("ValueError", "boom")
    assert "in boom" in fail["backtrace"][0]
    assert len(seen) == 1


async def swallow(job: Job, call_next: CallNext) -> None:
    with suppress(ValueError):
        await call_next(job)


async def skip(job: Job, call_next: CallNext) -> None:
    pass


async def refuse(job: Job, call_next: CallNext) -> Outcome:
    return Fail(errtype="Refused", message="é" * 2_000)


async def break_down(job: Job, call_next: CallNext) -> Outcome:
    raise LookupError("no tenant")


async def forget(job: Job, call_next: CallNext) -> Any:
    return "something"


@pytest.mark.parametrize(
    ("middleware", "errtype"),
    [
        (swallow, None),
        (skip, None),
        (refuse, "Refused"),
        (break_down, "LookupError"),
        (forget, "TypeError"),
    ],
)
async def test_a_middleware_says_how_the_job_ends(
    middleware: Middleware, errtype: str | None
) -> None:
    [report] = await ended({"order": boom}, Job("order"), middleware=[middleware])
    assert report.get("errtype") == errtype
    assert len(report.get("message", "")) <= 500 or errtype != "Refused"


async def test_a_middleware_that_returns_nothing_keeps_what_a_source_has_said() -> None:
    notes: list[str] = []
    [fail] = await ended(Source(failing), Job("order"), middleware=[noting(notes, "a")])
    assert fail["errtype"] == "Own"


async def test_a_middleware_may_try_again_and_pass_another_job_on() -> None:
    seen: list[Any] = []

    async def order(job: Job) -> None:
        seen.append((job.args, current_job().args))
        if len(seen) == 1:
            raise ValueError

    async def again(job: Job, call_next: CallNext) -> Outcome:
        try:
            return await call_next(Job(job.kind, [1], jid=job.jid))
        except ValueError:
            return await call_next(Job(job.kind, [2], jid=job.jid))

    job = Job("order", [0])
    assert await ended({"order": order}, job, middleware=[again]) == [{"jid": job.jid}]
    assert seen == [([1], [0]), ([2], [0])]


async def test_what_middleware_sets_reaches_the_handler_and_no_other_job() -> None:
    tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="nobody")
    seen: list[str] = []

    async def order(job: Job) -> None:
        seen.append(tenant.get())
        tenant.set("leaked")

    async def as_tenant(job: Job, call_next: CallNext) -> None:
        if job.args:
            tenant.set(job.args[0])
        await call_next(job)

    jobs = Job("order", ["one"]), Job("order"), Job("order", ["two"])
    await ended({"order": order}, *jobs, middleware=[as_tenant])
    assert seen == ["one", "nobody", "two"]


async def test_a_deadline_holds_for_the_middleware_too() -> None:
    async def wait(job: Job, call_next: CallNext) -> None:
        await anyio.sleep_forever()

    [fail] = await ended({"order": okay}, Job("order"), middleware=[wait])
    assert fail["errtype"] == "faktory_async.errors.JobTimeoutError"


# -- handler sources ------------------------------------------------------------------------------


async def failing(job: Job) -> Outcome:
    return Fail(errtype="Own", message="why")


class Source:
    """A source whose runner can be changed."""

    def __init__(self, runner: Runner | None) -> None:
        self.runner = runner

    def resolve(self, jobtype: str) -> Runner | None:
        return self.runner

    def jobtypes(self) -> Collection[str]:
        return ("order",)

    def running(self) -> AbstractAsyncContextManager[object]:
        return nullcontext()


async def test_a_source_may_change_its_mind() -> None:
    async def change(job: Job) -> Outcome:
        source.runner = failing
        return Ack()

    source = Source(change)
    notes: list[str] = []
    ack, fail = await ended(source, Job("order"), Job("order"), middleware=[noting(notes, "a")])
    assert ("errtype" in ack, fail["errtype"]) == (False, "Own")
    assert notes == ["a order", "/a"] * 2


# -- jobs without a handler -----------------------------------------------------------------------


@pytest.mark.parametrize("handlers", [{"order": boom}, Source(None)])
async def test_a_default_handler_works_what_has_none(handlers: Any) -> None:
    seen: list[str] = []
    notes: list[str] = []

    async def default(job: Job) -> None:
        seen.append(job.kind)

    jobs = Job("typo"), Job("other")
    reports = await ended(handlers, *jobs, default=default, middleware=[noting(notes, "a")])
    assert reports == [{"jid": job.jid} for job in jobs]
    assert seen == ["typo", "other"]
    assert notes == ["a typo", "/a", "a other", "/a"]


@pytest.mark.parametrize(
    ("handlers", "jobtype", "message"),
    [
        (
            {"order": okay, "mail": okay},
            "ordr",
            "no handler for 'ordr', did you mean 'order'? registered here: 'mail', 'order'",
        ),
        ({"order": okay}, "x", "no handler for 'x'; registered here: 'order'"),
        ({}, "x", "no handler for 'x'; registered here: none"),
        ({"order": okay}, "o" * 99, f"no handler for '{'o' * 99}'; registered here: 'order'"),
        ({"order": okay}, "o" * 10_000, f"no handler for '{'o' * 100}'; registered here: 'order'"),
    ],
)
async def test_an_unknown_type_is_a_fail_that_names_the_known_ones(
    handlers: Mapping[str, Handler], jobtype: str, message: str
) -> None:
    [fail] = await ended(handlers, Job(jobtype))
    assert (fail["errtype"], fail["message"]) == ("UnknownJobType", message)


async def test_the_chain_is_no_part_of_a_job_that_nobody_handles() -> None:
    notes: list[str] = []
    await ended({}, Job("typo"), middleware=[noting(notes, "a")])
    assert notes == []
