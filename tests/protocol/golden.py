"""Golden bytes: each command as a value, what is sent, what the real server answers, its meaning.

The rows are one script, in order; HELLO begins a new connection. `test_golden` holds the library to
the table and the table to the real server.
"""

import re
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, cast

import msgspec

from faktory_async.errors import (
    EnterpriseRequiredError,
    FaktoryError,
    JobNotFoundError,
    JobRejectedError,
    UnknownWorkerError,
)
from faktory_async.model import ServerDetails, ServerInfo, SetSizes, TaskInfo
from faktory_async.protocol import (
    EVERY_QUEUE,
    PRODUCER,
    Ack,
    BatchCommit,
    BatchNew,
    BatchOpen,
    BatchState,
    Beat,
    Command,
    End,
    Fail,
    Fetch,
    Flush,
    Greeting,
    Hello,
    Identity,
    Info,
    Latency,
    Mutate,
    Pause,
    Push,
    PushBulk,
    Raw,
    Remove,
    Resume,
    TrackGet,
    TrackSet,
)

__all__ = ["GOLDEN", "NOTHING", "WID", "Golden", "Refused", "masked", "meaning"]

WID: Final = "golden-wid"


class Refused(NamedTuple):
    """An error as a value, so that it can be compared."""

    kind: type[FaktoryError]
    text: str
    maybe_executed: bool


class Golden(NamedTuple):
    """One row; `reply` is empty where the server only closes."""

    name: str
    command: Command[Any]
    sent: bytes
    reply: bytes
    meaning: object


NOTHING: Final = object()
"""The meaning of END's reply: there is none."""


def meaning(answer: Any) -> object:
    """Return what a command's `decode` gave in a form that can be compared."""
    if isinstance(answer, FaktoryError):
        return Refused(type(answer), str(answer), answer.maybe_executed)
    if isinstance(answer, dict):
        errors = cast("dict[str, FaktoryError]", answer)
        return {jid: meaning(error) for jid, error in errors.items()}
    return answer


def masked(reply: bytes) -> bytes:
    """Replace what differs from run to run: moments, INFO's numbers, lengths that follow them."""
    body = re.sub(rb'"\d{4}-\d\d-\d\dT[\d:.]+Z"', b'"MOMENT"', reply)
    body = re.sub(rb'"\d\d:\d\d:\d\d UTC"', b'"CLOCK"', body)
    if b'"faktory_version"' in body:
        body = re.sub(rb":\d+(\.\d+)?(e-\d+)?", b":N", body)
    return body if body == reply else re.sub(rb"^\$\d+", b"$LENGTH", body)


def _bulk(data: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(data), data)


def _job(jid: str, *, retry: int = 25) -> bytes:
    text = f'{{"jid":"{jid}","jobtype":"order","queue":"golden","args":[1],"retry":{retry}}}'
    return text.encode()


def _fetched(jid: str) -> bytes:
    return (
        b'{"retry":25,"jid":"%b","queue":"golden","jobtype":"order",'
        b'"created_at":"2026-11-24T10:08:12.324929468Z",'
        b'"enqueued_at":"2026-11-24T10:08:12.325142516Z","args":[1]}'
    ) % jid.encode()


_INFO: Final = (
    b'{"now":"2026-11-24T10:08:12.326043288Z","server_utc_time":"10:08:12 UTC",'
    b'"faktory":{"queues":{"golden":1},'
    b'"sets":{"dead":0,"retries":1,"scheduled":0,"working":0},'
    b'"tasks":{"Busy":{"reaped":0,"size":0},'
    b'"Dead":{"cycles":0,"enqueued":0,"size":0,"wall_time_sec":0},'
    b'"Retries":{"cycles":1,"enqueued":0,"size":1,"wall_time_sec":0.000032438},'
    b'"Scheduled":{"cycles":1,"enqueued":0,"size":0,"wall_time_sec":0.000256993},'
    b'"Workers":{"reaped":0,"size":1}},'
    b'"total_failures":1,"total_processed":2,"total_enqueued":1,"total_queues":1},'
    b'"server":{"description":"Faktory","faktory_version":"1.10.0","uptime":2,"connections":1,'
    b'"command_count":9,"used_memory_mb":12}}'
)
_INFO_MEANS: Final = ServerInfo(
    now=datetime(2026, 11, 24, 10, 8, 12, 326043, tzinfo=UTC),
    queues={"golden": 1},
    sets=SetSizes(retries=1),
    tasks={
        "Busy": TaskInfo(reaped=0, size=0),
        "Dead": TaskInfo(cycles=0, enqueued=0, size=0, wall_time_sec=0),
        "Retries": TaskInfo(cycles=1, enqueued=0, size=1, wall_time_sec=0.000032438),
        "Scheduled": TaskInfo(cycles=1, enqueued=0, size=0, wall_time_sec=0.000256993),
        "Workers": TaskInfo(reaped=0, size=1),
    },
    total_failures=1,
    total_processed=2,
    total_enqueued=1,
    total_queues=1,
    server=ServerDetails(
        description="Faktory",
        faktory_version="1.10.0",
        uptime=2,
        connections=1,
        command_count=9,
        used_memory_mb=12,
    ),
    raw=msgspec.json.decode(_INFO),
)

