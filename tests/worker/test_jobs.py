"""From a FETCH to a report: how each kind of job ends."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from faktory_async import Job, UsageError, Worker, current_job
from faktory_async.worker import Ack, Fail, Handler, Outcome, Runner
from tests.worker.peer import peering
from tests.worker.running import by_line, running

pytestmark = pytest.mark.anyio


async def ended(handlers: Mapping[str, Handler], *jobs: Job | bytes) -> list[Any]:
    """Let a worker work the jobs one at a time and return the JSON of what it reports."""
    async with peering() as peer:
        peer.offer(*jobs)
        async with running(Worker(handlers, dial=peer.dial, concurrency=1)) as run:
            await peer.until(lambda: len(peer.reports()) == len(jobs))
            await run.stop()
        assert len(peer.reports()) == len(jobs)
        return [line.json for line in peer.lines if line.verb in ("ACK", "FAIL")]


def raising(error: BaseException) -> Handler:
    async def handler(job: Job) -> None:
        raise error

    return handler


async def accept(job: Job) -> object:
    return job.args


async def test_a_return_is_an_ack_whatever_it_returns() -> None:
    seen: list[Job] = []

    async def order(job: Job) -> object:
        seen.append(job)
        return Fail(errtype="x", message="y")

    job = Job("order", [1, "a"], custom={"locale": "fr"})
    assert await ended({"order": order}, job) == [{"jid": job.jid}]
    assert seen == [job]


async def test_an_exception_is_a_fail_with_type_message_and_backtrace() -> None:
    async def order(job: Job) -> None:
        raise ValueError("boom")

    job = Job("order")
    [fail] = await ended({"order": order}, job)
    place = f"{__file__}:{order.__code__.co_firstlineno + 1} in order"
    assert fail.pop("backtrace")[0] == f'{place}: raise ValueError("boom")'
    assert fail == {"jid": job.jid, "errtype": "ValueError", "message": "boom"}


async def test_a_job_says_how_many_lines_its_fail_has() -> None:
    [fail] = await ended({"order": raising(ValueError())}, Job("order", backtrace=1))
    assert len(fail["backtrace"]) == 1
    assert "in handler" in fail["backtrace"][0]


class HomeMade(BaseException):
    pass


class Hostile(Exception):  # noqa: N818 - by its character
    """Says nothing of itself."""

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]
        raise RuntimeError("no class")

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Whole(ExceptionGroup[Exception]):
    """Cannot be split."""

    def derive(self, excs: Any, /) -> Any:
        raise RuntimeError("no part")


@pytest.mark.parametrize(
    ("error", "errtype"),
    [
        (HomeMade("own"), f"{__name__}.HomeMade"),
        (StopAsyncIteration(), "StopAsyncIteration"),
        (GeneratorExit(), "GeneratorExit"),
        (asyncio.CancelledError(), "asyncio.exceptions.CancelledError"),
        (ExceptionGroup("group", [ValueError()]), "ExceptionGroup"),
        (Whole("group", [ValueError(), TypeError()]), f"{__name__}.Whole"),
    ],
)
async def test_whatever_a_handler_raises_is_its_failure_alone(
    error: BaseException, errtype: str
) -> None:
    first, second = Job("bad"), Job("good")
    fail, ack = await ended({"bad": raising(error), "good": accept}, first, second)
    assert (fail["jid"], fail["errtype"]) == (first.jid, errtype)
    assert ack == {"jid": second.jid}


async def raise_in_a_task(job: Job) -> None:
    async def child() -> None:
        raise GeneratorExit

    await asyncio.create_task(child())


def raise_in_a_thread(job: Job) -> None:
    raise GeneratorExit


@pytest.mark.parametrize("handler", [raise_in_a_task, raise_in_a_thread])
def test_a_generator_exit_that_comes_by_a_future_is_a_failure_too(handler: Handler) -> None:
    """Python closes what awaits a future that ends so."""
    first, second = Job("bad"), Job("good")

    async def main() -> None:
        async with peering() as peer:
            peer.nil_after = 0.02
            peer.offer(first, second)
            worker = Worker({"bad": handler, "good": accept}, dial=peer.dial, concurrency=2)
            async with running(worker) as run:
                await peer.until(lambda: len(peer.reports()) == 2)
                await run.stop()
            assert sorted(peer.reports()) == [("ACK", second.jid), ("FAIL", first.jid)]
            assert peer.of("FAIL")[0].json["errtype"] == "GeneratorExit"

    anyio.run(main)


async def test_an_exception_that_raises_when_it_is_looked_at_is_a_failure() -> None:
    async def bad(job: Job) -> None:
        raise Hostile

    first, second = Job("bad"), Job("good")
    fail, ack = await ended({"bad": bad, "good": accept}, first, second)
    assert fail["errtype"] == f"{__name__}.Hostile"
    assert fail["message"] == "(its text cannot be read: RuntimeError)"
    assert ack == {"jid": second.jid}


@pytest.mark.parametrize(
    ("error", "errtype"),
    [
        (SystemExit(3), "SystemExit"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (BaseExceptionGroup("group", [ValueError(), HomeMade()]), "BaseExceptionGroup"),
        (BaseExceptionGroup("group", [asyncio.CancelledError(), HomeMade()]), "BaseExceptionGroup"),
    ],
)
async def test_what_ends_a_program_fails_its_job_and_then_ends_the_worker(
    error: BaseException, errtype: str
) -> None:
    released = anyio.Event()

    async def other(job: Job) -> None:
        await released.wait()

    first, second = Job("bad"), Job("good")
    async with peering() as peer:
        peer.offer(second, first)
        worker = Worker({"bad": raising(error), "good": other}, dial=peer.dial, concurrency=2)

        async def release() -> None:
            await peer.saw("FAIL")
            released.set()

        async with anyio.create_task_group() as group:
            group.start_soon(release)
            with pytest.raises(type(error)):
                await worker.run()
        assert peer.of("FAIL")[0].json["errtype"] == errtype
        assert peer.reports() == [("FAIL", first.jid), ("ACK", second.jid)]


@pytest.mark.parametrize("group", [ExceptionGroup, BaseExceptionGroup])
async def test_a_group_that_says_no_more_than_that_it_was_cancelled_is_a_failure(
    group: Callable[[str, list[Any]], BaseException],
) -> None:
    cancelled: Any = ValueError() if group is ExceptionGroup else asyncio.CancelledError()
    [fail] = await ended({"order": raising(group("group", [cancelled]))}, Job("order"))
    assert "Group" in fail["errtype"]


async def test_an_unknown_type_is_a_fail_that_names_the_known_ones() -> None:
    job = Job("typo")
    [fail] = await ended({"order": accept, "mail": accept}, job)
    assert fail == {
        "jid": job.jid,
        "errtype": "UnknownJobType",
        "message": "no handler for 'typo'; registered here: 'mail', 'order'",
        "backtrace": [],
    }


async def test_a_failure_is_logged_with_its_job_and_its_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def order(job: Job) -> None:
        raise ValueError("out of stock")

    job = Job("order", ["secret"])
    await ended({"order": order}, job)
    [record] = [each for each in caplog.records if "failed" in each.getMessage()]
    said = record.getMessage()
    assert said.startswith(f"job {job.jid} (order) failed: ValueError: out of stock (")
    assert 'raise ValueError("out of stock")' in said
    assert "secret" not in said


async def test_a_worker_without_handlers_says_so() -> None:
    [fail] = await ended({}, Job("typo"))
    assert fail["message"] == "no handler for 'typo'; registered here: none"


async def test_a_job_that_is_no_json_fails_by_its_jid() -> None:
    [fail] = await ended({"order": accept}, b'{"jid":"12345678","jobtype":"order","args":[1}')
    assert fail["jid"] == "12345678"
    assert fail["errtype"] == "faktory_async.errors.InvalidJobError"
    assert "cannot be decoded" in fail["message"]


async def test_arguments_that_are_no_array_fail_the_job() -> None:
    [fail] = await ended({"order": accept}, b'{"jid":"12345678","jobtype":"order","args":{}}')
    assert fail["message"] == "args: the fetched job's arguments are no array"


@pytest.mark.parametrize("data", [b"rubbish", b'{"args":[', b'{"jobtype":"order","args":[]}'])
async def test_what_has_no_jid_is_logged_and_the_worker_goes_on(
    data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    worked: list[str] = []

    async def order(job: Job) -> None:
        worked.append(job.jid)

    job = Job("order")
    async with peering() as peer:
        peer.offer(data, job)
        async with running(Worker({"order": order}, dial=peer.dial, concurrency=1)) as run:
            await peer.saw("ACK")
            await run.stop()
        assert peer.reports() == [("ACK", job.jid)]
    assert worked == [job.jid]
    assert "has no jid to report it by" in caplog.text


async def test_the_current_job_is_known_in_the_handler_and_in_its_tasks() -> None:
    seen: list[Job] = []

    async def look() -> None:
        seen.append(current_job())

    async def order(job: Job) -> None:
        await look()
        async with anyio.create_task_group() as group:
            group.start_soon(look)

    first, second = Job("order", [1]), Job("order", [2])
    await ended({"order": order}, first, second)
    assert [job.args for job in seen] == [[1], [1], [2], [2]]


def test_there_is_no_current_job_outside() -> None:
    with pytest.raises(UsageError, match="no current job outside of a handler"):
        current_job()


# -- one at a time --------------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_never_more_jobs_at_once_than_concurrency(concurrency: int) -> None:
    working = most = 0

    async def order(job: Job) -> None:
        nonlocal working, most
        working += 1
        most = max(most, working)
        await anyio.sleep(0.01)
        working -= 1

    async with peering() as peer:
        peer.offer(*(Job("order", [n]) for n in range(20)))
        async with running(
            Worker({"order": order}, dial=peer.dial, concurrency=concurrency)
        ) as run:
            await peer.saw("ACK", 20)
            await run.stop()
    assert most == concurrency


async def test_a_fetch_is_written_only_with_a_free_slot() -> None:
    free = anyio.Event()

    async def order(job: Job) -> None:
        await free.wait()

    async with peering() as peer:
        peer.offer(*(Job("order") for _ in range(5)))
        async with running(Worker({"order": order}, dial=peer.dial, concurrency=2)) as run:
            await peer.saw("FETCH", 2)
            await anyio.sleep(60)
            assert len(peer.of("FETCH")) == 2
            free.set()
            await peer.saw("ACK", 5)
            await run.stop()


async def test_many_slots_use_few_connections() -> None:
    async with peering() as peer, running(Worker({}, dial=peer.dial, concurrency=1_000)) as run:
        await anyio.sleep(60)
        assert peer.most_open <= 10
        await run.stop()


async def test_queues_are_sent_in_their_order() -> None:
    async with peering() as peer:
        async with running(Worker({}, dial=peer.dial, queues=["b", "a", "c"])) as run:
            line = await peer.saw("FETCH")
            await run.stop()
        assert line.data == b"FETCH b a c"


async def test_jobs_are_fetched_by_connections_with_the_wid_and_reported_by_one_without() -> None:
    async with peering() as peer:
        peer.offer(Job("order"))
        worker = Worker({"order": accept}, dial=peer.dial, wid="w1", labels=["a", "b"])
        async with running(by_line(worker)) as run:
            ack = await peer.saw("ACK")
            await run.stop()
        hello = (await peer.saw("FETCH")).connection.hello
        assert (hello["wid"], hello["labels"]) == ("w1", ["a", "b"])
        assert {"hostname", "pid", "v"} < set(hello)
        assert "wid" not in ack.connection.hello


# -- handler sources ------------------------------------------------------------------------------


class Source:
    """A source of the simplest kind; it notes when it is entered and left."""

    def __init__(self, run: Runner | None, notes: list[str] | None = None) -> None:
        self._run = run
        self.notes = [] if notes is None else notes

    def resolve(self, jobtype: str) -> Runner | None:
        return self._run

    def jobtypes(self) -> Collection[str]:
        return ("order",)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        self.notes.append("entered")
        yield
        await anyio.lowlevel.checkpoint()
        self.notes.append("left")


def runner(outcome: Any) -> Runner:
    async def run(job: Job) -> Outcome:
        if isinstance(outcome, Exception):
            raise outcome
        assert outcome is None or isinstance(outcome, (Ack, Fail, str))
        return outcome  # type: ignore[return-value]  # pyright: ignore[reportReturnType]  # what a careless source may do

    return run


async def reported(source: Source) -> tuple[str, dict[str, Any]]:
    async with peering() as peer:
        peer.offer(Job("order", jid="12345678"))
        async with running(Worker(source, dial=peer.dial)) as run:
            await peer.until(lambda: bool(peer.reports()))
            await run.stop()
        [line] = [line for line in peer.lines if line.verb in ("ACK", "FAIL")]
        return line.verb, line.json


async def test_a_runner_says_how_its_job_ended() -> None:
    assert await reported(Source(runner(Ack()))) == ("ACK", {"jid": "12345678"})
    fail = Fail(errtype="Own", message="why", backtrace=("a", "b"))
    assert await reported(Source(runner(fail))) == (
        "FAIL",
        {"jid": "12345678", "errtype": "Own", "message": "why", "backtrace": ["a", "b"]},
    )


async def test_a_runner_that_raises_fails_its_job() -> None:
    verb, fail = await reported(Source(runner(ValueError("boom"))))
    assert (verb, fail["errtype"], fail["message"]) == ("FAIL", "ValueError", "boom")


@pytest.mark.parametrize("outcome", [None, "done"])
async def test_a_runner_without_an_outcome_fails_its_job(outcome: object) -> None:
    verb, fail = await reported(Source(runner(outcome)))
    assert (verb, fail["errtype"]) == ("FAIL", "TypeError")
    assert f"must return an Outcome, not {type(outcome).__name__}" in fail["message"]


async def test_what_a_source_says_of_a_failure_is_cut_to_what_the_server_keeps() -> None:
    fail = Fail(errtype="é" * 80, message="m\ud800" * 800, backtrace=("x" * 2_000,) * 60)
    verb, sent = await reported(Source(runner(fail)))
    assert verb == "FAIL"
    assert sent["errtype"] == "é" * 50
    assert sent["message"] == "m?" * 500
    assert sent["backtrace"] == ["x" * 1_000] * 50


async def test_a_source_that_cannot_resolve_fails_the_job() -> None:
    class Broken(Source):
        def resolve(self, jobtype: str) -> Runner | None:
            raise LookupError(jobtype)

    verb, fail = await reported(Broken(None))
    assert (verb, fail["errtype"], fail["message"]) == ("FAIL", "LookupError", "order")


async def test_a_source_without_a_runner_names_its_jobtypes() -> None:
    _, fail = await reported(Source(None))
    assert (
        fail["message"] == "no handler for 'order', did you mean 'order'? registered here: 'order'"
    )


async def test_a_source_runs_around_everything_from_the_first_fetch_to_the_last_report() -> None:
    async with peering() as peer:
        notes: list[str] = []
        peer.offer(Job("order"))

        async def noting(line: object) -> bytes:
            notes.append("fetched")
            return await peer.fetch(line)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

        async def acking(line: object) -> bytes:
            notes.append("acked")
            return b"+OK\r\n"

        peer.always("FETCH", noting)
        peer.always("ACK", acking)
        async with running(
            Worker(Source(runner(Ack()), notes), dial=peer.dial, concurrency=1)
        ) as run:
            await peer.saw("FETCH")
            await run.stop()
    assert notes == ["entered", "fetched", "acked", "left"]


async def test_a_source_that_cannot_start_ends_the_run_with_its_error() -> None:
    class Broken(Source):
        @asynccontextmanager
        async def running(self) -> AsyncGenerator[None]:
            raise LookupError("no database")
            yield

    async with peering() as peer, running(Worker(Broken(None), dial=peer.dial)) as run:
        with pytest.raises(LookupError, match="no database"):
            await run.end()
    assert peer.dials == 0


@pytest.mark.parametrize("end", ["stop", "cancel"])
async def test_a_source_that_never_starts_does_not_hold_the_worker(end: str) -> None:
    class Slow(Source):
        @asynccontextmanager
        async def running(self) -> AsyncGenerator[None]:
            try:
                await anyio.sleep_forever()
                yield
            finally:
                self.notes.append("given up")

    source = Slow(None)
    async with peering() as peer, running(Worker(source, dial=peer.dial)) as run:
        await anyio.wait_all_tasks_blocked()
        if end == "stop":
            assert (await run.stop()).reason == "stop()"
        else:
            run.scope.cancel()
            await run.over.wait()
            assert not run.returned
    assert source.notes == ["given up"]
    assert peer.dials == 0


@pytest.mark.parametrize("moment", ["opened", "told"])
async def test_a_source_that_has_started_may_take_its_time_to_end(moment: str) -> None:
    class Slow(Source):
        @asynccontextmanager
        async def running(self) -> AsyncGenerator[None]:
            if moment == "opened":
                worker.stop()
            yield
            await anyio.lowlevel.checkpoint()
            self.notes.append("closed")

    async def told() -> None:
        worker.stop()
        await anyio.sleep_forever()

    source = Slow(None)
    async with peering() as peer:
        listener = told if moment == "told" else list
        worker = Worker(source, dial=peer.dial, on_start=listener)
        async with running(worker) as run:
            assert (await run.end()).reason == "stop()"
    assert source.notes == ["closed"]
    assert peer.dials == 0


async def test_a_stopped_worker_does_not_even_start_its_source() -> None:
    source = Source(None)
    async with peering() as peer:
        worker = Worker(source, dial=peer.dial)
        worker.stop()
        async with running(worker) as run:
            details = await run.end()
    assert (details.reason, source.notes, peer.dials) == ("stop()", [], 0)
