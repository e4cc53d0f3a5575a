"""How a handler, or a policy, says what becomes of its job."""

import math
import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from faktory_async import (
    App,
    Backoff,
    Dead,
    Discard,
    EmbeddedServer,
    Job,
    Retries,
    Retry,
    UsageError,
)
from faktory_async.model import World, use_world
from faktory_async.worker import Outcome
from tests.app import elsewhere
from tests.app.working import failure_of, push, work

on_every_loop = pytest.mark.anyio

JID = "12345678"


class NoJitter(World):
    def uniform(self) -> float:
        return 0.0


class Ended:
    """What became of the only job there is."""

    def __init__(self, server: EmbeddedServer) -> None:
        self.scheduled = [entry.job for entry in server.scheduled]
        self.retries = [entry.job for entry in server.retries]
        self.dead = [entry.job for entry in server.dead]

    def __repr__(self) -> str:
        return f"{len(self.scheduled)} {len(self.retries)} {len(self.dead)}"


async def ended(
    server: EmbeddedServer, raises: Callable[[], object], job: Job | None = None, **options: Any
) -> Ended:
    """Let a job end by what its handler raises."""
    app = App(dial=server.dial)

    @app.job("order", **options)
    async def order() -> None:
        raises()

    async with app:
        await app.client().push(Job("order", jid=JID) if job is None else job)
    await work(app)
    return Ended(server)


def raising(error: BaseException, cause: BaseException | None = None) -> Callable[[], object]:
    def raises() -> object:
        raise error from cause

    return raises


def delay_of(job: Job) -> int:
    """Return how many seconds after its first failure a job comes due."""
    failure = job.failure
    assert failure is not None
    assert failure.failed_at is not None
    assert failure.next_at is not None
    return round((failure.next_at - failure.failed_at).total_seconds())


# -- raised ---------------------------------------------------------------------------------------


@on_every_loop
async def test_a_retry_comes_when_it_was_told_with_its_cause(server: EmbeddedServer) -> None:
    result = await ended(server, raising(Retry(30), LookupError("no such image")))
    [job] = result.scheduled
    assert delay_of(job) == 30
    assert [entry.due for entry in server.scheduled] == [job.at]
    assert (repr(result), job.jid, job.retry) == ("1 0 0", JID, 25)
    assert job.failure is not None
    assert (job.failure.retry_count, job.failure.remaining) == (0, 25)
    assert (job.failure.errtype, job.failure.message) == ("LookupError", "no such image")
    assert job.failure.backtrace is not None
    assert "in raises" in job.failure.backtrace[0]


@on_every_loop
async def test_a_second_retry_counts_on(app: App, server: EmbeddedServer) -> None:
    seen: list[int] = []
    nobody: dict[str, int] = {}

    @app.job(retry=3)
    async def order(ctx: Any = None) -> None:
        seen.append(1)
        try:
            nobody[f"number {len(seen)}"]
        except KeyError:
            raise Retry(60)  # noqa: B904 - what it was raised while handling is its cause

    async with app:
        await order.push()
    for count in range(3):
        await work(app)
        [entry] = server.scheduled
        assert entry.job.failure is not None
        assert (entry.job.failure.retry_count, entry.job.failure.remaining) == (count, 3 - count)
        assert entry.job.failure.errtype == "KeyError"
        assert entry.job.failure.message == f"'number {count + 1}'"
        assert entry.job.retry == 3
        server.advance_to_next()
    await work(app)
    assert (len(seen), repr(Ended(server))) == (4, "0 0 1")


AHEAD: list[tuple[Callable[[], Retry], int]] = [
    (Retry, 5),
    (lambda: Retry(1), 5),
    (lambda: Retry("2m"), 120),
    (lambda: Retry(timedelta(hours=1)), 3_600),
    (lambda: Retry(at=datetime(2020, 1, 1, tzinfo=UTC)), 5),
]


