"""Replies of the server: a subset of RESP2, read in any fragmentation and written.

Only four kinds of reply exist: integers and arrays never occur, so a line that begins like one is
an error. A line ends at CRLF, not at LF: an error that echoes a command's text may hold a raw
newline.
"""

import copy
from typing import Final, TypeAlias

from msgspec import Struct

from faktory_async.errors import ProtocolError
from faktory_async.protocol._outline import Outline

MAX_LINE: Final = 64 * 1024
MAX_BULK: Final = 64 * 1024 * 1024

_CRLF: Final = b"\r\n"
_PLUS, _MINUS, _DOLLAR = b"+-$"
# A length of more digits is beyond every limit that fits into memory.
_MAX_LENGTH_DIGITS: Final = 18


class SimpleReply(Struct, frozen=True):
    """A line of text, `+OK` above all."""

    text: str


class ErrorReply(Struct, frozen=True):
    """An error line, `-CODE text`; the code is its first word."""

    code: str
    text: str


class BulkReply(Struct, frozen=True):
    """Bytes with a length in front, `$5 …`."""

    data: bytes


class NullReply(Struct, frozen=True):
    """`$-1`: nothing there."""


class OversizedReply(Struct, frozen=True):
    """A bulk that was longer than the limit, and was skipped.

    Attributes:
        size: How many bytes it had.
        outline: A JSON object with what the bulk said of a job's `jid`, `queue`, `jobtype` and
            `reserve_for`, where these were found.
    """

    size: int
    outline: bytes


Reply: TypeAlias = SimpleReply | ErrorReply | BulkReply | NullReply | OversizedReply

OK: Final = SimpleReply("OK")
NULL: Final = NullReply()


# By far the most frequent pieces: what ACK and FAIL are answered, and a PUSHB that is stored.
_FREQUENT: Final[dict[bytes, Reply]] = {b"+OK\r\n": OK, b"$2\r\n{}\r\n": BulkReply(b"{}")}


def encode_reply(reply: Reply) -> bytes:
    """Return the bytes of one reply as the server sends them.

    Raises:
        TypeError: for a reply that was skipped.
    """
    if isinstance(reply, OversizedReply):
        raise TypeError("the bytes of a reply that was skipped are gone")
    if isinstance(reply, BulkReply):
        return b"$%d\r\n%b\r\n" % (len(reply.data), reply.data)
    if isinstance(reply, NullReply):
        return b"$-1\r\n"
    line = f"-{reply.code} {reply.text}" if isinstance(reply, ErrorReply) else f"+{reply.text}"
    return f"{line}\r\n".encode("utf-8", "surrogateescape")


def shown(reply: Reply) -> str:
    """Return the reply for an error's message, cut to what a line of a log can bear."""
    if isinstance(reply, BulkReply):
        return f"a bulk of {len(reply.data)} bytes"
    if isinstance(reply, OversizedReply):
        return f"a bulk of {reply.size} bytes, which is over the limit"
    if isinstance(reply, NullReply):
        return repr("$-1")
    text = reply.text[:40]
    return repr(f"-{reply.code[:40]} {text}" if isinstance(reply, ErrorReply) else f"+{text}")


