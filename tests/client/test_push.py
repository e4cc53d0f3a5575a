"""One job to the server, and what is known when that did not work."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import anyio
import msgspec
import pytest

from faktory_async import (
    Client,
    CommandTimeoutError,
    ConnectError,
    ConnectionLostError,
    FaktoryError,
    Job,
    JobRejectedError,
    Limits,
    NotUniqueError,
    PoolTimeoutError,
    ProtocolError,
    ServerBusyError,
    ServerError,
    Timeouts,
    TooManyConnectionsError,
    UsageError,
)
from faktory_async.net import MemoryLink
from tests.worker.peer import Line, bulk, error, jobs_of, peering
from tests.worker.virtual import VirtualLoop

pytestmark = pytest.mark.anyio

DONE = bulk(b"{}")
JOB = "12345678"


async def ignore(line: Line) -> bytes | None:
    await anyio.sleep_forever()
    return None


async def test_push_returns_the_job_that_the_server_has() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        job = Job("order", [1])
        assert await client.push(job) is job
        assert [line.verb for line in peer.lines] == ["HELLO", "PUSHB"]


@pytest.mark.parametrize("retry", [25, 0, -1, 7])
async def test_every_push_is_a_pushb_of_one_line_with_its_retry(retry: int) -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        created = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        await client.push(Job("order", ["a b"], jid=JOB, retry=retry, created_at=created))
        assert peer.lines[-1].data == (
            b'PUSHB [{"jid":"12345678","jobtype":"order","queue":"default","args":["a b"],'
            b'"retry":%d,"created_at":"2026-01-02T03:04:05Z","reserve_for":600}]' % retry
        )


@pytest.mark.parametrize(
    ("text", "kind", "maybe_executed"),
    [
        ("jobs must have an args parameter", JobRejectedError, False),
        ("NOTUNIQUE Job not unique", NotUniqueError, False),
        ("context deadline exceeded", ServerBusyError, True),
        ('cannot get "q" queue: unable to store queue name: timeout', ServerBusyError, True),
    ],
)
async def test_what_the_server_says_of_the_job_is_raised(
    text: str, kind: type[ServerError], *, maybe_executed: bool
) -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.answer("PUSHB", bulk(b'{"12345678":"%b"}' % text.replace('"', '\\"').encode()))
        with pytest.raises(kind) as caught:
            await client.push(Job("order", jid=JOB))
        assert caught.value.text == text.removeprefix("NOTUNIQUE ")
        assert caught.value.maybe_executed is maybe_executed
        await client.push(Job("order"))
        assert peer.dials == 1, "an answer, even a refusal, leaves the connection good"


async def test_a_refusal_under_another_jid_is_a_refusal_too() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.answer("PUSHB", bulk(b'{"":"jobs must have a reasonable jid parameter"}'))
        with pytest.raises(JobRejectedError):
            await client.push(Job("order", jid=JOB))


@pytest.mark.parametrize(
    ("answer", "kind", "maybe_executed"),
    [
        (error("invalid JSON: unexpected end"), JobRejectedError, False),
        (error("shutdown in progress"), ServerBusyError, False),
        (error("redis: client is closed"), ServerBusyError, True),
        (error("too many connections: 2001"), TooManyConnectionsError, False),
        (b"+OK\r\n", ProtocolError, True),
        (b"$-1\r\n", ProtocolError, True),
        (b":5\r\n", ProtocolError, True),
        (bulk(b"[]"), ProtocolError, True),
        (b"$999999999999\r\n", ProtocolError, True),
        (None, ConnectionLostError, True),
    ],
)
async def test_an_answer_to_the_whole_command_is_raised(
    answer: bytes | None, kind: type[FaktoryError], *, maybe_executed: bool
) -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.answer("PUSHB", answer)
        with pytest.raises(kind) as caught:
            await client.push(Job("order"))
        assert caught.value.maybe_executed is maybe_executed
        await client.push(Job("order"))


# -- lost -----------------------------------------------------------------------------------------


async def test_a_server_that_is_not_there_is_a_connect_error() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.refusing = True
        with pytest.raises(ConnectError) as caught:
            await client.push(Job("order"))
        assert caught.value.maybe_executed is False
        peer.come_back()
        await client.push(Job("order"))


async def test_bytes_that_stayed_here_prove_that_nothing_was_stored() -> None:
    async with peering(room=200) as peer, Client(dial=peer.dial) as client:
        await client.info()
        peer.connections[0].link.receive = anyio.sleep_forever  # type: ignore[method-assign,assignment]  # reads nothing after what it reads now
        await client.info()
        with pytest.raises(CommandTimeoutError) as caught:
            await client.push(Job("order", ["x" * 500]), timeout=1)
        assert caught.value.maybe_executed is False


async def test_a_connection_lost_after_the_bytes_leaves_it_open() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        gate = peer.hold("PUSHB")
        async with anyio.create_task_group() as group:
            group.start_soon(cut_once, gate.reached, peer.cut)
            with pytest.raises(ConnectionLostError) as caught:
                await client.push(Job("order"))
            assert caught.value.maybe_executed is True


async def cut_once(reached: anyio.Event, cut: Callable[[], None]) -> None:
    await reached.wait()
    cut()


async def test_a_client_that_sat_idle_through_a_restart_loses_nothing() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        for number in range(100):
            await client.push(Job("order", [number]))
            peer.cut()
            await anyio.wait_all_tasks_blocked()
        pushed = [jobs_of(line)[0]["args"] for line in peer.of("PUSHB")]
        assert pushed == [[number] for number in range(100)]


# -- time -----------------------------------------------------------------------------------------


async def test_by_default_a_push_gives_up_after_7_s() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.answer("PUSHB", ignore)
        with pytest.raises(CommandTimeoutError) as caught:
            await client.push(Job("order"))
        assert caught.value.maybe_executed is True
        assert anyio.current_time() == pytest.approx(7, abs=0.1)
        await client.push(Job("order"))


async def test_a_timeout_bounds_the_reply() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.answer("PUSHB", ignore)
        with pytest.raises(CommandTimeoutError) as caught:
            await client.push(Job("order"), timeout=2)
        assert caught.value.maybe_executed is True
        assert anyio.current_time() == pytest.approx(2, abs=0.1)


async def test_a_timeout_longer_than_the_default_is_kept() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:

        async def late(line: Line) -> bytes:
            await anyio.sleep(20)
            return DONE

        peer.answer("PUSHB", late)
        await client.push(Job("order"), timeout=30)


async def test_a_timeout_bounds_the_dial() -> None:
    async with Client(dial=dial_for_ever) as client:
        with pytest.raises(PoolTimeoutError) as caught:
            await client.push(Job("order"), timeout=1)
        assert caught.value.maybe_executed is False
        assert anyio.current_time() == pytest.approx(1, abs=0.1)


async def dial_for_ever() -> MemoryLink:
    await anyio.sleep_forever()
    raise AssertionError("awake")


async def test_a_timeout_bounds_the_wait_for_a_connection() -> None:
    async with peering() as peer:
        gate = peer.hold("PUSHB", DONE)
        async with (
            Client(dial=peer.dial, limits=Limits(max_connections=1)) as client,
            anyio.create_task_group() as group,
        ):
            group.start_soon(client.push, Job("order"))
            await gate.reached.wait()
            with pytest.raises(PoolTimeoutError) as caught:
                await client.push(Job("order"), timeout=1)
            assert caught.value.maybe_executed is False
            assert anyio.current_time() == pytest.approx(1, abs=0.1)
            gate.open()


async def test_a_timeout_covers_wait_and_reply_together() -> None:
    async with peering() as peer:
        gate = peer.hold("PUSHB", DONE)
        peer.answer("PUSHB", ignore)
        async with (
            Client(dial=peer.dial, limits=Limits(max_connections=1)) as client,
            anyio.create_task_group() as group,
        ):
            group.start_soon(client.push, Job("order"))
            await gate.reached.wait()
            group.start_soon(open_after, 2, gate.open)
            with pytest.raises(CommandTimeoutError):
                await client.push(Job("order"), timeout=3)
            assert anyio.current_time() == pytest.approx(3, abs=0.1)


async def open_after(seconds: float, act: Callable[[], None]) -> None:
    await anyio.sleep(seconds)
    act()


async def test_without_a_timeout_waiting_for_a_connection_has_its_own() -> None:
    async with peering() as peer:
        peer.answer("PUSHB", ignore)
        options: dict[str, Any] = {
            "limits": Limits(max_connections=1),
            "timeouts": Timeouts(pool=2, command=60),
        }
        async with (
            Client(dial=peer.dial, **options) as client,
            anyio.create_task_group() as group,
        ):
            group.start_soon(client.push, Job("order"))
            await peer.saw("PUSHB")
            with pytest.raises(PoolTimeoutError, match="within 2 s"):
                await client.push(Job("order"))
            group.cancel_scope.cancel()


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
async def test_a_timeout_that_is_none_is_refused(seconds: float) -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        with pytest.raises(UsageError, match="a timeout is more than 0 seconds"):
            await client.push(Job("order"), timeout=seconds)
        assert peer.dials == 0


# -- many at once ---------------------------------------------------------------------------------


@pytest.mark.parametrize("connections", [1, 3])
async def test_concurrent_pushes_use_no_more_connections_than_allowed(connections: int) -> None:
    async with peering() as peer:
        limits = Limits(max_connections=connections)
        async with (
            Client(dial=peer.dial, limits=limits) as client,
            anyio.create_task_group() as group,
        ):
            for number in range(5_000):
                group.start_soon(client.push, Job("order", [number]))
        assert peer.most_open == connections
        assert sum(len(jobs_of(line)) for line in peer.of("PUSHB")) == 5_000


async def test_one_tasks_pushes_keep_their_order() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        for number in range(50):
            await client.push(Job("order", [number]))
        assert [jobs_of(line)[0]["args"][0] for line in peer.of("PUSHB")] == list(range(50))
        assert peer.dials == 1


async def refuse_odd(line: Line) -> bytes:
    """Refuse jobs with an odd number, each by a text that names its jid."""
    odd = [job["jid"] for job in jobs_of(line) if job["args"][0] % 2]
    return bulk(msgspec.json.encode({jid: f"invalid JSON: {jid}" for jid in odd}))


async def checked(client: Client, job: Job) -> None:
    """Push, and see that the answer is this job's own."""
    if job.args[0] % 2 == 0:
        await client.push(job)
        return
    with pytest.raises(JobRejectedError) as caught:
        await client.push(job)
    assert caught.value.text == f"invalid JSON: {job.jid}"


