"""The heart that beats in a thread, over real sockets."""

import logging
import threading
from collections.abc import Callable, Generator
from typing import Any

import anyio
import pytest

from faktory_async import AuthenticationError, Client, Job, Worker
from faktory_async.errors import UsageError
from faktory_async.testing import FaktoryServer
from faktory_async.worker import _beat_thread, _lag
from tests.net._loops import backend, on_every_loop
from tests.net._peers import when
from tests.worker.running import running, with_crew


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Real loops, other than elsewhere in this folder."""
    return backend(request.param)


@pytest.fixture
def server() -> Generator[FaktoryServer]:
    with FaktoryServer() as server:
        yield server


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it beat every 10 ms, and be impatient with a BEAT in flight."""
    monkeypatch.setattr(_beat_thread, "EVERY", 0.01)
    monkeypatch.setattr(_beat_thread, "_IN_FLIGHT", 0.01)


def beating() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "faktory beat"]


@on_every_loop
async def test_a_worker_beats_from_a_thread_that_ends_with_it(server: FaktoryServer) -> None:
    worker = Worker({}, url=server.url, wid="w1")
    async with running(worker) as run:
        await when(lambda: worker.stats.last_beat is not None)
        assert len(beating()) == 1
        assert server.workers["w1"].rss_kb > 1_000
        await run.stop()
    assert beating() == []


@on_every_loop
@pytest.mark.usefixtures("quickly")
async def test_the_operators_word_reaches_the_worker(server: FaktoryServer) -> None:
    worker = Worker({}, url=server.url, wid="w1")
    async with running(worker) as run:
        await when(lambda: "w1" in server.workers)
        server.quiet("w1")
        await when(lambda: worker.stats.state == "quiet")
        await when(lambda: worker.stats.fetchers == 0)
        server.terminate("w1")
        details = await run.end()
    assert details.reason == "the server said terminate"


@on_every_loop
@pytest.mark.usefixtures("quickly")
async def test_a_forgotten_worker_says_hello_again_with_its_wid(
    server: FaktoryServer, caplog: pytest.LogCaptureFixture
) -> None:
    worker = Worker({}, url=server.url, wid="w1")
    async with running(worker) as run:
        with server.faults.error("ERR unknown worker w1", on="BEAT", times=1) as fault:
            await when(lambda: fault.hits == 1)
            beaten_at = worker.stats.last_beat
            await when(lambda: worker.stats.last_beat != beaten_at)
        await run.stop()
    assert "the server has forgotten this worker: saying HELLO again" in caplog.text


@on_every_loop
@pytest.mark.usefixtures("quickly")
async def test_a_beat_answered_by_an_error_is_followed_by_the_next_one(
    server: FaktoryServer, caplog: pytest.LogCaptureFixture
) -> None:
    worker = Worker({}, url=server.url)
    async with running(worker) as run:
        with server.faults.error("ERR context deadline exceeded", on="BEAT", times=1) as fault:
            await when(lambda: fault.hits == 1)
            beaten_at = worker.stats.last_beat
            await when(lambda: worker.stats.last_beat != beaten_at)
        await run.stop()
    assert "a BEAT was answered by an error: context deadline exceeded" in caplog.text


@on_every_loop
@pytest.mark.usefixtures("quickly")
async def test_a_refused_hello_is_said_again(server: FaktoryServer) -> None:
    worker = Worker({}, url=server.url, wid="w1")
    with server.faults.error("ERR not now", on="HELLO", times=5) as fault:
        async with running(worker) as run:
            await when(lambda: fault.hits == 5)
            await when(lambda: worker.stats.last_beat is not None)
            await run.stop()


@on_every_loop
@pytest.mark.usefixtures("quickly")
async def test_it_comes_back_with_the_server(server: FaktoryServer) -> None:
    worker = Worker({}, url=server.url, wid="w1")
    async with running(worker) as run:
        await when(lambda: worker.stats.last_beat is not None)
        with server.faults.outage():
            await when(lambda: worker.stats.reconnects == 1)
        await when(lambda: "w1" in server.workers)
        beaten_at = worker.stats.last_beat
        await when(lambda: worker.stats.last_beat != beaten_at)
        await run.stop()


@on_every_loop
@pytest.mark.usefixtures("quickly")
async def test_a_beat_that_is_never_answered_does_not_hold_the_end_up(
    server: FaktoryServer,
) -> None:
    worker = Worker({}, url=server.url)
    with server.faults.stall(on="BEAT") as fault:
        async with running(worker) as run:
            await when(lambda: fault.hits == 1)
            with anyio.fail_after(5):  # its patience is 7 s
                await run.stop()
    assert beating() == []


@on_every_loop
async def test_a_wrong_password_ends_the_run_and_the_thread() -> None:
    with FaktoryServer(password="secret") as server:
        worker = Worker({}, url=f"tcp://:wrong@{server.host}:{server.port}")
        with pytest.raises(AuthenticationError):
            await worker.run()
    assert beating() == []


