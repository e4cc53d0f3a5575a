"""Certificates, and servers of one connection: plain, with TLS, on a Unix socket."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final, TypeVar

import trustme

from tests.net._faktory import HI
from tests.net._peers import HOST, listener

__all__ = ["Authority", "Records", "talking", "tls_server", "unix_server"]

R = TypeVar("R")

_PATIENCE: Final = 10.0


class Authority:
    """A certificate authority with its files."""

    def __init__(self, directory: Path) -> None:
        self.ca = trustme.CA()
        self.pem = directory / "ca.pem"
        self.ca.cert_pem.write_to_path(self.pem)
        self.directory = directory

    def server_context(self, name: str = HOST) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate, key = self.files_for(name)
        context.load_cert_chain(certificate, key)
        return context

    def trusting_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.pem)

    def files_for(self, name: str) -> tuple[Path, Path]:
        """Write a certificate and its key, and return their paths."""
        issued = self.ca.issue_cert(name)
        certificate, key = self.directory / f"{name}.cert", self.directory / f"{name}.key"
        issued.cert_chain_pems[0].write_to_path(certificate)
        issued.private_key_pem.write_to_path(key)
        return certificate, key


class Records:
    """A server's end of TLS whose records leave when it is told, together.

    Args:
        connection: A connected socket that blocks.
    """

    def __init__(self, connection: socket.socket, context: ssl.SSLContext) -> None:
        self._socket = connection
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._done(self._tls.do_handshake)
        self.flush()

    def read_line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            line += self._done(lambda: self._tls.read(1))
        return line

    def write(self, data: bytes) -> None:
        """Make one record."""
        self._tls.write(data)

    def garble(self, data: bytes) -> None:
        """Put bytes behind the records that are none."""
        self._outgoing.write(data)

    def say_goodbye(self) -> None:
        """Make a close_notify."""
        with contextlib.suppress(ssl.SSLWantReadError):  # for the other end's
            self._tls.unwrap()

    def flush(self) -> None:
        """Let all that was made leave at once."""
        self._socket.sendall(self._outgoing.read())

    def flush_all_but(self, size: int) -> None:
        """Keep the last bytes back for the next time."""
        self._socket.sendall(self._outgoing.read(self._outgoing.pending - size))

    def _done(self, do: Callable[[], R]) -> R:
        while True:
            try:
                return do()
            except ssl.SSLWantReadError:
                self.flush()
                if not (data := self._socket.recv(65_536)):
                    raise EOFError from None
                self._incoming.write(data)


def talking(connection: socket.socket) -> None:
    """Be a Faktory that takes one HELLO and echoes whole lines."""
    connection.sendall(HI)
    with connection.makefile("rb") as lines:
        for line in lines:
            if line.startswith(b"END"):
                return
            if line.startswith(b"HELLO"):
                connection.sendall(b"+OK\r\n")
            else:
                text = line.strip().partition(b" ")[2]
                connection.sendall(b"$%d\r\n%b\r\n" % (len(text), text))


@contextlib.contextmanager
def tls_server(
    context: ssl.SSLContext | None, behave: Callable[[socket.socket], None] = talking
) -> Generator[int]:
    """Serve one connection in a thread and give the port; without a context, it is plain."""
    with listener() as listening, _serving(listening, context, behave):
        yield listening.getsockname()[1]


@contextlib.contextmanager
def unix_server(path: str) -> Generator[None]:
    """Serve one connection in a thread at that path; the socket's file stays behind."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        with _serving(listening, None, talking):
            yield


@contextlib.contextmanager
def _serving(
    listening: socket.socket,
    context: ssl.SSLContext | None,
    behave: Callable[[socket.socket], None],
) -> Generator[None]:
    def serve() -> None:
        with contextlib.suppress(OSError), listening.accept()[0] as connection:
            connection.settimeout(_PATIENCE)
            if context is None:
                behave(connection)
            else:
                with context.wrap_socket(connection, server_side=True) as wrapped:
                    behave(wrapped)

    listening.settimeout(_PATIENCE)
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
