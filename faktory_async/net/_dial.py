"""From an address to a link: TCP, with TLS where the address says so, or a Unix socket."""

import asyncio
import errno
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import anyio
from anyio.abc import ByteStream, SocketAttribute

from faktory_async.errors import ConnectError, TLSError
from faktory_async.net._address import Address
from faktory_async.net._asyncio_link import AsyncioLink, keep_alive
from faktory_async.net._link import NETWORK_ERRORS, Link
from faktory_async.net._race import connected_socket
from faktory_async.net._stream_link import StreamLink

# OpenSSL's codes for a name and for an IP address that the certificate does not have.
_OTHER_NAME: Final = (62, 64)

Dial: TypeAlias = Callable[[], Awaitable[Link | ByteStream]]
"""The one seam for other transports: returns a new, open link, or a bare stream of anyio."""

# What a Faktory without TLS makes of a ClientHello, as OpenSSL versions name it.
_PLAIN_PEER: Final = ("WRONG_VERSION_NUMBER", "UNEXPECTED_MESSAGE", "PACKET_LENGTH_TOO_LONG")


async def open_link(
    address: Address, context: ssl.SSLContext | None, hostname: str | None = None
) -> Link:
    """Connect to the address.

    Args:
        address: Where to.
        context: How TLS is done; None for a plain connection.
        hostname: The name the certificate must have; the address' host by default.

    Raises:
        ConnectError: when no connection can be made; `maybe_executed` is False.
        TLSError: when TLS cannot be agreed on or the certificate is not trusted.

    Cancellation closes what was opened so far.
    """
    name = (hostname or address.host) if context is not None else None
    try:
        if on_asyncio():
            return await _open_on_asyncio(address, context, name)
        return await _open_by_anyio(address, context, name)
    except (*NETWORK_ERRORS, ValueError) as error:  # a name that cannot be asked for
        raise explained(address, error) from error


def explained(address: Address, error: Exception) -> ConnectError:
    """Return why no connection to the address could be made, in words that help."""
    if isinstance(error, ssl.SSLError):
        return TLSError(_why_no_tls(address, error))
    return ConnectError(_why_not(address, error))


async def as_link(dial: Dial) -> Link:
    """Call a user's dial and wrap a bare stream."""
    opened = await dial()
    return StreamLink(opened) if isinstance(opened, ByteStream) else opened


def on_asyncio() -> bool:
    """Tell whether asyncio (or uvloop) runs the calling task."""
    try:
        return asyncio.current_task() is not None
    except RuntimeError:
        return False


async def _open_on_asyncio(
    address: Address, context: ssl.SSLContext | None, name: str | None
) -> Link:
    loop = asyncio.get_running_loop()
    if address.path is not None:
        _, link = await loop.create_unix_connection(AsyncioLink, address.path)
        return link
    sock = await connected_socket(address.host, address.port)
    try:
        keep_alive(sock)
        _, link = await loop.create_connection(
            AsyncioLink, sock=sock, ssl=context, server_hostname=name
        )
    except BaseException:
        sock.close()
        raise
    return link


async def _open_by_anyio(
    address: Address, context: ssl.SSLContext | None, name: str | None
) -> Link:
    if address.path is not None:
        return StreamLink(await anyio.connect_unix(address.path))
    if context is None:
        stream: ByteStream = await anyio.connect_tcp(address.host, address.port)
    else:
        stream = await anyio.connect_tcp(
            address.host,
            address.port,
            tls=True,
            ssl_context=context,
            tls_hostname=name,
            tls_standard_compatible=False,
        )
    try:
        keep_alive(stream.extra(SocketAttribute.raw_socket))
    except BaseException:
        await anyio.aclose_forcefully(stream)
        raise
    return StreamLink(stream)


def _why_no_tls(address: Address, error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        message = error.verify_message.rstrip(".")
        if error.verify_code in _OTHER_NAME:
            return (
                f"the certificate of {address} is for another name: {message}. "
                "Which name to expect is said by TLS(server_name=…)"
            )
        return (
            f"the certificate of {address} is not trusted: {message}. "
            "A certificate of your own is trusted by TLS(ca=…)"
        )
    if error.reason in _PLAIN_PEER:
        return f"{address} does not speak TLS: use tcp:// instead of tcp+tls://"
    return f"no TLS with {address}: {error.reason or error}"


def _why_not(address: Address, error: BaseException) -> str:
    if isinstance(error, socket.gaierror):
        return f"the host of {address} has no address: {error.strerror}"
    if isinstance(error, FileNotFoundError):
        return f"there is no socket {address}: is a Faktory, or its proxy, running there?"
    # Where a name has several addresses, the loops only say so in the text of a bare OSError.
    texts = _all_texts(error)
    if "refused" in texts or f"errno {errno.ECONNREFUSED}" in texts:
        return f"nothing listens on {address}: is a Faktory running there?"
    if isinstance(error, ConnectionResetError | EOFError) or not str(error):
        return f"{address} ended the connection before it was made"
    return f"no connection to {address}: {error}"


def _all_texts(error: BaseException | None) -> str:
    texts: list[str] = []
    while error is not None:
        texts += [str(each) for each in getattr(error, "exceptions", ())]
        texts.append(str(error))
        error = error.__cause__
    return " ".join(texts).lower()
