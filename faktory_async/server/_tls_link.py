"""TLS as bytes over another link, from the server's side."""

import contextlib
import os
import ssl
from collections.abc import Callable
from typing import Final, TypeVar

from faktory_async.errors import UsageError
from faktory_async.net import NETWORK_ERRORS, Link, tls_files

R = TypeVar("R")

_CHUNK: Final = 64 * 1024

File = str | os.PathLike[str]


def server_context(
    certificate: File | None, key: File | None, client_ca: File | None
) -> ssl.SSLContext | None:
    """Return how a server does TLS; None without a certificate: it does not.

    Args:
        certificate: A PEM file with the server's certificate, and its key unless `key` is given.
        key: A PEM file with the key.
        client_ca: A PEM file of certificates, by one of which clients must be certified.

    Raises:
        UsageError: a key or a CA without a certificate.
        AddressError: a file is missing, or is not what it should be.
    """
    if certificate is None:
        if key is not None or client_ca is not None:
            raise UsageError("TLS needs a certificate: tls_cert is not given")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with tls_files(certificate, key, client_ca):
        # Without an answer to it OpenSSL would ask for a passphrase at the terminal.
        context.load_cert_chain(certificate, key, password=lambda: "")
        if client_ca is not None:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    return context


class TLSLink(Link):
    """The encrypted side of a link. The handshake is part of the first `send`.

    Args:
        link: The link that carries it.
        context: How TLS is done.
    """

    def __init__(self, link: Link, context: ssl.SSLContext) -> None:
        self._link = link
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._agreed = False

    async def send(self, data: bytes) -> None:
        if not self._agreed:
            await self._do(self._tls.do_handshake)
            self._agreed = True
        if data:
            await self._do(lambda: self._tls.write(data))

    async def receive(self) -> bytes:
        try:
            return await self._do(lambda: self._tls.read(_CHUNK))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""  # with a goodbye, or without

    async def _do(self, step: Callable[[], R]) -> R:
        """Take a step of TLS, however many bytes it needs from there and has for there."""
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                await self._flush()
                data = await self._link.receive()
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            except ssl.SSLError:
                await self._flush()  # it says why
                raise
            else:
                await self._flush()
                return result

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await self._link.send(self._outgoing.read())

    def readable(self) -> bool:
        return self._tls.pending() > 0 or self._incoming.pending > 0 or self._link.readable()

    def unsent(self) -> int:
        return 0

    def abort(self) -> None:
        self._link.abort()

    async def aclose(self) -> None:
        try:
            if self._agreed:
                await self._say_goodbye()
        finally:
            await self._link.aclose()

    async def _say_goodbye(self) -> None:
        with contextlib.suppress(ssl.SSLError):  # it would also wait for the other side's
            self._tls.unwrap()
        with contextlib.suppress(*NETWORK_ERRORS):  # nobody is there to hear it
            await self._flush()
