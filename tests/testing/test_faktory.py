"""The fixture `faktory`: what was pushed, and having it worked, in every kind of test."""

import time
from uuid import UUID, uuid4

import anyio
import anyio.from_thread
import pytest

from faktory_async import App, Client, Dead, Discard, Job, JobContext, Retry, UsageError
from faktory_async.app import Box, drain
from faktory_async.testing import Faktory
from faktory_async.worker import Ack, Fail
from faktory_async.worker import Retry as RetryOutcome


class Shop:
    """An app, and what its handlers did."""

    def __init__(self) -> None:  # noqa: C901 - one small handler for each case
        self.app = app = App()
        self.tries: list[int] = []

        @app.job(queue="mail")
        async def send(address: str, template: str = "plain") -> str:
            return f"{template} to {address}"

        @app.job
        def resize(ctx: JobContext, image: UUID) -> int:
            return image.int % 7

        @app.job
        async def fragile(ctx: JobContext, good_at: int) -> None:
            self.tries.append(ctx.attempt)
            if ctx.attempt < good_at:
                raise LookupError(f"try {ctx.attempt}")

        @app.job
        async def polite(ctx: JobContext) -> str:
            if ctx.attempt == 0:
                raise Retry(30)
            return "now"

        @app.job
        async def chain(left: int) -> int:
            if left:
                await chain.using(queue=f"chain-{left}").push(left - 1)
            return left

        @app.job
        async def ends(word: str) -> None:
            raise {"dead": Dead, "discard": Discard}[word]("because")

        @app.job(reserve_for=60)
        async def stuck() -> None:
            await anyio.sleep_forever()

        @app.stub("Elsewhere")
        def elsewhere() -> None: ...

        self.send, self.resize, self.fragile, self.polite = send, resize, fragile, polite
        self.chain, self.ends, self.stuck, self.elsewhere = chain, ends, stuck, elsewhere


@pytest.fixture
def shop() -> Shop:
    return Shop()


# -- what was pushed ------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_what_was_pushed_is_shown_with_its_types(shop: Shop, faktory: Faktory) -> None:
    image = uuid4()
    async with shop.app:
        await shop.resize.push(image)
        await shop.send.push("a@b.c")
        await shop.send.using(delay="1h", queue="slow").push("d@e.f", template="rich")
    assert [pushed.args for pushed in faktory.pushed(shop.resize)] == [(image,)]
    assert [pushed.args for pushed in faktory.pushed(shop.send)] == [
        ("a@b.c", "plain"),
        ("d@e.f", "rich"),
    ]
    assert [job.queue for job in faktory.jobs] == ["default", "mail", "slow"]
    assert len(faktory.scheduled) == 1
    [found] = faktory.assert_pushed(shop.send, args=("a@b.c",), queue="mail", count=1)
    assert found.job.queue == "mail"
    faktory.assert_pushed(shop.send, count=2)
    faktory.assert_pushed(shop.fragile, count=0)


def test_what_is_missing_is_told_with_what_is_there(shop: Shop, faktory: Faktory) -> None:
    with pytest.raises(AssertionError, match=r"Nothing was pushed\.$"):
        faktory.assert_pushed(shop.send)
    faktory.assert_nothing_pushed()
    shop.send.push_sync("a@b.c")
    with pytest.raises(AssertionError) as caught:
        faktory.assert_pushed(shop.send, args=("x@y.z",), queue="mail", count=2)
    assert str(caught.value) == (
        "send('x@y.z', 'plain') was to be pushed to the queue mail 2 times, but was 0 times.\n"
        "Pushed were:\n"
        "  send('a@b.c') to the queue mail"
    )
    with pytest.raises(AssertionError, match=r"nothing was to be pushed, but:\n  send\('a@b.c'\)"):
        faktory.assert_nothing_pushed()
    with pytest.raises(ValueError, match=r"args\[0\]: Expected `str`"):
        faktory.assert_pushed(shop.send, args=(3,))
    shop.app.close_sync()


def test_many_jobs_are_shown_in_part(shop: Shop, faktory: Faktory) -> None:
    for number in range(25):
        shop.chain.push_sync(number)
    shop.app.close_sync()
    with pytest.raises(AssertionError, match=r"\n  and 5 more$"):
        faktory.assert_nothing_pushed()


