"""Every test here runs on asyncio, uvloop and trio, over real sockets and in real time."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import pytest

from faktory_async import EmbeddedServer

_BACKENDS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "asyncio": ("asyncio", {"use_uvloop": False}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}


@pytest.fixture(params=_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, Mapping[str, Any]]:
    return _BACKENDS[request.param]


@pytest.fixture
async def server() -> AsyncGenerator[EmbeddedServer]:
    """Give an embedded server whose empty FETCH does not wait long."""
    async with EmbeddedServer(fetch_wait=0.1) as server:
        yield server
