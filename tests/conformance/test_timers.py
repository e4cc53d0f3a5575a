"""The real server's timers, all in one shared wait; the embedded one's by its clock."""

import asyncio

import pytest

from tests.conformance._real import run_alone, shared
from tests.conformance._runner import run_together
from tests.conformance._table import TIMERS
from tests.real import RealServerFactory


@pytest.mark.asyncio
async def test_the_real_server_acts_by_its_clock(real_server_factory: RealServerFactory) -> None:
    """On a server of their own: reservations that others forgot could delay these."""
    server = await asyncio.to_thread(real_server_factory)
    together = [row for row in TIMERS if not row.private]
    async with asyncio.TaskGroup() as group:
        differences = group.create_task(run_together(together, shared(server)))
        for row in TIMERS:
            if row.private:
                group.create_task(run_alone(row))
    assert not differences.result(), "\n\n".join(differences.result())
