"""A command is a value that knows its line and the meaning of its reply."""

from typing import ClassVar, Final, Generic, TypeVar, final

from msgspec import Struct

from faktory_async.errors import ProtocolError, UsageError
from faktory_async.protocol._refusals import refusal
from faktory_async.protocol._reply import OK, BulkReply, ErrorReply, Reply, shown

_NEWLINE: Final = 0x0A  # as a number, because that is found five times as fast

R_co = TypeVar("R_co", covariant=True)


class Command(Struct, Generic[R_co], frozen=True):
    """One command; `R_co` is the type of what its reply means.

    A subclass sets `verb`, and overrides `payload` and `understand`.
    """

    verb: ClassVar[bytes]

    def payload(self) -> bytes:
        """Return what follows the verb and a space; b"" where nothing does."""
        return b""

    def understand(self, reply: Reply) -> R_co:
        """Return the meaning of a reply that is no error.

        Raises:
            ProtocolError: when no Faktory would answer this command so.
        """
        raise NotImplementedError

    @final
    def encode(self) -> bytes:
        """Return the whole line with its CRLF.

        Raises:
            UsageError: when it would be more than one line, or holds text that is no Unicode.
        """
        try:
            payload = self.payload()
        except UnicodeEncodeError as error:
            raise UsageError(
                f"{self.verb.decode()} with a lone surrogate, which is no Unicode"
            ) from error
        if _NEWLINE in payload:
            raise UsageError(
                f"{self.verb.decode()} with a newline, where another command would begin"
            )
        return b"%b %b\r\n" % (self.verb, payload) if payload else self.verb + b"\r\n"

    @final
    def decode(self, reply: Reply) -> R_co:
        """Return the meaning of the reply.

        Raises:
            ServerError: when the server refused; the subclass says why.
            ProtocolError: when no Faktory would answer this command so.
        """
        if isinstance(reply, ErrorReply):
            raise refusal(reply.text, code=reply.code)
        return self.understand(reply)


def expect_ok(verb: bytes, reply: Reply) -> None:
    """Accept `+OK` only."""
    if reply != OK:
        raise unexpected(verb, reply)


def expect_bulk(verb: bytes, reply: Reply) -> bytes:
    """Accept a bulk only and return its bytes."""
    if not isinstance(reply, BulkReply):
        raise unexpected(verb, reply)
    return reply.data


def unexpected(verb: bytes, reply: Reply) -> ProtocolError:
    """Return the error for a reply that does not fit the command."""
    return ProtocolError(f"the server answered {verb.decode()} with {shown(reply)}")
