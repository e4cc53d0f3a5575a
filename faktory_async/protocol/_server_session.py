"""The server's end of one connection, without I/O: lines in, states, of their meaning only END."""

from typing import Final

from faktory_async.errors import ProtocolError
from faktory_async.protocol._commands import End
from faktory_async.protocol._state import Event, State, advance

# The real server has no limit of its own; Redis' strings end here.
MAX_COMMAND: Final = 512 * 1024 * 1024
_CR: Final = 0x0D


class ServerSession:
    """Cuts what a client sends into lines, and lets them be taken one after the other.

    A command ends at LF; one CR before it belongs to the end. The next line is given out only when
    the one before is answered, so pipelined commands wait here.

    Args:
        max_line: The longest line accepted, in bytes.

    Attributes:
        state: Where the session is.
        half_closed: Whether the client has said that it sends no more.
    """

    def __init__(self, *, max_line: int = MAX_COMMAND) -> None:
        self.state = State.GREETING
        self.half_closed = False
        self._max_line = max_line
        self._buffer = bytearray()
        self._start = 0
        self._searched = 0
        self._tail = 0

    @property
    def buffered(self) -> int:
        """How many bytes wait to be taken."""
        return len(self._buffer) - self._start

    def greeted(self) -> None:
        """Note that the greeting left."""
        self._move(Event.HI)

    def receive(self, data: bytes) -> None:
        """Take in what arrived; b"" is the end of the stream.

        What follows a line that is already too long is dropped: it is never heard.
        """
        if not data:
            self.half_closed = True
            return
        if self._incomplete_is_too_long():
            return
        # As soon as most of it is taken: whoever reads ahead might never let it run empty.
        if self._start > len(self._buffer) // 2:
            self._compact()
        newline = data.rfind(b"\n")
        if newline >= 0:
            self._tail = len(self._buffer) + newline + 1
        self._buffer += data

    def next_line(self) -> bytes | None:
        """Take the next line, without its end; None when none is complete or one is unanswered.

        After an END the session is CLOSED: it has no reply.

        Raises:
            ProtocolError: when the line is longer than its limit, complete or not; lines before
                it have been given out.
        """
        if self.state not in (State.GREETED, State.READY):
            return None
        line = self._take()
        too_long = self._incomplete_is_too_long() if line is None else len(line) > self._max_line
        if too_long:
            self._move(Event.FAULT)
            raise ProtocolError(f"a command of more than {self._max_line} bytes")
        if line is None:
            return None
        if self.state is State.GREETED:
            self._move(Event.HELLO)
        else:
            ends = line == End.verb or line.startswith(End.verb + b" ")
            self._move(Event.END if ends else Event.COMMAND)
        return line

    def answered(self) -> None:
        """Note that the reply to the line last taken left, or that the HELLO was accepted."""
        accepted = self.state is State.IDENTIFYING
        self._move(Event.ACCEPTED if accepted else Event.LAST_REPLY)

    def closed(self) -> None:
        """Note that the connection is over, for whatever reason."""
        self._move(Event.REFUSED if self.state is State.IDENTIFYING else Event.EOF)

    def _take(self) -> bytes | None:
        end = self._buffer.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._buffer)
            self._compact()
            return None
        stop = end - 1 if end > self._start and self._buffer[end - 1] == _CR else end
        line = bytes(self._buffer[self._start : stop])
        self._start = self._searched = end + 1
        if self._start == len(self._buffer):
            self._compact()
        return line

    def _compact(self) -> None:
        # Once per chunk, not once per line: deleting moves what is behind it.
        del self._buffer[: self._start]
        self._searched -= self._start
        self._tail -= self._start
        self._start = 0

    def _incomplete_is_too_long(self) -> bool:
        # The last byte may be the CR of a CRLF that is cut.
        return len(self._buffer) - 1 - self._tail > self._max_line

    def _move(self, event: Event) -> None:
        self.state = advance(self.state, event)