_ENTERPRISE: Final[tuple[tuple[str, Command[Any], bytes, str], ...]] = (
    (
        "new batches",
        BatchNew(description="a b", success=b'{"jobtype":"done"}'),
        b'BATCH NEW {"description":"a b","success":{"jobtype":"done"}}\r\n',
        "batch",
    ),
    ("batches to open", BatchOpen("b-1"), b"BATCH OPEN b-1\r\n", "batch"),
    ("batches to commit", BatchCommit("b-1"), b"BATCH COMMIT b-1\r\n", "batch"),
    ("batches to look at", BatchState("b-1"), b"BATCH STATUS b-1\r\n", "batch"),
    ("tracked jobs", TrackGet("golden-01"), b"TRACK GET golden-01\r\n", "tracking"),
    (
        "jobs to track",
        TrackSet("golden-01", percent=50, desc="half"),
        b'TRACK SET {"jid":"golden-01","percent":50,"desc":"half"}\r\n',
        "tracking",
    ),
)

GOLDEN: Final = (
    Golden(
        "a producer says hello",
        Hello(Greeting(), PRODUCER),
        b'HELLO {"v":2}\r\n',
        b"+OK\r\n",
        None,
    ),
    Golden(
        "a producer with a password says hello",
        Hello(Greeting(iterations=4728, salt="279b5384a25685ee"), PRODUCER, "sekrit"),
        b'HELLO {"v":2,"pwdhash":'
        b'"199e487f0e15e3f8bafe3bc5bf9e8b4cf338cf1182c034dbd7862318b4ae317a"}\r\n',
        b"+OK\r\n",
        None,
    ),
    Golden(
        "a producer with a password and a username says hello",
        Hello(
            Greeting(iterations=1545, salt="55104dc76695721d"),
            Identity(hostname="box", pid=42, username="bob"),
            "foobar",
        ),
        b'HELLO {"v":2,"hostname":"box","pid":42,"username":"bob","pwdhash":'
        b'"6d877f8e5544b1f2598768f817413ab8a357afffa924dedae99eb91472d4ec30"}\r\n',
        b"+OK\r\n",
        None,
    ),
    Golden(
        "a password is not sent where none is asked for",
        Hello(Greeting(), PRODUCER, "sekrit"),
        b'HELLO {"v":2}\r\n',
        b"+OK\r\n",
        None,
    ),
    Golden(
        "a worker says hello",
        Hello(Greeting(), Identity(wid=WID, hostname="box", pid=42, labels=("eu", "big"))),
        b'HELLO {"v":2,"wid":"golden-wid","hostname":"box","pid":42,"labels":["eu","big"]}\r\n',
        b"+OK\r\n",
        None,
    ),
    Golden(
        "one job is pushed",
        PushBulk([_job("golden-01")]),
        b'PUSHB [{"jid":"golden-01","jobtype":"order","queue":"golden","args":[1],"retry":25}]\r\n',
        b"$2\r\n{}\r\n",
        {},
    ),
    Golden(
        "of two jobs one is refused",
        PushBulk([_job("golden-02"), _job("short")]),
        b'PUSHB [{"jid":"golden-02","jobtype":"order","queue":"golden","args":[1],"retry":25},'
        b'{"jid":"short","jobtype":"order","queue":"golden","args":[1],"retry":25}]\r\n',
        b'$53\r\n{"short":"jobs must have a reasonable jid parameter"}\r\n',
        {
            "short": Refused(
                JobRejectedError,
                "jobs must have a reasonable jid parameter",
                maybe_executed=False,
            )
        },
    ),
    Golden("no job is pushed", PushBulk([]), b"PUSHB []\r\n", b"$2\r\n{}\r\n", {}),
    Golden(
        "a job is fetched",
        Fetch(["golden", "other"]),
        b"FETCH golden other\r\n",
        _bulk(_fetched("golden-01")),
        _fetched("golden-01"),
    ),
    Golden("a job is acked", Ack("golden-01"), b'ACK {"jid":"golden-01"}\r\n', b"+OK\r\n", None),
    Golden(
        "a job nobody knows is acked",
        Ack('no"body'),
        b'ACK {"jid":"no\\"body"}\r\n',
        b"+OK\r\n",
        None,
    ),
    Golden(
        "another job is fetched",
        Fetch(("golden",)),
        b"FETCH golden\r\n",
        _bulk(_fetched("golden-02")),
        _fetched("golden-02"),
    ),
    Golden(
        "a job fails",
        Fail("golden-02", "ValueError", "bo\nom", ["line 1", "line 2"]),
        b'FAIL {"jid":"golden-02","errtype":"ValueError","message":"bo\\nom",'
        b'"backtrace":["line 1","line 2"]}\r\n',
        b"+OK\r\n",
        None,
    ),
    Golden(
        "a job nobody knows fails",
        Fail("nobody", "E", "m"),
        b'FAIL {"jid":"nobody","errtype":"E","message":"m","backtrace":[]}\r\n',
        b"-ERR Job not found nobody\r\n",
        Refused(JobNotFoundError, "Job not found nobody", maybe_executed=False),
    ),
    Golden(
        "a job is pushed alone",
        Push(_job("golden-03")),
        b'PUSH {"jid":"golden-03","jobtype":"order","queue":"golden","args":[1],"retry":25}\r\n',
        b"+OK\r\n",
        None,
    ),
    Golden(
        "a job is refused alone",
        Push(b"{}"),
        b"PUSH {}\r\n",
        b"-ERR jobs must have a reasonable jid parameter\r\n",
        Refused(
            JobRejectedError, "jobs must have a reasonable jid parameter", maybe_executed=False
        ),
    ),
    Golden(
        "a worker beats",
        Beat(WID, rss_kb=1024),
        b'BEAT {"wid":"golden-wid","rss_kb":1024}\r\n',
        b"+OK\r\n",
        None,
    ),
    Golden(
        "a worker becomes quiet",
        Beat(WID, rss_kb=0, current_state="quiet"),
        b'BEAT {"wid":"golden-wid","rss_kb":0,"current_state":"quiet"}\r\n',
        b'$17\r\n{"state":"quiet"}\r\n',
        "quiet",
    ),
    Golden(
        "a worker is about to end",
        Beat(WID, current_state="terminate"),
        b'BEAT {"wid":"golden-wid","current_state":"terminate"}\r\n',
        b'$21\r\n{"state":"terminate"}\r\n',
        "terminate",
    ),
    Golden(
        "a worker nobody knows beats",
        Beat("nobody"),
        b'BEAT {"wid":"nobody"}\r\n',
        b"-ERR unknown worker nobody\r\n",
        Refused(UnknownWorkerError, "unknown worker nobody", maybe_executed=False),
    ),
    Golden("the server is asked", Info(), b"INFO\r\n", _bulk(_INFO), _INFO_MEANS),
    Golden("everything is erased", Flush(), b"FLUSH\r\n", b"+OK\r\n", None),
    Golden("a queue is paused", Pause(["golden"]), b"QUEUE PAUSE golden\r\n", b"+OK\r\n", None),
    Golden(
        "every queue is resumed", Resume([EVERY_QUEUE]), b"QUEUE RESUME *\r\n", b"+OK\r\n", None
    ),
    Golden(
        "the latency of two queues",
        Latency(["golden", "nope"]),
        b"QUEUE LATENCY golden nope\r\n",
        b'$21\r\n{"golden":0,"nope":0}\r\n',
        {"golden": 0.0, "nope": 0.0},
    ),
    Golden(
        "queues are removed",
        Remove(["golden", "nope"]),
        b"QUEUE REMOVE golden nope\r\n",
        b"+OK\r\n",
        None,
    ),
    Golden(
        "a set is cleared",
        Mutate("clear", "dead"),
        b'MUTATE {"cmd":"clear","target":"dead"}\r\n',
        b"+OK\r\n",
        None,
    ),
    Golden(
        "jobs of a set are meant by a pattern with a space",
        Mutate("kill", "retries", {"regexp": '*"args":["a b"]*', "jobtype": "order"}),
        b'MUTATE {"cmd":"kill","target":"retries",'
        b'"filter":{"regexp":"*\\"args\\":[\\"a\\u0020b\\"]*","jobtype":"order"}}\r\n',
        b"+OK\r\n",
        None,
    ),
    *(
        Golden(
            f"the free edition has no {name}",
            command,
            sent,
            f"-ERR {subsystem} subsystem is only available in Faktory Enterprise\r\n".encode(),
            Refused(
                EnterpriseRequiredError,
                f"{subsystem} subsystem is only available in Faktory Enterprise",
                maybe_executed=False,
            ),
        )
        for name, command, sent, subsystem in _ENTERPRISE
    ),
    Golden(
        "a line of the caller's own",
        Raw("QUEUE LATENCY"),
        b"QUEUE LATENCY\r\n",
        b"$2\r\n{}\r\n",
        b"{}",
    ),
    Golden("there is no job", Fetch(["golden"]), b"FETCH golden\r\n", b"$-1\r\n", None),
    Golden("a goodbye", End(), b"END\r\n", b"", NOTHING),
)
"""The script."""
