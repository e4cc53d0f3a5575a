"""The pytest fixtures that hand out real servers, and the mark of the tests that use them."""

import contextlib
import os
from collections.abc import Iterator
from typing import Literal, Protocol

import pytest

from tests.real._build import RealServerMissingError, faktory_binary
from tests.real._process import RealServer

__all__ = ["RealServerFactory"]

_HOW_TO_GET_IT = (
    "run `bash tests/run` as root on Debian, or install redis-server and Go 1.25 or newer"
)


class RealServerFactory(Protocol):
    """Start one more real server; it is stopped at the end of the test."""

    def __call__(
        self,
        *,
        password: str | None = None,
        tls: tuple[bytes, bytes] | None = None,
        log_level: Literal["info", "debug"] = "info",
    ) -> RealServer: ...


def pytest_itemcollected(item: pytest.Item) -> None:
    if "real_server_executable" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.real)


@pytest.fixture(scope="session")
def real_server_executable() -> None:
    """Build the server, or say loudly why the tests against it cannot run."""
    try:
        faktory_binary()
    except RealServerMissingError as error:
        message = f"no real Faktory server: {error} - {_HOW_TO_GET_IT}"
        if os.environ.get("CI"):
            pytest.fail(message, pytrace=False)
        pytest.skip(message)


@pytest.fixture(scope="session")
def real_server(real_server_executable: None) -> Iterator[RealServer]:
    """Share one running server among all tests; each uses queue names of its own."""
    with RealServer() as server:
        yield server


@pytest.fixture
def real_server_factory(real_server_executable: None) -> Iterator[RealServerFactory]:
    """Start servers of the test's own, by keyword arguments of `RealServer`."""
    with contextlib.ExitStack() as servers:

        def start(
            *,
            password: str | None = None,
            tls: tuple[bytes, bytes] | None = None,
            log_level: Literal["info", "debug"] = "info",
        ) -> RealServer:
            return servers.enter_context(
                RealServer(password=password, tls=tls, log_level=log_level)
            )

        yield start


@pytest.fixture
def fresh_real_server(real_server_factory: RealServerFactory) -> RealServer:
    """Start a server for this test alone."""
    return real_server_factory()
