"""The server's end of one connection, without I/O: lines in, states, nothing of their meaning."""

from typing import Final

from faktory_async.errors import ProtocolError
from faktory_async.protocol._state import Event, State, advance

# The real server has no limit of its own; Redis' strings end here.
MAX_COMMAND: Final = 512 * 1024 * 1024


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

    @property
    def buffered(self) -> int:
        """How many bytes wait to be taken."""
        return len(self._buffer) - self._start

    def greeted(self) -> None:
        """Note that the greeting left."""
        self._move(Event.HI)

    def receive(self, data: bytes) -> None:
        """Take in what arrived; b"" is the end of the stream.

        Raises:
            ProtocolError: when a line grows over its limit.
        """
        if not data:
            self.half_closed = True
            return
        self._buffer += data
        if self.buffered > self._max_line and self._buffer.find(b"\n", self._searched) < 0:
            self._move(Event.FAULT)
            raise ProtocolError(f"a command of more than {self._max_line} bytes")

    def next_line(self) -> bytes | None:
        """Take the next line, without its end; None when none is complete or one is unanswered."""
        if self.state is State.READY:
            event = Event.COMMAND
        elif self.state is State.GREETED:
            event = Event.HELLO
        else:
            return None
        line = self._take()
        if line is not None:
            self._move(event)
        return line

    def answered(self) -> None:
        """Note that the reply to the line last taken left, or that the HELLO was accepted."""
        accepted = self.state is State.IDENTIFYING
        self._move(Event.ACCEPTED if accepted else Event.LAST_REPLY)

    def closed(self) -> None:
        """Note that the connection is over, for whatever reason."""
        self._move(Event.REFUSED if self.state is State.IDENTIFYING else Event.EOF)

    def _take(self) -> bytes | None:
        end = self._buffer.find(b"\n", max(self._searched, self._start))
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
        self._start = 0

    def _move(self, event: Event) -> None:
        self.state = advance(self.state, event)


_CR: Final = 0x0D
