"""Timetables: when they are due, and that each tick is one job whoever pushes it."""

import sys
import types
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, cast
from zoneinfo import ZoneInfo

import anyio
import msgspec
import pytest

from faktory_async import (
    App,
    ArgumentsError,
    EmbeddedServer,
    InvalidJobError,
    JobContext,
    Router,
    ServerBusyError,
    UsageError,
    Worker,
)
from faktory_async.app._cron import Cron, cron_of
from faktory_async.app._options import UsingOptions
from faktory_async.app._schedule import Schedule
from faktory_async.app._scheduler import HORIZON, MARGIN, Scheduler
from faktory_async.net import Address, Connector
from faktory_async.worker import Moment, present
from tests.app import later

PARIS = ZoneInfo("Europe/Paris")
SPRING = datetime(2027, 3, 27, 12, tzinfo=UTC)  # before 28 March, 02:00 becomes 03:00
AUTUMN = datetime(2027, 10, 30, 12, tzinfo=UTC)  # before 31 October, 03:00 becomes 02:00


def ticks(expression: str, start: datetime, days: float = 3) -> list[datetime]:
    cron = Cron(expression, PARIS, ())
    found: list[datetime] = []
    for at in cron.after(start):
        if at > start + timedelta(days=days):
            break
        found.append(at)
    return found


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# -- timetables -----------------------------------------------------------------------------------


def test_a_job_of_the_hour_that_is_left_out_runs_once() -> None:
    assert ticks("30 2 * * *", SPRING, 2) == [at("2027-03-28T01:00"), at("2027-03-29T00:30")]


def test_a_job_of_the_hour_that_comes_twice_runs_once() -> None:
    assert ticks("30 2 * * *", AUTUMN, 2) == [at("2027-10-31T00:30"), at("2027-11-01T01:30")]


@pytest.mark.parametrize("start", [SPRING, AUTUMN])
def test_what_runs_every_half_hour_does_so_through_both(start: datetime) -> None:
    found = ticks("*/30 * * * *", start)
    assert {later - earlier for earlier, later in pairwise(found)} == {timedelta(minutes=30)}


@pytest.mark.parametrize("start", [SPRING, AUTUMN], ids=["spring", "autumn"])
@pytest.mark.parametrize(
    "expression",
    ["30 2 * * *", "*/15 * * * *", "30 2,3 * * *", "15 1-3 * * *", "0 3 * * *", "*/15 2 * * *"],
)
def test_whenever_one_asks_the_ticks_are_the_same(expression: str, start: datetime) -> None:
    """A worker that starts in the second of two equal hours must not know ticks of its own."""
    whole = ticks(expression, start)
    for minutes in range(0, 24 * 60, 5):
        asked = start + timedelta(minutes=minutes)
        following = next(tick for tick in whole if tick > asked)
        assert next(Cron(expression, PARIS, ()).after(asked)) == following


@pytest.mark.parametrize("expression", ["", "* * * *", "61 * * * *", "every day", "* * * * * * *"])
def test_what_is_no_timetable_is_refused(expression: str) -> None:
    with pytest.raises(UsageError, match="is no timetable"):
        cron_of(expression, "UTC", ())


@pytest.mark.parametrize("where", [App, Router])
def test_a_timetable_without_parentheses_is_refused(where: type[Router]) -> None:
    cron: Any = where().cron
    with pytest.raises(UsageError, match=r'write when it is due: @app.cron\("0 3 \* \* \*"\)'):
        cron(an_app)


@pytest.mark.parametrize("expression", [5, None, b"* * * * *", "9" * 5_000 + " * * * *"])
def test_what_is_no_text_of_a_timetable_is_refused(expression: Any) -> None:
    with pytest.raises(UsageError, match="is no timetable"):
        App().cron(expression)


def test_a_timetable_that_is_never_due_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'\* \* \*/31 \* MON#5' is never due"):
        App().cron("* * */31 * MON#5")


