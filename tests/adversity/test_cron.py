"""Three processes run one timetable: a short form of the program beside this."""

import pytest

from tests.adversity.cron import prove
from tests.real import RealServer


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_each_tick_is_worked_once(real_server: RealServer) -> None:
    proof = await prove(real_server, 24)
    assert proof["due"] > 0
    assert (proof["missed"], proof["twice"]) == (0, 0)
