"""Which queues a FETCH names, and in which order. Pure."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from faktory_async.errors import UsageError
from faktory_async.model import world
from faktory_async.protocol import Fetch

Queues: TypeAlias = Sequence[str] | Mapping[str, float] | Callable[[], Sequence[str]]
"""Where a worker fetches.

A sequence is a strict order: as long as the first one holds jobs, the others wait. A mapping from
queue to weight is drawn anew for every FETCH: how often a queue comes first is in proportion to its
weight, and all of them are always named. A function is asked before every FETCH; while it returns
nothing, nothing is fetched.
"""

Choice: TypeAlias = Callable[[], Sequence[str]]

_REMEMBERED: Final = 256  # commands; a few queues have that many orders


def choice(queues: Queues) -> Choice:
    """Return what names the queues of one FETCH each time it is called.

    Raises:
        UsageError: a name that is none, a weight that is not above 0, or no queue at all.
    """
    if callable(queues):
        return _asked(queues)
    if isinstance(queues, str):
        raise UsageError(f"queues is a sequence of names: write [{queues!r}]")
    names = tuple(dict.fromkeys(queues))
    Fetch(names)  # looks at each name
    if isinstance(queues, Mapping):
        return _weighted(dict(queues))
    return lambda: names


def _asked(function: Choice) -> Choice:
    commands = Commands()

    def ask() -> Sequence[str]:
        queues = function()
        if isinstance(queues, str):
            raise UsageError(f"the function must return a sequence of names, not {queues!r}")
        names = tuple(dict.fromkeys(queues))
        if names:
            commands.fetch(names)  # looks at each name
        return names

    return ask


def _weighted(weights: dict[str, float]) -> Choice:
    for queue, weight in weights.items():
        if not _is_weight(weight):
            raise UsageError(f"the weight of queue {queue!r} is {weight!r}, and no number above 0")
    numbers = {queue: float(weight) for queue, weight in weights.items()}
    return lambda: _draw(numbers)


def _is_weight(weight: float) -> bool:
    try:
        return 0 < float(weight) < math.inf
    except (TypeError, ValueError, OverflowError):
        return False


def _draw(weights: dict[str, float]) -> Sequence[str]:
    """Return the queues in a random order: each is next by its share of the weight that is left."""
    uniform = world().uniform
    # Of exponentially distributed waits, the shortest one belongs to a queue by its share.
    waits = {queue: -math.log(1 - uniform()) / weight for queue, weight in weights.items()}
    return sorted(waits, key=waits.__getitem__)


def check_limits(limits: Mapping[str, int] | None) -> dict[str, int]:
    """Return how many jobs of a queue may be worked at the same time, for the limited ones.

    Raises:
        UsageError: a name that is none, or a limit below 1.
    """
    checked = dict(limits or {})
    if checked:
        Fetch(tuple(checked))
    for queue, limit in checked.items():
        if type(limit) is not int or limit < 1:
            raise UsageError(
                f"the limit of queue {queue!r} is {limit!r}, and no whole number of 1 or more"
            )
    return checked


class Commands:
    """FETCH commands by their queues; making one anew means looking at every name."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, ...], Fetch] = {}

    def fetch(self, queues: Sequence[str]) -> Fetch:
        """Return the FETCH of these queues, which are at least one.

        Raises:
            UsageError: a name that is none.
        """
        key = tuple(queues)
        command = self._made.get(key)
        if command is None:
            if len(self._made) >= _REMEMBERED:
                self._made.clear()
            command = self._made[key] = Fetch(key)
        return command