@pytest.mark.parametrize(
    "zone", ["Europe/Atlantis", "", "../etc/passwd", "a\0b", None, 5, timedelta(hours=1)]
)
def test_what_is_no_time_zone_is_refused(zone: Any) -> None:
    with pytest.raises(UsageError, match="is no time zone"):
        cron_of("* * * * *", zone, ())


def test_without_cronsim_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cronsim", None)
    with pytest.raises(UsageError, match=r'pip install "faktory-async\[cron\]"'):
        App().cron("* * * * *")


# -- the jobs of ticks ----------------------------------------------------------------------------


def an_app() -> App:
    app = App()

    @app.cron("*/1 * * * *", args=("all",))
    @app.cron("*/2 * * * *", args=("some",))
    @app.job("Report", queue="reports", retry=3, custom={"by": "cron"})
    async def report(ctx: JobContext, what: str, deep: int = 1) -> None: ...

    @app.cron("*/1 * * * *", tz="Europe/Paris")
    async def clean_up() -> None: ...

    return app


def schedule_of(app: App) -> Schedule:
    return Schedule(app.bindings())


def test_a_tick_is_the_same_job_whoever_makes_it() -> None:
    start = at("2027-01-01T00:00:30")
    until = at("2027-01-01T00:02:00")
    found = schedule_of(an_app()).between(start, until)
    assert [(tick.jobtype, tick.at) for tick in found].count(("Report", until)) == 2
    assert len(found) == 5
    assert len({tick.jid for tick in found}) == 5
    assert found == schedule_of(an_app()).between(start + timedelta(seconds=20), until)


def test_a_tick_is_the_same_job_in_whatever_order_a_dict_was_made() -> None:
    def ticks_of(one: dict[str, int]) -> object:
        app = App()

        @app.cron("*/1 * * * *", args=({"deep": [one]},))
        @app.job(custom=one)
        async def report(what: dict[str, Any]) -> None: ...

        return schedule_of(app).between(at("2027-01-01T00:00:30"), at("2027-01-01T00:01:00"))

    assert ticks_of({"a": 1, "b": 2}) == ticks_of({"b": 2, "a": 1})


def test_a_tick_is_the_same_job_in_whatever_order_a_set_is_read() -> None:
    def ticks_of(*items: int) -> object:
        app, one = App(), set(items)

        @app.cron("*/1 * * * *", args=(one, [{"in": one}]))
        async def report(what: set[int], deep: list[dict[str, set[int]]]) -> None: ...

        return schedule_of(app).between(at("2027-01-01T00:00:30"), at("2027-01-01T00:01:00"))

    # Their hashes collide, so that the first one comes first.
    assert list({0, 8}) != list({8, 0})
    assert ticks_of(0, 8) == ticks_of(8, 0)


def test_a_tick_is_called_with_what_its_arguments_were_when_they_were_written() -> None:
    app, kinds = App(), ["full"]

    @app.cron("*/1 * * * *", args=(kinds,))
    async def report(kinds: list[str]) -> None: ...

    kinds.append("more")
    [tick] = schedule_of(app).between(at("2027-01-01T00:00:30"), at("2027-01-01T00:01:00"))
    assert msgspec.json.decode(tick.data)["args"] == [["full"]]


def test_a_tick_carries_what_its_job_says() -> None:
    app = an_app()
    found = schedule_of(app).between(at("2027-01-01T00:00:30"), at("2027-01-01T00:01:00"))
    [data] = [tick.data for tick in found if tick.jobtype == "Report"]
    assert b'"queue":"reports","args":["all"],"retry":3' in data
    assert b'"at":"2027-01-01T00:01:00Z"' in data
    assert b'"created_at":"2027-01-01T00:01:00Z"' in data
    assert b'"custom":{"by":"cron"}' in data


