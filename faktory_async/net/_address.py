"""Where a Faktory is: a URL, or the environment's word for one. Pure."""

import os
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

import msgspec
from msgspec import Struct

from faktory_async.errors import AddressError
from faktory_async.net._url_options import UrlOptions

DEFAULT_PORT: Final = 7419
_PLAIN, _TLS, _UNIX = "tcp", "tcp+tls", "unix"
_MAX_PORT: Final = 65_535
_SCHEME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
_CONTROL: Final = re.compile(r"[\x00-\x20\x7f]")
_USUAL_NAME: Final = re.compile(r"[A-Z][A-Z0-9_]*_URL")  # of a variable that holds one
_SHAPE: Final = "tcp://[:PASSWORD@]HOST[:PORT], tcp+tls://… or unix://[:PASSWORD@]/PATH"


class Address(Struct, frozen=True, kw_only=True):
    """The address of a Faktory.

    Attributes:
        host: A name or an IP address, without brackets.
        port: The command port.
        tls: Whether the connection is encrypted.
        path: A Unix socket that is used in place of host and port, such as a proxy's.
        username: Sent with HELLO; the server ignores it.
        password: Sent hashed. Not part of `str` and `repr`.
        options: Limits, timeouts and TLS files that the URL gives; what the program gives goes
            before them.

    Raises:
        AddressError: when nobody could be asked for the host, or the port is none.
    """

    host: str = "localhost"
    port: int = DEFAULT_PORT
    tls: bool = False
    username: str | None = None
    password: str | None = None
    path: str | None = None
    options: UrlOptions = UrlOptions()

    def __post_init__(self) -> None:
        if self.path is not None:
            _check_path(self.path, tls=self.tls)
        check_name(self.host)
        if not 1 <= self.port <= _MAX_PORT:
            raise AddressError(f"a port is between 1 and {_MAX_PORT}")

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Read a URL: `tcp://` or `tcp+tls://`, `[user][:password]@`, host, `:port`, `?options`.

        User and password are percent-decoded; the port is 7419 where none is given; an IPv6
        address stands in brackets. `unix://` is followed by the path of a socket in place of host
        and port. The options are those of `UrlOptions`: `?max_connections=8&command_timeout=2s`.

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
        if parts.scheme not in (_PLAIN, _TLS, _UNIX):
            raise AddressError(f"{parts.scheme}:// is not spoken here: expected {_SHAPE}")
        if parts.fragment or (parts.scheme != _UNIX and parts.path not in ("", "/")):
            raise AddressError(
                "only ?options may follow host and port; a / ? or # in the password is written "
                "percent-encoded (%2F %3F %23)"
            )
        if (host is None) != (parts.scheme == _UNIX):
            raise AddressError(
                f"the URL names {'no' if host is None else 'a'} host: expected {_SHAPE}"
            )
        return cls(
            host=host or "localhost",
            port=DEFAULT_PORT if port is None else port,
            tls=parts.scheme == _TLS,
            path=_decoded(parts.path) if parts.scheme == _UNIX else None,
            username=_decoded(parts.username) or None,
            password=_decoded(parts.password),
            options=UrlOptions.parse(parts.query) if parts.query else UrlOptions(),
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
                raise AddressError(_not_there(provider, empty=url is not None))
            return cls()
        try:
            return cls.parse(url)
        except AddressError as error:
            raise AddressError(f"{name}: {error}") from None

    @classmethod
    def resolve(cls, url: "str | Address | None", password: str | None = None) -> "Address":
        """Return the address of a URL, the address itself, or for None the environment's.

        Args:
            url: Where the server is.
            password: Goes before the URL's own.

        Raises:
            AddressError: as `parse` and `from_environment` do.
        """
        if url is None:
            address = cls.from_environment()
        else:
            address = cls.parse(url) if isinstance(url, str) else url
        if password is not None:
            address = msgspec.structs.replace(address, password=password)
        return address

    @property
    def url(self) -> str:
        """The URL without user, password and options: what messages and logs show."""
        return self._url("")

    @property
    def secret_url(self) -> str:
        """The whole URL, password included: what another process needs to connect."""
        user = quote(self.username or "", safe="")
        secret = "" if self.password is None else f":{quote(self.password, safe='')}"
        query = self.options.query
        return self._url(f"{user}{secret}@" if user or secret else "") + (
            f"?{query}" if query else ""
        )

    def _url(self, user: str) -> str:
        if self.path is not None:
            return f"{_UNIX}://{user}{quote(self.path)}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{_TLS if self.tls else _PLAIN}://{user}{host}:{self.port}"

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


def _not_there(provider: str, *, empty: bool) -> str:
    # What is no variable and is not called like one may be a password in the wrong place.
    if empty:
        return f"FAKTORY_PROVIDER names {provider}, which is empty"
    if _USUAL_NAME.fullmatch(provider):
        return f"FAKTORY_PROVIDER names {provider}, which is not set"
    return "FAKTORY_PROVIDER names a variable that is not set; its value is not shown here"


def _check_path(path: str, *, tls: bool) -> None:
    if tls:
        raise AddressError("a Unix socket does not need TLS, and gets none")
    if not path.strip("/") or "\0" in path:
        raise AddressError("unix:// is followed by the path of a socket: unix:///run/faktory.sock")


def _decoded(part: str | None) -> str | None:
    if part is None:
        return None
    try:
        decoded = unquote(part, errors="strict")
        decoded.encode()
    except UnicodeError:  # its text shows what it could not read
        raise AddressError(
            "user, password and path are UTF-8, percent-encoded where needed"
        ) from None
    return decoded
