"""Many jobs, in frames."""

from collections.abc import AsyncGenerator, Iterator
from typing import Any

import anyio
import pytest

from faktory_async import (
    Client,
    ConnectionLostError,
    InvalidJobError,
    Job,
    JobRejectedError,
    ServerBusyError,
)
from tests.worker.peer import bulk, jobs_of, peering

pytestmark = pytest.mark.anyio


def some(count: int) -> Iterator[Job]:
    return (Job("order", [number]) for number in range(count))


async def sizes(jobs: Any) -> list[int]:
    """Push the jobs and return how many each frame had."""
    async with peering() as peer, Client(dial=peer.dial) as client:
        report = await client.push_bulk(jobs)
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


async def test_order_is_kept() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        await client.push_bulk(some(3_000))
        numbers = [job["args"][0] for line in peer.of("PUSHB") for job in jobs_of(line)]
        assert numbers == list(range(3_000))


async def test_a_source_of_many_jobs_is_read_one_frame_ahead_at_most() -> None:
    pulled = 0

    def counted() -> Iterator[Job]:
        nonlocal pulled
        for job in some(100_000):
            pulled += 1
            yield job

    most_ahead = stored = 0

    async def store(line: Any) -> bytes:
        nonlocal most_ahead, stored
        stored += line.data.count(b'"jid"')
        most_ahead = max(most_ahead, pulled - stored)
        line.data = b"PUSHB"  # the peer keeps every line; these would be large
        return bulk(b"{}")

    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.always("PUSHB", store)
        report = await client.push_bulk(counted())
    assert (report.accepted, stored) == (100_000, 100_000)
    assert most_ahead <= 1


# -- what goes wrong ------------------------------------------------------------------------------


async def test_the_report_names_what_was_refused_and_what_is_unknown() -> None:
    first, second, third = (Job("order", [number]) for number in range(3))
    texts = (first.jid.encode(), third.jid.encode())
    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.answer(
            "PUSHB",
            bulk(
                b'{"%b":"jobs must have an args parameter","%b":"context deadline exceeded"}'
                % texts
            ),
        )
        report = await client.push_bulk([first, second, third])
    assert report.accepted == 1
    assert not report.complete
    assert list(report.rejected) == [first.jid]
    assert list(report.unknown) == [third.jid]
    assert isinstance(report.rejected[first.jid], JobRejectedError)
    assert isinstance(report.unknown[third.jid], ServerBusyError)


async def test_an_invalid_job_in_the_middle_leaves_the_frames_before_it_stored() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        bad = Job("order", [[]])
        bad.args[0].append(float("nan"))
        with pytest.raises(InvalidJobError) as caught:
            await client.push_bulk([*some(1_500), bad, *some(10)])
        assert [len(jobs_of(line)) for line in peer.of("PUSHB")] == [1_000]
        assert caught.value.__notes__ == ["push_bulk: before this the server had stored 1000 jobs"]
        await client.push(Job("order"))


async def test_a_lost_connection_says_what_was_stored_refused_and_unknown_before() -> None:
    jobs = list(some(2_500))
    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.answer(
            "PUSHB",
            bulk(b'{"%b":"jobs must have an args parameter"}' % jobs[0].jid.encode()),
            bulk(b'{"%b":"context deadline exceeded"}' % jobs[1_000].jid.encode()),
            None,
        )
        with pytest.raises(ConnectionLostError) as caught:
            await client.push_bulk(jobs)
        assert caught.value.maybe_executed is True
    assert caught.value.__notes__ == [
        "push_bulk: before this the server had stored 1998 jobs, refused 1, and of 1 nobody can say"
    ]


async def test_a_source_that_raises_is_told_what_was_stored_too() -> None:
    def broken() -> Iterator[Job]:
        yield from some(1_500)
        raise LookupError("no more")

    async with peering() as peer, Client(dial=peer.dial) as client:
        with pytest.raises(LookupError, match="no more") as caught:
            await client.push_bulk(broken())
        assert len(peer.of("PUSHB")) == 1
    assert caught.value.__notes__ == ["push_bulk: before this the server had stored 1000 jobs"]


async def test_what_fails_before_anything_was_stored_says_nothing_of_it() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.answer("PUSHB", None)
        with pytest.raises(ConnectionLostError) as caught:
            await client.push_bulk(some(5))
        assert not hasattr(caught.value, "__notes__")


async def test_something_that_is_no_job_is_refused_by_name() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        with pytest.raises(InvalidJobError, match="must be a Job, not dict"):
            await client.push_bulk([Job("order"), {"jobtype": "order"}])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
        with pytest.raises(InvalidJobError, match="must be a Job, not str"):
            await client.push("order")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        assert peer.dials == 0


async def test_a_bulk_that_is_cancelled_leaves_the_client_good() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        gate = peer.hold("PUSHB")
        async with anyio.create_task_group() as group:
            group.start_soon(client.push_bulk, some(3_000))
            await gate.reached.wait()
            group.cancel_scope.cancel()
        assert (await client.push_bulk(some(5))).accepted == 5
