"""The commands, one class each."""

import re
from collections.abc import Sequence
from typing import ClassVar, Final

import msgspec

from faktory_async.errors import FaktoryError, ProtocolError, UsageError
from faktory_async.model import ServerInfo
from faktory_async.protocol._command import Command, expect_bulk, expect_ok, unexpected
from faktory_async.protocol._handshake import Greeting, Identity, hello_fields
from faktory_async.protocol._refusals import refusal
from faktory_async.protocol._reply import OK, BulkReply, NullReply, Reply

_encode: Final = msgspec.json.Encoder().encode
_rejections: Final = msgspec.json.Decoder(dict[str, str])
_beat_reply: Final = msgspec.json.Decoder(dict[str, str])

# A space would split one name into two, a newline would begin another command.
_QUEUE: Final = re.compile(r"[a-zA-Z0-9._-]+")


class Hello(Command[None], frozen=True):
    """HELLO: who we are. `+OK`, or a close without a word."""

    verb: ClassVar[bytes] = b"HELLO"
    greeting: Greeting
    identity: Identity
    password: str | None = None

    def payload(self) -> bytes:
        return _encode(hello_fields(self.greeting, self.identity, self.password))

    def understand(self, reply: Reply) -> None:
        expect_ok(self.verb, reply)

    def __repr__(self) -> str:
        return f"Hello({self.identity!r})"  # never the password


class Push(Command[None], frozen=True):
    """PUSH: one job. For servers' tests: the real server may give it another job's `retry`."""

    verb: ClassVar[bytes] = b"PUSH"
    job: bytes

    def payload(self) -> bytes:
        return self.job

    def understand(self, reply: Reply) -> None:
        expect_ok(self.verb, reply)


class PushBulk(Command[dict[str, FaktoryError]], frozen=True):
    """PUSHB: many jobs, each an encoded object; the reply names those that were not stored."""

    verb: ClassVar[bytes] = b"PUSHB"
    jobs: Sequence[bytes]

    def payload(self) -> bytes:
        return b"[%b]" % b",".join(self.jobs)

    def understand(self, reply: Reply) -> dict[str, FaktoryError]:
        """Return what became of each job that is not surely stored, by jid."""
        data = expect_bulk(self.verb, reply)
        if data == b"{}":
            return {}
        try:
            texts = _rejections.decode(data)
        except msgspec.DecodeError as error:
            raise ProtocolError(f"the reply of PUSHB cannot be read: {error}") from error
        return {jid: refusal(text) for jid, text in texts.items()}


class Fetch(Command[bytes | None], frozen=True):
    """FETCH: the oldest job of the first queue that has one, or None after about 2 s."""

    verb: ClassVar[bytes] = b"FETCH"
    queues: Sequence[str]

    def __post_init__(self) -> None:
        if not self.queues:
            raise UsageError("FETCH needs at least one queue")
        for queue in self.queues:
            if not _QUEUE.fullmatch(queue):
                raise UsageError(f"{queue!r} is no name of a queue: use A-Z a-z 0-9 . _ -")

    def payload(self) -> bytes:
        return " ".join(self.queues).encode()

    def understand(self, reply: Reply) -> bytes | None:
        """Return the job's bytes as the server sent them."""
        match reply:
            case BulkReply(data):
                return data or None
            case NullReply():
                return None
            case _:
                raise unexpected(self.verb, reply)


class Ack(Command[None], frozen=True):
    """ACK: the job is done. The server also answers `+OK` for a jid that it does not know."""

    verb: ClassVar[bytes] = b"ACK"
    jid: str

    def payload(self) -> bytes:
        return b'{"jid":%b}' % _encode(self.jid)

    def understand(self, reply: Reply) -> None:
        expect_ok(self.verb, reply)


class Fail(Command[None], frozen=True):
    """FAIL: the job failed; the server schedules its retry."""

    verb: ClassVar[bytes] = b"FAIL"
    jid: str
    errtype: str
    message: str
    backtrace: Sequence[str] = ()

    def payload(self) -> bytes:
        return _encode(
            {
                "jid": self.jid,
                "errtype": self.errtype,
                "message": self.message,
                "backtrace": self.backtrace,
            }
        )

    def understand(self, reply: Reply) -> None:
        expect_ok(self.verb, reply)


class Beat(Command[str | None], frozen=True):
    """BEAT: the worker lives. The reply is the state that the server wants: None, or a word.

    The server repeats `quiet` or `terminate` at every beat.
    """

    verb: ClassVar[bytes] = b"BEAT"
    wid: str
    rss_kb: int | None = None
    current_state: str | None = None

    def payload(self) -> bytes:
        fields = {"wid": self.wid, "rss_kb": self.rss_kb, "current_state": self.current_state}
        return _encode({name: value for name, value in fields.items() if value is not None})

    def understand(self, reply: Reply) -> str | None:
        if reply == OK:
            return None
        try:
            return _beat_reply.decode(expect_bulk(self.verb, reply))["state"]
        except (msgspec.DecodeError, KeyError) as error:
            raise unexpected(self.verb, reply) from error


class Info(Command[ServerInfo], frozen=True):
    """INFO: queues, sets, counters. Beside new queue names it can crash the real server."""

    verb: ClassVar[bytes] = b"INFO"

    def understand(self, reply: Reply) -> ServerInfo:
        return ServerInfo.decode(expect_bulk(self.verb, reply))


class Flush(Command[None], frozen=True):
    """FLUSH: erase every queue, set and counter of the server."""

    verb: ClassVar[bytes] = b"FLUSH"

    def understand(self, reply: Reply) -> None:
        expect_ok(self.verb, reply)


class End(Command[None], frozen=True):
    """END: goodbye. The server closes without a reply."""

    verb: ClassVar[bytes] = b"END"

    def understand(self, reply: Reply) -> None:
        raise unexpected(self.verb, reply)


COMMANDS: Final[tuple[type[Command[object]], ...]] = (
    Hello,
    Push,
    PushBulk,
    Fetch,
    Ack,
    Fail,
    Beat,
    Info,
    Flush,
    End,
)
