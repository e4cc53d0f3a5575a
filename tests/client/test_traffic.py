"""How many connections those who push are worth, judged without a server."""

from typing import cast

import pytest

from faktory_async.client._frames import MAX_JOBS
from faktory_async.client._line import Line
from faktory_async.client._traffic import Traffic
from faktory_async.client._waiter import Frame, Waiter
from faktory_async.net import Connection, Pool, Right
from faktory_async.protocol import PushBulk


async def never() -> Connection:
    raise AssertionError("nobody dials here")


class Scene:
    """A pool, a line, and whoever pushes."""

    def __init__(self, *, callers: int, waiting: int = 0, size: int = 10, slots: int = 1) -> None:
        self.pool = Pool(never, max_connections=4, timeout=5)
        self.pool.slots = slots
        self.line = Line()
        self.traffic = Traffic(self.pool, self.line)
        self.traffic.callers = callers
        for number in range(waiting):
            self.line.append(waiter(number, size))

    def send(self, at: float) -> Frame:
        frame = Frame([], cast("Connection", None), PushBulk([b"{}"]), at, at + 7)
        self.traffic.sent(frame)
        return frame

    def is_worth_a_dial(self, now: float, *, slow: bool = False) -> bool:
        return self.traffic.is_worth_a_dial(self.traffic.share(now), now, slow=slow)

    def is_worth_a_connection(self, now: float) -> bool:
        return self.traffic.is_worth_a_connection(self.traffic.share(now), now)


def waiter(number: int, size: int = 10) -> Waiter:
    return Waiter(f"jid{number}", b"x" * size, number, 5.0, 5.0, strict=False)


@pytest.mark.parametrize(
    ("callers", "whole"), [(3, MAX_JOBS), (4, 2), (9, 4), (12, 4), (100, 25), (5_000, MAX_JOBS)]
)
def test_few_share_one_frame_and_many_are_shared_out_to_four_connections(
    callers: int, whole: int
) -> None:
    assert Scene(callers=callers).traffic.share(0.0) == whole


def test_nobody_is_shared_out_to_connections_that_could_not_be_had() -> None:
    scene = Scene(callers=100, slots=2)
    scene.traffic.no_further(10.0)
    assert scene.traffic.share(10.9) == 50
    assert scene.traffic.share(11.0) == 25


def test_one_alone_finds_out_whether_the_server_is_there() -> None:
    scene = Scene(callers=100, waiting=100, slots=0)
    assert scene.is_worth_a_dial(0.0)
    dialler = waiter(100)
    dialler.lead(Right())
    scene.traffic.leading = 1
    scene.traffic.dialling[dialler] = None
    assert not scene.is_worth_a_dial(0.0)
    assert not scene.traffic.hopes_beside(dialler)


@pytest.mark.parametrize(("waiting", "worth"), [(24, False), (25, True)])
def test_beside_a_frame_a_whole_one_is_worth_a_connection(waiting: int, *, worth: bool) -> None:
    scene = Scene(callers=100, waiting=waiting)
    scene.send(at=0.0)
    assert scene.is_worth_a_connection(0.01) is worth
    assert scene.is_worth_a_dial(0.01) is worth
    assert scene.traffic.needs_another(0.01) is worth


def test_beside_a_frame_much_to_carry_is_worth_a_connection() -> None:
    scene = Scene(callers=100, waiting=1, size=64 * 1024)
    scene.send(at=0.0)
    assert scene.is_worth_a_connection(0.01)
    assert scene.is_worth_a_dial(0.01)


def test_what_waits_too_long_is_worth_a_dial_unless_one_has_just_failed() -> None:
    scene = Scene(callers=2, waiting=1)
    scene.send(at=0.0)
    assert not scene.is_worth_a_dial(0.2)
    assert scene.is_worth_a_dial(0.2, slow=True)
    scene.traffic.no_further(0.2)
    assert not scene.is_worth_a_dial(0.3, slow=True)


def test_a_frame_is_slow_that_takes_four_times_as_long_as_the_last_one() -> None:
    scene = Scene(callers=2)
    oldest = scene.send(at=0.0)
    assert scene.traffic.is_stalled(0.05)
    scene.traffic.answered(0.5)
    scene.send(at=1.0)
    scene.traffic.ended(oldest)
    assert not scene.traffic.is_stalled(2.9)
    assert scene.traffic.is_stalled(3.0)
    assert scene.traffic.dial_limit(3.0) == 9.0
