"""The heart."""

import anyio
import pytest

from faktory_async import Job, Worker
from faktory_async.worker import _beat
from tests.worker.peer import Line, error, peering
from tests.worker.running import running

pytestmark = pytest.mark.anyio


async def test_a_worker_beats_at_once_and_then_every_15_s() -> None:
    async with peering() as peer:
        async with running(Worker({}, dial=peer.dial, wid="w1")) as run:
            await anyio.sleep(61)
            await run.stop()
        beats = peer.of("BEAT")
        assert [beat.at for beat in beats] == pytest.approx([0, 15, 30, 45, 60], abs=0.1)
        assert {beat.json["wid"] for beat in beats} == {"w1"}
        assert all(beat.json["rss_kb"] > 1_000 for beat in beats)
        assert {beat.connection.hello["wid"] for beat in beats} == {"w1"}


async def test_a_busy_worker_beats_too() -> None:
    async def order(job: Job) -> None:
        await anyio.sleep(100)

    async with peering() as peer:
        peer.offer(Job("order"))
        async with running(Worker({"order": order}, dial=peer.dial, concurrency=1)) as run:
            await peer.saw("ACK")
            await run.stop()
        assert len(peer.of("BEAT")) == 7


async def test_a_forgotten_worker_says_hello_again_with_its_wid() -> None:
    async with peering() as peer:
        peer.answer("BEAT", b"+OK\r\n", error("unknown worker w1"))
        async with running(Worker({}, dial=peer.dial, wid="w1")) as run:
            third = await peer.saw("BEAT", 3)
            await run.stop()
        assert third.at < 16
        assert third.connection is not peer.of("BEAT")[1].connection
        assert third.connection.hello["wid"] == "w1"


async def test_a_beat_answered_by_an_error_is_followed_by_the_next_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with peering() as peer:
        peer.answer("BEAT", error("context deadline exceeded"))
        async with running(Worker({}, dial=peer.dial)) as run:
            second = await peer.saw("BEAT", 2)
            await run.stop()
        assert second.at == pytest.approx(15, abs=0.1)
    assert "a BEAT was answered by an error: context deadline exceeded" in caplog.text


async def test_a_beat_without_an_answer_is_repeated_on_a_new_connection() -> None:
    async def ignore(line: Line) -> bytes | None:
        await anyio.sleep_forever()
        return None

    async with peering() as peer:
        peer.answer("BEAT", ignore)
        async with running(Worker({}, dial=peer.dial)) as run:
            second = await peer.saw("BEAT", 2)
            await run.stop()
        assert 7 <= second.at < 8
        assert second.connection is not peer.of("BEAT")[0].connection


async def test_where_memory_is_not_told_the_beat_is_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nothing(*_args: object, **_options: object) -> object:
        raise FileNotFoundError("/proc/self/statm")

    async with peering() as peer:
        with monkeypatch.context() as patch:
            patch.setattr(_beat, "open", nothing, raising=False)
            async with running(Worker({}, dial=peer.dial, wid="w1")) as run:
                beat = await peer.saw("BEAT")
                await run.stop()
        assert beat.json == {"wid": "w1"}
