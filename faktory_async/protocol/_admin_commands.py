"""QUEUE, MUTATE, BATCH, TRACK, and commands that only the caller knows."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final

from msgspec.json import Decoder

from faktory_async.errors import ProtocolError, UsageError
from faktory_async.model import BatchStatus, Progress
from faktory_async.protocol._command import Command, expect_bulk, expect_ok, unexpected
from faktory_async.protocol._commands import check_queues
from faktory_async.protocol._json import UNREADABLE, encode
from faktory_async.protocol._reply import OK, BulkReply, NullReply, Reply, SimpleReply

EVERY_QUEUE: Final = "*"
_WORD: Final = re.compile(r"[!-~]+")
_seconds: Final = Decoder(dict[str, float])


class _QueueCommand(Command[None], frozen=True):
    """QUEUE: something is done with queues; those that do not exist are ignored.

    Args:
        queues: Their names, or `EVERY_QUEUE` alone.
    """

    verb: ClassVar[bytes] = b"QUEUE"
    subcommand: ClassVar[str]
    queues: Sequence[str]

    def __post_init__(self) -> None:
        if list(self.queues) != [EVERY_QUEUE]:
            check_queues(f"QUEUE {self.subcommand}", self.queues)

    def payload(self) -> bytes:
        return " ".join((self.subcommand, *self.queues)).encode()

    def understand(self, reply: Reply) -> None:
        expect_ok(self.verb, reply)


class Pause(_QueueCommand, frozen=True):
    """QUEUE PAUSE: FETCH finds nothing in these queues, also after a restart."""

    subcommand: ClassVar[str] = "PAUSE"


class Resume(_QueueCommand, frozen=True):
    """QUEUE RESUME: FETCH finds again what is in these queues."""

    subcommand: ClassVar[str] = "RESUME"


class Remove(_QueueCommand, frozen=True):
    """QUEUE REMOVE: the queues are gone, and their jobs with them."""

    subcommand: ClassVar[str] = "REMOVE"


class Latency(Command[dict[str, float]], frozen=True):
    """QUEUE LATENCY: for how many seconds the next job of each queue has waited."""

    verb: ClassVar[bytes] = b"QUEUE"
    queues: Sequence[str]

    def __post_init__(self) -> None:
        check_queues("QUEUE LATENCY", self.queues)

    def payload(self) -> bytes:
        return " ".join(("LATENCY", *self.queues)).encode()

    def understand(self, reply: Reply) -> dict[str, float]:
        try:
            return _seconds.decode(expect_bulk(self.verb, reply))
        except UNREADABLE as error:
            raise ProtocolError(f"the reply of QUEUE LATENCY cannot be read: {error}") from error


class Mutate(Command[None], frozen=True):
    """MUTATE: something is done with jobs of a set. `+OK` says nothing about how many.

    Args:
        operation: `requeue`, `kill`, `discard` or `clear`.
        target: `scheduled`, `retries` or `dead`.
        filter: Which jobs, as `filter_of` makes it; `clear` takes none.
    """

    verb: ClassVar[bytes] = b"MUTATE"
    operation: str
    target: str
    filter: Mapping[str, Any] = {}

    def payload(self) -> bytes:
        fields: dict[str, Any] = {"cmd": self.operation, "target": self.target}
        if self.filter:
            fields["filter"] = self.filter
        # The server splits the line at spaces, those inside of JSON too.
        return encode(fields).replace(b" ", rb"\u0020")

    def understand(self, reply: Reply) -> None:
        expect_ok(self.verb, reply)


# -- Enterprise ---------------------------------------------------------------------------------


class BatchNew(Command[str], frozen=True):
    """BATCH NEW: the reply is the new batch's id.

    Args:
        description: What people call it.
        parent_bid: The batch that it belongs to.
        success: The encoded job that follows when every job has succeeded.
        complete: The encoded job that follows when every job has run, whatever came of it.
    """

    verb: ClassVar[bytes] = b"BATCH"
    description: str | None = None
    parent_bid: str | None = None
    success: bytes | None = None
    complete: bytes | None = None

    def payload(self) -> bytes:
        named = {"parent_bid": self.parent_bid, "description": self.description}
        parts = [
            b'"%b":%b' % (name.encode(), encode(value))
            for name, value in named.items()
            if value is not None
        ]
        for name, job in ((b"success", self.success), (b"complete", self.complete)):
            if job is not None:
                parts.append(b'"%b":%b' % (name, job))
        return b"NEW {%b}" % b",".join(parts)

    def understand(self, reply: Reply) -> str:
        return _bid(self.verb, reply)


class BatchOpen(Command[None], frozen=True):
    """BATCH OPEN: jobs may be added again. The reply is the id, or `+OK`: both are seen."""

    verb: ClassVar[bytes] = b"BATCH"
    bid: str

    def __post_init__(self) -> None:
        check_bid(self.bid)

    def payload(self) -> bytes:
        return b"OPEN " + self.bid.encode()

    def understand(self, reply: Reply) -> None:
        if reply != OK:
            _bid(self.verb, reply)


class BatchCommit(Command[None], frozen=True):
    """BATCH COMMIT: every job is in; the callbacks may follow."""

    verb: ClassVar[bytes] = b"BATCH"
    bid: str

    def __post_init__(self) -> None:
        check_bid(self.bid)

    def payload(self) -> bytes:
        return b"COMMIT " + self.bid.encode()

    def understand(self, reply: Reply) -> None:
        expect_ok(self.verb, reply)


class BatchState(Command[BatchStatus], frozen=True):
    """BATCH STATUS: how far a batch is."""

    verb: ClassVar[bytes] = b"BATCH"
    bid: str

    def __post_init__(self) -> None:
        check_bid(self.bid)

    def payload(self) -> bytes:
        return b"STATUS " + self.bid.encode()

    def understand(self, reply: Reply) -> BatchStatus:
        return BatchStatus.decode(expect_bulk(self.verb, reply))


class TrackGet(Command[Progress], frozen=True):
    """TRACK GET: what became of a job."""

    verb: ClassVar[bytes] = b"TRACK"
    jid: str

    def __post_init__(self) -> None:
        if not _WORD.fullmatch(self.jid):
            raise UsageError(f"{self.jid!r} is no jid")

    def payload(self) -> bytes:
        return b"GET " + self.jid.encode()

    def understand(self, reply: Reply) -> Progress:
        return Progress.decode(expect_bulk(self.verb, reply))


class TrackSet(Command[None], frozen=True):
    """TRACK SET: a handler says how far it is, and may prolong its reservation.

    Args:
        jid: The job.
        percent: How far it is.
        desc: What to say of it.
        reserve_until: Until when the job is reserved, at least.
    """

    verb: ClassVar[bytes] = b"TRACK"
    jid: str
    percent: int | None = None
    desc: str | None = None
    reserve_until: datetime | None = None

    def payload(self) -> bytes:
        fields = {
            "jid": self.jid,
            "percent": self.percent,
            "desc": self.desc,
            "reserve_until": self.reserve_until,
        }
        return b"SET " + encode(
            {name: value for name, value in fields.items() if value is not None}
        )

    def understand(self, reply: Reply) -> None:
        expect_ok(self.verb, reply)


def check_bid(bid: str) -> None:
    """Refuse what can be no batch's id.

    Raises:
        UsageError: when it is empty or not printable ASCII without spaces.
    """
    if not _WORD.fullmatch(bid):
        raise UsageError(f"{bid!r} is no id of a batch")


def _bid(verb: bytes, reply: Reply) -> str:
    try:
        bid = expect_bulk(verb, reply).decode()
        check_bid(bid)
    except (UnicodeError, UsageError):
        raise unexpected(verb, reply) from None
    return bid


# -- anything else ------------------------------------------------------------------------------


class Raw(Command[bytes | str | None], frozen=True):
    """A line as the caller gives it; the reply as it comes: a text, bytes, or None for nil.

    Args:
        line: The verb, and what follows after a space.
    """

    line: str

    def __post_init__(self) -> None:
        if not self.line or any(character in self.line for character in "\r\n\0"):
            raise UsageError("a command is one line, without CR, LF and NUL")
        try:
            self.line.encode()
        except UnicodeEncodeError as error:  # said here, since the verb is asked for first
            raise UsageError("a command with a lone surrogate, which is no Unicode") from error

    @property
    def verb(self) -> bytes:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]  # each has its own
        """The first word."""
        return self.line.partition(" ")[0].encode()

    def payload(self) -> bytes:
        return self.line.partition(" ")[2].encode()

    def understand(self, reply: Reply) -> bytes | str | None:
        match reply:
            case SimpleReply(text):
                return text
            case BulkReply(data):
                return data
            case NullReply():
                return None
            case _:
                raise unexpected(self.verb, reply)
