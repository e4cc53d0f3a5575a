"""From an address to a connection that has shaken hands, in bounded time."""

import ssl

import anyio
import msgspec

from faktory_async.errors import AddressError, ConnectError, FaktoryError
from faktory_async.net._address import Address
from faktory_async.net._connection import Connection
from faktory_async.net._dial import Dial, as_link, open_link
from faktory_async.net._link import NETWORK_ERRORS, Link
from faktory_async.net._options import Limits, Timeouts
from faktory_async.net._tls import TLS
from faktory_async.protocol import PRODUCER, ClientSession, Identity


class Connector:
    """Makes connections to one server; calling it awaits a new one.

    Args:
        address: Where the server is, and the password.
        tls: How a `tcp+tls://` address is trusted.
        dial: Opens links in place of TCP; the address then only gives user and password.
        identity: Who says HELLO.
        limits: How much a reply may hold.
        timeouts: How long dial and handshake, and later each command, may take.

    Raises:
        AddressError: TLS options for an address without TLS.
    """

    def __init__(
        self,
        address: Address,
        *,
        tls: TLS | None = None,
        dial: Dial | None = None,
        identity: Identity = PRODUCER,
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        if tls is not None and not address.tls:
            raise AddressError(f"TLS options are given, but {address} is not tcp+tls://")
        self.address = address
        self._tls = TLS() if tls is None else tls
        self._dial = dial
        if identity.username is None and address.username is not None:
            identity = msgspec.structs.replace(identity, username=address.username)
        self._identity = identity
        self._limits = Limits() if limits is None else limits
        self._timeouts = Timeouts() if timeouts is None else timeouts
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
        patience = self._timeouts.connect
        try:
            with anyio.move_on_after(patience):
                link = await self._open_link()
                return await Connection.open(
                    link,
                    identity=self._identity,
                    password=self.address.password,
                    timeout=self._timeouts.command,
                    session=ClientSession(max_bulk=self._limits.max_reply),
                )
        except FaktoryError as error:
            error.add_note(f"while connecting to {self.address}")
            raise
        raise ConnectError(f"no connection to {self.address} within {patience:g} s")

    async def _open_link(self) -> Link:
        if self._dial is None:
            return await open_link(self.address, self._tls_context(), self._tls.hostname)
        try:
            return await as_link(self._dial)
        except FaktoryError:
            raise
        except NETWORK_ERRORS as error:
            raise ConnectError(f"the dial failed: {str(error) or type(error).__name__}") from error

    def _tls_context(self) -> ssl.SSLContext | None:
        if self.address.tls and self._context is None:
            self._context = self._tls.make_context()
        return self._context
