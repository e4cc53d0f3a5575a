"""Every exception this library raises, in one tree.

`maybe_executed` is a property of every class. False is a proof that nothing was stored or changed
on the server; True says "unknown". A push that failed with False may be repeated without fear of
a duplicate; one that failed with True may be repeated with the same jid, so that a duplicate can
be recognised.

    FaktoryError
    ├─ UsageError                     a mistake in the program; nothing was sent
    │  ├─ ClientStateError
    │  ├─ InvalidJobError             (ValueError)
    │  ├─ AddressError                (ValueError)
    │  ├─ DuplicateJobTypeError
    │  └─ ArgumentsError              (ValueError)
    ├─ UnavailableError               (OSError) no usable answer from the server
    │  ├─ ConnectError                (ConnectionError)
    │  │  └─ TLSError
    │  ├─ PoolTimeoutError            (TimeoutError)
    │  ├─ CommandTimeoutError         (TimeoutError)
    │  ├─ ConnectionLostError         (ConnectionError)
    │  └─ TooManyConnectionsError
    ├─ AuthenticationError
    ├─ JobTimeoutError                (TimeoutError)
    ├─ ProtocolError
    └─ ServerError                    the server said no
       ├─ JobRejectedError
       ├─ NotUniqueError
       ├─ JobNotFoundError
       ├─ UnknownWorkerError
       ├─ EnterpriseRequiredError
       └─ ServerBusyError

Every class can be pickled: whatever is not the message has a default and lives in `__dict__`.
"""

__all__ = [
    "AddressError",
    "ArgumentsError",
    "AuthenticationError",
    "ClientStateError",
    "CommandTimeoutError",
    "ConnectError",
    "ConnectionLostError",
    "DuplicateJobTypeError",
    "EnterpriseRequiredError",
    "FaktoryError",
    "InvalidJobError",
    "JobNotFoundError",
    "JobRejectedError",
    "JobTimeoutError",
    "NotUniqueError",
    "PoolTimeoutError",
    "ProtocolError",
    "ServerBusyError",
    "ServerError",
    "TLSError",
    "TooManyConnectionsError",
    "UnavailableError",
    "UnknownWorkerError",
    "UsageError",
]


class FaktoryError(Exception):
    """The base of everything raised here.

    Args:
        message: What happened, for people.
        maybe_executed: Overrides the class's own answer, see `maybe_executed`.
    """

    _maybe_executed = False

    def __init__(self, message: str = "", *, maybe_executed: bool | None = None) -> None:
        super().__init__(message)
        if maybe_executed is not None:
            self._maybe_executed = maybe_executed

    @property
    def maybe_executed(self) -> bool:
        """False proves that the server stored and changed nothing; True means unknown."""
        return self._maybe_executed


# -- mistakes in the program ------------------------------------------------------------------


class UsageError(FaktoryError):
    """The library was used in a way that cannot work; nothing was sent."""


class ClientStateError(UsageError):
    """Not open, already closed, used from another event loop, or after a fork."""


class _ValueAtPathError(UsageError, ValueError):
    """A value that cannot be used.

    Args:
        message: What is wrong with the value, without showing it.
        path: Where the value is, such as `args[0]["when"]`; "" where no single one is to blame.
    """

    def __init__(self, message: str = "", *, path: str = "") -> None:
        super().__init__(message)
        self.path = path

    def __str__(self) -> str:
        message = super().__str__()
        return f"{self.path}: {message}" if self.path else message


class InvalidJobError(_ValueAtPathError):
    """A job that cannot be sent intact."""


class AddressError(UsageError, ValueError):
    """A URL, an environment variable or TLS options that make no address. Shows no password."""


class DuplicateJobTypeError(UsageError):
    """Two handlers for one jobtype."""


class ArgumentsError(_ValueAtPathError):
    """Arguments that do not fit a typed job's signature."""


# -- no usable answer from the server ---------------------------------------------------------


class UnavailableError(FaktoryError, OSError):
    """The server gave no usable answer."""


class ConnectError(UnavailableError, ConnectionError):
    """No connection could be made: nothing listens, no route, no greeting, no handshake."""


class TLSError(ConnectError):
    """TLS could not be agreed on, or the certificate is not the one that was asked for."""


class PoolTimeoutError(UnavailableError, TimeoutError):
    """No connection of the pool came free in time."""


class CommandTimeoutError(UnavailableError, TimeoutError):
    """No reply in time. The connection is given up: its replies could no longer be told apart."""

    _maybe_executed = True


class ConnectionLostError(UnavailableError, ConnectionError):
    """The connection ended before the reply came."""

    _maybe_executed = True


class TooManyConnectionsError(UnavailableError):
    """The server is at its limit of connections (wire: `too many connections`)."""


class AuthenticationError(FaktoryError):
    """The server did not accept the password, or asks for one that was not given."""


class JobTimeoutError(FaktoryError, TimeoutError):
    """A job ran past its deadline; the errtype of its FAIL."""


class ProtocolError(FaktoryError):
    """Bytes that no Faktory sends, or more of them than the limits allow.

    Raised after the handshake, `maybe_executed` is True: the command may have been understood.
    """

    _maybe_executed = True


# -- the server said no -----------------------------------------------------------------------


class ServerError(FaktoryError):
    """The server answered with an error.

    Args:
        text: The server's words, without the code.
        code: The first word of the error line; the free edition only knows `ERR`.
        maybe_executed: Overrides the class's own answer.
    """

    def __init__(
        self, text: str = "", *, code: str = "ERR", maybe_executed: bool | None = None
    ) -> None:
        super().__init__(text, maybe_executed=maybe_executed)
        self.text = text
        self.code = code


class JobRejectedError(ServerError):
    """The server's validation refused the job; nothing was stored."""


class NotUniqueError(ServerError):
    """A job with the same unique key is already there (Enterprise); nothing was stored."""


class JobNotFoundError(ServerError):
    """The jid of a FAIL is not reserved; it says nothing about how the job ended."""


class UnknownWorkerError(ServerError):
    """The server does not know the wid of a BEAT: it must say HELLO again."""


class EnterpriseRequiredError(ServerError):
    """The command exists only in Faktory Enterprise."""


class ServerBusyError(ServerError):
    """Any other error, `context deadline exceeded` first: whether it was executed is unknown."""

    _maybe_executed = True
