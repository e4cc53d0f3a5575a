"""Batches, tracking, unique and expiring jobs, on the embedded Enterprise edition."""

import asyncio
import warnings
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from faktory_async import (
    BatchStatus,
    CallbackState,
    CallNext,
    Client,
    ClientStateError,
    EmbeddedServer,
    InvalidJobError,
    Job,
    JobState,
    NotUniqueError,
    ServerError,
    UsageError,
)
from tests.worker.peer import bulk, error, peering

pytestmark = pytest.mark.asyncio
JOB = "12345678"


@asynccontextmanager
async def licensed() -> AsyncGenerator[tuple[EmbeddedServer, Client]]:
    async with (
        EmbeddedServer(edition="enterprise", fetch_wait=0.01) as server,
        Client(server.url) as client,
    ):
        yield server, client


async def work(client: Client, *, fail: bool = False) -> list[str]:
    """Work all there is, and return the types of the jobs."""
    worked: list[str] = []
    async with client.consumer() as consumer:
        while (job := await consumer.fetch("default")) is not None:
            worked.append(job.jobtype)
            if fail:
                await consumer.fail(job, ValueError("no"))
            else:
                await consumer.ack(job)
    return worked


# -- batches ------------------------------------------------------------------------------------


async def test_a_batchs_callback_follows_when_all_have_succeeded() -> None:
    async with licensed() as (_, client):
        async with client.batch("import", success=Job("imported")) as batch:
            await batch.push(Job("row", [1]))
            await batch.push_bulk(Job("row", [number]) for number in (2, 3))
            status = await batch.status()
            assert (status.bid, status.description) == (batch.bid, "import")
            assert (status.total, status.pending, status.parent_bid) == (3, 3, None)
            assert status.created_at is not None
        assert await work(client) == ["row", "row", "row", "imported"]
        status = await client.batch_status(batch.bid)
        assert status.success is CallbackState.SUCCEEDED
        assert status.complete is CallbackState.PENDING


async def test_a_batch_takes_jobs_from_an_async_source_too() -> None:
    async def rows() -> AsyncGenerator[Job]:
        for number in range(2):
            yield Job("row", [number])

    async with licensed() as (_, client):
        async with client.batch(complete=Job("done")) as batch:
            report = await batch.push_bulk(rows())
        assert report.accepted == 2
        assert await work(client) == ["row", "row", "done"]


async def test_one_bad_job_among_many_is_rejected_alone_in_a_batch_too() -> None:
    bad = Job("row", jid=JOB, custom={"rates": []})
    bad.custom["rates"].append(float("nan"))
    async with licensed() as (_, client):
        async with client.batch(success=Job("imported")) as batch:
            report = await batch.push_bulk([Job("row"), bad, Job("row")])
            assert (report.accepted, report.not_sent, report.error) == (2, None, None)
            assert isinstance(report.rejected[JOB], InvalidJobError)
            with pytest.raises(InvalidJobError):
                await batch.push(bad)
        assert await work(client) == ["row", "row", "imported"]


async def test_what_is_no_job_is_refused_by_a_batch_as_by_its_client() -> None:
    no_job: Any = "row"
    async with licensed() as (_, client), client.batch(success=Job("imported")) as batch:
        for pusher in (client, batch):
            with pytest.raises(InvalidJobError, match="must be a Job, not str"):
                await pusher.push(no_job)
            with pytest.raises(InvalidJobError, match="must be a Job, not str"):
                await pusher.push_bulk([no_job])


async def test_a_job_that_was_pushed_in_a_batch_shares_nothing_with_the_one_given() -> None:
    job = Job("row", [1], custom={"locale": "fr"})
    async with licensed() as (_, client), client.batch(success=Job("imported")) as batch:
        member = await batch.push(job)
        assert (member.jid, member.custom) == (job.jid, {"locale": "fr", "bid": batch.bid})
        assert job.custom == {"locale": "fr"}
        assert member.args == job.args
        assert member.args is not job.args


async def test_an_async_source_is_closed_by_a_batch_as_by_its_client() -> None:
    closed = asyncio.Event()

    async def rows() -> AsyncGenerator[Any]:
        try:
            yield Job("row")
            yield "no job"
        finally:
            closed.set()

    async with licensed() as (_, client), client.batch(success=Job("imported")) as batch:
        source = rows()
        with pytest.raises(InvalidJobError):
            await batch.push_bulk(source)
        assert closed.is_set()