class ReplyReader:
    """Turns bytes, cut anywhere, into replies, in order.

    Reading is linear in the bytes however they are cut: a line is searched only where it has not
    been searched before, a bulk is waited for by its length.

    Args:
        max_line: The longest line accepted, in bytes, without its CRLF.
        max_bulk: The longest bulk accepted, in bytes.
        skip: Whether a longer one is skipped, and gives an `OversizedReply`, or is an error.

    Attributes:
        pending: Whether a reply has begun and is not complete.
        error: What the last `feed` had to keep back, because replies came before it; it is what
            every later one raises.
    """

    def __init__(
        self, *, max_line: int = MAX_LINE, max_bulk: int = MAX_BULK, skip: bool = False
    ) -> None:
        self._max_line = max_line
        self._max_bulk = max_bulk
        self._skip = skip
        self._outline: Outline | None = None  # of the bulk that is being skipped
        self._left = 0  # bytes of it
        self._buffer = bytearray()
        self._searched = 0
        self._bulk_length: int | None = None
        self.pending = False
        self.error: ProtocolError | None = None

    def feed(self, data: bytes) -> list[Reply]:
        """Take bytes in and return the replies that they complete.

        Where replies are complete before what cannot be read, they are returned, and `error` is
        set: how the bytes were cut changes nothing about what is read.

        Raises:
            ProtocolError: for what no Faktory sends, or a line or bulk over its limit.
        """
        if not self.pending:
            whole = _FREQUENT.get(data) or self._whole_bulk(data)
            if whole is not None:
                return [whole]
        return self._feed_piece(data)

    def _feed_piece(self, data: bytes) -> list[Reply]:
        if self.error is not None:
            raise copy.copy(self.error)  # one that is raised knows who raised it
        self._buffer += data
        replies: list[Reply] = []
        position = 0
        try:
            while (step := self._next(position)) is not None:
                position, reply = step
                if reply is not None:
                    replies.append(reply)
        except ProtocolError as error:
            # What cannot be read stays in the buffer, and keeps the frequent pieces out.
            self.error = copy.copy(error)
            self.pending = True
            if not replies:
                raise
        if position:
            del self._buffer[:position]
            self._searched -= position
        self.pending = bool(self._buffer) or self._bulk_length is not None
        return replies

    def _whole_bulk(self, data: bytes) -> BulkReply | None:
        """Return the bulk that these bytes are, not more and not less, as nearly all are."""
        end = data.find(_CRLF, 0, _MAX_LENGTH_DIGITS)
        if end < 2 or data[0] != _DOLLAR or not (digits := data[1:end]).isdigit():  # noqa: PLR2004 - `$` and a digit
            return None
        length = int(digits)
        if length > self._max_bulk or len(data) != end + 4 + length or not data.endswith(_CRLF):
            return None
        return BulkReply(data[end + 2 : -2])

    def _next(self, start: int) -> tuple[int, Reply | None] | None:
        """Read one line or one bulk at `start`; None when it is not all there."""
        if self._bulk_length is not None:
            return self._next_bulk(start, self._bulk_length)
        end = self._buffer.find(_CRLF, max(start, self._searched))
        # Of an incomplete line the last byte may be the CR of a CRLF that is cut.
        shortest = (len(self._buffer) - 1 if end < 0 else end) - start
        if shortest > self._max_line:
            raise ProtocolError(f"the server sent a line of more than {self._max_line} bytes")
        if end < 0:
            self._searched = max(start, len(self._buffer) - 1)
            return None
        self._searched = end + 2
        return end + 2, self._line(bytes(self._buffer[start:end]))

    def _next_bulk(self, start: int, length: int) -> tuple[int, Reply | None] | None:
        if self._left:
            return self._skipped(start)
        end = start + (length if self._outline is None else 0)
        if len(self._buffer) < end + 2:
            return None
        if not self._buffer.startswith(_CRLF, end):
            raise ProtocolError("the server sent a bulk that is longer than its length says")
        self._bulk_length = None
        self._searched = end + 2
        if self._outline is not None:
            outline, self._outline = self._outline, None
            return end + 2, OversizedReply(length, outline.document())
        return end + 2, BulkReply(bytes(memoryview(self._buffer)[start:end]))

    def _skipped(self, start: int) -> tuple[int, None] | None:
        """Let what has come of a bulk go by; None when there is nothing."""
        piece = bytes(memoryview(self._buffer)[start : start + self._left])
        if not piece:
            return None
        if self._outline is not None:
            self._outline.feed(piece)
        self._left -= len(piece)
        return start + len(piece), None

    def _line(self, line: bytes) -> Reply | None:
        """The reply of a whole line; None for the header of a bulk."""
        kind = line[0] if line else 0
        if kind == _DOLLAR:
            return self._header(line)
        if kind == _PLUS:
            return OK if line == b"+OK" else SimpleReply(_text(line[1:]))
        if kind == _MINUS:
            code, _, text = _text(line[1:]).partition(" ")
            return ErrorReply(code, text)
        raise ProtocolError(f"the server sent {line[:40]!r}, which is no reply of a Faktory")

    def _header(self, line: bytes) -> Reply | None:
        if line == b"$-1":
            return NULL
        digits = line[1:]
        if not digits.isdigit() or len(digits) > _MAX_LENGTH_DIGITS:
            raise ProtocolError(f"the server sent {line[:40]!r}, which is no length")
        length = int(digits)
        if length > self._max_bulk:
            if not self._skip:
                raise ProtocolError(
                    f"the server sent a reply of {length} bytes; the limit is {self._max_bulk}"
                )
            self._outline = Outline()
            self._left = length
        self._bulk_length = length
        return None


def _text(data: bytes) -> str:
    # An error may echo any bytes that were sent; the way back must give the same bytes.
    return data.decode("utf-8", "surrogateescape")
