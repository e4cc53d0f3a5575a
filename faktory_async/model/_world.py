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
    """The same without making a `datetime` for every look at the clock."""

    def time(self) -> float:
        return time.time()


_REAL: Final = _RealWorld()
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
