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
        cert: A PEM file with a client certificate and, unless `key` is given, its key.
        key: A PEM file with the client certificate's key.
        server_name: The name the server's certificate must have; the address' host by default.
        verify: False accepts any certificate: anyone between here and there can read and forge
            every job.
        context: A context of your own; every other option except `server_name` is ignored then.

    Raises:
        AddressError: when no certificate can have that name.
    """

    ca: str | os.PathLike[str] | None = None
    cert: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None
    server_name: str | None = None
    verify: bool = True
    context: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        if self.server_name is not None:
            check_name(self.server_name)

    def make_context(self) -> ssl.SSLContext:
        """Return the context to connect with; files are read here.

        Raises:
            AddressError: when a file is missing, is no PEM, or needs a passphrase.
        """
        if self.context is not None:
            return self.context
        if self.key is not None and self.cert is None:
            raise AddressError("TLS has a key, but not its certificate")
        with tls_files(self.ca):
            context = ssl.create_default_context(cafile=self.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.cert is not None:
            with tls_files(self.cert, self.key):
                context.load_cert_chain(self.cert, self.key, password=_no_passphrase)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


@contextlib.contextmanager
def tls_files(*files: str | os.PathLike[str] | None) -> Generator[None]:
    """Name the files that are read within the block in its error; those of OpenSSL do not.

    Raises:
        AddressError: one of them is missing, or is not what it should be.
    """
    try:
        yield
    except (OSError, ValueError) as error:  # of OpenSSL too; or there can be no such path
        names = " and ".join(repr(os.fspath(file)) for file in files if file is not None)
        raise AddressError(f"the TLS files cannot be used: {names}: {error}") from error


def _no_passphrase() -> str:
    # Without an answer OpenSSL asks at the terminal, and the whole event loop waits.
    return ""
