"""Both ends of one connection, and a line between them that delivers when it is told to."""

from typing import Any

from faktory_async.protocol import (
    PRODUCER,
    ClientSession,
    Command,
    End,
    Reply,
    ServerSession,
    State,
    Ticket,
    encode_reply,
)

__all__ = ["Pair"]

GREETING = b'+HI {"v":2}\r\n'


class Pair:
    """A client and a server who share two streams of bytes.

    The server answers with what `replies` holds, in order, and `+OK` to the HELLO.

    Attributes:
        up: Bytes on their way to the server.
        down: Bytes on their way to the client.
        heard: The lines that the server took, the HELLO first.
        closing: Whether the server's end has been closed: an EOF follows the bytes in `down`.
    """

    def __init__(self) -> None:
        self.client = ClientSession()
        self.server = ServerSession()
        self.up = bytearray()
        self.down = bytearray(GREETING)
        self.heard: list[bytes] = []
        self.closing = False
        self.server.greeted()

    @classmethod
    def ready(cls) -> "Pair":
        """Return a pair that has shaken hands."""
        pair = cls()
        pair.to_client()
        pair.hello()
        pair.to_server()
        pair.answer(b"+OK\r\n")
        pair.to_client()
        assert (pair.client.state, pair.server.state) == (State.READY, State.READY)
        return pair

    # -- what the ends do -------------------------------------------------------------------

    def hello(self) -> None:
        self.up += self.client.hello(PRODUCER, None)

    def send(self, *commands: Command[Any]) -> Ticket:
        data, ticket = self.client.send(commands)
        self.up += data
        return ticket

    def end(self) -> None:
        self.up += self.client.end(End().encode())

    def answer(self, reply: bytes | Reply) -> bytes | None:
        """Let the server take one line, if one is there, and answer it; END by closing."""
        line = self.server.next_line()
        if line is None:
            return None
        self.heard.append(line)
        if self.server.state is State.CLOSED:
            self.closing = True
            return line
        self.down += reply if isinstance(reply, bytes) else encode_reply(reply)
        self.server.answered()
        return line

    def close(self) -> None:
        """End the connection at the server."""
        self.server.closed()
        self.closing = True

    # -- what the line does -----------------------------------------------------------------

    def to_server(self, count: int | None = None) -> None:
        """Deliver so many bytes, or all."""
        if data := _cut(self.up, count):
            self.server.receive(data)

    def to_client(self, count: int | None = None) -> None:
        """Deliver so many bytes, or all, and then the end where the server has closed."""
        if data := _cut(self.down, count):
            self.client.receive(data)
        elif self.closing:
            self.client.receive(b"")


def _cut(stream: bytearray, count: int | None) -> bytes:
    data = bytes(stream[:count])
    del stream[: len(data)]
    return data
