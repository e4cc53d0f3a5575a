"""Now and randomness: the only way by which the pure parts learn of the world outside.

A test gives a world of its own to whatever it calls:

    with use_world(FrozenWorld()):
        job = Job("order")
"""

import os
import random
import time
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final

_STOCK: Final = 256  # tokens


class World:
    """The real clock and the operating system's randomness; a test may override any of it."""

    def utcnow(self) -> datetime:
        """Return the present moment, aware and in UTC."""
        return datetime.now(UTC)

    def time(self) -> float:
        """Return the present moment in Unix seconds."""
        return self.utcnow().timestamp()

    def token(self, nbytes: int) -> str:
        """Return `nbytes` random bytes as URL-safe text, fit for an id that nobody can guess."""
        return os.urandom(nbytes).hex()

    def uniform(self) -> float:
        """Return a random number from [0, 1), for jitter; it protects nothing."""
        return random.random()  # noqa: S311 - spreads load, keeps no secret


class _RealWorld(World):
    """The same for less: no `datetime` for every look at the clock, and tokens in stock."""

    def __init__(self) -> None:
        self._stock: dict[int, list[str]] = {}

    def time(self) -> float:
        return time.time()

    def token(self, nbytes: int) -> str:
        try:
            return self._stock[nbytes].pop()  # in one step: threads never get the same one
        except LookupError:
            return self._fill_stock(nbytes)

    def _fill_stock(self, nbytes: int) -> str:
        # To ask the system for one at a time costs as much as all else about an id.
        digits = os.urandom(nbytes * _STOCK).hex()
        size = 2 * nbytes
        first, *others = (digits[at : at + size] for at in range(0, len(digits), size))
        self._stock[nbytes] = others
        return first

    def empty_stock(self) -> None:
        """Forget what a fork has given to two processes."""
        self._stock.clear()


_REAL: Final = _RealWorld()
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_REAL.empty_stock)
current_world: Final[ContextVar[World]] = ContextVar("faktory_async_world", default=_REAL)


def world() -> World:
    """Return the world that this context lives in."""
    return current_world.get()


@contextmanager
def use_world(other: World) -> Generator[World]:
    """Let everything that is called within this context see `other` instead of the real world.

    It is inherited the way contextvars are: by tasks started within, not by bare threads.

    Args:
        other: The world to live in.

    Yields:
        `other`.
    """
    token = current_world.set(other)
    try:
        yield other
    finally:
        current_world.reset(token)
