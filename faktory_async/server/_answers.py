"""What the server answers to a line: one method per verb."""

from collections.abc import Callable
from typing import Final, TypeAlias

from msgspec import Struct

from faktory_async.server._batch_command import answer_batch
from faktory_async.server._broker import Broker
from faktory_async.server._connection import Connection
from faktory_async.server._gojson import is_deeper
from faktory_async.server._gotree import MAX_DEPTH, InvalidJSONError
from faktory_async.server._gowrite import write_flat
from faktory_async.server._handshake import greet, is_authentic, parse_hello
from faktory_async.server._info import info
from faktory_async.server._intake import RefusedPushError, read_job, read_jobs
from faktory_async.server._mutate import MutationError, mutate
from faktory_async.server._queue_command import INTERNAL_ERROR, OK, answer_queue, queue_name
from faktory_async.server._reports import (
    UnreadableError,
    parse_beat,
    parse_failure,
    parse_jid,
)
from faktory_async.server._track_command import answer_track
from faktory_async.server._unique import NOT_UNIQUE
from faktory_async.server._waiting import Waiting
from faktory_async.server._workers import WorkerState

MAX_CONNECTIONS: Final = 2000

_INVALID_PASSWORD: Final = b"-ERR Invalid password\r\n"
_TOO_DEEP: Final = b"-ERR invalid JSON: invalid character '[' exceeded max depth\r\n"
_SHUTDOWN: Final = b"-ERR shutdown in progress\r\n"
_NO_QUEUE: Final = b"-ERR must call fetch with at least one queue\r\n"
_MISSING_JID: Final = b"-ERR missing JID\r\n"
_NO_MUTATION: Final = b"-ERR invalid format\r\n"
_NOT_UNIQUE: Final = f"-{NOT_UNIQUE}\r\n".encode()
_NO_BATCHES: Final = b"-ERR batch subsystem is only available in Faktory Enterprise\r\n"
_NO_TRACKING: Final = b"-ERR tracking subsystem is only available in Faktory Enterprise\r\n"
_STATES: Final = {
    WorkerState.RUNNING: OK,
    WorkerState.QUIET: b'$17\r\n{"state":"quiet"}\r\n',
    WorkerState.TERMINATE: b'$21\r\n{"state":"terminate"}\r\n',
}


class Close(Struct, frozen=True):
    """An answer after which the connection ends.

    Attributes:
        data: What is sent before, b"" for nothing.
    """

    data: bytes = b""


Answer: TypeAlias = bytes | Waiting | Close
# A verb's method gets what follows the verb and its space, None where not even that is there.
_Handler: TypeAlias = Callable[[Connection, bytes | None], Answer]


