"""MUTATE: commands, targets and filters over the three sets."""

from tests.conformance._script import (
    CREATED,
    OK,
    Exchange,
    Row,
    Step,
    ask,
    error,
    fetched,
    info,
    job,
    pushed,
    row,
)

__all__ = ["ROWS"]

LATER = b'"at":"2099-01-01T00:00:00Z"'
# A job that was never queued by the server itself has no `enqueued_at`.
NEVER_QUEUED = b'"created_at":"@now",' + LATER
FORMAT = error(b"invalid format")
OPERATION = error(b"unknown mutate operation")
TARGET = error(b"invalid target for mutation command")
ANY_JSON_ERROR = error(b"json: @any")


def mutate(cmd: bytes, target: bytes, filtered: bytes | None = None) -> Exchange:
    """Write a MUTATE that is accepted; `filtered` is the JSON of its filter."""
    tail = b"" if filtered is None else b',"filter":' + filtered
    return ask(b'MUTATE {"cmd":"%b","target":"%b"%b}' % (cmd, target, tail), OK)


def scheduled(jid: bytes, *, more: bytes = b"", **fields: bytes) -> bytes:
    return job(LATER + more, jid=jid, **fields)


def requeued(jid: bytes = b"@j1", **fields: bytes) -> Exchange:
    """Write the FETCH of a job that MUTATE moved from `scheduled` to its queue."""
    return ask(b"FETCH @q1", fetched(jid=jid, times=NEVER_QUEUED, **fields))


def size(dead: int = 0, retries: int = 0, scheduled: int = 0) -> Exchange:
    """Write an INFO that shows no queue and three sets of this size."""
    return ask(b"INFO", info(sets=(dead, retries, scheduled, 0)))


def chosen(name: str, filtered: bytes | None, *which: int) -> Row:
    """Write a row that discards by a filter from five scheduled jobs all but `which`."""
    jobs = (
        scheduled(b"@j1", jobtype=b"alpha", args=b'["x y",1]'),
        scheduled(b"@j2", jobtype=b"alpine", args=b'["\\u003cb>",2]'),
        scheduled(b"@j3", jobtype=b"beta", args=b'[{"jid":"@j1","z":1,"a":2}]'),
        scheduled(b"@j4", jobtype=b"beta", args=b'["alpha"]', more=b',"custom":{"k":"v"}'),
        scheduled(b"@j5", jobtype=b"a*a", args=b"[3]"),
    )
    return row(
        "5.10",
        f"filter: {name}",
        pushed(*jobs),
        mutate(b"discard", b"scheduled", filtered),
        size(scheduled=5 - len(which)),
        *(step for number in range(1, 6) if number not in which for step in gone(number)),
        size(),
        clean=True,
    )


def gone(number: int) -> tuple[Step, ...]:
    """Discard one of the five by a text that only it holds."""
    pattern = b'*"jid":"@j%d","queue"*' % number
    return (mutate(b"discard", b"scheduled", b'{"regexp":"%b"}' % quoted(pattern)),)


def quoted(text: bytes) -> bytes:
    return text.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b" ", b"\\u0020")


def regexp(pattern: bytes, more: bytes = b"") -> bytes:
    return b'{"regexp":"%b"%b}' % (quoted(pattern), more)


def failed(retry: bytes) -> tuple[Step, ...]:
    return (
        pushed(job(retry=retry)),
        ask(b"FETCH @q1", fetched(retry=retry)),
        ask(b'FAIL {"jid":"@j1"}', OK),
    )


def failure(stamps: bytes, count: bytes) -> bytes:
    return b'"failure":{%b,"message":"unknown","errtype":"unknown",%b}' % (stamps, count)


RETRIED = failure(b'"failed_at":"@now1","next_at":"@next0"', b'"retry_count":0,"remaining":25')
DIED = failure(b'"failed_at":"@now1"', b'"retry_count":0,"remaining":-1')
ONE = b'{"jids":["@j1"]}'

REFUSED = (
    ("nothing at all", b"", FORMAT),
    ("nothing behind the space", b" ", error(b"unexpected end of JSON input")),
    ("an empty object", b" {}", OPERATION),
    ("null", b" null", OPERATION),
    ("a space in the object", b' {"cmd": "clear","target":"dead"}', FORMAT),
    ("a space in a text", b' {"cmd":"clear","target":"dead","filter":{"regexp":"a b"}}', FORMAT),
    ("a space behind the object", b' {"cmd":"clear","target":"dead"} ', FORMAT),
    ("a number as command", b' {"cmd":5}', error(b"json: cannot unmarshal number @any")),
    ("an array", b" []", ANY_JSON_ERROR),
    ("a filter that is text", b' {"cmd":"clear","target":"dead","filter":"x"}', ANY_JSON_ERROR),
    (
        "jids that are text",
        b' {"cmd":"discard","target":"dead","filter":{"jids":"x"}}',
        ANY_JSON_ERROR,
    ),
    ("half an object", b' {"cmd":"clear"', error(b"unexpected end of JSON input")),
    ("an unknown command", b' {"cmd":"explode","target":"dead"}', OPERATION),
    ("a command in upper case", b' {"cmd":"CLEAR","target":"dead"}', OPERATION),
    ("the command is looked at first", b' {"cmd":"explode","target":"moon"}', OPERATION),
    ("no target", b' {"cmd":"clear"}', TARGET),
    ("the set of reserved jobs", b' {"cmd":"clear","target":"working"}', TARGET),
    ("a target in upper case", b' {"cmd":"clear","target":"DEAD"}', TARGET),
    ("an unknown target", b' {"cmd":"kill","target":"moon"}', TARGET),
)

