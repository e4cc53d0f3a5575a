"""Traffic that is almost right, with a fixed seed; `tests.server.fuzz` runs it for longer."""

import pytest

from faktory_async.server import Broker, Connection, _answers
from tests.net._loops import on_every_loop
from tests.server.fuzz import Fuzz, FuzzError, Tally

MEGABYTE = 1_000_000


def for_a_while(tally: Tally) -> bool:
    return tally.sent < MEGABYTE


@on_every_loop
async def test_whatever_arrives_it_answers_or_closes_and_serves_on() -> None:
    fuzz = Fuzz(seed=7)
    await fuzz.run(for_a_while)
    tally = fuzz.tally
    assert tally.sent >= MEGABYTE
    assert tally.closed == tally.clients
    # Neither so spoilt that all is refused, nor so good that nothing is tried.
    assert 0.4 < tally.errors / tally.replies < 0.9


@on_every_loop
async def test_the_fuzz_sees_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Broker) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Broker, "flush", fail)
    with pytest.raises(
        FuzzError, match=r"(?s)seed 7, server 1: .*failed at b'FLUSH'.*ZeroDivisionError"
    ):
        await Fuzz(seed=7).run(for_a_while)


@on_every_loop
async def test_the_fuzz_sees_a_bad_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    def frame_badly(data: bytes) -> bytes:
        return b"$1\r\n%b\r\n" % data

    monkeypatch.setattr(_answers, "_bulk", frame_badly)
    with pytest.raises(FuzzError, match="seed 7, server 1: no CRLF behind a bulk"):
        await Fuzz(seed=7).run(for_a_while)


@on_every_loop
async def test_the_fuzz_sees_who_stays_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def forget_nobody(broker: Broker, connection: Connection) -> None:
        pass

    monkeypatch.setattr(Broker, "_forget", forget_nobody)
    with pytest.raises(FuzzError, match="somebody stays behind"):
        await Fuzz(seed=7).run(for_a_while)
