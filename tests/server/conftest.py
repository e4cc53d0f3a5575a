"""Fixtures for the tests of the server."""

from typing import Any

import pytest

from tests.net._loops import backend
from tests.net._tls import Authority


@pytest.fixture(params=["asyncio", "uvloop", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Run a test that is marked `anyio` on every loop, or on those that it names."""
    return backend(request.param)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Give who certifies the servers and clients of these tests."""
    return Authority(tmp_path_factory.mktemp("tls"))
