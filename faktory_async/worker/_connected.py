"""Sources of handlers that know their server."""

import ssl
from typing import Protocol, runtime_checkable

from faktory_async.net import TLS, Address, Dial, Timeouts


@runtime_checkable
class Connected(Protocol):
    """A `HandlerSource` that knows its server: what a worker was not told itself, it takes here."""

    @property
    def url(self) -> str | Address | None:
        """Where the server is."""
        ...

    @property
    def dial(self) -> Dial | None:
        """What opens links in place of TCP."""
        ...

    @property
    def tls(self) -> TLS | ssl.SSLContext | None:
        """How it is trusted."""
        ...

    @property
    def timeouts(self) -> Timeouts | None:
        """How long anything may take."""
        ...


def completed(
    source: Connected,
    url: str | Address | None,
    dial: Dial | None,
    tls: TLS | ssl.SSLContext | None,
    timeouts: Timeouts | None,
) -> tuple[str | Address | None, Dial | None, TLS | ssl.SSLContext | None, Timeouts | None]:
    """Return these, and where there is none, what the source says."""
    return (
        source.url if url is None else url,
        source.dial if dial is None else dial,
        source.tls if tls is None else tls,
        source.timeouts if timeouts is None else timeouts,
    )
