"""What pytest loads by the entry point `faktory_async`; on its own it imports next to nothing."""

from collections.abc import Iterator
from typing import Any

import pytest

from faktory_async import testing
from faktory_async.errors import UsageError

_MARKER = (
    "faktory_server(password=None, fetch_wait=0.05, **options): how the server of the fixture "
    "`faktory_server` is to be; the options are those of EmbeddedServer"
)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def faktory_server(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator["testing.FaktoryServer"]:
    """A Faktory in memory for one test, on a free port.

    During the test `FAKTORY_URL` names it, and `FAKTORY_PROVIDER`, which would outrank that, is not
    set: `Client()` and `Worker()` find it without being told. It runs on a thread of its own, so it
    is the same in a plain test and under pytest-asyncio, anyio and trio.

    `@pytest.mark.faktory_server(password="secret")` configures it.
    """
    with testing.FaktoryServer(**_options(request.node)) as server:
        monkeypatch.setenv("FAKTORY_URL", server.url)
        monkeypatch.delenv("FAKTORY_PROVIDER", raising=False)
        yield server


@pytest.fixture
def faktory(faktory_server: "testing.FaktoryServer") -> "testing.Faktory":
    """The server of `faktory_server`, with what tests of typed jobs need.

    faktory.assert_pushed(send_welcome, args=("a@b.c",), count=1)
    [ran] = await faktory.drain(app)
    """
    return testing.Faktory(faktory_server)


def _options(node: pytest.Item) -> dict[str, Any]:
    """Return what the markers of a test say, those nearer to it over those of class and module."""
    options: dict[str, Any] = {}
    for marker in node.iter_markers("faktory_server"):
        if marker.args:
            raise UsageError("the marker faktory_server takes its options by name")
        options = {**marker.kwargs, **options}
    return options
