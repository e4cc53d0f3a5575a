"""Moving the clock: everything between now and then happens at once, in its order."""

from collections.abc import Callable

from faktory_async.server._broker import Broker
from faktory_async.server._connection import Connection


def travel(
    broker: Broker,
    move: Callable[[int], None],
    nanoseconds: int,
    *,
    expire_reservations: bool,
) -> list[Connection]:
    """Set the clock forward and run every tick on the way; then serve who waits in FETCH.

    Connected workers count as having beaten all the time. Ticks at which nothing is due are only
    counted.

    Args:
        broker: Whose clock it is.
        move: Sets that clock forward by so many nanoseconds.
        nanoseconds: How far, at least 0.
        expire_reservations: Whether jobs in work run out of time; else they keep what they have.

    Returns:
        The connections that are to be closed, as of `Broker.run_due`.
    """
    closing = broker.run_due()
    broker.workers.beat_all(broker.clock() + nanoseconds)
    if not expire_reservations:
        broker.working.extend_all(nanoseconds)
    with broker.nobody_served():
        move(nanoseconds)
        closing += broker.run_due()
    return closing