@on_every_loop
@pytest.mark.parametrize(("retry", "ahead"), AHEAD)
async def test_a_retry_says_when(
    server: EmbeddedServer, retry: Callable[[], Retry], ahead: int
) -> None:
    [job] = (await ended(server, raising(retry()))).scheduled
    assert delay_of(job) == ahead
    assert job.failure is not None
    assert job.failure.errtype == "Retry"
    assert str(job.failure.message).startswith("again")
    assert (job.jid == JID) is (ahead >= 10)
    assert job.custom == ({} if ahead >= 10 else {"retry_of": JID})


@on_every_loop
async def test_a_retry_says_at_what_time(server: EmbeddedServer) -> None:
    at = datetime.now(UTC) + timedelta(minutes=5)
    [job] = (await ended(server, raising(Retry(at=at)))).scheduled
    assert (job.at, job.jid) == (at, JID)


@on_every_loop
@pytest.mark.parametrize("retry", [25, 0])
async def test_a_free_retry_counts_nothing(server: EmbeddedServer, retry: int) -> None:
    result = await ended(server, raising(Retry(60, free=True)), Job("order", retry=retry))
    [job] = result.scheduled
    assert (job.failure, job.retry) == (None, retry)


@on_every_loop
async def test_a_class_will_do(server: EmbeddedServer) -> None:
    def raises() -> None:
        raise Retry

    assert repr(await ended(server, raises)) == "1 0 0"


@on_every_loop
async def test_a_discard_leaves_nothing(server: EmbeddedServer) -> None:
    assert repr(await ended(server, raising(Discard("not wanted")))) == "0 0 0"
    assert (server.counters.processed, server.counters.failures) == (1, 0)


BURIED: list[tuple[Dead, Exception | None, tuple[str, str]]] = [
    (Dead("gone"), None, ("Dead", "gone")),
    (Dead("gone"), LookupError("no image"), ("LookupError", "gone: no image")),
    (Dead(), LookupError("no image"), ("LookupError", "no image")),
]


@on_every_loop
@pytest.mark.parametrize(("error", "cause", "told"), BURIED)
@pytest.mark.parametrize("retry", [25, 0, -1])
async def test_dead_goes_to_the_dead_whatever_its_retry(
    server: EmbeddedServer, error: Dead, cause: Exception | None, told: Any, retry: int
) -> None:
    result = await ended(server, raising(error, cause), Job("order", retry=retry))
    [job] = result.dead
    assert repr(result) == "0 0 1"
    assert job.failure is not None
    assert (job.failure.errtype, job.failure.message) == told


ALONE: list[tuple[Exception, str]] = [
    (Retry(60), "1 0 0"),
    (Discard(), "0 0 0"),
    (Dead(), "0 0 1"),
    (ValueError(), "0 1 0"),
]


@on_every_loop
@pytest.mark.parametrize(("error", "result"), ALONE)
async def test_a_group_of_one_means_what_that_one_means(
    server: EmbeddedServer, error: Exception, result: str
) -> None:
    group = ExceptionGroup("outer", [ExceptionGroup("inner", [error])])
    assert repr(await ended(server, raising(group))) == result


@on_every_loop
async def test_a_group_of_several_is_a_failure(server: EmbeddedServer) -> None:
    group = ExceptionGroup("group", [Retry(60), Discard()])
    assert repr(await ended(server, raising(group))) == "0 1 0"


@on_every_loop
@pytest.mark.parametrize(
    ("option", "result"), [("dead", "0 0 1"), ("discard", "0 0 0"), (0, "0 0 0"), (1, "0 1 0")]
)
async def test_words_for_retries(server: EmbeddedServer, option: Any, result: str) -> None:
    app = App(dial=server.dial)

    @app.job(retry=option)
    async def order() -> None:
        raise ValueError

    async with app:
        await order.push()
    await work(app)
    assert repr(Ended(server)) == result


# -- none left ------------------------------------------------------------------------------------


