"""Who waits in front sees to it that nobody waits too long."""

import pytest

from faktory_async.client._line import Line
from faktory_async.client._waiter import Waiter
from faktory_async.net import Native, Right

pytestmark = pytest.mark.anyio


def in_line(line: Line, number: int) -> Waiter:
    """Put one into the line that waits for an event already."""
    waiter = Waiter(f"jid{number}", b"{}", number, 5.0, 5.0, strict=False)
    line.append(waiter)
    waiter.event = Native().event()
    return waiter


def is_awake(waiter: Waiter) -> bool:
    return waiter.event is not None and waiter.event.done()


async def test_when_the_first_one_leaves_only_the_next_one_learns_that_it_is_in_front() -> None:
    line = Line()
    first, second, third = (in_line(line, number) for number in range(3))
    line.remove(first)
    assert is_awake(second)
    assert not is_awake(third)


async def test_when_one_leaves_that_was_to_lead_the_next_one_learns_that_it_is_in_front() -> None:
    line = Line()
    first, second, third = (in_line(line, number) for number in range(3))
    first.lead(Right())
    line.remove(first)
    assert is_awake(second)
    assert not is_awake(third)


async def test_when_one_leaves_from_behind_nobody_has_to_look_around() -> None:
    line = Line()
    first, second, third = (in_line(line, number) for number in range(3))
    line.remove(second)
    assert not is_awake(first)
    assert not is_awake(third)