# -- draining -------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_drain_works_all_there_is(shop: Shop, faktory: Faktory) -> None:
    async with shop.app:
        await shop.send.push("a@b.c")
        await shop.chain.push(3)
    ran = await faktory.drain(shop.app)
    assert sorted(str(each.result) for each in ran) == ["0", "1", "2", "3", "plain to a@b.c"]
    assert all(each.ok and each.attempt == 0 for each in ran)
    assert faktory.is_idle
    assert faktory.fetch_wait > 0
    assert await faktory.drain(shop.app) == []
    faktory.assert_pushed(shop.chain, count=4)


def test_a_plain_test_drains_too(shop: Shop, faktory: Faktory) -> None:
    shop.send.push_sync("a@b.c")
    shop.app.close_sync()
    [ran] = faktory.drain_sync(shop.app)
    assert ran.result == "plain to a@b.c"


@pytest.mark.anyio
async def test_what_a_handler_raises_comes_out(shop: Shop, faktory: Faktory) -> None:
    async with shop.app:
        await shop.fragile.push(5)
    with pytest.raises(LookupError, match="try 0"):
        await faktory.drain(shop.app)
    assert len(faktory.retries) == 1


@pytest.mark.anyio
async def test_what_a_handler_raises_may_stay_in(shop: Shop, faktory: Faktory) -> None:
    async with shop.app:
        await shop.fragile.push(5)
    [ran] = await faktory.drain(shop.app, raises=False)
    assert isinstance(ran.error, LookupError)
    assert isinstance(ran.outcome, Fail)
    assert not ran.ok


@pytest.mark.anyio
async def test_retries_move_the_clock(shop: Shop, faktory: Faktory) -> None:
    async with shop.app:
        await shop.fragile.push(2)
        await shop.polite.push()
    ran = await faktory.drain(shop.app, retries=True)
    assert shop.tries == [0, 1, 2]
    assert [each.attempt for each in ran if each.job.jobtype == "polite"] == [0, 1]
    assert [type(each.outcome) for each in ran if each.job.jobtype == "polite"] == [
        RetryOutcome,
        Ack,
    ]
    faktory.assert_pushed(shop.polite, count=1)  # a retry is no push


@pytest.mark.anyio
async def test_the_last_failure_comes_out_of_retries(shop: Shop, faktory: Faktory) -> None:
    async with shop.app:
        await shop.fragile.using(retry=2).push(9)
    with pytest.raises(LookupError, match="try 2"):
        await faktory.drain(shop.app, retries=True)
    assert len(faktory.dead) == 1


@pytest.mark.anyio
async def test_what_a_handler_says_is_never_raised(shop: Shop, faktory: Faktory) -> None:
    async with shop.app:
        await shop.ends.push("dead")
        await shop.ends.push("discard")
        await shop.polite.push()
    ran = await faktory.drain(shop.app)
    assert len(ran) == 3
    assert [entry.job.jobtype for entry in faktory.dead] == ["ends"]
    assert len(faktory.scheduled) == 1


@pytest.mark.anyio
async def test_a_job_for_later_stays_until_its_time_has_come(shop: Shop, faktory: Faktory) -> None:
    async with shop.app:
        await shop.send.using(delay="1h").push("a@b.c")
    assert await faktory.drain(shop.app, retries=True) == []
    faktory.advance(hours=1, seconds=5)
    assert len(await faktory.drain(shop.app)) == 1


@pytest.mark.anyio
async def test_bad_arguments_come_out(shop: Shop, faktory: Faktory) -> None:
    async with Client() as client:
        await client.push(Job("send", [1], queue="mail"))
    with pytest.raises(ValueError, match=r"args\[0\]: Expected `str`, got `int`"):
        await faktory.drain(shop.app)


@pytest.mark.anyio
async def test_what_is_not_worked_here_is_told(shop: Shop, faktory: Faktory) -> None:
    async with Client() as client, shop.app:
        await client.push(Job("sent"))
        with pytest.raises(UsageError, match="did you mean 'send'"):
            await faktory.drain(shop.app)
        await shop.elsewhere.using(queue="theirs").push()
        assert await faktory.drain(shop.app, queues=["default"]) == []
        with pytest.raises(UsageError, match="Elsewhere is a stub"):
            await faktory.drain(shop.app)


@pytest.mark.anyio
async def test_a_drain_ends_in_time(shop: Shop, faktory: Faktory) -> None:
    async with shop.app:
        job = await shop.stuck.push()
    with pytest.raises(TimeoutError, match=f"not drained within 0.1 s: stuck {job.jid} was"):
        await faktory.drain(shop.app, timeout=0.1)