def test_a_tick_carries_what_was_given_to_using() -> None:
    app = App()

    @app.cron("0 3 * * *")
    @app.job(queue="reports", custom={"by": "cron"})
    async def report(what: str = "all") -> None: ...

    for queue in ("night", "bulk"):
        other = report.using(queue=queue, retry=2).using(custom={"deep": True}, unique_for="10m")
        app.cron("0 3 * * *")(other)
    start = at("2027-01-01T00:00")
    found = schedule_of(app).between(start, start + timedelta(days=1))
    jobs = [msgspec.json.decode(tick.data) for tick in found]
    custom = {"by": "cron", "deep": True, "unique_for": 600, "unique_until": "success"}
    assert {(job["queue"], job["retry"]) for job in jobs} == {
        ("reports", 25),
        ("night", 2),
        ("bulk", 2),
    }
    assert [job["custom"] for job in jobs if job["queue"] == "night"] == [custom]
    assert {job["jid"] for job in jobs} == {tick.jid for tick in found}
    assert len({tick.jid for tick in found}) == 3
    assert found == schedule_of(app).between(start, start + timedelta(days=1))


@pytest.mark.parametrize(
    "options",
    [
        {"delay": 60},
        {"at": SPRING},
        {"jid": "12345678"},
        {"expires_in": 60},
        {"expires_at": AUTUMN},
    ],
)
def test_what_a_tick_has_from_its_timetable_cannot_be_given(options: UsingOptions) -> None:
    app = App()

    @app.job
    async def report() -> None: ...

    with pytest.raises(UsageError, match=rf"using\({next(iter(options))}=…\) cannot"):
        app.cron("0 3 * * *")(report.using(**options))


def test_arguments_that_do_not_fit_are_refused_where_they_are_written() -> None:
    with pytest.raises(
        ArgumentsError, match=r"^args\[0\]: Expected `int`.*wrong \(.*test_cron.py:"
    ):

        @App().cron("* * * * *", args=("many",))
        async def wrong(count: int) -> None: ...


def test_arguments_that_are_missing_are_refused_where_they_are_written() -> None:
    said = r"wrong: missing a required argument: 'count'.*wrong \(.*test_cron.py:"
    with pytest.raises(TypeError, match=said):

        @App().cron("* * * * *")
        async def wrong(count: int) -> None: ...


@pytest.mark.parametrize("included", [True, False])
def test_arguments_are_checked_as_soon_as_their_types_are_known(*, included: bool) -> None:
    made = types.ModuleType("made")
    exec("def wrong(count: 'Count'): ...\n", made.__dict__)  # noqa: S102 - a module in the making
    app, router = App(), Router()
    owner = router if included else app
    owner.cron("* * * * *", args=("many",))(made.wrong)
    made.__dict__["Count"] = int
    with pytest.raises(ArgumentsError, match=r"Expected `int`.*by the timetable of wrong \("):
        app.include(router) if included else schedule_of(app)


def test_arguments_that_no_job_can_carry_are_refused_where_they_are_written() -> None:
    with pytest.raises(InvalidJobError, match=r"args\[0\]: is an integer beyond .*wrong \("):

        @App().cron("* * * * *", args=(2**60,))
        async def wrong(count: Any) -> None: ...