async def test_a_push_cancelled_by_a_scope_leaves_no_reply_to_the_next_one() -> None:
    async with peering() as peer:
        peer.always("PUSHB", refuse_odd)
        limits = Limits(max_connections=1)
        async with Client(dial=peer.dial, limits=limits) as client:
            for steps in range(40):
                with anyio.CancelScope() as scope:
                    async with anyio.create_task_group() as group:
                        group.start_soon(cancel_after, steps, scope)
                        with contextlib.suppress(JobRejectedError):
                            await client.push(Job("order", [2 * steps + 1]))
                        group.cancel_scope.cancel()
                await checked(client, Job("order", [steps]))
            assert client._pool.slots == 1


async def cancel_after(steps: int, scope: anyio.CancelScope) -> None:
    for _ in range(steps):
        await anyio.lowlevel.checkpoint()
    scope.cancel()


def test_a_push_cancelled_natively_leaves_no_reply_to_the_next_one() -> None:
    async def main() -> None:
        async with peering() as peer:
            peer.always("PUSHB", refuse_odd)
            limits = Limits(max_connections=1)
            async with Client(dial=peer.dial, limits=limits) as client:
                for steps in range(40):
                    task = asyncio.create_task(client.push(Job("order", [2 * steps + 1])))
                    for _ in range(steps):
                        await asyncio.sleep(0)
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError, JobRejectedError):
                        await task
                    await checked(client, Job("order", [steps]))
                assert client._pool.slots == 1

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())


