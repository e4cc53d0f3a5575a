"""Every test here runs on asyncio, also where tasks begin at once, on uvloop and on trio.

Over real sockets, and in real time.
"""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import pytest

from faktory_async import EmbeddedServer
from tests.net._loops import EAGER, backend


@pytest.fixture(params=["asyncio", EAGER, "uvloop", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, Mapping[str, Any]]:
    return backend(request.param)


@pytest.fixture
async def server() -> AsyncGenerator[EmbeddedServer]:
    """Give an embedded server whose empty FETCH does not wait long."""
    async with EmbeddedServer(fetch_wait=0.1) as server:
        yield server