async def test_a_bulk_ends_with_the_block_of_its_batch() -> None:
    async with licensed() as (_, client), client.batch(success=Job("imported")) as batch:

        async def rows() -> AsyncGenerator[Job]:
            yield Job("row")
            await batch.commit()
            yield Job("row")

        with pytest.raises(ClientStateError):
            await batch.push_bulk(rows())
        with pytest.raises(ClientStateError):
            await batch.push_bulk([])


async def test_a_batch_whose_commit_has_failed_takes_no_more_after_its_block() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.always("BATCH", bulk(b"b-1"))
        batch = client.batch(success=Job("imported"))

        async def import_rows() -> None:
            async with batch:
                peer.always("BATCH", error("no such batch"))
                with pytest.raises(ServerError):
                    await batch.commit()
                await batch.push(Job("row"))  # within the block it goes on, and may be tried again

        with pytest.raises(ServerError):
            await import_rows()
        with pytest.raises(ClientStateError):
            await batch.push(Job("row"))


async def test_after_an_exception_a_batch_is_not_committed() -> None:
    async with licensed() as (_, client):
        batch = client.batch(success=Job("imported"))

        async def import_rows() -> None:
            async with batch:
                await batch.push(Job("row"))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await import_rows()
        assert await work(client) == ["row"]
        assert (await batch.status()).success is CallbackState.PENDING
        with pytest.raises(ClientStateError, match="within its `async with`"):
            await batch.push(Job("row"))


async def test_a_parents_callback_waits_for_its_childs() -> None:
    async with licensed() as (_, client):
        async with client.batch("parent", success=Job("parent-done")) as parent:
            await parent.push(Job("row"))
            async with parent.batch("child", success=Job("child-done")) as child:
                await child.push(Job("row"))
            assert (await child.status()).parent_bid == parent.bid
        assert await work(client) == ["row", "row", "child-done", "parent-done"]


async def test_a_batch_can_be_opened_again() -> None:
    async with licensed() as (_, client):
        async with client.batch(success=Job("imported")) as batch:
            await batch.push(Job("row"))
        async with client.reopen_batch(batch.bid) as again:
            assert again.bid == batch.bid
            await again.push(Job("row"))
        assert await work(client) == ["row", "row", "imported"]


async def test_a_batch_may_be_committed_early_and_then_takes_no_more() -> None:
    async with licensed() as (_, client):
        async with client.batch(success=Job("imported")) as batch:
            await batch.push(Job("row"))
            await batch.commit()
            with pytest.raises(ClientStateError):
                await batch.push(Job("row"))
        with pytest.raises(UsageError, match="begun once"):
            async with batch:
                raise AssertionError("it has begun again")


async def test_mistakes_with_batches_are_told() -> None:
    async with licensed() as (_, client):
        with pytest.raises(UsageError, match="success= or complete="):
            client.batch("nothing follows")
        no_job: Any = "imported"
        with pytest.raises(InvalidJobError, match="success must be a Job, not str"):
            client.batch(success=no_job)
        with pytest.raises(InvalidJobError, match="complete must be a Job, not str"):
            client.batch(success=Job("imported"), complete=no_job)
        with pytest.raises(UsageError, match="no id of a batch"):
            client.reopen_batch("b 1")
        with pytest.raises(ServerError, match="no such batch"):
            await client.batch_status("b-none")
        batch = client.batch(success=Job("imported"))
        assert repr(batch) == "<Batch not begun>"
        with pytest.raises(ClientStateError):
            await batch.push(Job("row"))
        with pytest.raises(ClientStateError):
            batch.batch(success=Job("imported"))


async def test_a_status_is_read_as_it_comes() -> None:
    assert BatchStatus.decode(b'{"bid":"b-1","new":1}') == BatchStatus(bid="b-1")


# -- tracking -----------------------------------------------------------------------------------


