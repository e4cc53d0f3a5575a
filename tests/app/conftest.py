"""Every async test here runs on asyncio, uvloop and trio, with a server in memory."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from faktory_async import App, EmbeddedServer
from tests.net._loops import backend


@pytest.fixture(params=["asyncio", "uvloop", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return backend(request.param)


@pytest.fixture
async def server() -> AsyncGenerator[EmbeddedServer]:
    """Give a server whose empty FETCH does not wait long."""
    async with EmbeddedServer(fetch_wait=0.02) as server:
        yield server


@pytest.fixture
async def app(server: EmbeddedServer) -> App:
    """Give an app without jobs, to be opened by the test."""
    return App(dial=server.dial)
