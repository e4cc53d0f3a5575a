"""How long a fetched job is ours, on clocks that nobody can trust."""

import pytest

from faktory_async.worker._reservation import Moment, Reservation, effective


def test_the_clock_that_saw_more_time_pass_is_believed() -> None:
    earlier = Moment(100.0, 1_000.0)
    assert Moment(110.0, 1_010.0).since(earlier) == 10
    # The machine slept for an hour: only the wall clock knows.
    assert Moment(110.0, 4_610.0).since(earlier) == 3_610
    # Somebody put the wall clock back.
    assert Moment(110.0, 500.0).since(earlier) == 10


@pytest.mark.parametrize(
    ("reserve_for", "seconds"),
    [(None, 1_800), (0, 1_800), (30, 60), (-1, 60), (60, 60), (100, 100), (86_400, 86_400)],
)
def test_a_reservation_is_as_long_as_the_server_makes_it(
    reserve_for: int | None, seconds: int
) -> None:
    began = Moment(5.0, 7.0)
    reservation = Reservation(began, effective(reserve_for))
    assert reservation.left(began) == seconds
    assert reservation.left(Moment(5.0 + seconds, 7.0)) == 0
    assert reservation.left(Moment(5.0, 8.0 + seconds)) == -1
    assert reservation.over(Moment(5.0 + seconds, 7.0))
    assert not reservation.over(Moment(4.0 + seconds, 6.0 + seconds))


def test_a_reservation_can_be_made_longer() -> None:
    began = Moment(0.0, 0.0)
    reservation = Reservation(began, 60)
    reservation.seconds = 90
    assert reservation.left(Moment(60.0, 60.0)) == 30
