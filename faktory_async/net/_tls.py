"""TLS: verified unless somebody says otherwise in so many words."""

import contextlib
import os
import ssl
from collections.abc import Generator

from msgspec import Struct

from faktory_async.errors import AddressError
from faktory_async.net._address import check_name


class TLS(Struct, frozen=True, kw_only=True):
    """How a `tcp+tls://` address is trusted.

    Attributes:
        ca: A PEM file of certificates to trust instead of the system's.
        certificate: A PEM file with a client certificate and, unless `key` is given, its key.
        key: A PEM file with the client certificate's key.
        hostname: The name the server's certificate must have; the address' host by default.
        verify: False accepts any certificate: anyone between here and there can read and forge
            every job.
        context: A context of your own; every other option except `hostname` is ignored then.

    Raises:
        AddressError: when no certificate can have that hostname.
    """

    ca: str | os.PathLike[str] | None = None
    certificate: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None
    hostname: str | None = None
    verify: bool = True
    context: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        if self.hostname is not None:
            check_name(self.hostname)

    def make_context(self) -> ssl.SSLContext:
        """Return the context to connect with; files are read here.

        Raises:
            AddressError: when a file is missing, is no PEM, or needs a passphrase.
        """
        if self.context is not None:
            return self.context
        if self.key is not None and self.certificate is None:
            raise AddressError("TLS has a key, but not its certificate")
        with _named(self.ca):
            context = ssl.create_default_context(cafile=self.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.certificate is not None:
            with _named(self.certificate, self.key):
                context.load_cert_chain(self.certificate, self.key, password=_no_passphrase)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


@contextlib.contextmanager
def _named(*files: str | os.PathLike[str] | None) -> Generator[None]:
    """Name the files in the error; those of OpenSSL do not."""
    try:
        yield
    except OSError as error:  # ssl.SSLError is one
        names = " and ".join(os.fspath(file) for file in files if file is not None)
        raise AddressError(f"the TLS files cannot be used: {names}: {error}") from error


def _no_passphrase() -> str:
    # Without an answer OpenSSL asks at the terminal, and the whole event loop waits.
    return ""
