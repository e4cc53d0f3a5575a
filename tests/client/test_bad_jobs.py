"""Jobs that are refused, or warned of, before a byte leaves."""

import warnings
from datetime import UTC, datetime, timedelta

import pytest

from faktory_async import Client, InvalidJobError, Job, Limits, UsageError
from tests.worker.peer import peering

pytestmark = pytest.mark.anyio

WARNING = "`at` of the 'order' is more than a day ago: the job will run at once"


def ago(**span: float) -> datetime:
    return datetime.now(UTC) - timedelta(**span)


async def test_a_job_that_was_due_more_than_a_day_ago_draws_a_warning_and_is_pushed() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        with pytest.warns(UserWarning, match=WARNING) as caught:
            await client.push(Job("order", at=ago(days=1, minutes=1)))
        assert caught[0].filename == __file__
        with pytest.warns(UserWarning, match=WARNING):
            report = await client.push_bulk([Job("order", at=ago(days=30))])
        assert report.accepted == 1
        assert len(peer.of("PUSHB")) == 2


async def test_where_warnings_are_errors_only_the_job_that_draws_one_is_refused() -> None:
    old = Job("order", at=ago(days=30))
    async with peering() as peer, Client(dial=peer.dial) as client:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(UserWarning, match=WARNING):
                await client.push(old)
            assert peer.of("PUSHB") == []
            report = await client.push_bulk([Job("order"), old, Job("order")])
        assert report.accepted == 2
        assert isinstance(report.rejected[old.jid], UserWarning)


async def test_a_job_that_was_due_a_moment_ago_draws_none() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            await client.push(Job("order", at=ago(hours=23)))
            await client.push(Job("order", at=datetime.now(UTC) + timedelta(days=900)))


async def test_a_job_that_is_too_big_is_refused() -> None:
    job = Job("order", ["x" * 1_000])
    size = len(job.to_json())
    async with peering() as peer:
        async with Client(dial=peer.dial, limits=Limits(max_job=size - 1)) as client:
            with pytest.raises(InvalidJobError, match=rf"order {job.jid} has {size} bytes; the"):
                await client.push(job)
            report = await client.push_bulk([Job("order"), job, Job("order")])
            assert report.accepted == 2
            assert isinstance(report.rejected[job.jid], InvalidJobError)
        async with Client(dial=peer.dial, limits=Limits(max_job=size)) as client:
            await client.push(job)


def test_a_limit_is_at_least_1() -> None:
    with pytest.raises(UsageError, match="max_job are at least 1"):
        Limits(max_job=0)
