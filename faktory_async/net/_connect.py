"""From an address to a connection that has shaken hands, in bounded time."""

import copy
import ssl
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import anyio
import msgspec

from faktory_async.errors import AddressError, ConnectError, FaktoryError, UsageError
from faktory_async.net._address import Address
from faktory_async.net._blocking import BlockingConnection
from faktory_async.net._connection import Connection
from faktory_async.net._dial import Dial, as_link, open_link
from faktory_async.net._failures import harmless, words
from faktory_async.net._link import NETWORK_ERRORS, Link
from faktory_async.net._options import Limits, Timeouts
from faktory_async.net._tls import TLS
from faktory_async.protocol import PRODUCER, ClientSession, Identity

_O = TypeVar("_O", Limits, Timeouts)

# What the options of a URL are called in `Limits`, `Timeouts` and `TLS`.
_LIMITS: Final = {
    name: name for name in ("max_connections", "max_idle", "idle_expiry", "max_job", "max_reply")
}
_TIMEOUTS: Final = {f"{name}_timeout": name for name in ("connect", "pool", "command")}
_TLS_FILES: Final = {name: name for name in ("ca", "cert", "key", "server_name")}


class Connector:
    """Makes connections to one server; calling it awaits a new one.

    Args:
        address: Where the server is, and the password.
        tls: How a `tcp+tls://` address is trusted, or a context of your own.
        dial: Opens links in place of TCP; the address then only gives user and password.
        identity: Who says HELLO.
        limits: How much a reply may hold.
        timeouts: How long dial and handshake, and later each command, may take.
        skip: Whether a reply over its limit is skipped, or ends the connection.

    Attributes:
        address: Where the server is.
        limits: Those that were given, else those of the address' options.
        timeouts: Likewise.

    Raises:
        AddressError: TLS options for an address without TLS, or options that make no sense.
    """

    def __init__(
        self,
        address: Address,
        *,
        tls: TLS | ssl.SSLContext | None = None,
        dial: Dial | None = None,
        identity: Identity = PRODUCER,
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
        skip: bool = False,
    ) -> None:
        self.address = address
        self.limits = limits or _from_url(Limits, address, _LIMITS)
        self.timeouts = timeouts or _from_url(Timeouts, address, _TIMEOUTS)
        self._tls = _tls(address, tls)
        self._dial = dial
        self._skip = skip
        self._identity = _named(identity, address)
        self._context: ssl.SSLContext | None = None

    async def __call__(self) -> Connection:
        """Dial and shake hands.

        Raises:
            ConnectError: no connection in time, or none at all.
            AuthenticationError: the password is wrong or missing.
            ProtocolError: the peer is no Faktory.
            TooManyConnectionsError: the server is full. For all of them `maybe_executed` is False.

        Cancellation closes what was opened so far.
        """
        patience = self.timeouts.connect
        link: Link | None = None
        try:
            with anyio.move_on_after(patience):
                link = await self._open_link()
                return await Connection.open(
                    link,
                    identity=self._identity,
                    password=self.address.password,
                    timeout=self.timeouts.command,
                    session=ClientSession(max_bulk=self.limits.max_reply, skip=self._skip),
                )
        except FaktoryError as error:
            error.add_note(f"while connecting to {self.address}")
            raise
        if link is None:
            raise ConnectError(f"no connection to {self.address} within {patience:g} s")
        raise ConnectError(_why_no_handshake(self.address, patience))

    def speaking_as(self, identity: Identity) -> "Connector":
        """Return a connector to the same server that says HELLO as somebody else."""
        other = copy.copy(self)
        other._identity = _named(identity, self.address)  # noqa: SLF001 - one of its own kind
        return other

    @property
    def dials_by_itself(self) -> bool:
        """Whether it knows how to connect without a `dial` of the user's own."""
        return self._dial is None

    def open_blocking(self, hold: Callable[[BlockingConnection], None]) -> BlockingConnection:
        """Dial and shake hands over a blocking socket, for a thread.

        Args:
            hold: Gets the connection before it is dialled, so that another thread can interrupt it.

        Raises:
            FaktoryError: as a call does; `maybe_executed` is False.
        """
        server_name = self._tls.server_name
        connection = BlockingConnection(self.address, self._tls_context(), server_name)
        hold(connection)
        try:
            connection.open(self._identity, self.timeouts.connect)
        except FaktoryError as error:
            error.add_note(f"while connecting to {self.address}")
            raise
        return connection

    async def _open_link(self) -> Link:
        if self._dial is None:
            return await open_link(self.address, self._tls_context(), self._tls.server_name)
        try:
            return await as_link(self._dial)
        except FaktoryError as error:
            if error.maybe_executed:
                raise harmless(error) from error  # no command was there to be executed
            raise
        except (*NETWORK_ERRORS, anyio.BusyResourceError) as error:
            raise ConnectError(f"the dial failed: {words(error)}") from error

    def _tls_context(self) -> ssl.SSLContext | None:
        if self.address.tls and self._context is None:
            self._context = self._tls.make_context()
        return self._context


def _named(identity: Identity, address: Address) -> Identity:
    if identity.username is None and address.username is not None:
        return msgspec.structs.replace(identity, username=address.username)
    return identity


def _why_no_handshake(address: Address, patience: float) -> str:
    hint = "" if address.tls else "; one that speaks TLS needs tcp+tls://"
    return (
        f"{address} took the connection, but did not shake hands within {patience:g} s: "
        f"is a Faktory running there, and is it its command port, usually 7419{hint}?"
    )


def _from_url(kind: type[_O], address: Address, names: Mapping[str, str]) -> _O:
    try:
        return kind(**address.options.chosen(names))
    except UsageError as error:
        raise AddressError(f"the options of {address}: {error}") from None


def _tls(address: Address, given: TLS | ssl.SSLContext | None) -> TLS:
    """Return how to trust: what the program gives goes before what the URL says."""
    said = address.options.chosen(_TLS_FILES)
    if (given is not None or said) and not address.tls:
        raise AddressError(f"TLS options are given, but {address} is not tcp+tls://")
    if isinstance(given, ssl.SSLContext):
        return TLS(context=given, server_name=address.options.server_name)
    return TLS(**said) if given is None else given