def test_types_that_are_never_known_are_named_with_their_place() -> None:
    app, router = App(), Router()
    router.cron("* * * * *", args=(1,))(cast("Any", later.unclear).function)
    app.include(router)
    with pytest.raises(
        UsageError, match=r"unclear \(.*later.py:\d+\): an annotation cannot be read"
    ):
        schedule_of(app)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ("full", r'write args=\("full",\)'),
        (b"full", r"write args=\(b'full',\)"),
        (5, r"write args=\(5,\)"),
        (None, r"args are a tuple or a list, not None"),
        ({"kind": "full"}, r"args are a tuple or a list, not \{'kind': 'full'\}"),
    ],
)
def test_what_is_no_sequence_of_arguments_is_refused(args: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        App().cron("* * * * *", args=args)


def test_a_routers_timetable_comes_with_its_jobs() -> None:
    router = Router(queue="night")

    @router.cron("0 3 * * *")
    async def clean_up() -> None: ...

    app = App()
    app.include(router, prefix="db.")
    [tick] = schedule_of(app).between(at("2027-01-01T00:00"), at("2027-01-02T00:00"))
    assert tick.jobtype == "db.clean_up"
    assert b'"queue":"night"' in tick.data


def test_a_job_of_another_app_is_refused() -> None:
    app, other = App(), App()

    @app.job
    async def report() -> None: ...

    line = report.function.__code__.co_firstlineno
    said = rf"report \(.*test_cron.py:{line}\) is a job of <App 1 jobs>, not of this <App 0 jobs>"
    for job in (report, report.using(queue="night")):
        with pytest.raises(UsageError, match=said):
            other.cron("0 3 * * *")(job)
    assert not schedule_of(app)


def test_a_job_of_a_router_may_be_given_times_by_its_app() -> None:
    app, router = App(), Router()

    @router.job
    async def report() -> None: ...

    app.cron("0 3 * * *")(report)
    app.include(router)
    app.cron("0 4 * * *")(report)
    router.cron("0 5 * * *")(report)
    assert len(schedule_of(app)) == 3


@pytest.mark.parametrize("included", [True, False])
def test_a_job_of_a_router_of_another_app_is_refused(*, included: bool) -> None:
    app, other, router = App(), App(), Router()

    @router.job
    async def report() -> None: ...

    if included:
        app.include(router)
        with pytest.raises(UsageError, match="is a job of <App 1 jobs>, not of this <App 0 jobs>"):
            other.cron("0 3 * * *")(report)
        return
    other.cron("0 3 * * *")(report)
    with pytest.raises(UsageError, match=r"has times of <App 0 jobs>, not of this <App 0 jobs>"):
        app.include(router)
    other.include(router)  # which was not given away by that
    assert len(schedule_of(other)) == 1


@pytest.mark.anyio
async def test_an_app_without_cron_jobs_has_no_timetable_to_run() -> None:
    with pytest.raises(UsageError, match="the app has no cron job"):
        await App().run_cron()


# -- pushing them ---------------------------------------------------------------------------------


@pytest.fixture
def app() -> App:
    return an_app()


def scheduler_of(app: App, server: EmbeddedServer) -> Scheduler:
    address = Address.parse(server.url)
    return Scheduler(schedule_of(app), Connector(address, dial=server.dial))


def due(server: EmbeddedServer) -> list[datetime]:
    return [entry.due for entry in server.scheduled]


@pytest.mark.anyio
async def test_ticks_are_pushed_ahead_but_not_at_the_last_moment(app: App) -> None:
    async with EmbeddedServer() as server:
        scheduler = scheduler_of(app, server)
        wait = await scheduler.step()
        found = due(server)
        now = server.now
        assert found
        assert min(found) > now + timedelta(seconds=MARGIN - 2)
        assert max(found) <= now + timedelta(seconds=HORIZON)
        assert 0 < wait <= 30
        assert await scheduler.step() > 0
        assert due(server) == found


@pytest.mark.anyio
async def test_two_schedulers_make_one_job_of_a_tick(app: App) -> None:
    async with EmbeddedServer() as server:
        one, two = scheduler_of(app, server), scheduler_of(an_app(), server)
        await one.step()
        await two.step()
        found = [(entry.job.jid, entry.due) for entry in server.scheduled]
        assert len(set(found)) == len(found) > 0
        for _ in range(20):
            server.advance(seconds=30)
            # The clocks of a test do not follow the server's, which those of a machine do.
            one, two = scheduler_of(app, server), scheduler_of(an_app(), server)
            await one.step()
            await two.step()
        jobs = [job for queue in server.queues.values() for job in queue.jobs]
        assert len({job.jid for job in jobs}) == len(jobs)
        minutes = sorted(job.at for job in jobs if job.jobtype == "clean_up" and job.at)
        assert {later - earlier for earlier, later in pairwise(minutes)} == {timedelta(minutes=1)}


@pytest.mark.parametrize("start", [SPRING, AUTUMN], ids=["spring", "autumn"])
@pytest.mark.anyio
async def test_each_tick_of_a_changed_clock_is_one_job(start: datetime) -> None:
    app = App()

    @app.cron("*/15 2,3 * * *", tz="Europe/Paris")
    async def often() -> None: ...

    @app.cron("30 2 * * *", tz="Europe/Paris")
    async def daily() -> None: ...

    async with EmbeddedServer() as server:
        server.advance(start + timedelta(hours=10) - server.now)
        began = server.now
        for _ in range(7 * 60):
            await scheduler_of(app, server).step()
            server.advance(seconds=60)
        jobs = [job for queue in server.queues.values() for job in queue.jobs]
        for name, expression in (("often", "*/15 2,3 * * *"), ("daily", "30 2 * * *")):
            wanted = ticks(expression, began + timedelta(seconds=MARGIN), 1)
            done = sorted(job.at for job in jobs if job.jobtype == name and job.at)
            assert done == [tick for tick in wanted if tick <= server.now - timedelta(seconds=5)]


@pytest.mark.anyio
async def test_an_answer_that_is_no_answer_is_asked_again(app: App) -> None:
    async with EmbeddedServer() as server:
        scheduler = scheduler_of(app, server)
        stalled = server.faults.deadline_exceeded(stored=True, on="PUSHB", times=1)
        with stalled, pytest.raises(ServerBusyError, match="deadline exceeded"):
            await scheduler.step()
        found = due(server)
        await scheduler.step()
        assert due(server) == found


@pytest.mark.anyio
async def test_a_clock_that_was_set_is_noticed(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    from faktory_async.app import _scheduler  # noqa: PLC0415 - to be patched

    async with EmbeddedServer() as server:
        scheduler = scheduler_of(app, server)
        await scheduler.step()
        before = len(due(server))
        ahead = 3_600.0

        def set_forward() -> Moment:
            moment = present()
            return Moment(moment.monotonic, moment.wall + ahead)

        monkeypatch.setattr(_scheduler, "present", set_forward)
        await scheduler.step()
        assert len(due(server)) == before
        assert max(due(server)) <= server.now + timedelta(seconds=HORIZON)


# -- in a worker ----------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_worker_runs_the_timetable_beside_its_jobs(app: App) -> None:
    async with EmbeddedServer() as server:
        worker = Worker(
            app, url=server.url, dial=server.dial, queues=["reports"], handle_signals=False
        )
        async with anyio.create_task_group() as group:
            group.start_soon(worker.run)
            with anyio.fail_after(10):
                while not server.scheduled:
                    await anyio.lowlevel.checkpoint()
            worker.stop()


@pytest.mark.anyio
async def test_a_worker_may_leave_the_timetable_to_others(app: App) -> None:
    async with EmbeddedServer() as server:
        worker = Worker(
            app,
            url=server.url,
            dial=server.dial,
            queues=["reports"],
            handle_signals=False,
            cron=False,
        )
        async with anyio.create_task_group() as group:
            await group.start(worker.run)
            await server.settled()
            assert server.scheduled == ()
            worker.stop()


@pytest.mark.anyio
async def test_a_server_that_is_away_is_waited_for(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    async with EmbeddedServer() as server:
        with app.aimed_at(server.url, server.dial):
            async with anyio.create_task_group() as group:
                with server.faults.refuse_connections():
                    group.start_soon(app.run_cron)
                    with anyio.fail_after(10):
                        while "cannot be pushed" not in caplog.text:
                            await anyio.lowlevel.checkpoint()
                with anyio.fail_after(10):
                    while "are pushed again" not in caplog.text:
                        await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
        assert server.scheduled
