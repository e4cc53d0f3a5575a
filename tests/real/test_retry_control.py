"""What handlers say of their retries, as the real server keeps it, whatever the worker's clock."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from faktory_async import (
    App,
    Backoff,
    Client,
    Dead,
    Discard,
    Failure,
    Job,
    JobContext,
    Retries,
    Retry,
    Worker,
)
from faktory_async.model import World, use_world
from tests.real import RealServer

pytestmark = pytest.mark.asyncio

at_any_clock = pytest.mark.parametrize("skew", [-60, 0, 60])


class Skewed(World):
    """A machine whose clock is wrong."""

    def __init__(self, seconds: float) -> None:
        self._skew = timedelta(seconds=seconds)

    def utcnow(self) -> datetime:
        return super().utcnow() + self._skew


class Attempts:
    """A job that ends as it is told, attempt by attempt, and what each of them has found."""

    def __init__(
        self, server: RealServer, *ends: Callable[[], object] | Exception, retry: Any = 25
    ) -> None:
        self.found: list[Job] = []
        self.told: list[str] = []
        self.app = App(server.url, retry=retry)
        waiting = list(ends)

        @self.app.job("attempt", on_exhausted=lambda job, outcome: self.told.append(job.jid))
        async def attempt(ctx: JobContext) -> None:
            self.found.append(ctx.job)
            if not waiting:
                return
            end = waiting.pop(0)
            if isinstance(end, Exception):
                raise end
            end()

        self._job = attempt

    async def push(self) -> Job:
        async with self.app:
            return await self._job.push()

    async def work(self, skew: float = 0) -> tuple[datetime, datetime]:
        """Work the job once, and return when that began and when it had ended."""
        began = datetime.now(UTC)
        with use_world(Skewed(skew)), anyio.fail_after(60):
            await Worker(self.app, max_jobs=1, handle_signals=False).run()
        return began, datetime.now(UTC)

    @property
    def failure(self) -> Failure:
        """What the last attempt has found."""
        failure = self.found[-1].failure
        assert failure is not None
        return failure


def retry_for(seconds: float, error: Exception) -> Callable[[], object]:
    def end() -> object:
        try:
            raise error
        except type(error) as cause:
            raise Retry(seconds) from cause

    return end


async def sets(client: Client) -> tuple[int, int, int, int]:
    found = (await client.info()).sets
    return found.scheduled, found.retries, found.dead, found.working


@at_any_clock
async def test_a_retry_is_scheduled_by_the_servers_clock_and_counts(
    fresh_real_server: RealServer, skew: float
) -> None:
    ends = [(600, LookupError("one")), (700, OSError("two"))]
    attempts = Attempts(fresh_real_server, *(retry_for(*end) for end in ends))
    pushed = await attempts.push()
    began, ended = await attempts.work(skew)
    async with Client(fresh_real_server.url) as client:
        for count, (delay, error) in enumerate(ends):
            assert await sets(client) == (1, 0, 0, 0)
            await client.scheduled.requeue(jids=[pushed.jid])
            following = await attempts.work(skew)
            failure = attempts.failure
            assert (failure.errtype, failure.message) == (type(error).__name__, str(error))
            assert (failure.retry_count, failure.remaining) == (count, 25 - count)
            assert failure.next_at is not None
            slack, ahead = timedelta(seconds=3), timedelta(seconds=delay)
            assert began + ahead - slack <= failure.next_at <= ended + ahead + slack
            began, ended = following
        assert await sets(client) == (0, 0, 0, 0)
    assert [job.jid for job in attempts.found] == [pushed.jid] * 3
    assert attempts.told == []


@at_any_clock
async def test_a_soon_retry_comes_soon_and_says_whose_it_is(
    fresh_real_server: RealServer, skew: float
) -> None:
    attempts = Attempts(fresh_real_server, Retry(5), Retry(free=True))
    pushed = await attempts.push()
    for _ in range(3):
        await attempts.work(skew)  # waits until the server thinks that it is time
    first, second, third = attempts.found
    assert first.failure is None
    assert second.failure is not None
    assert (second.failure.errtype, second.failure.message) == ("Retry", "again in 5 s")
    assert (second.failure.retry_count, second.failure.remaining) == (0, 25)
    assert third.failure == second.failure
    assert second.custom == third.custom == {"retry_of": pushed.jid}
    assert len({first.jid, second.jid, third.jid}) == 3


@at_any_clock
async def test_a_discard_is_done_and_no_failure(fresh_real_server: RealServer, skew: float) -> None:
    attempts = Attempts(fresh_real_server, Discard("not wanted"))
    await attempts.push()
    await attempts.work(skew)
    async with Client(fresh_real_server.url) as client:
        assert await sets(client) == (0, 0, 0, 0)
        info = await client.info()
        assert (info.total_processed, info.total_failures) == (1, 0)
    assert attempts.told == []


@at_any_clock
@pytest.mark.parametrize("retry", [25, 0, "dead"])
async def test_dead_goes_to_the_dead(
    fresh_real_server: RealServer, skew: float, retry: Any
) -> None:
    attempts = Attempts(fresh_real_server, Dead("gone"), retry=retry)
    pushed = await attempts.push()
    await attempts.work(skew)
    async with Client(fresh_real_server.url) as client:
        assert await sets(client) == (0, 0, 1, 0)
        await client.dead.requeue(jids=[attempts.found[0].jid])
        await attempts.work()
        assert await sets(client) == (0, 0, 0, 0)
    assert (attempts.failure.errtype, attempts.failure.message) == ("Dead", "gone")
    assert attempts.told == [pushed.jid]


async def test_the_failures_of_a_policy_are_counted_until_none_is_left(
    fresh_real_server: RealServer,
) -> None:
    policy = Retries(max=2, backoff=Backoff.linear(600, jitter=0))
    ends = [LookupError("one"), LookupError("two"), LookupError("three")]
    attempts = Attempts(fresh_real_server, *ends, retry=policy)
    pushed = await attempts.push()
    async with Client(fresh_real_server.url) as client:
        for _ in range(2):
            await attempts.work()
            assert await sets(client) == (1, 0, 0, 0)
            assert attempts.told == []
            await client.scheduled.requeue(jids=[pushed.jid])
        await attempts.work()
        assert await sets(client) == (0, 0, 1, 0)
        assert attempts.told == [pushed.jid]
        await client.dead.requeue(jids=[pushed.jid])
        await attempts.work()
    histories = [job.failure for job in attempts.found[1:]]
    told = [(each.message, each.retry_count, each.remaining) for each in histories if each]
    assert told == [("one", 0, 2), ("two", 1, 1), ("three", 2, 0)]


async def test_what_a_policy_calls_fatal_goes_to_the_dead_at_once(
    fresh_real_server: RealServer,
) -> None:
    attempts = Attempts(fresh_real_server, ValueError("bad"), retry=Retries(fatal=(ValueError,)))
    pushed = await attempts.push()
    await attempts.work()
    async with Client(fresh_real_server.url) as client:
        assert await sets(client) == (0, 0, 1, 0)
    assert attempts.told == [pushed.jid]
