"""Many jobs, in frames."""

import random
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from faktory_async import (
    CallNext,
    Client,
    ClientStateError,
    CommandTimeoutError,
    ConnectError,
    ConnectionLostError,
    InvalidJobError,
    Job,
    JobRejectedError,
    NotUniqueError,
    PoolTimeoutError,
    ProtocolError,
    PushReport,
    ServerBusyError,
    UsageError,
)
from tests.client._setting import DONE, ONE, TOO_MANY, Store, after, ignore, quiet, setting
from tests.client.test_group_commit import dying
from tests.worker.peer import Line, Peer, bulk, error, jobs_of, peering

pytestmark = pytest.mark.anyio


def some(count: int, *, first: int = 0) -> Iterator[Job]:
    return (Job("order", [number]) for number in range(first, first + count))


def spoilt() -> Job:
    """A job that was changed into something that cannot be sent."""
    job = Job("order", [[]])
    job.args[0].append(float("nan"))
    return job


def _bulk(client: Client, jobs: Any, **options: Any) -> Callable[[], Coroutine[Any, Any, None]]:
    async def run() -> None:
        await client.push_bulk(jobs, **options)

    return run


async def sizes(jobs: Any) -> list[int]:
    """Push the jobs and return how many each frame had."""
    async with peering() as peer, Client(dial=peer.dial) as client:
        report = await client.push_bulk(jobs, in_flight=1)
        frames = [len(jobs_of(line)) for line in peer.of("PUSHB")]
        assert report.accepted == sum(frames)
        assert report.complete
        return frames


@pytest.mark.parametrize(
    ("count", "frames"),
    [(0, []), (1, [1]), (1_000, [1_000]), (1_001, [1_000, 1]), (2_500, [1_000, 1_000, 500])],
)
async def test_a_frame_has_at_most_1000_jobs(count: int, frames: list[int]) -> None:
    assert await sizes(some(count)) == frames


async def test_any_iterable_will_do() -> None:
    jobs = [Job("order", [number]) for number in range(3)]
    assert await sizes(jobs) == [3]
    assert await sizes(tuple(jobs)) == [3]
    assert await sizes(iter(jobs)) == [3]
    assert await sizes({job.jid: job for job in jobs}.values()) == [3]


async def test_an_async_iterable_too() -> None:
    async def slowly() -> AsyncGenerator[Job]:
        for job in some(1_500):
            await anyio.lowlevel.checkpoint()
            yield job

    assert await sizes(slowly()) == [1_000, 500]


async def test_a_frame_has_at_most_1_mib() -> None:
    jobs = [Job("order", ["x" * 300_000]) for _ in range(7)]
    assert await sizes(jobs) == [3, 3, 1]


async def test_a_larger_job_has_a_frame_of_its_own() -> None:
    large = Job("order", ["x" * 1_100_000])
    assert await sizes([Job("order"), large, Job("order"), Job("order")]) == [1, 1, 2]


async def test_one_jid_is_in_a_frame_once() -> None:
    first, second = (Job("order", [number], jid="12345678") for number in range(2))
    jobs = [first, Job("order"), second, Job("order")]
    assert await sizes(jobs) == [2, 2]