async def test_a_tracked_job_tells_how_far_it_is() -> None:
    async with licensed() as (server, client):
        await client.push(Job("order", jid=JOB, reserve_for=60).tracked())
        assert (await client.track_get(JOB)).state is JobState.ENQUEUED
        async with client.consumer() as consumer:
            assert await consumer.fetch("default") is not None
            until = datetime.now(UTC) + timedelta(hours=1)
            await client.track_set(JOB, percent=50, desc="half of it", reserve_until=until)
            progress = await client.track_get(JOB)
            assert (progress.state, progress.percent) == (JobState.WORKING, 50)
            assert progress.desc == "half of it"
            assert progress.updated_at is not None
            server.advance(minutes=30, expire_reservations=True)
            assert len(server.working) == 1
            await consumer.ack(JOB)
        assert (await client.track_get(JOB)).state is JobState.SUCCESS
        assert (await client.track_get("no-such-job")).state is JobState.UNKNOWN


@pytest.mark.parametrize(
    "options",
    [
        {"percent": 101},
        {"percent": -1},
        {"reserve_until": datetime(2026, 1, 1)},  # noqa: DTZ001 - naive: that is the mistake
        {"reserve_until": datetime(2020, 1, 1, tzinfo=UTC)},
        {"reserve_until": datetime.now(UTC) + timedelta(hours=25)},
    ],
)
async def test_progress_that_makes_no_sense_is_refused(options: dict[str, object]) -> None:
    async with licensed() as (_, client):
        with pytest.raises(UsageError):
            await client.track_set(JOB, **options)  # type: ignore[arg-type]  # as in the table
        with pytest.raises(UsageError, match="is no jid"):
            await client.track_get("a b")


# -- unique and expiring jobs -------------------------------------------------------------------


async def test_a_unique_job_is_refused_while_an_equal_one_is_there() -> None:
    async with licensed() as (_, client):
        await client.push(Job("order", [1]).unique_for("10m"))
        with pytest.raises(NotUniqueError) as caught:
            await client.push(Job("order", [1]).unique_for(60))
        assert not caught.value.maybe_executed
        with pytest.raises(NotUniqueError):
            await client.push_alone(Job("order", [1]).unique_for(60))
        await client.push(Job("order", [2]).unique_for(60))
        assert await work(client) == ["order", "order"]
        await client.push_alone(Job("order", [1]).unique_for(60))


async def test_a_lock_may_end_at_the_start() -> None:
    async with licensed() as (_, client):
        job = Job("order", [1]).unique_for(timedelta(minutes=5), until="start")
        await client.push(job)
        async with client.consumer() as consumer:
            assert await consumer.fetch("default") is not None
            await client.push(Job("order", [1]).unique_for(60))
            await consumer.ack(job)


async def test_a_job_that_has_expired_is_dropped() -> None:
    async with licensed() as (server, client):
        await client.push(Job("order").expires_in("1h"))
        await client.push(Job("order").expires_at(datetime.now(UTC) + timedelta(hours=3)))
        server.advance(hours=2)
        assert await work(client) == ["order"]


async def test_the_options_are_those_of_the_builder_too() -> None:
    when = datetime(2030, 1, 1, 12, tzinfo=UTC)
    builder = Job.builder("order").unique_for("1m", until="start").expires_at(when).tracked()
    job = builder.add_to_custom_data("x", 1).build()
    assert job.custom == {
        "x": 1,
        "unique_for": 60,
        "unique_until": "start",
        "expires_at": "2030-01-01T12:00:00Z",
        "track": 1,
    }
    assert Job.builder("order").expires_in(60).build().custom.keys() == {"expires_at"}


async def test_options_that_make_no_sense_are_refused() -> None:
    job = Job("order")
    with pytest.raises(UsageError, match="at least 1 second"):
        job.unique_for(0.5)
    with pytest.raises(UsageError, match="is no duration"):
        job.expires_in("soon")
    with pytest.raises(UsageError, match='"success" or "start"'):
        job.unique_for(60, until="bogus")  # type: ignore[arg-type]  # programs without types
    for past in (-5, 0, timedelta(seconds=-1)):
        with pytest.raises(UsageError, match="more than 0 seconds"):
            job.expires_in(past)
    for far in (1e300, "99999999d", timedelta.max):
        with pytest.raises(UsageError, match="before the year 10000"):
            job.expires_in(far)
    with pytest.raises(InvalidJobError, match="naive"):
        job.expires_at(datetime(2030, 1, 1))  # noqa: DTZ001 - that is the mistake
    with pytest.raises(InvalidJobError, match="aware"):
        job.expires_at(None)  # type: ignore[arg-type]  # programs without types
    with pytest.raises(InvalidJobError):
        job.with_custom(x=float("nan"))
    assert job.with_custom(a=1).with_custom(b=2).custom == {"a": 1, "b": 2}
    assert job.custom == {}