class Answers:
    """Answers lines as the real server does.

    Args:
        broker: Whose state the commands act on.
        password: What HELLO must prove; "" for none.
        max_connections: How many connections may have said HELLO at a time.
        max_depth: How deep a pushed document may be nested, at most 10,000.
        memory_mb: Returns the memory in use, in MB, for INFO.

    Attributes:
        commands: How many commands were understood.
        stopping: Set when the server is about to end: every command is refused.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        password: str = "",
        max_connections: int = MAX_CONNECTIONS,
        max_depth: int = MAX_DEPTH,
        memory_mb: Callable[[], int] = lambda: 0,
    ) -> None:
        self.commands = 0
        self.stopping = False
        self._broker = broker
        self._password = password
        self._max_connections = max_connections
        self._max_depth = max_depth
        self._memory_mb = memory_mb
        self._handlers: dict[bytes, _Handler] = {
            b"ACK": self._ack,
            b"BATCH": self._batch,
            b"BEAT": self._beat,
            b"END": _end,
            b"FAIL": self._fail,
            b"FETCH": self._fetch,
            b"FLUSH": self._flush,
            b"INFO": self._info,
            b"MUTATE": self._mutate,
            b"PUSH": self._push,
            b"PUSHB": self._push_bulk,
            b"QUEUE": self._queue,
            b"TRACK": self._track,
        }

    def open_connection(self) -> Connection:
        """Return the state of a connection that was just accepted; its greeting is to be sent."""
        return greet(with_password=bool(self._password), rand=self._broker.rand)

    def close_connection(self, connection: Connection) -> None:
        """Note that a connection is over, whoever ended it; a FETCH it waits in goes on."""
        self._broker.disconnect(connection)

    def answer(self, connection: Connection, line: bytes) -> Answer:
        """Carry out a command.

        Args:
            connection: Where it came from; none of its FETCHes waits.
            line: The command without its CRLF or LF.

        Returns:
            The reply's bytes; or a FETCH that waits; or the connection's end.
        """
        if not connection.identified:
            return self._hello(connection, line)
        if self.stopping:
            return Close(_SHUTDOWN)
        verb, space, rest = line.partition(b" ")
        handler = self._handlers.get(verb)
        if handler is None:
            return b"-ERR unknown command %b\r\n" % verb
        self.commands += 1
        return handler(connection, rest if space else None)

    # -- the handshake ------------------------------------------------------------------------

    def _hello(self, connection: Connection, line: bytes) -> Answer:
        hello = parse_hello(line)
        if hello is None:
            return Close()
        if not is_authentic(connection, hello, self._password):
            return Close(_INVALID_PASSWORD)
        connections = len(self._broker.connections) + 1
        if connections > self._max_connections:
            return Close(OK + b"-ERR too many connections: %d\r\n" % connections)
        self._broker.connect(connection, hello.introduction)
        return OK

    # -- producers ----------------------------------------------------------------------------

    def _push(self, connection: Connection, rest: bytes | None) -> Answer:
        del connection
        if rest is None:
            return INTERNAL_ERROR
        if self._is_too_deep(rest):
            return _TOO_DEEP
        try:
            document, retry = read_job(rest)
        except RefusedPushError as error:
            if error.retry is not None:
                self._broker.default_retry = error.retry
            return _error(f"invalid JSON: {error.text}")
        if retry is not None:
            self._broker.default_retry = retry
        refusal = self._broker.push(document)
        if refusal == NOT_UNIQUE:
            return _NOT_UNIQUE
        return OK if refusal is None else _error(refusal)

    def _push_bulk(self, connection: Connection, rest: bytes | None) -> Answer:
        del connection
        if rest is None:
            return INTERNAL_ERROR
        if self._is_too_deep(rest):
            return _TOO_DEEP
        try:
            documents = read_jobs(rest)
        except InvalidJSONError as error:
            return _error(f"invalid JSON: {error.text}")
        now = self._broker.clock()
        push = self._broker.push
        refused: dict[str, str] = {}
        for document in documents:
            text = push(document, now)
            if text is not None:
                refused[document.jid] = text
        return _bulk(write_flat(refused))

    def _is_too_deep(self, document: bytes) -> bool:
        """Whether it exceeds a limit below the real server's own, which the reader knows."""
        return self._max_depth < MAX_DEPTH and is_deeper(document, self._max_depth)

    # -- consumers ----------------------------------------------------------------------------

    def _fetch(self, connection: Connection, rest: bytes | None) -> Answer:
        record = connection.own_record
        if record is not None and record.state is not WorkerState.RUNNING:
            return self._broker.wait(connection, ())
        if rest is None:
            return _NO_QUEUE
        names = queue_name(rest).split(" ")
        reply = self._broker.fetch(names, connection.wid)
        return self._broker.wait(connection, names) if reply is None else reply

    def _ack(self, connection: Connection, rest: bytes | None) -> Answer:
        del connection
        if rest is None:
            return INTERNAL_ERROR
        try:
            jid = parse_jid(rest)
        except UnreadableError:
            return b"-ERR invalid ACK %b\r\n" % rest
        self._broker.acknowledge(jid)
        return OK

    def _fail(self, connection: Connection, rest: bytes | None) -> Answer:
        del connection
        if rest is None:
            return INTERNAL_ERROR
        try:
            failed = parse_failure(rest)
        except UnreadableError:
            return b"-ERR invalid FAIL %b\r\n" % rest
        if not failed.jid:
            return _MISSING_JID
        known = self._broker.fail(failed.jid, failed.report)
        return OK if known else _error(f"Job not found {failed.jid}")

    def _beat(self, connection: Connection, rest: bytes | None) -> Answer:
        del connection
        if rest is None:
            return INTERNAL_ERROR
        try:
            beat = parse_beat(rest)
        except UnreadableError:
            return b"-ERR invalid BEAT %b\r\n" % rest
        workers, now = self._broker.workers, self._broker.clock()
        state = workers.beat(beat.wid, beat.state, beat.rss_kb, now)
        return _error(f"unknown worker {beat.wid}") if state is None else _STATES[state]

    # -- operators ----------------------------------------------------------------------------

    def _info(self, connection: Connection, rest: bytes | None) -> Answer:
        del connection, rest
        return _bulk(info(self._broker, commands=self.commands, memory_mb=self._memory_mb()))

    def _flush(self, connection: Connection, rest: bytes | None) -> Answer:
        del connection, rest
        self._broker.flush()
        return OK

    def _queue(self, connection: Connection, rest: bytes | None) -> Answer:
        del connection
        return answer_queue(self._broker, rest)

    def _mutate(self, connection: Connection, rest: bytes | None) -> Answer:
        del connection
        if rest is None or b" " in rest:
            return _NO_MUTATION
        try:
            mutate(self._broker, rest)
        except (InvalidJSONError, MutationError) as error:
            return _error(error.text)
        return OK

    # -- Enterprise ---------------------------------------------------------------------------

    def _batch(self, connection: Connection, rest: bytes | None) -> Answer:
        del connection
        if self._broker.enterprise is None:
            return _NO_BATCHES
        if rest is not None and self._is_too_deep(rest):
            return _TOO_DEEP
        return answer_batch(self._broker, self._broker.enterprise, rest or b"")

    def _track(self, connection: Connection, rest: bytes | None) -> Answer:
        del connection
        if self._broker.enterprise is None:
            return _NO_TRACKING
        return answer_track(self._broker, self._broker.enterprise, rest or b"")


def _end(_connection: Connection, _rest: bytes | None) -> Answer:
    return Close()


def _error(text: str) -> bytes:
    return f"-ERR {text}\r\n".encode()


def _bulk(data: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(data), data)