ENDINGS: list[tuple[Exception, int, str, int]] = [
    (ValueError(), -1, "0 0 1", 1),
    (ValueError(), 0, "0 0 0", 1),
    (ValueError(), 1, "0 1 0", 0),
    (Retry(60), -1, "0 0 1", 1),
    (Retry(60), 0, "0 0 0", 1),
    (Retry(60), 1, "1 0 0", 0),
    (Retry(60, free=True), 0, "1 0 0", 0),
    (Dead(), 25, "0 0 1", 1),
    (Dead(), 0, "0 0 1", 1),
    (Discard(), 0, "0 0 0", 0),
]


@on_every_loop
@pytest.mark.parametrize(("error", "retry", "result", "exhausted"), ENDINGS)
async def test_the_last_failure_is_told_once(
    server: EmbeddedServer, error: Exception, retry: int, result: str, exhausted: int
) -> None:
    told: list[tuple[str, str]] = []

    async def on_exhausted(job: Job, outcome: Outcome) -> None:
        told.append((job.jid, type(outcome).__name__))

    job = Job("order", jid=JID, retry=retry)
    assert repr(await ended(server, raising(error), job, on_exhausted=on_exhausted)) == result
    assert [jid for jid, _ in told] == [JID] * exhausted


@on_every_loop
async def test_the_last_of_several_failures_is_told_to_its_own_job_only(
    app: App, server: EmbeddedServer
) -> None:
    told: list[str] = []

    @app.job(retry=2, on_exhausted=lambda job, outcome: told.append(job.jobtype))
    async def one() -> None:
        raise ValueError

    @app.job(retry=1, on_exhausted=lambda job, outcome: told.append(job.jobtype))
    async def other() -> None:
        raise Retry(20)

    async with app:
        await one.push()
        await other.push()
    for _ in range(4):
        await work(app)
        server.advance(days=1)
    assert sorted(told) == ["one", "other"]
    assert len(server.dead) == 2


@on_every_loop
async def test_args_that_do_not_fit_are_a_last_failure_too(
    app: App, server: EmbeddedServer
) -> None:
    told: list[Outcome] = []

    @app.job(on_exhausted=lambda job, outcome: told.append(outcome))
    async def order(number: int) -> None: ...

    await push(app, Job("order", ["5"], retry=0))
    await work(app)
    assert len(told) == 1


# -- policies -------------------------------------------------------------------------------------


@on_every_loop
async def test_a_backoff_counts_the_failures(app: App, server: EmbeddedServer) -> None:
    policy = Retries(max=4, backoff=Backoff.exponential("1h", cap="5h", jitter=0))

    @app.job(retry=policy)
    async def order() -> None:
        raise LookupError("not yet")

    async with app:
        await order.push()
    hours: list[int] = []
    for count in range(4):
        await work(app)
        [entry] = server.scheduled
        hours.append(round((entry.due - server.now) / timedelta(hours=1)))
        assert entry.job.failure is not None
        assert entry.job.failure.errtype == "LookupError"
        assert (entry.job.failure.retry_count, entry.job.failure.remaining) == (count, 4 - count)
        server.advance_to_next()
    assert hours == [1, 2, 4, 5]
    await work(app)
    [entry] = server.dead
    assert entry.job.failure is not None
    assert entry.job.failure.retry_count == 4


