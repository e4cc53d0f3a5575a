"""How long a fetched job is surely ours. Pure."""

from typing import Final

from msgspec import Struct

# What the server makes of a job's `reserve_for`.
_DEFAULT: Final = 1_800
_LEAST: Final = 60


class Moment(Struct, frozen=True):
    """A point in time on two clocks: neither tells alone how much time has passed.

    A monotonic clock stands still while the machine sleeps, the wall clock can be put back.

    Attributes:
        monotonic: The event loop's clock, in seconds.
        wall: The wall clock, in Unix seconds.
    """

    monotonic: float
    wall: float

    def since(self, earlier: "Moment") -> float:
        """Return the seconds that passed: what the clock says that saw more of them."""
        return max(self.monotonic - earlier.monotonic, self.wall - earlier.wall)


class Reservation(Struct, eq=False):
    """The server's promise not to give a job to anybody else for a time.

    Attributes:
        began: When its FETCH was sent: the reservation is not older.
        seconds: How long it lasts; Enterprise can make it longer.
    """

    began: Moment
    seconds: float

    def left(self, now: Moment) -> float:
        """Return the seconds for which it surely still holds; none or less when it is over."""
        return self.seconds - now.since(self.began)

    def over(self, now: Moment) -> bool:
        """Whether it may have run out."""
        return now.since(self.began) >= self.seconds


def effective(reserve_for: int | None) -> int:
    """Return how many seconds the server makes of what a job says."""
    # The server takes 0 for "not given".
    return max(reserve_for, _LEAST) if reserve_for else _DEFAULT
