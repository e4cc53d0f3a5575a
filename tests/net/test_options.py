"""How much and how long."""

import pytest

from faktory_async.errors import UsageError
from faktory_async.net import Limits, Timeouts


def test_the_limits_and_timeouts_are_those_that_are_documented() -> None:
    assert Limits() == Limits(max_connections=4, max_reply=64 * 1024 * 1024)
    assert Timeouts() == Timeouts(connect=3, pool=5, command=7)


@pytest.mark.parametrize("name", ["max_connections", "max_reply"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_limit_is_at_least_one(name: str, value: int) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        Limits(**{name: value})


@pytest.mark.parametrize("name", ["connect", "pool", "command"])
@pytest.mark.parametrize("value", [0, -1.0, float("nan")])
def test_a_timeout_is_more_than_nothing(name: str, value: float) -> None:
    with pytest.raises(UsageError, match="more than 0 seconds"):
        Timeouts(**{name: value})
