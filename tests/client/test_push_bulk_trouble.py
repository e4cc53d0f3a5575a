"""What `push_bulk` says, does and leaves behind where something goes wrong around it."""

import gc
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

import anyio
import pytest

from faktory_async import (
    CallNext,
    Client,
    CommandTimeoutError,
    Job,
    PushReport,
    ServerBusyError,
    TooManyConnectionsError,
)
from faktory_async.client._bulk import Bulk
from faktory_async.client._frames import Frame
from tests.client._setting import DONE, ONE, TOO_MANY, after, ignore
from tests.client.test_push_bulk import orders, some
from tests.worker.peer import Answer, Line, error, peering

pytestmark = pytest.mark.anyio

DISK_FULL = error("the disk is full")


async def done(_line: Line) -> bytes:
    return DONE


# -- what the report says -------------------------------------------------------------------------


async def test_a_job_whose_middleware_had_trouble_of_its_own_is_rejected() -> None:
    async def look_up(_job: Job, _next: CallNext) -> Job:
        raise CommandTimeoutError("another server did not answer")  # which says nothing of ours

    async with peering() as peer, Client(dial=peer.dial, middleware=[look_up]) as client:
        report = await client.push_bulk(some(3))
        assert peer.of("PUSHB") == []
    assert (report.rejected_count, report.unknown_count, report.unknown) == (3, 0, {})


async def test_unknown_jobs_are_counted_each_though_they_share_a_jid() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.always("PUSHB", ignore)
        report = await client.push_bulk(Job("order", [each], jid="12345678") for each in range(2))
    assert (report.not_sent, report.unknown_count, list(report.unknown)) == (None, 2, ["12345678"])
    assert not report.complete


# -- how it ends ----------------------------------------------------------------------------------


@orders
async def test_trouble_ends_a_bulk_whose_source_is_silent(*, ordered: bool) -> None:
    closed = False

    async def feed() -> AsyncGenerator[Job]:
        nonlocal closed
        try:
            for job in some(10):
                yield job
            await anyio.sleep_forever()
        finally:
            closed = True

    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.always("PUSHB", DISK_FULL)
        with anyio.fail_after(60):
            report = await client.push_bulk(feed(), chunk=10, ordered=ordered)
    assert isinstance(report.error, ServerBusyError)
    assert closed


@orders
async def test_what_progress_raises_ends_a_bulk_whose_source_is_silent(*, ordered: bool) -> None:
    async def feed() -> AsyncGenerator[Job]:
        for job in some(10):
            yield job
        await anyio.sleep_forever()

    def progress(report: PushReport) -> None:
        raise ValueError(report.accepted)

    async with peering() as peer, Client(dial=peer.dial) as client:
        with anyio.fail_after(60), pytest.raises(ValueError, match="10"):
            await client.push_bulk(feed(), chunk=10, ordered=ordered, progress=progress)


@orders
@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
async def test_the_end_of_the_program_passes_as_it_is(
    kind: type[BaseException], *, ordered: bool
) -> None:
    def feed() -> Iterator[Job]:
        yield from some(3)
        raise kind("enough")

    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.always("PUSHB", ignore)  # nobody waits for that
        report = PushReport()
        began = anyio.current_time()
        with pytest.raises(kind, match="enough"):
            await client.push_bulk(feed(), report=report, chunk=2, ordered=ordered)
        assert anyio.current_time() == began
    assert report.unknown_count == report.not_sent


@orders
async def test_what_a_dial_of_the_programs_own_raises_passes_as_it_is(*, ordered: bool) -> None:
    async def dial() -> object:
        raise RuntimeError("no such proxy")

    async with Client(dial=dial) as client:  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # it never gives one
        report = PushReport()
        with pytest.raises(RuntimeError, match="no such proxy"):
            await client.push_bulk(some(3), report=report, ordered=ordered)
    assert report == PushReport(not_sent=0)


async def test_the_frames_of_a_bulk_do_not_keep_connections_from_each_other() -> None:
    async with peering() as peer, Client(dial=peer.dial, limits=ONE) as client:
        peer.always("PUSHB", after(2, done))
        report = await client.push_bulk(some(100), chunk=10)  # at 5 s a wait would be over
    assert report == PushReport(accepted=100)