@pytest.mark.anyio
async def test_a_drain_names_what_was_done_only_after_its_time(faktory: Faktory) -> None:
    app = App()

    @app.job
    def blocking() -> None:
        try:
            anyio.from_thread.run(anyio.sleep_forever)
        finally:
            return  # noqa: B012 - what was cut is done all the same

    async with app:
        job = await blocking.push()
    with pytest.raises(TimeoutError, match=f"blocking {job.jid} was running"):
        await faktory.drain(app, timeout=0.1)


@pytest.mark.anyio
async def test_a_drain_has_no_other_options(shop: Shop, faktory: Faktory) -> None:
    with pytest.raises(TypeError, match="a drain has no option 'retry'"):
        await faktory.drain(shop.app, retry=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    with pytest.raises(UsageError, match="at least one queue"):
        await faktory.drain(shop.app, queues=[])


@pytest.mark.anyio
async def test_a_drain_has_a_most(shop: Shop, faktory: Faktory) -> None:
    async with shop.app:
        await shop.chain.push(5)
    with pytest.raises(UsageError, match="after 3 jobs there are still more"):
        await faktory.drain(shop.app, max_jobs=3)


# -- outages, and without pytest ------------------------------------------------------------------


@pytest.mark.anyio
async def test_an_outage_of_ones_own(shop: Shop, faktory: Faktory) -> None:
    async with shop.app:
        with faktory.faults.refuse_connections(), pytest.raises(ConnectionError):
            await shop.send.push("a@b.c")
        await shop.send.push("a@b.c")
    faktory.assert_pushed(shop.send, count=1)


@pytest.mark.anyio
async def test_a_job_that_is_tried_again_for_free_was_pushed_once(faktory: Faktory) -> None:
    app = App()
    tries = 0

    @app.job
    async def poll() -> None:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise Retry(10 * tries, free=True)

    async with app:
        await poll.push()
    await faktory.drain(app, retries=True)
    assert tries == 4
    faktory.assert_pushed(poll, count=1)


@pytest.mark.anyio
async def test_an_app_that_is_open_is_not_taken_for_one_in_memory(
    shop: Shop, faktory: Faktory
) -> None:
    async with shop.app:
        with pytest.raises(UsageError, match="the app is open already"):
            async with shop.app.in_memory():
                await shop.send.push("a@b.c")
    faktory.assert_nothing_pushed()


@pytest.mark.anyio
async def test_an_app_in_memory(shop: Shop) -> None:
    async with shop.app.in_memory() as box:
        assert isinstance(box, Box)
        await shop.send.push("a@b.c")
        [ran] = await box.drain()
        assert ran.result == "plain to a@b.c"
        assert await drain(shop.app, box.server) == []
    assert shop.app.url is None


def test_aims_that_overlap_leave_an_app_as_it_was() -> None:
    app = App("tcp://127.0.0.1:1")
    first, second = app.aimed_at("tcp://127.0.0.1:2"), app.aimed_at("tcp://127.0.0.1:3")
    first.__enter__()
    second.__enter__()
    assert app.url == "tcp://127.0.0.1:3"
    first.__exit__(None, None, None)
    assert app.url == "tcp://127.0.0.1:3"
    second.__exit__(None, None, None)
    assert app.url == "tcp://127.0.0.1:1"


@pytest.mark.anyio
async def test_a_drain_pushes_to_the_server_that_it_drains(faktory: Faktory) -> None:
    app = App("tcp://127.0.0.1:1")

    @app.job
    async def first() -> None:
        await second.push()

    @app.job
    async def second() -> None: ...

    with app.aimed_at(faktory.url):
        async with app:
            await first.push()
    assert [ran.job.jobtype for ran in await faktory.drain(app)] == ["first", "second"]
    assert app.url == "tcp://127.0.0.1:1"


@pytest.mark.anyio
async def test_a_whole_test_is_quick(shop: Shop) -> None:
    times: list[float] = []
    for _ in range(7):
        began = time.perf_counter()
        async with shop.app.in_memory() as box:
            await shop.send.push("a@b.c")
            assert len(await box.drain()) == 1
        times.append(time.perf_counter() - began)
    # 20 ms are promised; a crowded machine may take its time, but not seconds for a wait.
    assert sorted(times)[3] < 1
