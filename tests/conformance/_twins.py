"""Two servers that are told the same and must answer the same."""

import re
import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from tests.conformance._wire import take_reply

__all__ = ["Address", "Pair", "TwinsDifferError"]

DEADLINE = 10.0
# How far apart two servers may take the time of one command, and of one random backoff of up
# to 31 times 29 s.
SAME_MOMENT = 5.0
SAME_BACKOFF = 40 * 29 + SAME_MOMENT
A_MONTH = 30 * 86_400.0

_STAMP = re.compile(
    rb'"(created_at|enqueued_at|failed_at|next_at)":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)"'
)
_LATENCY = re.compile(rb'":\d+\.\d+(?:e-\d+)?(?=[,}])')
_ASKS_LATENCY = re.compile(rb"QUEUE latency ", re.IGNORECASE)
_BULK = re.compile(rb"\$(\d+)\r\n")
_VOLATILE = re.compile(
    rb'"(now|server_utc_time|cycles|enqueued|wall_time_sec|uptime|used_memory_mb|connections)"'
    rb':("[^"]*"|[^,}]+)'
)
# A connection that ended is forgotten a moment after its client saw the end.
_WORKERS = re.compile(rb'"Workers":\{"reaped":\d+,"size":\d+\}')
# The words behind these prefixes are those of one release of Go.
_WORDS = (b"-ERR invalid JSON: ", b"-ERR json: ", b"-ERR invalid character ", b"-ERR unexpected ")


class TwinsDifferError(AssertionError):
    """Two servers answered differently."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens."""

    host: str
    port: int


class _End:
    """A connection to one of the two."""

    def __init__(self, address: Address) -> None:
        self._socket = socket.create_connection((address.host, address.port), timeout=DEADLINE)
        self._buffer = bytearray()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def reply(self) -> bytes:
        """Return the next reply, or b"" when the stream has ended."""
        while (reply := take_reply(self._buffer)) is None:
            if not self._receive():
                return bytes(self._buffer)
        return reply

    def rest(self) -> bytes:
        while self._receive():
            pass
        return bytes(self._buffer)

    def _receive(self) -> bool:
        try:
            data = self._socket.recv(1 << 16)
        except ConnectionResetError:  # a close with bytes under way
            data = b""
        self._buffer += data
        return bool(data)

    def close(self) -> None:
        self._socket.close()


class Pair:
    """One connection to each of two servers, which hear the same bytes."""

    def __init__(self, first: Address, second: Address) -> None:
        self._ends = (_End(first), _End(second))
        self.compared = 0
        self.differed = 0
        self.expect(b"")

    def ask(self, line: bytes) -> bytes:
        """Send a line to both and return the masked reply that both gave."""
        return self.expect(line + b"\r\n")

    def expect(self, data: bytes, replies: int = 1) -> bytes:
        """Send bytes to both and return so many masked replies."""
        for end in self._ends:
            end.send(data)
        return b"".join(
            self._same(data, *[end.reply() for end in self._ends]) for _ in range(replies)
        )

    def unordered(self, line: bytes, count: int) -> list[bytes]:
        """Repeat a line; both must give the same replies, in whatever order."""
        first, second = (self._repeat(end, line, count) for end in self._ends)
        for mine, theirs in zip(first, second, strict=True):
            self._same(line, mine, theirs)
        return [_masked(line, reply)[0] for reply in first]

    def _repeat(self, end: _End, line: bytes, count: int) -> list[bytes]:
        replies: list[bytes] = []
        for _ in range(count):
            end.send(line + b"\r\n")
            replies.append(end.reply())
        return sorted(replies, key=lambda reply: _masked(line, reply))

    def ends(self, data: bytes) -> bytes:
        """Send bytes to both; both must answer the same and close."""
        for end in self._ends:
            end.send(data)
        return self._same(data, *(end.rest() for end in self._ends))

    def close(self) -> None:
        for end in self._ends:
            end.close()

    def _same(self, data: bytes, first: bytes, second: bytes) -> bytes:
        (one, stamps), (other, other_stamps) = _masked(data, first), _masked(data, second)
        if one != other:
            raise self._difference(data, first, second)
        for (key, mine), (_, theirs) in zip(stamps, other_stamps, strict=True):
            if abs(mine - theirs) > (SAME_BACKOFF if key == b"next_at" else SAME_MOMENT):
                raise self._difference(data, first, second)
        self.compared += 1
        return one

    def _difference(self, sent: bytes, first: bytes, second: bytes) -> TwinsDifferError:
        self.differed += 1
        return TwinsDifferError(f"sent:   {sent!r}\n  first:  {first!r}\n  second: {second!r}")


def _masked(sent: bytes, reply: bytes) -> tuple[bytes, list[tuple[bytes, float]]]:
    """Return a reply without what may differ, and the times that were taken out."""
    if (words := next((w for w in _WORDS if reply.startswith(w)), None)) is not None:
        return words, []
    if not (header := _BULK.match(reply)):
        return reply, []
    times: list[tuple[bytes, float]] = []

    def stamp(match: re.Match[bytes]) -> bytes:
        moment = _unix(match[2])
        if moment is None or abs(moment - time.time()) > A_MONTH:
            return match[0]
        times.append((match[1], moment))
        return b'"%b":"<time>"' % match[1]

    body = reply[header.end() : -2]
    if body.startswith(b'{"now":'):
        body = _WORKERS.sub(b'"Workers":<any>', _VOLATILE.sub(rb'"\1":<any>', body))
    else:
        body = _STAMP.sub(stamp, body)
    if _ASKS_LATENCY.match(sent):
        body = _LATENCY.sub(b'":<seconds>', body)
    return b"$%d\r\n%b\r\n" % (len(body), body), times


def _unix(stamp: bytes) -> float | None:
    try:
        whole, _, fraction = stamp.decode().rstrip("Z").partition(".")
        moment = datetime.fromisoformat(whole).replace(tzinfo=UTC)
    except ValueError:
        return None
    return moment.timestamp() + float(f"0.{fraction or 0}")
