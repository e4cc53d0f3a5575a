"""Push middleware: around each job before it is encoded."""

from collections.abc import Iterator
from contextvars import ContextVar

import msgspec
import pytest

from faktory_async import (
    CallNext,
    Client,
    ClientStateError,
    InvalidJobError,
    Job,
    PushMiddleware,
    PushReport,
)
from tests.worker.peer import Peer, jobs_of, peering

pytestmark = pytest.mark.anyio


def some(count: int) -> Iterator[Job]:
    return (Job("order", [number]) for number in range(count))


async def on_mail(job: Job, call_next: CallNext) -> Job:
    return await call_next(job.on_queue("mail"))


async def no_three(job: Job, call_next: CallNext) -> Job:
    if job.args == [3]:
        raise LookupError("not three")
    return await call_next(job)


async def test_what_a_middleware_returns_is_pushed_and_returned() -> None:
    async with peering() as peer, Client(dial=peer.dial, middleware=[on_mail]) as client:
        job = Job("order")
        pushed = await client.push(job)
        assert (pushed.jid, pushed.queue) == (job.jid, "mail")
        report = await client.push_bulk(some(2))
        assert report.accepted == 2
        queues = [each["queue"] for line in peer.of("PUSHB") for each in jobs_of(line)]
        assert queues == ["mail"] * 3


async def test_the_first_one_is_outermost() -> None:
    order: list[str] = []

    def noting(name: str) -> PushMiddleware:
        async def note(job: Job, call_next: CallNext) -> Job:
            order.append(f"{name} in")
            ready = await call_next(job)
            order.append(f"{name} out")
            return ready

        return note

    async with (
        peering() as peer,
        Client(dial=peer.dial, middleware=[noting("a"), noting("b")]) as client,
    ):
        await client.push(Job("order"))
    assert order == ["a in", "b in", "b out", "a out"]


async def test_one_that_does_not_call_the_next_decides_alone() -> None:
    other = Job("other")

    async def instead(job: Job, call_next: CallNext) -> Job:
        return other

    async with peering() as peer, Client(dial=peer.dial, middleware=[instead, no_three]) as client:
        assert await client.push(Job("order", [3])) is other
        assert [each["jid"] for each in jobs_of(peer.of("PUSHB")[0])] == [other.jid]


async def test_what_it_raises_is_raised_and_nothing_is_sent() -> None:
    async with peering() as peer, Client(dial=peer.dial, middleware=[no_three]) as client:
        with pytest.raises(LookupError, match="not three"):
            await client.push(Job("order", [3]))
        assert peer.dials == 0


@pytest.mark.parametrize("ordered", [False, True])
async def test_in_bulk_what_it_raises_touches_that_job_alone(*, ordered: bool) -> None:
    jobs = list(some(2_500))
    async with peering() as peer, Client(dial=peer.dial, middleware=[no_three]) as client:
        report = await client.push_bulk(jobs, ordered=ordered)
    assert (report.accepted, report.rejected_count, report.error) == (2_499, 1, None)
    assert isinstance(report.rejected[jobs[3].jid], LookupError)


async def test_what_is_no_job_is_named() -> None:
    async def nothing(job: Job, call_next: CallNext) -> Job:
        await call_next(job)
        return None  # type: ignore[return-value]  # pyright: ignore[reportReturnType]

    job = Job("order")
    async with peering() as peer, Client(dial=peer.dial, middleware=[nothing]) as client:
        with pytest.raises(InvalidJobError, match="must be a Job, not NoneType"):
            await client.push(job)
        report = await client.push_bulk([job])
        assert isinstance(report.rejected[job.jid], InvalidJobError)
        assert peer.dials == 0


async def test_the_report_speaks_of_the_job_that_was_sent() -> None:
    async def renamed(job: Job, call_next: CallNext) -> Job:
        return await call_next(msgspec.structs.replace(job, jid=f"new-{job.args[0]:08}"))

    async with peering() as peer, Client(dial=peer.dial, middleware=[renamed]) as client:
        peer.answer("PUSHB", None)
        report = await client.push_bulk(some(3))
    assert list(report.unknown) == [f"new-{number:08}" for number in range(3)]


async def test_it_sees_the_callers_context() -> None:
    locale = ContextVar("locale", default="none")

    async def with_locale(job: Job, call_next: CallNext) -> Job:
        return await call_next(msgspec.structs.replace(job, custom={"locale": locale.get()}))

    async with peering() as peer, Client(dial=peer.dial, middleware=[with_locale]) as client:
        locale.set("fr")
        assert (await client.push(Job("order"))).custom == {"locale": "fr"}
        report = PushReport()
        await client.push_bulk([Job("order")], report=report)
        assert [each["custom"] for line in peer.of("PUSHB") for each in jobs_of(line)] == [
            {"locale": "fr"}
        ] * 2


async def test_it_does_not_run_where_the_client_cannot_push() -> None:
    ran = False

    async def run(job: Job, call_next: CallNext) -> Job:
        nonlocal ran
        ran = True
        return await call_next(job)

    client = Client(dial=Peer().dial, middleware=[run])
    with pytest.raises(ClientStateError):
        await client.push(Job("order"))
    assert not ran