ROWS: tuple[Row, ...] = (
    *(row("5.10", f"refused: {name}", ask(b"MUTATE" + end, reply)) for name, end, reply in REFUSED),
    *(
        row(
            "5.10",
            f"nothing to {cmd.decode()} in {target.decode()}",
            mutate(cmd, target, ONE),
            mutate(cmd, target, regexp(b'*"@j1"*')),
        )
        for cmd in (b"kill", b"discard", b"requeue")
        for target in (b"scheduled", b"retries", b"dead")
    ),
    row(
        "5.10",
        "keys of the object in any case",
        pushed(scheduled(b"@j1")),
        ask(b'MUTATE {"CMD":"requeue","Target":"scheduled","FILTER":{"JIDS":["@j1"]}}', OK),
        requeued(),
    ),
    row(
        "5.10",
        "clear empties a set whatever its filter says",
        pushed(scheduled(b"@j1"), scheduled(b"@j2")),
        mutate(b"clear", b"scheduled", ONE),
        size(),
        clean=True,
    ),
    row(
        "5.10",
        "clear of the retries and of the dead",
        *failed(b"25"),
        mutate(b"clear", b"dead"),
        ask(b"INFO", info(b'"@q1":0', sets=(0, 1, 0, 0), totals=(1, 1, 0, 1))),
        mutate(b"clear", b"retries"),
        ask(b"INFO", info(b'"@q1":0', totals=(1, 1, 0, 1))),
        *failed(b"-1"),
        mutate(b"clear", b"retries"),
        ask(b"INFO", info(b'"@q1":0', sets=(1, 0, 0, 0), totals=(2, 2, 0, 1))),
        mutate(b"clear", b"dead"),
        ask(b"INFO", info(b'"@q1":0', totals=(2, 2, 0, 1))),
        clean=True,
    ),
    row(
        "5.10",
        "discard deletes one",
        pushed(scheduled(b"@j1"), scheduled(b"@j2")),
        mutate(b"discard", b"scheduled", ONE),
        size(scheduled=1),
        mutate(b"requeue", b"scheduled"),
        requeued(b"@j2"),
        clean=True,
    ),
    row(
        "5.10",
        "kill moves one to the dead, as it is",
        pushed(scheduled(b"@j1"), scheduled(b"@j2")),
        mutate(b"kill", b"scheduled", ONE),
        size(dead=1, scheduled=1),
        mutate(b"requeue", b"dead"),
        requeued(b"@j1"),
        clean=True,
    ),
    row(
        "5.10",
        "kill of the dead keeps them dead",
        pushed(scheduled(b"@j1")),
        mutate(b"kill", b"scheduled", ONE),
        mutate(b"kill", b"dead", ONE),
        size(dead=1),
        mutate(b"requeue", b"dead", ONE),
        requeued(b"@j1"),
        clean=True,
    ),
    row(
        "5.10",
        "kill of a retry",
        *failed(b"25"),
        mutate(b"kill", b"retries", ONE),
        ask(b"INFO", info(b'"@q1":0', sets=(1, 0, 0, 0), totals=(1, 1, 0, 1))),
        mutate(b"requeue", b"dead", ONE),
        ask(b"FETCH @q1", fetched(RETRIED)),
        clean=True,
    ),
    row(
        "5.10",
        "discard of a retry and of a dead job",
        *failed(b"25"),
        mutate(b"discard", b"retries", ONE),
        *failed(b"-1"),
        mutate(b"discard", b"dead", ONE),
        ask(b"INFO", info(b'"@q1":0', totals=(2, 2, 0, 1))),
        clean=True,
    ),
    row(
        "5.10",
        "requeue of a scheduled job: no time of its own",
        pushed(scheduled(b"@j1")),
        mutate(b"requeue", b"scheduled", ONE),
        requeued(),
    ),
    row(
        "5.10",
        "requeue of a retry: its failure and its old time stay",
        pushed(job()),
        ask(b"FETCH @q1", fetched(times=b'"created_at":"@now2","enqueued_at":"@now3"')),
        ask(b'FAIL {"jid":"@j1"}', OK),
        mutate(b"requeue", b"retries", ONE),
        ask(
            b"FETCH @q1",
            fetched(RETRIED, times=b'"created_at":"@now2","enqueued_at":"@now3"'),
        ),
    ),
    row(
        "5.10",
        "requeue of a dead job: its failure stays",
        *failed(b"-1"),
        mutate(b"requeue", b"dead", ONE),
        ask(b"FETCH @q1", fetched(DIED, retry=b"-1")),
    ),
    row(
        "5.10",
        "requeue appends to the queue",
        pushed(scheduled(b"@j1"), job(jid=b"@j2")),
        mutate(b"requeue", b"scheduled", ONE),
        pushed(job(jid=b"@j3")),
        ask(b"FETCH @q1", fetched(jid=b"@j2", times=CREATED)),
        requeued(b"@j1"),
        ask(b"FETCH @q1", fetched(jid=b"@j3", times=CREATED)),
    ),
    row(
        "5.10",
        "requeue of a job with an illegal queue name",
        pushed(scheduled(b"@j1", queue=b"a/b")),
        ask(
            b'MUTATE {"cmd":"requeue","target":"scheduled","filter":%b}' % ONE,
            error(rb"queue names must match \A[a-zA-Z0-9._-]+\z"),
        ),
        size(scheduled=1),
        mutate(b"kill", b"scheduled", ONE),
        size(dead=1),
        clean=True,
    ),
    row(
        "5.10",
        "requeue makes a queue, and looks at no pause",
        pushed(scheduled(b"@j1")),
        ask(b"QUEUE PAUSE @q1", OK),
        mutate(b"requeue", b"scheduled", ONE),
        ask(b"INFO", info(b'"@q1":1', totals=(0, 0, 1, 1))),
        requeued(),
        clean=True,
    ),
    chosen("absent, everything", None, 1, 2, 3, 4, 5),
    chosen("null, everything", b"null", 1, 2, 3, 4, 5),
    chosen("an empty object, everything", b"{}", 1, 2, 3, 4, 5),
    chosen("an empty list of jids, everything", b'{"jids":[]}', 1, 2, 3, 4, 5),
    chosen("unknown keys alone, everything", b'{"kind":"alpha"}', 1, 2, 3, 4, 5),
    chosen("empty texts, everything", b'{"regexp":"","jobtype":""}', 1, 2, 3, 4, 5),
    chosen("a jid", b'{"jids":["@j2"]}', 2),
    chosen("several jids", b'{"jids":["@j2","@j5","@j9"]}', 2, 5),
    chosen("a jid is found in args too", b'{"jids":["@j1"]}', 1, 3),
    chosen(
        "jids make the rest of no account",
        b'{"jids":["@j2"],"jobtype":"beta","regexp":"*beta*"}',
        2,
    ),
    chosen("a jobtype", b'{"jobtype":"beta"}', 3, 4),
    chosen("a jobtype is no prefix", b'{"jobtype":"alp"}'),
    chosen("a jobtype in args is none", b'{"jobtype":"alpha"}', 1),
    chosen("a jobtype alone is a glob", b'{"jobtype":"al*"}', 1, 2),
    chosen("a jobtype alone is a glob, also where a star is meant", b'{"jobtype":"a*a"}', 1, 5),
    chosen(
        "a jobtype beside a regexp is plain text",
        b'{"jobtype":"a*a","regexp":"*"}',
        5,
    ),
    chosen("a regexp and a jobtype", regexp(b"*alpha*", b',"jobtype":"beta"'), 4),
    chosen("a glob over the whole text", regexp(b'*"k":"v"*'), 4),
    chosen("a glob without stars matches nothing", regexp(b"alpha")),
    chosen("a glob with one star matches nothing", regexp(b"*alpha")),
    chosen("a glob from the first byte on", regexp(b'{"retry":25,"jid":"@j1"*'), 1),
    chosen("a class in a glob", regexp(b"*,[12]]*"), 1, 2),
    chosen("a question mark in a glob", regexp(b'*"jobtype":"?eta"*'), 3, 4),
    chosen("a class without its end matches nothing", regexp(b"*[12*")),
    chosen("a space is written as an escape", regexp(b"*x y*"), 1),
    chosen("texts are looked at as they are stored", regexp(b"*\\\\u003cb\\\\u003e*"), 2),
    chosen("an angle bracket is not found as itself", regexp(b"*<b*")),
    chosen("keys of objects are stored sorted", regexp(b'*"a":2,"jid":"@j1","z":1*'), 3),
    row(
        "5.10",
        "a jid whose text is stored escaped",
        pushed(scheduled(b"<@j1>")),
        mutate(b"requeue", b"scheduled", b'{"jids":["<@j1>"]}'),
        mutate(b"requeue", b"scheduled", b'{"jobtype":"nothing-of-ours"}'),
        mutate(b"requeue", b"scheduled", regexp(b"*@j1*")),
        requeued(rb"\u003c@j1\u003e"),
    ),
)