@on_every_loop
async def test_whatever_the_thread_dies_of_ends_the_run(server: FaktoryServer) -> None:
    def break_down(crew: Any) -> None:
        def fail() -> None:
            raise ZeroDivisionError("a mistake of our own")

        crew._heart._pulse.command = fail

    worker = with_crew(Worker({}, url=server.url), break_down)
    with pytest.raises(ZeroDivisionError, match="a mistake of our own"):
        await worker.run()
    assert beating() == []


@on_every_loop
async def test_cancelled_it_leaves_no_thread(server: FaktoryServer) -> None:
    worker = Worker({}, url=server.url)
    async with running(worker) as run:
        await when(lambda: worker.stats.last_beat is not None)
        run.scope.cancel()
        await run.over.wait()
    assert beating() == []


@on_every_loop
async def test_a_thread_that_hangs_in_the_resolver_is_told_of(
    monkeypatch: pytest.MonkeyPatch, server: FaktoryServer, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_beat_thread, "_END", 0.01)
    monkeypatch.setattr(_beat_thread, "_IN_FLIGHT", 0.01)
    hangs, goes_on = threading.Event(), threading.Event()

    def hang(crew: Any) -> None:
        open_blocking = crew._heart._connector.open_blocking

        def resolve_for_ever(hold: Callable[[Any], None]) -> None:
            hangs.set()
            goes_on.wait(30)
            open_blocking(hold)

        crew._heart._connector.open_blocking = resolve_for_ever

    worker = with_crew(Worker({}, url=server.url), hang)
    async with running(worker) as run:
        await when(hangs.is_set)
        await run.stop()
    assert "the thread that beats has not ended yet" in caplog.text
    [thread] = beating()
    goes_on.set()
    thread.join(30)
    assert not thread.is_alive()


class Awaited(logging.Handler):
    """Tells when something was logged."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self._words = words
        self.seen = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if self._words in record.getMessage():
            self.seen.set()


@on_every_loop
async def test_a_handler_that_blocks_the_loop_is_named_and_the_worker_beats_on(
    server: FaktoryServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    quickly: None,
) -> None:
    monkeypatch.setattr(_lag, "_LATE", 0.05)
    warned = Awaited("the event loop is blocked")
    logging.getLogger("faktory_async.worker").addHandler(warned)
    beats: list[float | None] = []

    async def block(job: Job) -> None:
        beats.append(worker.stats.last_beat)
        assert warned.seen.wait(30)
        while worker.stats.last_beat == beats[0]:
            pass  # the thread beats all the same
        beats.append(worker.stats.last_beat)
        assert worker.stats.lag > 0.05
        assert [each.jid for each in worker.stats.in_flight] == [job.jid]

    try:
        worker = Worker({"block": block}, url=server.url, max_jobs=1)
        async with running(worker) as run:
            await when(lambda: worker.stats.last_beat is not None)
            async with Client(server.url) as client:
                await client.push(Job("block", jid="12345678"))
            details = await run.end()
    finally:
        logging.getLogger("faktory_async.worker").removeHandler(warned)
    assert (details.acked, details.failed) == (1, 0)
    assert "job 12345678 (block), for " in caplog.text
    assert "in block" in caplog.text  # the stack
    assert "the event loop goes on after" in caplog.text
    assert caplog.text.count("the event loop is blocked") == 1


def test_beat_is_in_a_thread_only_where_it_can_dial_by_itself() -> None:
    async def dial() -> Any: ...

    with pytest.raises(UsageError, match="with a dial of your own 'loop'"):
        Worker({}, dial=dial, beat="thread")
    with pytest.raises(UsageError, match="beat is 'thread' or 'loop'"):
        Worker({}, beat="never")  # type: ignore[arg-type]  # programs without types


@on_every_loop
@pytest.mark.usefixtures("quickly")
async def test_no_fetch_leaves_after_the_beat_that_said_quiet(server: FaktoryServer) -> None:
    """Not even one that the loop would have sent before it hears of it."""
    order_seen, written = threading.Event(), list[str]()
    worker = Worker({}, url=server.url, wid="w1")

    def watch(crew: Any) -> None:
        answered, sent = crew._heart._pulse.answered, crew._fetchers.note_sent

        def answer(order: str | None) -> None:
            answered(order)
            if order == "quiet":
                order_seen.set()

        def note() -> None:
            written.append("late" if order_seen.is_set() else "in time")
            sent()

        crew._heart._pulse.answered, crew._fetchers.note_sent = answer, note

    async with running(with_crew(worker, watch)) as run:
        await when(lambda: "w1" in server.workers)
        server.quiet("w1")
        order_seen.wait(30)  # the loop is blocked meanwhile, and has FETCHes to send after
        await when(lambda: worker.stats.state == "quiet")
        await run.stop()
    assert "late" not in written
