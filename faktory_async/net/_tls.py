"""TLS: verified unless somebody says otherwise in so many words."""

import os
import ssl

from msgspec import Struct

from faktory_async.errors import AddressError


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
    """

    ca: str | os.PathLike[str] | None = None
    certificate: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None
    hostname: str | None = None
    verify: bool = True
    context: ssl.SSLContext | None = None

    def make_context(self) -> ssl.SSLContext:
        """Return the context to connect with; files are read here.

        Raises:
            AddressError: when a file is missing or is no PEM.
        """
        if self.context is not None:
            return self.context
        try:
            context = ssl.create_default_context(cafile=self.ca)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if self.certificate is not None:
                context.load_cert_chain(self.certificate, self.key)
        except OSError as error:  # ssl.SSLError is one
            raise AddressError(f"the TLS files cannot be used: {error}") from error
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context