JUDGED: list[tuple[Retries, Exception, str]] = [
    (Retries(), ValueError(), "0 1 0"),
    (Retries(fatal=(ValueError,)), ValueError(), "0 0 1"),
    (Retries(fatal=(ValueError,)), UnicodeError(), "0 0 1"),
    (Retries(fatal=(ValueError,)), KeyError(), "0 1 0"),
    (Retries(on=(OSError,)), TimeoutError(), "0 1 0"),
    (Retries(on=(OSError,)), KeyError(), "0 0 1"),
    (Retries(on=(LookupError,), fatal=(KeyError,)), IndexError(), "0 1 0"),
    (Retries(on=(LookupError,), fatal=(KeyError,)), KeyError(), "0 0 1"),
    (Retries(fatal=(ValueError,)), ExceptionGroup("g", [ValueError()]), "0 0 1"),
    (Retries(fatal=(ValueError,)), ExceptionGroup("g", [KeyError(), ValueError()]), "0 0 1"),
    (Retries(on=(OSError,)), ExceptionGroup("g", [OSError(), OSError()]), "0 1 0"),
    (Retries(on=(OSError,)), ExceptionGroup("g", [OSError(), KeyError()]), "0 0 1"),
    (Retries(on=(OSError,), backoff=Backoff.fixed(60)), OSError(), "1 0 0"),
    (Retries(on=(OSError,), backoff=Backoff.fixed(60)), KeyError(), "0 0 1"),
    (Retries(on=(OSError,)), Retry(60), "1 0 0"),
    (Retries(fatal=(Exception,)), Discard(), "0 0 0"),
]


@on_every_loop
@pytest.mark.parametrize(("policy", "error", "result"), JUDGED)
async def test_a_policy_judges_failures(
    server: EmbeddedServer, policy: Retries, error: Exception, result: str
) -> None:
    assert repr(await ended(server, raising(error), retry=policy)) == result


@on_every_loop
async def test_an_enterprise_option_makes_of_a_retry_a_failure(server: EmbeddedServer) -> None:
    job = Job("order", custom={"bid": "b"})
    assert repr(await ended(server, raising(Retry(60)), job)) == "0 1 0"


@on_every_loop
async def test_a_policy_of_the_app_is_each_jobs(server: EmbeddedServer) -> None:
    app = App(dial=server.dial, retry=Retries(max=3, fatal=(ValueError,)))

    @app.job
    async def order() -> None:
        raise ValueError

    async with app:
        assert (await order.push()).retry == 3
    await work(app)
    assert repr(Ended(server)) == "0 0 1"


@pytest.mark.parametrize("most", ["x", 1.5, True, None, math.nan, 0])
def test_how_often_is_a_whole_number(most: Any) -> None:
    with pytest.raises(UsageError, match=r"Retries\(max=...\) is a whole number, 1 or more; write"):
        Retries(max=most)


def test_how_often_is_what_a_job_can_have() -> None:
    with pytest.raises(UsageError, match="retry: must be at most 9007199254740992"):
        Retries(max=2**80)


@pytest.mark.parametrize("field", ["on", "fatal"])
@pytest.mark.parametrize(
    "kinds", [5, "x", None, int, (int,), (ValueError, str), [ValueError], ValueError(), int | str]
)
def test_what_no_exception_can_be_is_refused(field: str, kinds: Any) -> None:
    options: Any = {field: kinds}
    said = rf"Retries\({field}=...\) is a tuple of classes of exceptions: \(OSError,\)"
    with pytest.raises(UsageError, match=said):
        Retries(**options)


