"""A connection over a blocking socket: for a thread that must not wait for any event loop.

It speaks through the same session as `Connection` does, one command at a time.
"""

import contextlib
import socket
import ssl
import time
from typing import Any, Final, TypeVar

from faktory_async.errors import (
    CommandTimeoutError,
    ConnectError,
    ConnectionLostError,
    FaktoryError,
)
from faktory_async.net._address import Address
from faktory_async.net._asyncio_link import keep_alive
from faktory_async.net._dial import explained
from faktory_async.net._failures import harmless, to_nobody, why_no_handshake
from faktory_async.protocol import ClientSession, Command, End, Identity, State

R = TypeVar("R")

_CHUNK: Final = 65_536
_GOODBYE: Final = 0.5  # seconds
_LATE: Final = "the server did not answer in time"


class BlockingConnection:
    """One connection; `open` it in the thread that uses it.

    Args:
        address: Where to.
        context: How TLS is done; None for a plain connection.
        server_name: The name the certificate must have; the address' host by default.
    """

    def __init__(
        self, address: Address, context: ssl.SSLContext | None, server_name: str | None = None
    ) -> None:
        self._address = address
        self._context = context
        self._server_name = server_name or address.host
        self._socket: socket.socket | None = None
        self._session = ClientSession()
        self._interrupted = False

    def open(self, identity: Identity, timeout: float) -> None:
        """Dial and shake hands.

        Args:
            identity: Who says HELLO.
            timeout: Seconds for both; what the resolver of names takes is not counted.

        Raises:
            AuthenticationError: the password is wrong or missing.
            ConnectError: no connection could be made, or it was interrupted.
            ProtocolError: the peer is no Faktory. For all of them `maybe_executed` is False.
        """
        deadline = time.monotonic() + timeout
        try:
            self._dial(deadline)
            self._shake_hands(identity, deadline)
        except FaktoryError as error:
            self.close()
            if error.maybe_executed:
                raise harmless(error) from error
            raise
        except (OSError, ValueError) as error:  # ssl.SSLError and TimeoutError are some
            self.close()
            raise explained(self._address, error) from error

    def execute(self, command: Command[R], timeout: float) -> R:
        """Send one command and return the meaning of its reply.

        Args:
            command: What to send.
            timeout: Seconds for writing and reply.

        Raises:
            CommandTimeoutError: no reply in time; the connection is closed.
            ConnectionLostError: it ended first, or was interrupted. For both, `maybe_executed` is
                False where no byte can have left.
            ServerError: the server refused; the connection goes on.
        """
        deadline = time.monotonic() + timeout
        leaving = False
        try:
            data, ticket = self._session.send([command])
            sock = self._open_socket(deadline)
            leaving = True
            sock.sendall(data)
            while not ticket.done:
                self._receive(deadline)
        except FaktoryError:
            self.close()
            raise
        except TimeoutError as error:
            self.close()
            raise CommandTimeoutError(_LATE, maybe_executed=leaving) from error
        except OSError as error:
            self.close()
            text = f"the connection was lost: {error}"
            raise ConnectionLostError(text, maybe_executed=leaving) from error
        return command.decode(ticket.replies[0])

    def interrupt(self) -> None:
        """Let whatever is waited for fail now, and everything after it. From any thread."""
        self._interrupted = True
        sock = self._socket
        if sock is not None:
            with contextlib.suppress(OSError):  # not connected yet, or not any more
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Say END where nothing is unanswered, and close."""
        sock, self._socket = self._socket, None
        if sock is None:
            return
        with contextlib.suppress(OSError), contextlib.closing(sock):
            if self._session.state is State.READY:
                sock.settimeout(_GOODBYE)
                sock.sendall(self._session.end(End().encode()))

    # -- inside -------------------------------------------------------------------------------

    def _dial(self, deadline: float) -> None:
        error: OSError | None = None
        for family, address in self._candidates():
            try:
                self._connect(family, address, deadline)
            except OSError as problem:
                error = error or problem
            else:
                return
        raise error or OSError("the host has no address")

    def _candidates(self) -> list[tuple[int, Any]]:
        if self._address.path is not None:
            return [(socket.AF_UNIX, self._address.path)]
        host, port = self._address.host, self._address.port
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return [(family, address) for family, _, _, _, address in found]

    def _connect(self, family: int, address: Any, deadline: float) -> None:
        sock = self._socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._open_socket(deadline).connect(address)
            if self._address.path is None:
                keep_alive(sock)
            if self._context is not None:
                self._socket = self._context.wrap_socket(sock, server_hostname=self._server_name)
        except BaseException:
            self._socket = None
            sock.close()
            raise

    def _shake_hands(self, identity: Identity, deadline: float) -> None:
        session = self._session
        while session.state is not State.READY:
            session.receive(self._open_socket(deadline).recv(_CHUNK))
            if session.state is State.GREETED:
                self._send(session.hello(identity, self._address.password), deadline)
            elif session.state is State.CLOSED:
                raise ConnectError(why_no_handshake(greeted=session.greeting is not None))

    def _send(self, data: bytes, deadline: float) -> None:
        self._open_socket(deadline).sendall(data)

    def _receive(self, deadline: float) -> None:
        data = self._open_socket(deadline).recv(_CHUNK)
        try:
            self._session.receive(data)
        except FaktoryError as error:
            if (why := to_nobody(error)) is error:
                raise
            raise why from error
        if not data:
            raise ConnectionResetError("the server closed it")

    def _open_socket(self, deadline: float) -> socket.socket:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no time is left")
        if self._socket is None or self._interrupted:
            raise ConnectionResetError("it is closed")
        self._socket.settimeout(left)
        return self._socket
