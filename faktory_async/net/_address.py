"""Where a Faktory is: a URL, or the environment's word for one. Pure."""

import os
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from msgspec import Struct

from faktory_async.errors import AddressError

DEFAULT_PORT: Final = 7419
_PLAIN, _TLS = "tcp", "tcp+tls"
_MAX_PORT: Final = 65_535
_SCHEME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
_CONTROL: Final = re.compile(r"[\x00-\x20\x7f]")
_SHAPE: Final = "tcp://[:PASSWORD@]HOST[:PORT], or tcp+tls://…"


class Address(Struct, frozen=True, kw_only=True):
    """The address of a Faktory.

    Attributes:
        host: A name or an IP address, without brackets.
        port: The command port.
        tls: Whether the connection is encrypted.
        username: Sent with HELLO; the server ignores it.
        password: Sent hashed. Not part of `str` and `repr`.

    Raises:
        AddressError: when nobody could be asked for the host, or the port is none.
    """

    host: str = "localhost"
    port: int = DEFAULT_PORT
    tls: bool = False
    username: str | None = None
    password: str | None = None

    def __post_init__(self) -> None:
        check_name(self.host)
        if not 1 <= self.port <= _MAX_PORT:
            raise AddressError(f"a port is between 1 and {_MAX_PORT}")

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Read a URL: `tcp://` or `tcp+tls://`, `[user][:password]@`, host, `:port`.

        User and password are percent-decoded; the port is 7419 where none is given; an IPv6
        address stands in brackets.

        Raises:
            AddressError: when the text is no such URL. The message never shows the password.
        """
        if _CONTROL.search(url):
            raise AddressError(f"a URL has no spaces or control characters: expected {_SHAPE}")
        if not _SCHEME.match(url):
            raise AddressError(f"a URL begins with tcp:// or tcp+tls://: expected {_SHAPE}")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            # The error of urlsplit may quote what stands behind an unescaped / or #: a password.
            raise AddressError(
                f"the URL has no readable host and port: expected {_SHAPE}"
            ) from None
        if parts.scheme not in (_PLAIN, _TLS):
            raise AddressError(f"{parts.scheme}:// is not spoken here: expected {_SHAPE}")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise AddressError(
                "nothing may follow host and port; a / ? or # in the password is written "
                "percent-encoded (%2F %3F %23)"
            )
        if not host:
            raise AddressError(f"the URL names no host: expected {_SHAPE}")
        return cls(
            host=host,
            port=DEFAULT_PORT if port is None else port,
            tls=parts.scheme == _TLS,
            username=_decoded(parts.username) or None,
            password=_decoded(parts.password),
        )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> "Address":
        """Read the address from the environment, as every Faktory client does.

        `FAKTORY_PROVIDER` names the variable that holds the URL; without it that is
        `FAKTORY_URL`; without both the address is `tcp://localhost:7419`.

        Raises:
            AddressError: when the variable that is named does not exist or holds no URL.
        """
        environ = os.environ if environ is None else environ
        provider = environ.get("FAKTORY_PROVIDER")
        if provider and ":" in provider:
            raise AddressError(
                "FAKTORY_PROVIDER holds the name of a variable, not a URL: "
                "put the URL into FAKTORY_URL"
            )
        name = provider or "FAKTORY_URL"
        url = environ.get(name)
        if not url:
            if provider:
                raise AddressError(f"FAKTORY_PROVIDER names {name}, which is not set")
            return cls()
        try:
            return cls.parse(url)
        except AddressError as error:
            raise AddressError(f"{name}: {error}") from None

    @classmethod
    def resolve(cls, url: "str | Address | None") -> "Address":
        """Return the address of a URL, the address itself, or for None the environment's.

        Raises:
            AddressError: as `parse` and `from_environment` do.
        """
        if url is None:
            return cls.from_environment()
        return cls.parse(url) if isinstance(url, str) else url

    @property
    def url(self) -> str:
        """The URL without user and password: what messages and logs show."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{_TLS if self.tls else _PLAIN}://{host}:{self.port}"

    @property
    def secret_url(self) -> str:
        """The whole URL, password included: what another process needs to connect."""
        user = quote(self.username or "", safe="")
        secret = "" if self.password is None else f":{quote(self.password, safe='')}"
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{user}{secret}@{rest}" if user or secret else self.url

    def __str__(self) -> str:
        return self.url

    def __repr__(self) -> str:
        return f"Address({self.url!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        # Every struct has one, which shows all fields.
        return [("url", self.url)]


def check_name(host: str) -> None:
    """Refuse a host that nobody can even be asked for.

    Raises:
        AddressError: Its text does not show the host, which may be a mistaken password.
    """
    try:
        if ":" not in host:
            host.encode("idna")
    except UnicodeError:
        raise AddressError("the name of the host has a part that is empty or too long") from None


def _decoded(part: str | None) -> str | None:
    if part is None:
        return None
    try:
        decoded = unquote(part, errors="strict")
        decoded.encode()
    except UnicodeError:  # its text shows what it could not read
        raise AddressError("user and password are UTF-8, percent-encoded where needed") from None
    return decoded
