"""Each scene once, and short; by hand they are played again and again."""

import pytest

from tests.adversity.losses import cut, killed, stalled
from tests.real import RealServer

pytestmark = pytest.mark.asyncio
JOBS = 1_000


async def test_a_server_killed_under_load(fresh_real_server: RealServer) -> None:
    assert f"of {JOBS} ran" in await killed(fresh_real_server, jobs=JOBS)


async def test_a_redis_that_stands_still_under_load(fresh_real_server: RealServer) -> None:
    assert f"of {JOBS} ran" in await stalled(fresh_real_server, jobs=JOBS, seconds=0.5)


async def test_connections_that_are_cut_under_load(fresh_real_server: RealServer) -> None:
    assert "ran twice: none" in await cut(fresh_real_server, jobs=JOBS)
