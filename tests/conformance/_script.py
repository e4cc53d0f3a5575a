"""The words that a scripted exchange is written in.

A `Row` is one conversation with a server: what is sent on which connection, and the exact bytes
that must come back. A row is data: written once, run against every server. A connection that a
row uses without opening it is opened by the runner with a plain HELLO, and ended with END.
"""

from dataclasses import dataclass

from tests.conformance._marks import nominal_length

__all__ = [
    "CREATED",
    "GREETING",
    "NIL",
    "OK",
    "Admitted",
    "Crowd",
    "Dial",
    "Disturbance",
    "Exchange",
    "HalfClose",
    "HangUp",
    "Restart",
    "Row",
    "Silence",
    "Step",
    "Stop",
    "Wait",
    "ask",
    "bulk",
    "dial",
    "error",
    "eventually",
    "fetched",
    "greeted",
    "info",
    "job",
    "login",
    "pushed",
    "raw",
    "read",
    "row",
    "send",
]

OK = b"+OK\r\n"
NIL = b"$-1\r\n"
GREETING = b'+HI {"v":2}\r\n'
CREATED = b'"created_at":"@now","enqueued_at":"@now"'


@dataclass(frozen=True, slots=True)
class Dial:
    """Open a connection and read its greeting."""

    on: str
    greeting: bytes


@dataclass(frozen=True, slots=True)
class Exchange:
    """Send bytes, then read exactly these replies, and the end of the stream if `closes`.

    The first reply must not be there before `after` seconds, and all within `within` seconds. With
    `patient`, a command is repeated until this is its reply.
    """

    on: str
    sent: bytes
    replies: tuple[bytes, ...]
    closes: bool = False
    after: float = 0.0
    within: float = 6.0
    patient: bool = False


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing arrives on this connection for so many seconds."""

    on: str
    seconds: float


@dataclass(frozen=True, slots=True)
class HalfClose:
    """Say that nothing more will be sent, and go on reading."""

    on: str


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close the connection without END."""

    on: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Let the server's clock reach so many seconds after the row began."""

    until: float


@dataclass(frozen=True, slots=True)
class Crowd:
    """Open connections that say HELLO, until the server refuses one for its limit of `size`.

    That must be the one too many, with `others` that have said HELLO before.
    """

    size: int
    others: int = 0


@dataclass(frozen=True, slots=True)
class Admitted:
    """Open connections that say HELLO, until the server no longer refuses one."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop the server as its operator would.

    With `under_load`, commands are sent on that connection all the while, until one is refused
    for the shutdown and the connection closed. Then a `last` line is refused on a connection
    with that name and a `b` behind it.
    """

    under_load: str = ""
    last: bytes = b""


@dataclass(frozen=True, slots=True)
class Restart:
    """Stop the server and start it again with its data; every connection ends."""


Disturbance = Wait | Crowd | Admitted | Stop | Restart
Step = Dial | Exchange | Silence | HalfClose | HangUp | Disturbance


@dataclass(frozen=True, slots=True)
class Row:
    """One scripted exchange, the section of the wire notes that it proves, and how it may run.

    A `slow` row waits for seconds; it touches nothing but its own names and runs beside others. A
    `clean` row needs an empty server. A `timer` row waits for the server's clock. `password` and
    `private` rows need a server with a password, or one of their own to stop.
    """

    section: str
    name: str
    steps: tuple[Step, ...]
    slow: bool = False
    clean: bool = False
    timer: bool = False
    password: bool = False
    private: bool = False

    @property
    def id(self) -> str:
        return f"{self.section}-{self.name}".replace(" ", "-")


def row(
    section: str,
    name: str,
    *steps: Step,
    slow: bool = False,
    clean: bool = False,
    timer: bool = False,
    password: bool = False,
    private: bool = False,
) -> Row:
    return Row(section, name, steps, slow, clean, timer, password, private)


def dial(on: str = "a", greeting: bytes = GREETING) -> Dial:
    return Dial(on, greeting)


def ask(
    line: bytes,
    *replies: bytes,
    on: str = "a",
    closes: bool = False,
    after: float = 0.0,
    within: float = 6.0,
) -> Exchange:
    """Send one line, ended by CRLF."""
    return Exchange(on, line + b"\r\n", replies, closes, after, within)


def eventually(line: bytes, reply: bytes, on: str = "a") -> Exchange:
    """Send one line again and again, until this is its reply."""
    return Exchange(on, line + b"\r\n", (reply,), patient=True)