def test_one_class_of_exceptions_will_do_as_for_isinstance() -> None:
    kinds: Any = ValueError
    others: Any = KeyError | OSError
    policy = Retries(on=kinds, fatal=others)
    assert not policy.gives_up(ValueError())
    assert policy.gives_up(KeyError())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Backoff(cast("Any", 5)), "the delay of a backoff is a function"),
        (lambda: Backoff(float, cast("Any", "x")), "a jitter is 0 or more"),
        (lambda: Backoff(float, -1), "a jitter is 0 or more"),
        (lambda: Backoff.fixed(1, jitter=cast("Any", None)), "a jitter is 0 or more"),
        (lambda: Backoff.exponential(1, factor=cast("Any", "x")), "the factor of a backoff is 1"),
    ],
)
def test_a_backoff_of_something_else_is_refused(make: Callable[[], Backoff], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make()


def test_backoffs() -> None:
    with use_world(NoJitter()):
        growing = Backoff.exponential("1s", factor=3, cap=50)
        assert [growing.after(count) for count in (1, 2, 3, 4, 5, 10_000)] == [1, 3, 9, 27, 50, 50]
        steps = Backoff.linear(10, cap="35s")
        assert [steps.after(count) for count in (1, 2, 3, 4)] == [10, 20, 30, 35]
        assert Backoff.fixed(timedelta(minutes=1)).after(7) == 60
    assert 10 <= Backoff.fixed(10, jitter=0.5).after(1) < 15


@pytest.mark.parametrize(
    "make",
    [
        lambda: Backoff.fixed(0),
        lambda: Backoff.fixed("soon"),
        lambda: Backoff.fixed(1, jitter=-1),
        lambda: Backoff.exponential(1, factor=0.5),
        lambda: Backoff.exponential(1, factor=float("nan")),
        lambda: Backoff.linear(1, cap=0),
        lambda: Retries(max=0),
        lambda: Retries(backoff="10s"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # programs without types
        lambda: Retries(on=5),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # that is the point
        lambda: Retries(fatal=[ValueError]),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # that is the point
        lambda: Retry(1, at=datetime.now(UTC)),
        lambda: Retry(-1),
        lambda: Retry("soon"),
        lambda: Retry(float("inf")),
        lambda: Retry("9" * 400),
        lambda: Retry(at=datetime(2026, 1, 1)),  # noqa: DTZ001 - that is the point
    ],
)
def test_what_makes_no_sense_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(UsageError):
        make()


# -- in a process ---------------------------------------------------------------------------------


@on_every_loop
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"], indirect=True)
@pytest.mark.parametrize(
    ("jobtype", "how", "result", "errtype"),
    [
        ("plain", "retry", "1 0 0", "KeyError"),
        ("plain", "discard", "0 0 0", None),
        ("plain", "dead", "0 0 1", "KeyError"),
        ("plain", "group", "1 0 0", "Retry"),
        ("plain", "value", "0 1 0", "ValueError"),
        ("plain", "unpicklable", "0 1 0", "tests.app.elsewhere.Unpicklable"),
        ("patient", "retry", "1 0 0", "KeyError"),
        ("patient", "value", "0 0 1", "ValueError"),
        ("patient", "lookup", "1 0 0", "LookupError"),
        ("patient", "unpicklable", "1 0 0", "tests.app.elsewhere.Unpicklable"),
    ],
)
async def test_a_handler_in_a_process_has_the_same_words(
    server: EmbeddedServer, jobtype: str, how: str, result: str, errtype: str | None
) -> None:
    with elsewhere.app.aimed_at(server.url, server.dial):
        await push(elsewhere.app, Job(jobtype, [how]))
        await work(elsewhere.app)
    left = Ended(server)
    assert repr(left) == result
    for job in (*left.scheduled, *left.retries, *left.dead):
        assert job.failure is not None
        assert job.failure.errtype == errtype
        assert any("in end" in line for line in job.failure.backtrace or ())


@on_every_loop
async def test_a_failure_of_the_server_is_left_to_it(server: EmbeddedServer) -> None:
    await ended(server, raising(ValueError("bad")))
    assert failure_of(server) == ("ValueError", "bad")


@on_every_loop
async def test_a_def_that_returns_an_awaitable_is_a_failure(
    app: App, server: EmbeddedServer
) -> None:
    async def coroutine() -> None: ...

    @app.job
    def order() -> object:
        return coroutine()

    async with app:
        await order.push()
    await work(app)
    errtype, message = failure_of(server)
    assert errtype == "TypeError"
    assert "write `async def` to have it awaited" in (message or "")


@pytest.mark.parametrize(
    "retry", [Retry(), Retry("1m"), Retry(at=datetime(2026, 5, 4, tzinfo=UTC)), Retry(free=True)]
)
def test_a_retry_can_be_pickled(retry: Retry) -> None:
    copy = pickle.loads(pickle.dumps(retry))  # noqa: S301 - just written
    assert (copy.delay, copy.at, copy.free, str(copy)) == (
        retry.delay,
        retry.at,
        retry.free,
        str(retry),
    )
