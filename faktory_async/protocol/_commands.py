"""The commands, one class each."""

import re
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from msgspec import Struct
from msgspec.json import Decoder

from faktory_async.errors import FaktoryError, ProtocolError, UsageError
from faktory_async.model import ServerInfo
from faktory_async.protocol._command import Command, expect_bulk, expect_ok, unexpected
from faktory_async.protocol._handshake import Greeting, Identity, check_wid, hello_fields
from faktory_async.protocol._json import UNREADABLE, encode
from faktory_async.protocol._refusals import refusal_of_job
from faktory_async.protocol._reply import OK, BulkReply, NullReply, Reply

# A space would split one name into two, a newline would begin another command.
_QUEUE: Final = re.compile(r"[a-zA-Z0-9._-]+")


def check_queues(what: str, queues: Sequence[str]) -> None:
    """Refuse names that no queue can have.

    Raises:
        UsageError: there is none, or one of them is not made of `A-Z a-z 0-9 . _ -`.
    """
    if isinstance(queues, str) or not queues:
        raise UsageError(f"{what} needs a list of at least one queue")
    for queue in queues:
        if not isinstance(queue, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # programs without types
            raise UsageError(f"the name of a queue is a str, not {type(queue).__name__}")
        if not _QUEUE.fullmatch(queue):
            raise UsageError(f"{queue!r} is no name of a queue: use A-Z a-z 0-9 . _ -")


_rejections: Final = Decoder(dict[str, str])


class _Wish(Struct):
    """The reply to BEAT, where it is not `+OK`."""

    state: str


_wish: Final = Decoder(_Wish)


_ALL_STORED: Final = BulkReply(b"{}")


class Hello(Command[None], frozen=True):
    """HELLO: who we are. `+OK`, or a close without a word."""

    verb: ClassVar[bytes] = b"HELLO"
    greeting: Greeting
    identity: Identity
    password: str | None = None

    def payload(self) -> bytes:
        return encode(hello_fields(self.greeting, self.identity, self.password))

    def understand(self, reply: Reply) -> None:
        expect_ok(self.verb, reply)

    # Two ways to show a struct, both without the password.

    def __repr__(self) -> str:
        return f"Hello({self.identity!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("identity", self.identity)]


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
        if reply == _ALL_STORED:
            return {}
        data = expect_bulk(self.verb, reply)
        try:
            texts = _rejections.decode(data)
        except UNREADABLE as error:
            raise ProtocolError(f"the reply of PUSHB cannot be read: {error}") from error
        return {jid: refusal_of_job(text) for jid, text in texts.items()}


class Fetch(Command[bytes | None], frozen=True):
    """FETCH: the oldest job of the first queue that has one, or None after about 2 s."""

    verb: ClassVar[bytes] = b"FETCH"
    queues: Sequence[str]

    def __post_init__(self) -> None:
        check_queues("FETCH", self.queues)

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
        return b'{"jid":%b}' % encode(self.jid)

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
        return encode(
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

    def __post_init__(self) -> None:
        check_wid(self.wid)

    def payload(self) -> bytes:
        fields = {"wid": self.wid, "rss_kb": self.rss_kb, "current_state": self.current_state}
        return encode({name: value for name, value in fields.items() if value is not None})

    def understand(self, reply: Reply) -> str | None:
        if reply == OK:
            return None
        try:
            return _wish.decode(expect_bulk(self.verb, reply)).state
        except UNREADABLE as error:
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
