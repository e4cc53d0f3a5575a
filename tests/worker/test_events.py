"""What listeners are told, and how little they can do to the worker."""

import asyncio
import inspect
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from msgspec.structs import force_setattr

from faktory_async import Failure, Job, StopDetails, UsageError, Worker
from faktory_async.worker import Ack, Fail, Listeners, Outcome
from faktory_async.worker._events import Events, exhausted
from tests.worker.peer import peering
from tests.worker.running import running
from tests.worker.virtual import VirtualLoop

pytestmark = pytest.mark.anyio

NAMES = tuple(Listeners.__annotations__)


async def order(job: Job) -> None:
    if job.args:
        raise ValueError("boom")


def plain(note: Callable[..., None], name: str) -> Any:
    def listener(*args: Any) -> None:
        note(name, *args)

    return listener


def coroutine(note: Callable[..., None], name: str) -> Any:
    async def listener(*args: Any) -> None:
        await anyio.sleep(0.1)
        note(name, *args)

    return listener


@pytest.mark.parametrize("kind", [plain, coroutine])
async def test_listeners_are_told_of_everything_in_its_order(kind: Any) -> None:
    told: list[tuple[str, Any]] = []

    def note(name: str, *args: Any) -> None:
        told.append((name, args))

    listeners: Any = {name: kind(note, name) for name in NAMES}
    good, bad = Job("order"), Job("order", [1], retry=0)
    async with peering() as peer:
        peer.offer(good, bad)
        worker = Worker({"order": order}, dial=peer.dial, concurrency=1, **listeners)
        async with running(worker) as run:
            await peer.saw("FAIL")
            await anyio.sleep(5)
            peer.go_away()
            await anyio.sleep(10)
            peer.come_back()
            await anyio.sleep(60)
            details = await run.stop()
    names = [name for name, _ in told]
    assert names[0] == "on_start"
    assert names[-1] == "on_stop"
    by_name = {name: [args for told_name, args in told if told_name == name] for name in NAMES}
    assert by_name["on_start"] == [()]
    assert by_name["on_job_start"] == [(good,), (bad,)]
    (first, acked), (second, failed) = by_name["on_job_end"]
    assert (first, acked, second) == (good, Ack(), bad)
    assert isinstance(failed, Fail)
    assert by_name["on_exhausted"] == [(bad, failed)]
    assert [name for name in names if "connect" in name] == [
        "on_connect",
        "on_disconnect",
        "on_connect",
    ]
    assert by_name["on_state_change"][0] == ("terminating",)
    [(stopped,)] = by_name["on_stop"]
    assert isinstance(stopped, StopDetails)
    assert stopped == details


class Own(BaseException):
    pass


def raising(error: BaseException) -> Any:
    def listener(*args: Any) -> None:
        raise error

    return listener


def raising_later(error: BaseException) -> Any:
    async def listener(*args: Any) -> None:
        await anyio.lowlevel.checkpoint()
        raise error

    return listener


@pytest.mark.parametrize(
    "error", [ValueError(), Own(), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()]
)
@pytest.mark.parametrize("kind", [raising, raising_later])
async def test_what_a_listener_raises_is_logged_and_changes_nothing(
    kind: Any, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    listeners: Any = {name: kind(error) for name in NAMES}
    jobs = Job("order"), Job("order", [1], retry=0)
    async with peering() as peer:
        peer.offer(*jobs)
        worker = Worker({"order": order}, dial=peer.dial, concurrency=1, **listeners)
        async with running(worker) as run:
            await peer.saw("FAIL")
            await run.stop()
        assert peer.reports() == [("ACK", jobs[0].jid), ("FAIL", jobs[1].jid)]
    assert {f"the listener {name} failed" for name in NAMES if name != "on_disconnect"} <= {
        record.getMessage() for record in caplog.records
    }


@pytest.mark.parametrize("awaits", [True, False])
def test_a_listener_that_cancels_its_own_task_takes_nobody_along(*, awaits: bool) -> None:
    told: list[str] = []

    async def on_job_end(job: Job, outcome: Outcome) -> None:
        told.append(job.jid)
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        if awaits:
            await asyncio.sleep(0)

    async def main() -> None:
        jobs = [Job("order", jid=f"job-{number:05}") for number in range(3)]
        async with peering() as peer:
            peer.offer(*jobs)
            worker = Worker({"order": order}, dial=peer.dial, on_job_end=on_job_end)
            async with running(worker) as run:
                with anyio.fail_after(60):
                    await peer.until(lambda: len(peer.reports()) == len(jobs))
                await run.stop()
        assert sorted(told) == [job.jid for job in jobs]

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())


async def test_a_listener_that_never_ends_holds_up_no_job_and_no_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def never(*args: Any) -> None:
        await anyio.sleep_forever()

    listeners: Any = dict.fromkeys(NAMES, never)
    async with peering() as peer:
        peer.offer(*(Job("order") for _ in range(20)))
        worker = Worker({"order": order}, dial=peer.dial, **listeners)
        async with running(worker) as run:
            begun = anyio.current_time()
            await peer.saw("ACK", 20)
            assert anyio.current_time() - begun < 5.1  # on_start is waited for, not for ever
            asked = anyio.current_time()
            await run.stop()
            assert run.ended_at - asked < 5
    assert "the listener on_start took longer than 5 s and was cancelled" in caplog.text


async def test_more_calls_than_can_wait_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    calls = 0

    async def slow(state: str) -> None:
        nonlocal calls
        calls += 1

    events = Events({"on_state_change": slow})
    for _ in range(1_100):
        events.emit("on_state_change", "quiet")
    async with anyio.create_task_group() as group:
        group.start_soon(events.run)
        events.end()
    assert calls == 1_000
    assert caplog.text.count("the listeners are too slow") == 1


async def test_nobody_is_told_of_a_job_that_cannot_be_decoded() -> None:
    told: list[Job] = []

    def note(job: Job, outcome: Outcome) -> None:
        told.append(job)

    async with peering() as peer:
        peer.offer(b'{"jid":"12345678","jobtype":"order","args":{}}')
        worker = Worker({"order": order}, dial=peer.dial, on_job_end=note)
        async with running(worker) as run:
            await peer.saw("FAIL")
            await run.stop()
    assert told == []


def test_what_listens_to_nothing_is_refused() -> None:
    unknown: Any = {"on_whatever": print}
    with pytest.raises(TypeError, match="a worker has no option 'on_whatever'"):
        Worker(**unknown)
    wrong: Any = {"on_start": 5}
    with pytest.raises(UsageError, match="on_start is a function, or a coroutine function"):
        Worker(**wrong)


@pytest.mark.parametrize(
    ("retry", "count", "last"),
    [
        (25, None, False),
        (25, 0, False),
        (25, 23, False),
        (25, 24, True),
        (25, 25, True),
        (1, None, False),
        (1, 0, True),
        (0, None, True),
        (-1, None, True),
    ],
)
def test_a_job_is_exhausted_when_the_server_will_not_retry_it(
    retry: int,
    count: int | None,
    last: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    failure = None if count is None else Failure(retry_count=count, failed_at=datetime.now(UTC))
    job = Job("order", retry=retry)
    force_setattr(job, "failure", failure)
    assert exhausted(job) is last


def test_every_event_says_what_it_tells() -> None:
    assert all(f"{name}: " in (inspect.getdoc(Listeners) or "") for name in NAMES)