@pytest.mark.parametrize("chunk", [1, 7, 1_000])
async def test_a_chunk_is_the_most_that_a_frame_has(chunk: int) -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        report = await client.push_bulk(some(20), chunk=chunk, ordered=True)
        frames = [len(jobs_of(line)) for line in peer.of("PUSHB")]
    assert report.accepted == 20
    assert frames == [chunk] * (20 // chunk) + [20 % chunk] * (20 % chunk > 0)


@pytest.mark.parametrize(
    "options", [{"chunk": 0}, {"chunk": 1_001}, {"chunk": 999.5}, {"in_flight": 0}]
)
async def test_what_makes_no_frame_is_refused(options: dict[str, float]) -> None:
    async with Client(dial=Peer().dial) as client:
        with pytest.raises(UsageError, match="needs a chunk of 1 to 1000 and in_flight of 1"):
            await client.push_bulk([], **options)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_a_report_is_filled_once() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        report = PushReport()
        assert await client.push_bulk(some(3), report=report) is report
        assert report == PushReport(accepted=3)
        assert report.complete
        with pytest.raises(UsageError, match="a fresh PushReport"):
            await client.push_bulk(some(3), report=report)


async def test_a_source_of_many_jobs_is_read_as_far_as_it_can_be_sent() -> None:
    pulled = 0

    def counted() -> Iterator[Job]:
        nonlocal pulled
        for job in some(100_000):
            pulled += 1
            yield job

    most_ahead = stored = 0

    async def store(line: Any) -> bytes:
        nonlocal most_ahead, stored
        most_ahead = max(most_ahead, pulled - stored)
        stored += line.data.count(b'"jid"')
        line.data = b"PUSHB"  # the peer keeps every line; these would be large
        return bulk(b"{}")

    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.always("PUSHB", store)
        report = await client.push_bulk(counted(), in_flight=3)
    assert (report.accepted, stored) == (100_000, 100_000)
    assert most_ahead <= 5_000  # three frames under way, one that stands ready, and the next one


# -- several at a time ----------------------------------------------------------------------------


@pytest.mark.parametrize("in_flight", [1, 3])
async def test_so_many_frames_are_under_way_and_no_more(in_flight: int) -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        gates = [peer.hold("PUSHB", DONE) for _ in range(4)]
        async with anyio.create_task_group() as group:
            group.start_soon(_bulk(client, some(4_000), in_flight=in_flight))
            await quiet()
            assert len(peer.of("PUSHB")) == in_flight
            gates[0].open()
            await quiet()
            assert len(peer.of("PUSHB")) == in_flight + 1
            for gate in gates:
                gate.open()
        assert peer.dials == in_flight


@pytest.mark.parametrize(("ordered", "ahead"), [(False, 4), (True, 2)])
async def test_a_frame_stands_ready_where_the_order_does_not_matter(
    *, ordered: bool, ahead: int
) -> None:
    read = 0

    def source() -> Iterator[Job]:
        nonlocal read
        for job in some(100):
            read += 1
            yield job

    async with setting() as it:
        gate = it.peer.hold("PUSHB", it.store)
        async with anyio.create_task_group() as group:
            group.start_soon(
                partial(it.client.push_bulk, source(), chunk=2, in_flight=1, ordered=ordered)
            )
            await quiet()
            assert len(it.peer.of("PUSHB")) == 1
            assert read == 2 + ahead
            gate.open()
        assert read == 100


async def test_others_have_their_turn_between_two_frames() -> None:
    async with setting(limits=ONE) as it:
        gates = [it.peer.hold("PUSHB", it.store) for _ in range(5)]
        async with anyio.create_task_group() as group:
            group.start_soon(_bulk(it.client, some(9_000, first=1)))
            await quiet()
            await it.start(0)
            for gate in gates:
                gate.open()
        await quiet()
        # One frame of the bulk was under way before.
        assert it.store.frames.index([0]) == 1
        assert len(it.store.frames) == 10


async def test_an_event_loop_has_its_breath_while_a_list_is_read() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async with peering() as peer, Client(dial=peer.dial) as client, anyio.create_task_group() as g:
        g.start_soon(others)
        await client.push_bulk(some(900))
        assert turns >= 900 // 128
        g.cancel_scope.cancel()


async def test_progress_sees_the_report_after_each_chunk() -> None:
    seen: list[tuple[int, int]] = []

    def progress(report: PushReport) -> None:
        seen.append((report.accepted, report.rejected_count))

    bad = spoilt()
    async with peering() as peer, Client(dial=peer.dial) as client:
        jobs = [*some(1_200), bad, *some(900)]
        report = await client.push_bulk(jobs, progress=progress, ordered=True)
    assert seen == [(1_000, 0), (1_999, 1), (2_100, 1)]
    assert report.rejected_count == 1


# -- in order -------------------------------------------------------------------------------------


async def test_in_order_frames_follow_each_other_over_one_connection() -> None:
    async with peering(room=1 << 22) as peer, Client(dial=peer.dial) as client:
        gate = peer.hold("PUSHB", DONE)
        async with anyio.create_task_group() as group:
            group.start_soon(_bulk(client, some(6_000), in_flight=3, ordered=True))
            await quiet()
            assert client._pushes.frames == 3, "pipelined"
            assert peer.dials == 1
            gate.open()
        numbers = [job["args"][0] for line in peer.of("PUSHB") for job in jobs_of(line)]
        assert numbers == list(range(6_000))
        assert peer.dials == 1


async def test_in_order_others_have_their_turn_too() -> None:
    async with setting(limits=ONE) as it:
        gates = [it.peer.hold("PUSHB", it.store) for _ in range(3)]
        async with anyio.create_task_group() as group:
            group.start_soon(_bulk(it.client, some(9_000, first=1), in_flight=2, ordered=True))
            await quiet()
            await it.start(0)
            for gate in gates:
                gate.open()
            await quiet()
            assert it.kinds([0]) == {None}
        numbers = [number for frame in it.store.frames for number in frame if number]
        assert numbers == list(range(1, 9_001))
        assert it.store.frames.index([0]) <= 3


async def test_in_order_a_connection_is_not_kept_while_the_source_is_slow() -> None:
    async with setting(limits=ONE) as it:
        more = anyio.Event()

        async def slow() -> AsyncGenerator[Job]:
            for job in some(10, first=1):
                yield job
            await more.wait()
            for job in some(10, first=11):
                yield job

        async with anyio.create_task_group() as group:
            group.start_soon(_bulk(it.client, slow(), chunk=5, ordered=True))
            await quiet()
            assert len(it.store.frames) == 2
            await it.start(0)
            assert it.kinds([0]) == {None}
            more.set()
        assert [n for frame in it.store.frames for n in frame if n] == list(range(1, 21))


async def test_in_order_a_refused_frame_is_rejected_as_a_whole() -> None:
    async with setting() as it:
        it.store.bad = {1_500}
        jobs = list(some(3_000))
        report = await it.client.push_bulk(jobs, ordered=True)
        assert report.accepted == 2_000
        assert report.rejected_count == 1_000
        assert set(report.rejected) == {job.jid for job in jobs[1_000:2_000]}
        assert (report.error, report.not_sent) == (None, None)


# -- what goes wrong ------------------------------------------------------------------------------


orders = pytest.mark.parametrize("ordered", [False, True])


@orders
async def test_the_report_names_what_was_refused(*, ordered: bool) -> None:
    first, second, third = (Job("order", [number]) for number in range(3))
    texts = (first.jid.encode(), third.jid.encode())
    async with peering() as peer, Client(dial=peer.dial) as client:
        reply = b'{"%b":"jobs must have an args parameter","%b":"NOTUNIQUE Job not unique"}' % texts
        peer.answer("PUSHB", bulk(reply))
        report = await client.push_bulk([first, second, third], ordered=ordered)
    assert (report.accepted, report.rejected_count) == (1, 2)
    assert not report.complete
    assert list(report.rejected) == [first.jid, third.jid]
    assert isinstance(report.rejected[first.jid], JobRejectedError)
    assert isinstance(report.rejected[third.jid], NotUniqueError)
    report.raise_for_error()


@orders
async def test_a_job_whose_fate_is_unknown_ends_the_bulk(*, ordered: bool) -> None:
    jobs = list(some(5_000))
    async with peering() as peer, Client(dial=peer.dial) as client:
        reply = b'{"%b":"context deadline exceeded"}' % jobs[3].jid.encode()
        peer.answer("PUSHB", bulk(reply))
        report = await client.push_bulk(jobs, in_flight=1, ordered=ordered)
    assert report.accepted == 999
    assert list(report.unknown) == [jobs[3].jid]
    assert report.not_sent == 1_000
    with pytest.raises(ServerBusyError, match="context deadline exceeded"):
        report.raise_for_error()


async def test_a_refusal_of_a_job_that_nobody_sent_leaves_the_frame_unknown() -> None:
    stranger = bulk(b'{"strange-jid":"jobs must have an args parameter"}')
    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.answer("PUSHB", stranger)
        report = await client.push_bulk(some(3))
        assert isinstance(report.error, ProtocolError)
        assert (report.accepted, len(report.unknown)) == (0, 3)
        peer.answer("PUSHB", stranger)
        alone = await client.push_bulk(some(1))
        assert (alone.error, alone.rejected_count) == (None, 1)


@orders
async def test_a_job_that_cannot_be_sent_is_rejected_alone(*, ordered: bool) -> None:
    bad = spoilt()
    async with peering() as peer, Client(dial=peer.dial) as client:
        report = await client.push_bulk([*some(1_500), bad, *some(10)], ordered=ordered)
    assert (report.accepted, report.rejected_count) == (1_510, 1)
    assert isinstance(report.rejected[bad.jid], InvalidJobError)
    assert (report.not_sent, report.error) == (None, None)


@orders
async def test_a_frame_of_jobs_that_cannot_be_sent_sends_nothing(*, ordered: bool) -> None:
    seen: list[int] = []
    async with peering() as peer, Client(dial=peer.dial) as client:
        report = await client.push_bulk(
            (spoilt() for _ in range(3)),
            chunk=2,
            in_flight=1,
            ordered=ordered,
            progress=lambda report: seen.append(report.rejected_count),
        )
        assert peer.dials == 0
    assert (report.rejected_count, seen) == (3, [2, 3])


async def test_the_first_10000_rejected_jobs_are_named_and_all_are_counted() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        bad = spoilt()
        report = await client.push_bulk(bad for _ in range(10))
        assert (report.rejected_count, len(report.rejected)) == (10, 1), "one jid"
        report = await client.push_bulk(spoilt() for _ in range(10_100))
    assert (report.rejected_count, len(report.rejected)) == (10_100, 10_000)


async def test_the_guilty_of_a_refused_frame_are_found() -> None:
    async with setting() as it:
        it.store.bad = {5, 700, 1_999}
        jobs = list(some(2_500))
        report = await it.client.push_bulk(jobs)
        assert report.accepted == 2_497
        assert set(report.rejected) == {jobs[number].jid for number in (5, 700, 1_999)}
        assert all(it.store.stored[n] == (n not in it.store.bad) for n in range(2_500))


@orders
async def test_a_lost_connection_ends_the_bulk_and_the_report_says_where(*, ordered: bool) -> None:
    jobs = list(some(2_500))
    async with peering() as peer, Client(dial=peer.dial) as client:
        reply = b'{"%b":"jobs must have an args parameter"}' % jobs[0].jid.encode()
        peer.answer("PUSHB", bulk(reply), None)
        report = await client.push_bulk(jobs, in_flight=1, ordered=ordered)
        assert (report.accepted, report.rejected_count, report.not_sent) == (999, 1, 2_000)
        assert set(report.unknown) == {job.jid for job in jobs[1_000:2_000]}
        with pytest.raises(ConnectionLostError) as caught:
            report.raise_for_error()
        assert caught.value.maybe_executed is True
        rest = await client.push_bulk(jobs[report.not_sent :])
        assert rest.accepted == 500


@orders
async def test_a_server_that_is_not_there_ends_the_bulk(*, ordered: bool) -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.refusing = True
        report = await client.push_bulk(some(5_000), ordered=ordered)
        assert isinstance(report.error, ConnectError)
        assert (report.accepted, report.rejected_count, report.unknown) == (0, 0, {})
        assert report.not_sent == 0
        assert peer.dials <= 4


@orders
async def test_a_server_that_does_not_answer_ends_the_bulk_in_time(*, ordered: bool) -> None:
    async with peering(room=1 << 22) as peer, Client(dial=peer.dial) as client:
        peer.always("PUSHB", after(3_600, Store()))
        began = anyio.current_time()
        jobs = list(some(9_000))
        report = await client.push_bulk(jobs, in_flight=3, ordered=ordered)
        assert anyio.current_time() - began == pytest.approx(7, abs=0.1)
        assert isinstance(report.error, CommandTimeoutError)
        assert set(report.unknown) == {job.jid for job in jobs[:3_000]}
        assert report.not_sent == 3_000


@orders
async def test_a_connection_that_does_not_come_free_ends_the_bulk(*, ordered: bool) -> None:
    async with setting(limits=ONE) as it:
        gate = it.peer.hold("PUSHB", it.store)
        await it.start(0, within=100)
        report = await it.client.push_bulk(some(10, first=1), ordered=ordered)
        gate.open()
        assert isinstance(report.error, PoolTimeoutError)
        assert report.not_sent == 0


@orders
@pytest.mark.parametrize("deaths", [1, 2])
async def test_what_a_dead_connection_did_not_take_is_sent_again_once(
    deaths: int, *, ordered: bool
) -> None:
    async with setting() as it:
        dying(it, deaths)
        report = await it.client.push_bulk(some(10), ordered=ordered)
        if deaths == 1:
            assert report == PushReport(accepted=10)
            assert it.client._pushes.resends == 10
        else:
            assert isinstance(report.error, ConnectionLostError)
            assert (report.accepted, report.not_sent) == (0, 0)
        assert sum(it.store.stored.values()) == report.accepted


async def test_a_server_at_its_limit_lets_the_bulk_go_on_with_the_connections_it_has() -> None:
    async with setting() as it:

        async def answer(line: Line) -> bytes:
            return TOO_MANY if line.connection.number else await it.store(line)

        it.peer.always("PUSHB", after(0.1, answer))
        report = await it.client.push_bulk(some(9_000), in_flight=3)
        assert report == PushReport(accepted=9_000)
        assert it.dialler.began < 9, "not one for each frame"


async def test_a_further_connection_that_cannot_be_had_fails_nothing() -> None:
    async with setting(gates=3) as it:
        report = PushReport()
        async with anyio.create_task_group() as group:
            group.start_soon(_bulk(it.client, some(9_000), report=report, in_flight=3))
            await quiet()
            await it.dialler.open(1, failing=True)
            await it.dialler.open(2, failing=True)
            await it.dialler.open(0)
        assert report == PushReport(accepted=9_000)
        assert it.dialler.began == 3


async def test_a_job_before_one_that_was_sent_is_not_among_those_not_sent() -> None:
    async with setting(gates=2) as it:
        jobs = list(some(3_000))
        report = PushReport()
        async with anyio.create_task_group() as group:
            group.start_soon(_bulk(it.client, jobs, report=report, in_flight=2))
            await quiet()
            gate = it.peer.hold("PUSHB", None)
            await it.dialler.open(1)
            await gate.reached.wait()
            gate.open()
            await quiet()
            await it.dialler.open(0)
        assert isinstance(report.error, ConnectionLostError)
        assert set(report.unknown) == {job.jid for job in jobs[1_000:2_000]}
        assert set(report.rejected) == {job.jid for job in jobs[:1_000]}
        assert all(
            isinstance(each, ConnectionLostError) and not each.maybe_executed
            for each in report.rejected.values()
        )
        assert report.not_sent == 2_000


async def test_a_shutdown_is_no_refusal_of_a_job() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.answer("PUSHB", error("shutdown in progress"))
        report = await client.push_bulk(some(10))
        assert isinstance(report.error, ServerBusyError)
        assert (report.not_sent, report.rejected_count, report.unknown) == (0, 0, {})


# -- what passes through --------------------------------------------------------------------------


@orders
async def test_a_source_that_raises_is_told_what_was_stored(*, ordered: bool) -> None:
    def broken() -> Iterator[Job]:
        yield from some(1_500)
        raise LookupError("no more")

    async with peering() as peer, Client(dial=peer.dial) as client:
        report = PushReport()
        with pytest.raises(LookupError, match="no more") as caught:
            await client.push_bulk(broken(), report=report, ordered=ordered)
        assert len(peer.of("PUSHB")) == 1
    assert caught.value.__notes__ == ["push_bulk: before this the server had stored 1000 jobs"]
    assert report == PushReport(accepted=1_000, not_sent=1_000)


async def test_the_note_speaks_of_refused_and_unknown_jobs_too() -> None:
    jobs = list(some(2_000))

    def broken() -> Iterator[Job]:
        yield from jobs
        raise LookupError("no more")

    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.answer(
            "PUSHB",
            bulk(b'{"%b":"jobs must have an args parameter"}' % jobs[0].jid.encode()),
            bulk(b'{"%b":"context deadline exceeded"}' % jobs[1_000].jid.encode()),
        )
        with pytest.raises(LookupError) as caught:
            await client.push_bulk(broken(), in_flight=1)
    assert caught.value.__notes__ == [
        "push_bulk: before this the server had stored 1998 jobs, refused 1, and of 1 nobody can say"
    ]


async def test_what_fails_before_anything_was_stored_says_nothing_of_it() -> None:
    def broken() -> Iterator[Job]:
        yield from some(3)
        raise LookupError("no more")

    async with peering() as peer, Client(dial=peer.dial) as client:
        with pytest.raises(LookupError) as caught:
            await client.push_bulk(broken())
        assert not hasattr(caught.value, "__notes__")


async def test_something_that_is_no_job_is_refused_by_name() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        with pytest.raises(InvalidJobError, match="must be a Job, not dict"):
            await client.push_bulk([Job("order"), {"jobtype": "order"}])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
        with pytest.raises(InvalidJobError, match="must be a Job, not str"):
            await client.push("order")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        assert peer.dials == 0


async def test_something_that_is_no_job_never_comes_to_a_middleware() -> None:
    seen: list[Job] = []

    async def watch(job: Job, call_next: CallNext) -> Job:
        seen.append(job)
        return await call_next(job)

    jobs: list[Any] = [Job("order"), {"jobtype": "order"}]
    async with peering() as peer, Client(dial=peer.dial, middleware=[watch]) as client:
        with pytest.raises(InvalidJobError, match="must be a Job, not dict"):
            await client.push_bulk(jobs)
        assert peer.dials == 0
    assert seen == jobs[:1]


async def test_what_progress_raises_ends_the_bulk() -> None:
    def broken(report: PushReport) -> None:
        raise LookupError("no terminal")

    async with peering() as peer, Client(dial=peer.dial) as client:
        report = PushReport()
        with pytest.raises(LookupError, match="no terminal"):
            await client.push_bulk(some(9_000), report=report, progress=broken, in_flight=1)
    assert report == PushReport(accepted=1_000, not_sent=1_000)


async def test_a_bulk_that_outlives_its_client_says_so() -> None:
    async with peering() as peer:
        async with Client(dial=peer.dial) as client:
            gate = peer.hold("PUSHB", DONE)
            report = PushReport()
            group = anyio.create_task_group()
            await group.__aenter__()
            group.start_soon(_bulk(client, some(3_000), report=report, in_flight=1))
            await gate.reached.wait()
        gate.open()
        await group.__aexit__(None, None, None)
        assert isinstance(report.error, ClientStateError)
        assert (report.accepted, report.not_sent) == (1_000, 1_000)


@orders
async def test_a_client_that_is_closed_by_force_ends_a_bulk_at_once(*, ordered: bool) -> None:
    async with setting() as it:
        it.peer.always("PUSHB", ignore)
        report = PushReport()
        async with anyio.create_task_group() as group:
            bulk_ = _bulk(it.client, some(9_000), report=report, in_flight=2, ordered=ordered)
            group.start_soon(bulk_)
            await quiet()
            await it.client.aclose(force=True)
        assert it.now == 0
        assert isinstance(report.error, ConnectionLostError | ClientStateError)
        assert (report.accepted, len(report.unknown), report.not_sent) == (0, 2_000, 2_000)


@orders
async def test_a_cancelled_bulk_leaves_an_exact_report_and_a_good_client(*, ordered: bool) -> None:
    async with peering(room=1 << 22) as peer, Client(dial=peer.dial) as client:
        jobs = list(some(9_000))
        report = PushReport()
        peer.answer("PUSHB", DONE)
        peer.always("PUSHB", ignore)
        async with anyio.create_task_group() as group:
            group.start_soon(_bulk(client, jobs, report=report, ordered=ordered))
            await quiet()
            group.cancel_scope.cancel()
        assert report.accepted == 1_000
        assert set(report.unknown) == {job.jid for job in jobs[1_000:5_000]}
        assert report.not_sent == 5_000
        peer.always("PUSHB", DONE)
        assert (await client.push_bulk(some(5))).accepted == 5


async def test_an_async_generator_that_is_not_read_to_its_end_is_closed() -> None:
    closed = anyio.Event()

    async def endless() -> AsyncGenerator[Job]:
        try:
            while True:
                yield Job("order")
        finally:
            closed.set()

    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.answer("PUSHB", None)
        report = await client.push_bulk(endless())
        assert isinstance(report.error, ConnectionLostError)
        assert closed.is_set()


# -- whatever happens, the report is exact --------------------------------------------------------


def check(report: PushReport, jobs: list[Job], store: Store) -> None:
    end = len(jobs) if report.not_sent is None else report.not_sent
    assert report.accepted + report.rejected_count + len(report.unknown) == end
    for number, job in enumerate(jobs):
        stored = store.stored[number]
        assert stored <= 1
        if number >= end:
            assert not stored, f"{number} of {end} was sent"
            assert job.jid not in report.rejected
            assert job.jid not in report.unknown
        elif job.jid in report.rejected:
            assert not stored
        elif job.jid not in report.unknown:
            assert stored == 1


@orders
@pytest.mark.parametrize("seed", range(12))
async def test_a_report_is_exact_whenever_a_bulk_is_disturbed(seed: int, *, ordered: bool) -> None:
    chance = random.Random(seed)  # noqa: S311 - a storm, no secret
    async with setting() as it:
        it.store.bad = {chance.randrange(3_000)}

        async def answer(line: Line) -> bytes | None:
            await anyio.sleep(chance.uniform(0, 0.1))
            kind = chance.random()
            if kind < 0.05:
                return None
            reply = await it.store(line)
            return None if kind < 0.1 else reply

        it.peer.always("PUSHB", answer)
        for _ in range(10):
            it.store.stored.clear()
            jobs = list(some(3_000))
            report = PushReport()
            with anyio.move_on_after(chance.uniform(0, 2)):
                await it.client.push_bulk(
                    jobs,
                    report=report,
                    chunk=chance.choice([30, 200, 1_000]),
                    in_flight=chance.randrange(1, 6),
                    ordered=ordered,
                )
            await anyio.sleep(1)
            check(report, jobs, it.store)
