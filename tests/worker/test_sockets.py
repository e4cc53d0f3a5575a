"""What only sockets do: peers that vanish, replies in many pieces, bytes that wait for the loop."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from faktory_async import TLS, Client, EmbeddedServer, Job, StopDetails, Worker
from faktory_async.model import World, use_world
from faktory_async.testing import FaktoryServer
from tests.client._setting import quiet
from tests.net._tls import Authority
from tests.worker.running import running
from tests.worker.virtual import BACKENDS, virtual_backend
from tests.worker.wire import told

pytestmark = pytest.mark.anyio

REAL: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "asyncio": ("asyncio", {"use_uvloop": False}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}
VIRTUAL = {name: virtual_backend(name) for name in BACKENDS}
PATIENCE = 60.0  # seconds of a slow machine


@pytest.fixture(params=REAL.values(), ids=list(REAL))
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, Mapping[str, Any]]:
    backend: tuple[str, Mapping[str, Any]] = request.param
    return backend


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


async def run(worker: Worker) -> StopDetails:
    with anyio.fail_after(PATIENCE):
        return await worker.run()


# -- a peer that vanishes -------------------------------------------------------------------------


@pytest.mark.parametrize("anyio_backend", VIRTUAL.values(), ids=VIRTUAL, indirect=True)
async def test_a_peer_that_vanishes_is_found_within_20_s_and_again_when_it_is_back() -> None:
    """Nothing is ever said any more, on old connections and on new ones, and nothing is closed."""
    found, back = anyio.Event(), anyio.Event()
    worked = anyio.Event()

    async def order(job: Job) -> None:
        worked.set()

    def lost(error: Exception) -> None:
        found.set()

    def connected() -> None:
        if found.is_set():
            back.set()

    async with EmbeddedServer() as server:
        worker = Worker(
            {"order": order}, dial=server.dial, on_disconnect=lost, on_connect=connected
        )
        async with running(worker) as it:
            while worker.stats.last_fetch is None:
                await anyio.lowlevel.checkpoint()
            with server.faults.half_open() as half_open, server.faults.stall():
                began = anyio.current_time()
                await found.wait()
                assert anyio.current_time() - began < 20
                await anyio.sleep(60)
                assert half_open.hits > 1  # it is tried again, and each try has its end
                assert worker.stats.reconnects == 1
            await back.wait()
            async with Client(dial=server.dial) as client:
                await client.push(Job("order"))
            await worked.wait()
            details = await it.stop()
        assert (details.acked, details.unreported) == (1, ())


@pytest.mark.parametrize("anyio_backend", VIRTUAL.values(), ids=VIRTUAL, indirect=True)
async def test_a_peer_that_accepts_and_says_nothing_holds_no_start_up_for_long() -> None:
    async with EmbeddedServer() as server:
        refused = anyio.Event()
        worker = Worker({}, dial=server.dial, on_disconnect=lambda _: refused.set())
        with server.faults.half_open():
            began = anyio.current_time()
            async with running(worker) as it:
                await refused.wait()
                assert anyio.current_time() - began <= 4
                details = await it.stop()
        assert details.exit_code == 0


# -- a reply that is too large --------------------------------------------------------------------


@pytest.mark.parametrize("encrypted", [False, True], ids=["tcp", "tls"])
async def test_a_reply_over_the_bound_is_read_past_and_its_job_failed_by_name(
    authority: Authority, *, encrypted: bool
) -> None:
    files: dict[str, Path] = {}
    if encrypted:
        files["tls_cert"], files["tls_key"] = authority.files_for("127.0.0.1")
    tls = TLS(ca=authority.pem) if encrypted else None
    worked: list[str] = []

    async def order(job: Job) -> None:
        worked.append(job.jid)

    with FaktoryServer(**files) as server:
        jobs = [Job("order", ["x" * size]) for size in (10, 3_000_000, 10, 65_536, 1_000_000, 10)]
        async with Client(server.url, tls=tls) as client:
            await client.push_bulk(jobs, ordered=True)
        worker = Worker(
            {"order": order},
            url=server.url,
            tls=tls,
            max_reply=100_000,
            max_jobs=len(jobs),
            concurrency=1,
            handle_signals=False,
        )
        details = await run(worker)
        assert worked == [jobs[number].jid for number in (0, 2, 3, 5)]
        assert (details.acked, details.failed, details.unreported) == (4, 2, ())
        assert worker.stats.reconnects == 0  # the connection was read past it, and lives
        failures = {each.job.jid: each.job.failure for each in server.retries}
        assert failures.keys() == {jobs[1].jid, jobs[4].jid}
        for failure in failures.values():
            assert failure is not None
            assert failure.message is not None
            assert "more than this worker accepts" in failure.message
        assert server.working == ()


# -- bytes that wait for the loop -----------------------------------------------------------------


class Calendar(World):
    """The real time, with what a test adds."""

    def __init__(self) -> None:
        self.slept = timedelta()

    def utcnow(self) -> datetime:
        return datetime.now(UTC) + self.slept


async def blocked(server: FaktoryServer, calendar: Calendar, slept: timedelta) -> list[str]:
    """Let a large job be handed to a worker whose loop stands still; return who was worked.

    Args:
        server: Where both get their jobs.
        calendar: The worker's wall clock.
        slept: How much time passes meanwhile.
    """
    worked: list[str] = []
    large = Job("large", ["x" * 1_000_000], jid="large-large", reserve_for=60)

    async def block(job: Job) -> None:
        while worker.stats.fetchers == 0 or not is_fetching(worker):
            await anyio.lowlevel.checkpoint()
        await quiet()
        assert told(server.host, server.port, b"PUSH " + large.to_json()) == [b"+OK"]
        until = time.monotonic() + PATIENCE
        while all(each.job.jid != large.jid for each in server.working):
            assert time.monotonic() < until
        calendar.slept += slept
        worked.append(job.jid)

    async def order(job: Job) -> None:
        assert job.args == large.args
        worked.append(job.jid)

    worker = Worker(
        {"block": block, "large": order},
        url=server.url,
        concurrency=2,
        max_jobs=2,
        handle_signals=False,
    )
    async with Client(server.url) as client:
        await client.push(Job("block", jid="block-block", reserve_for=80_000))
    with use_world(calendar):
        details = await run(worker)
    assert (details.acked, details.failed) == (len(worked), 0)
    assert details.unreported == ()
    return worked


def is_fetching(worker: Worker) -> bool:
    crew = worker._crew
    return crew is not None and crew._fetchers.fetching > 0


async def test_a_large_job_that_arrived_while_the_loop_was_blocked_is_worked() -> None:
    with FaktoryServer(fetch_wait=PATIENCE) as server:
        assert await blocked(server, Calendar(), timedelta()) == ["block-block", "large-large"]
        assert server.working == ()


async def test_one_whose_reservation_has_run_out_meanwhile_is_left_to_the_server(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with FaktoryServer(fetch_wait=PATIENCE) as server:
        assert await blocked(server, Calendar(), timedelta(seconds=70)) == ["block-block"]
        assert "job large-large (large) came too late to be begun" in caplog.text
        [reservation] = server.working
        assert reservation.job.jid == "large-large"
        server.advance(minutes=2, expire_reservations=True)
        assert server.working == ()
        retries = [each.job.jid for each in server.retries]
        # Its retry comes at a time of chance, which may have passed too.
        assert retries or [job.jid for job in server.queues["default"].jobs] == ["large-large"]