def test_a_storm_of_pushes_and_native_cancellations_mixes_nothing_up() -> None:
    async def main() -> None:
        async with peering() as peer:
            peer.always("PUSHB", refuse_odd)
            async with Client(dial=peer.dial, limits=Limits(max_connections=3)) as client:
                for round_ in range(20):
                    tasks = [
                        asyncio.create_task(checked(client, Job("order", [number])))
                        for number in range(50)
                    ]
                    for step, task in enumerate(tasks):
                        if step % 3 == round_ % 3:
                            await asyncio.sleep(0)
                            task.cancel()
                    results = await asyncio.gather(*tasks, return_exceptions=True)
                    wrong = [
                        result
                        for result in results
                        if result is not None and not isinstance(result, asyncio.CancelledError)
                    ]
                    assert wrong == []
                await checked(client, Job("order", [1]))
            await anyio.wait_all_tasks_blocked()
            assert peer.open_connections == 0

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())


# -- the server -----------------------------------------------------------------------------------


async def test_info_is_typed() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        info = await client.info()
        assert info.queues == {"a": 2}
        assert info.total_processed == 7


async def test_flush_is_sent_as_it_is() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        await client.flush()
        assert peer.lines[-1].data == b"FLUSH"
        peer.answer("FLUSH", error("context deadline exceeded"))
        with pytest.raises(ServerBusyError):
            await client.flush()
