"""Why a connection failed, in words, and what that says of whose commands. Pure."""

import copy

from faktory_async.errors import (
    CommandTimeoutError,
    ConnectionLostError,
    FaktoryError,
    ProtocolError,
    TooManyConnectionsError,
)


def harmless(error: FaktoryError) -> FaktoryError:
    """Return the same error for somebody whose command did not leave."""
    other = copy.copy(error)
    other._maybe_executed = False  # noqa: SLF001 - the property is for reading only
    return other


def to_nobody(error: FaktoryError) -> FaktoryError:
    """Return why a connection ended on which the server said what answers no command.

    A refusal says nothing of the commands that wait. But past its limit of connections a server
    reads none of them: that is known to be said so.
    """
    if isinstance(error, (ProtocolError, TooManyConnectionsError)):
        return error
    return ConnectionLostError(f"the server ended the connection: {error}")


def too_late() -> CommandTimeoutError:
    """Return the error of a command for which there was no time left."""
    return CommandTimeoutError("there was no time left to send", maybe_executed=False)


def words(error: BaseException) -> str:
    """Return an error's text; where it has none, what it is called."""
    return str(error) or type(error).__name__


def why_no_handshake(*, greeted: bool) -> str:
    """Say why a peer that ended the connection may have done so."""
    if greeted:
        return "the server closed the connection instead of accepting the HELLO"
    return (
        "the server closed the connection without a greeting: "
        "if it speaks TLS, use tcp+tls:// instead of tcp://"
    )