# -- the warning --------------------------------------------------------------------------------


async def test_the_free_edition_is_warned_of_once() -> None:
    async with EmbeddedServer() as server, Client(server.url) as client:
        await client.push(Job("order", custom={"locale": "fr"}))
        with pytest.warns(UserWarning, match="it is no Faktory Enterprise"):
            await client.push(Job("order").unique_for(60))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            await client.push(Job("order").unique_for(60))
            await client.push_alone(Job("order").unique_for(60))
        assert server.counters.enqueued == 4


@pytest.mark.parametrize("ordered", [False, True])
async def test_a_bulk_warns_of_the_free_edition_too(*, ordered: bool) -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        await client.push_bulk([Job("order", custom={"locale": "fr"})])
        assert peer.of("INFO") == []
        jobs = [Job("order"), Job("order").tracked(), Job("order").unique_for(60)]
        with pytest.warns(UserWarning, match="it is no Faktory Enterprise") as caught:
            report = await client.push_bulk(jobs, ordered=ordered)
        assert [warning.filename for warning in caught] == [__file__]
        assert report.accepted == 3
        await client.push(Job("order").unique_for(60))
        await client.push_bulk([Job("order").expires_in(60)])
        assert len(peer.of("INFO")) == 1
        assert [line.verb for line in peer.lines[-4:]] == ["PUSHB", "INFO", "PUSHB", "PUSHB"]


async def test_a_job_to_which_a_middleware_gives_an_option_counts_too() -> None:
    async def unique(job: Job, call_next: CallNext) -> Job:
        return await call_next(job.unique_for(60))

    async with peering() as peer, Client(dial=peer.dial, middleware=[unique]) as client:
        with pytest.warns(UserWarning, match="it is no Faktory Enterprise"):
            await client.push_bulk([Job("order")])


async def test_a_bulk_of_which_nothing_is_stored_asks_for_nothing() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.answer("PUSHB", None, error("everything is wrong"))
        assert (await client.push_bulk([Job("order").unique_for(60)])).error is not None
        assert (await client.push_bulk([Job("order").unique_for(60)])).accepted == 0
        assert peer.of("INFO") == []


async def test_a_hint_that_cannot_be_had_costs_a_bulk_nothing() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.answer("INFO", None)
        report = await client.push_bulk([Job("order").unique_for(60)])
        assert report.complete
        assert report.accepted == 1
        assert (await client.push_bulk([Job("order").unique_for(60)])).complete
        assert len(peer.of("INFO")) == 1


async def test_enterprise_is_not_warned_of() -> None:
    async with licensed() as (_, client):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            await client.push(Job("order").expires_in(60))


async def test_enterprise_is_not_warned_of_after_a_bulk() -> None:
    async with licensed() as (_, client):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            await client.push_bulk([Job("order").expires_in(60), Job("order").tracked()])


async def test_a_server_that_does_not_say_which_it_is_costs_no_push() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.answer("INFO", b"-ERR context deadline exceeded\r\n")
        await client.push(Job("order").unique_for(60))
        await client.push(Job("order").unique_for(60))
        assert len(peer.of("INFO")) == 1
        assert len(peer.of("PUSHB")) == 2


async def test_a_push_that_has_a_time_of_its_own_does_not_wait_for_the_hint() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        await client.push(Job("order").unique_for(60), timeout=1)
        assert peer.of("INFO") == []


async def test_a_warning_that_is_made_an_error_does_not_come_out_of_the_push(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with EmbeddedServer() as server, Client(server.url) as client:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            await client.push(Job("order").unique_for(60))
        assert server.counters.enqueued == 1
    assert "it is no Faktory Enterprise" in caplog.text


async def test_a_warning_that_is_made_an_error_does_not_come_out_of_a_bulk(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with EmbeddedServer() as server, Client(server.url) as client:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            report = await client.push_bulk([Job("order").unique_for(60)])
        assert report.complete
        assert server.counters.enqueued == 1
    assert "it is no Faktory Enterprise" in caplog.text
