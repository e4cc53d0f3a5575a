"""Each scene once, and the long one made short; by hand they are played again and again."""

import pytest

from faktory_async.worker import _beat_thread
from tests.adversity.endings import blocked, quiet, term
from tests.real import RealServer

pytestmark = pytest.mark.asyncio


async def test_a_blocked_loop(fresh_real_server: RealServer) -> None:
    assert "ACKed" in await blocked(fresh_real_server, seconds=1.5)


async def test_quiet_under_load(
    fresh_real_server: RealServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_beat_thread, "EVERY", 0.2)
    assert "late FETCHes" in await quiet(fresh_real_server)


async def test_term_under_load(fresh_real_server: RealServer) -> None:
    assert "0 working" in await term(fresh_real_server)