def raw(
    data: bytes,
    *replies: bytes,
    on: str = "a",
    closes: bool = False,
    after: float = 0.0,
    within: float = 6.0,
) -> Exchange:
    """Send bytes as they are."""
    return Exchange(on, data, replies, closes, after, within)


def send(line: bytes, on: str = "a") -> Exchange:
    """Send one line, ended by CRLF, whose reply is read later."""
    return Exchange(on, line + b"\r\n", ())


def read(
    *replies: bytes,
    on: str = "a",
    closes: bool = False,
    after: float = 0.0,
    within: float = 6.0,
) -> Exchange:
    return Exchange(on, b"", replies, closes, after, within)


def login(hello: bytes, on: str = "a") -> tuple[Dial, Exchange]:
    """Open a connection with a HELLO of our own, which is accepted."""
    return dial(on), ask(b"HELLO " + hello, OK, on=on)


def greeted(section: str, name: str, line: bytes, *replies: bytes, closes: bool = False) -> Row:
    """Write a row of one line in place of the HELLO."""
    return row(section, name, dial(), raw(line, *replies, closes=closes))


def bulk(body: bytes) -> bytes:
    """Write `body` as a bulk string; its length is that with full timestamps."""
    return b"$%d\r\n%b\r\n" % (nominal_length(body), body)


def error(text: bytes) -> bytes:
    """Write `text` as an error line of the code ERR."""
    return b"-ERR %b\r\n" % text


def job(
    more: bytes = b"",
    *,
    jid: bytes = b"@j1",
    jobtype: bytes = b"t",
    queue: bytes = b"@q1",
    args: bytes = b"[]",
    retry: bytes = b"25",
) -> bytes:
    """Write the JSON of a job that the server accepts; `more` is appended to its members."""
    more = b"," + more if more else b""
    return b'{"jid":"%b","jobtype":"%b","queue":"%b","args":%b,"retry":%b%b}' % (
        jid,
        jobtype,
        queue,
        args,
        retry,
        more,
    )


def fetched(
    head: bytes = b"",
    tail: bytes = b"",
    *,
    jid: bytes = b"@j1",
    jobtype: bytes = b"t",
    queue: bytes = b"@q1",
    args: bytes = b"[]",
    retry: bytes = b"25",
    times: bytes = CREATED,
) -> bytes:
    """Write the reply to a FETCH of such a job, its members in the server's order.

    `head` is what stands behind `retry` (failure, custom), `tail` what stands behind `args`.
    """
    head = head + b"," if head else b""
    tail = b"," + tail if tail else b""
    body = b'{"retry":%b,%b"jid":"%b","queue":"%b","jobtype":"%b",%b,"args":%b%b}'
    return bulk(body % (retry, head, jid, queue, jobtype, times, args, tail))


def pushed(*jobs: bytes, on: str = "a") -> Exchange:
    """Send jobs by one PUSHB that stores them all."""
    return ask(b"PUSHB [" + b",".join(jobs) + b"]", bulk(b"{}"), on=on)


def info(
    queues: bytes = b"",
    *,
    sets: tuple[int, int, int, int] = (0, 0, 0, 0),
    totals: tuple[int, int, int, int] = (0, 0, 0, 0),
    busy: bytes = b"@int",
    workers: bytes = b"@int",
    connections: bytes = b"@int",
    commands: bytes = b"@int",
) -> bytes:
    """Write the reply to INFO.

    `queues` are the members of its object. `sets` are the sizes of dead, retries, scheduled and
    working; `totals` count failures, processed and enqueued jobs, and queues.
    """
    dead, retries, scheduled, _ = sets
    return bulk(
        b'{"now":"@now","server_utc_time":"@int:@int:@int UTC","faktory":{"queues":{%b},'
        b'"sets":{"dead":%d,"retries":%d,"scheduled":%d,"working":%d},'
        b'"tasks":{"Busy":{"reaped":@int,"size":%b},%b,%b,%b,"Workers":{"reaped":@int,"size":%b}},'
        b'"total_failures":%d,"total_processed":%d,"total_enqueued":%d,"total_queues":%d},'
        b'"server":{"description":"Faktory","faktory_version":"1.10.0","uptime":@int,'
        b'"connections":%b,"command_count":%b,"used_memory_mb":@int}}'
        % (
            queues,
            *sets,
            busy,
            _task(b"Dead", dead),
            _task(b"Retries", retries),
            _task(b"Scheduled", scheduled),
            workers,
            *totals,
            connections,
            commands,
        )
    )


def _task(name: bytes, size: int) -> bytes:
    template = b'"%b":{"cycles":@int,"enqueued":@int,"size":%d,"wall_time_sec":@num}'
    return template % (name, size)