# -- what it leaves behind ------------------------------------------------------------------------


async def _info(client: Client) -> None:
    await client.info()


async def _push_alone(client: Client) -> None:
    await client.push_alone(Job("order"))


async def _bulk(client: Client) -> None:
    (await client.push_bulk(some(1))).raise_for_error()


async def _ordered_bulk(client: Client) -> None:
    (await client.push_bulk(some(1), ordered=True)).raise_for_error()


@pytest.mark.parametrize("asking", [_info, _push_alone, _bulk, _ordered_bulk])
async def test_a_connection_that_was_turned_away_is_not_lent_again(
    asking: Callable[[Client], Awaitable[None]],
) -> None:
    """The server ends it, but that may take a moment."""
    async with peering() as peer, Client(dial=peer.dial) as client:
        for verb in ("INFO", "PUSH", "PUSHB"):
            peer.answer(verb, TOO_MANY)
        with pytest.raises(TooManyConnectionsError):
            await asking(client)
        assert (client.stats.connections, client.stats.idle) == (0, 0)


async def test_in_order_nothing_behind_a_frame_that_was_turned_away_was_stored() -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.answer("PUSHB", after(1, _turned_away))
        peer.answer("PUSHB", None)  # it ends the connection
        report = await client.push_bulk(some(40), chunk=10, ordered=True)
        assert client.stats.frames == 4
    assert isinstance(report.error, TooManyConnectionsError)
    assert (report.accepted, report.unknown_count, report.not_sent) == (0, 0, 0)


async def _turned_away(_line: Line) -> bytes:
    return TOO_MANY


def _bulks() -> int:
    return sum(isinstance(each, Bulk) for each in gc.get_objects())


@orders
@pytest.mark.parametrize(
    ("answer", "raiser"),
    [
        (DONE, None),
        (DISK_FULL, None),
        (None, None),
        (error("invalid JSON: x"), None),
        (DONE, "source"),
        (DONE, "progress"),
    ],
    ids=["fine", "trouble", "lost", "refused", "source", "progress"],
)
async def test_a_bulk_is_freed_as_soon_as_it_has_ended(
    answer: Answer, raiser: str | None, *, ordered: bool
) -> None:
    def raises(who: str) -> None:
        if raiser == who:
            raise ValueError(who)

    def feed() -> Iterator[Job]:
        yield from some(3)
        raises("source")

    async def bulk(client: Client) -> None:
        try:
            await client.push_bulk(
                feed(), chunk=2, ordered=ordered, progress=lambda _report: raises("progress")
            )
        except ValueError as error:
            assert str(error) == raiser  # noqa: PT017 - pytest.raises would keep the traceback

    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.always("PUSHB", answer)
        gc.collect()
        before = _bulks()
        gc.disable()
        try:
            await bulk(client)
            assert _bulks() == before
        finally:
            gc.enable()


@pytest.mark.parametrize("answer", [DISK_FULL, None, ignore], ids=["trouble", "lost", "silence"])
async def test_a_report_that_is_kept_holds_no_jobs(answer: Answer) -> None:
    async with peering() as peer, Client(dial=peer.dial) as client:
        peer.always("PUSHB", answer)
        gc.collect()
        before = _held()
        report = await client.push_bulk(some(6_000))
        gc.collect()
        assert _held() == before
    assert report.error is not None


@pytest.mark.parametrize("raises", [True, False])
async def test_an_exception_of_the_source_that_is_kept_holds_no_jobs(*, raises: bool) -> None:
    def feed() -> Iterator[Job]:
        yield from some(6_500)
        if raises:
            raise ValueError("no more")

    async def bulk(client: Client) -> BaseException | None:
        try:
            await client.push_bulk(feed())
        except ValueError as error:
            return error
        return None

    async with peering() as peer, Client(dial=peer.dial) as client:
        gc.collect()
        before = _held()
        kept = await bulk(client)
        gc.collect()
        assert _held() == before
    assert (kept is not None) == raises


def _held() -> int:
    return sum(len(each.jobs) for each in gc.get_objects() if isinstance(each, Frame))
