"""Sources of handlers that know their server."""

import ssl
from typing import Protocol, runtime_checkable

from msgspec import Struct

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


class Target(Struct, frozen=True):
    """Where a worker's server is, and how it is reached; as in `Worker`."""

    url: str | Address | None
    dial: Dial | None
    tls: TLS | ssl.SSLContext | None
    timeouts: Timeouts | None

    def __repr__(self) -> str:
        # A URL as text may hold a password; an address shows none.
        return f"<Target {self.url if isinstance(self.url, Address) else '…'}>"

    def completed(self, source: object) -> "Target":
        """Return it, with what a source of handlers knows where this says nothing."""
        if not isinstance(source, Connected):
            return self
        return Target(
            source.url if self.url is None else self.url,
            source.dial if self.dial is None else self.dial,
            source.tls if self.tls is None else self.tls,
            source.timeouts if self.timeouts is None else self.timeouts,
        )
