"""Probe lines and their exact replies, one line each, and one full history of failures."""

from tests.conformance._script import (
    NIL,
    OK,
    Exchange,
    Row,
    ask,
    bulk,
    dial,
    error,
    fetched,
    job,
    login,
    pushed,
    raw,
    row,
)

__all__ = ["ROWS"]

INTERNAL = error(b"internal error")
LATER = b'"at":"2099-01-01T00:00:00Z"'
NO_JID = error(b"jobs must have a reasonable jid parameter")
NO_ARGS = error(b"jobs must have an args parameter")


def unnameable(name: bytes) -> bytes:
    return error(b'cannot get "%b" queue: queue names must match \\A[a-zA-Z0-9._-]+\\z' % name)


def undecodable(what: bytes) -> bytes:
    return error(b"invalid JSON: json: cannot unmarshal " + what)


GREETED = (
    b'HELLO {"v":2}\r\n',
    b"HELLO {}\r\n",
    b'HELLO {"v":1}\r\n',
    b'HELLO {"v":255}\r\n',
    b'HELLO {"V":2,"WID":"abc"}\r\n',
    b'HELLO {"v":2}\n',
    b'HELLO {"v":2,"username":"bob","foo":[1]}\r\n',
    b'HELLO { "v" : 2 }\r\n',
    b'HELLO {"v":2}   \r\n',
)

SHUT_OUT = (
    b"INFO\r\n",
    b'hello {"v":2}\r\n',
    b"HELLO\r\n",
    b"HELLO \r\n",
    b'HELLO  {"v":2}\r\n',
    b'HELLO{"v":2}\r\n',
    b'HELLO {"v":2\r\n',
    b'HELLO {"v":2} x\r\n',
    b'HELLO {"v":256}\r\n',
    b'HELLO {"v":-1}\r\n',
    b'HELLO {"v":2.0}\r\n',
    b'HELLO {"v":"2"}\r\n',
    b'HELLO {"v":2,"pid":"12"}\r\n',
    b'HELLO {"v":2,"labels":"a"}\r\n',
    b'HELLO {"v":2,"wid":1}\r\n',
)

PRODUCER = (
    ("a job", b'PUSH {"jid":"@j1","jobtype":"a","args":[],"queue":"@q1"}', OK),
    ("PUSH alone", b"PUSH", INTERNAL),
    ("PUSH of nothing", b"PUSH ", error(b"invalid JSON: unexpected end of JSON input")),
    ("PUSH of an empty object", b"PUSH {}", NO_JID),
    ("PUSH of null", b"PUSH null", NO_JID),
    ("PUSH of an array", b"PUSH []", undecodable(b"array into Go value of type client.Job")),
    (
        "a jid that is a number",
        b'PUSH {"jid":5}',
        undecodable(b"number into Go struct field Job.jid of type string"),
    ),
    (
        "args that are an object",
        b'PUSH {"jid":"@j1","args":{}}',
        undecodable(b"object into Go struct field Job.args of type []interface {}"),
    ),
    (
        "a retry with a fraction",
        b"PUSH " + job(retry=b"2.5"),
        undecodable(b"number 2.5 into Go struct field Job.retry of type int"),
    ),
    (
        "text behind the job",
        b"PUSH " + job() + b"x",
        error(b"invalid JSON: invalid character 'x' after top-level value"),
    ),
    ("a jid of 7 bytes", b'PUSH {"jid":"1234567","jobtype":"a","args":[]}', NO_JID),
    (
        "no jobtype",
        b'PUSH {"jid":"12345678","args":[]}',
        error(b"jobs must have a jobtype parameter"),
    ),
    ("no args", b'PUSH {"jid":"12345678","jobtype":"a"}', NO_ARGS),
    ("null for args", b'PUSH {"jid":"12345678","jobtype":"a","args":null}', NO_ARGS),
    (
        "a reservation beyond a day",
        b"PUSH " + job(b'"reserve_for":86401'),
        error(b"jobs cannot be reserved for more than one day"),
    ),
    ("a queue with a space", b"PUSH " + job(queue=b"a b"), unnameable(b"a b")),
    ("a queue with an accent", b"PUSH " + job(queue="é".encode()), unnameable("é".encode())),
    ("a queue with a space, later", b"PUSH " + job(LATER, queue=b"a b"), OK),
    (
        "a time without a zone",
        b"PUSH " + job(b'"at":"2099-01-01T00:00:00"'),
        error(
            b"invalid timestamp for 'at': \"2099-01-01T00:00:00\": parsing time "
            b'"2099-01-01T00:00:00" as "2006-01-02T15:04:05.999999999Z07:00": '
            b'cannot parse "" as "Z07:00"'
        ),
    ),
    ("a time with a comma", b"PUSH " + job(b'"at":"2099-01-01T00:00:00,5Z"'), OK),
    ("a time with a short hour", b"PUSH " + job(b'"at":"2099-01-01T0:00:00Z"'), OK),
    ("a time of 13 digits", b"PUSH " + job(b'"at":"2099-01-01T00:00:00.1234567890123Z"'), OK),
    ("a time with an offset", b"PUSH " + job(b'"at":"2099-01-01T00:00:00+02:00"'), OK),
    (
        "custom that is an array",
        b"PUSH " + job(b'"custom":[]'),
        undecodable(b"array into Go struct field Job.custom of type map[string]interface {}"),
    ),
    (
        "a failure that is text",
        b"PUSH " + job(b'"failure":"x"'),
        undecodable(b"string into Go struct field Job.failure of type client.Failure"),
    ),
    (
        "a retry beyond 64 bits",
        b"PUSH " + job(retry=b"99999999999999999999"),
        undecodable(b"number 99999999999999999999 into Go struct field Job.retry of type int"),
    ),
    (
        "a NUL inside a text",
        b"PUSH " + job(jobtype=b"a\x00"),
        error(rb"invalid JSON: invalid character '\x00' in string literal"),
    ),
    ("PUSHB alone", b"PUSHB", INTERNAL),
    ("PUSHB of nothing", b"PUSHB ", error(b"invalid JSON: unexpected end of JSON input")),
    ("PUSHB of no jobs", b"PUSHB []", b"$2\r\n{}\r\n"),
    (
        "PUSHB of a short jid",
        b'PUSHB [{"jid":"short","jobtype":"a","args":[]}]',
        b'$53\r\n{"short":"jobs must have a reasonable jid parameter"}\r\n',
    ),
    (
        "PUSHB of a job and a number",
        b"PUSHB [" + job() + b",5]",
        undecodable(b"number into Go value of type client.Job"),
    ),
    (
        "PUSHB of an object",
        b"PUSHB {}",
        undecodable(b"object into Go value of type []client.Job"),
    ),
)

CONSUMER = (
    ("FETCH alone", b"FETCH", error(b"must call fetch with at least one queue")),
    ("ACK alone", b"ACK", INTERNAL),
    ("ACK of nothing", b"ACK ", error(b"invalid ACK ")),
    ("ACK of an empty object", b"ACK {}", error(b"invalid ACK {}")),
    ("ACK of a number", b'ACK {"jid":5}', error(b'invalid ACK {"jid":5}')),
    ("ACK of an unknown job", b'ACK {"jid":"nope"}', OK),
    ("ACK of null", b'ACK {"jid":null}', OK),
    ("ACK of an empty jid", b'ACK {"jid":""}', OK),
    ("FAIL alone", b"FAIL", INTERNAL),
    ("FAIL of nothing", b"FAIL ", error(b"invalid FAIL ")),
    ("FAIL of an empty object", b"FAIL {}", error(b"missing JID")),
    ("FAIL of bare text", b"FAIL nope", error(b"invalid FAIL nope")),
    ("FAIL of an unknown job", b'FAIL {"jid":"nope"}', error(b"Job not found nope")),
    (
        "FAIL with a backtrace that is text",
        b'FAIL {"jid":"x","backtrace":"str"}',
        error(b'invalid FAIL {"jid":"x","backtrace":"str"}'),
    ),
    ("BEAT alone", b"BEAT", INTERNAL),
    ("BEAT of nothing", b"BEAT ", error(b"invalid BEAT ")),
    ("BEAT of an empty object", b"BEAT {}", error(b"unknown worker ")),
    ("BEAT of an unknown worker", b'BEAT {"wid":"nope"}', error(b"unknown worker nope")),
    (
        "BEAT with a fraction",
        b'BEAT {"wid":"w1","rss_kb":5.5}',
        error(b'invalid BEAT {"wid":"w1","rss_kb":5.5}'),
    ),
)

ADMIN = (
    ("QUEUE alone", b"QUEUE", INTERNAL),
    ("QUEUE of nothing", b"QUEUE ", error(b"no such QUEUE subcommand: ")),
    ("QUEUE of an unknown subcommand", b"QUEUE BOGUS x", error(b"no such QUEUE subcommand: BOGUS")),
    ("QUEUE PAUSE alone", b"QUEUE PAUSE", INTERNAL),
    ("QUEUE pause of an unknown name", b"QUEUE pause nope", OK),
    ("LATENCY alone", b"QUEUE LATENCY", b"$2\r\n{}\r\n"),
    (
        "LATENCY of everything",
        b"QUEUE LATENCY *",
        error(b"QUEUE LATENCY does not support wildcards"),
    ),
    ("LATENCY of an unknown name", b"QUEUE LATENCY nope", b'$10\r\n{"nope":0}\r\n'),
    ("LATENCY of nothing", b"QUEUE LATENCY ", b'$6\r\n{"":0}\r\n'),
    ("MUTATE alone", b"MUTATE", error(b"invalid format")),
    ("MUTATE of nothing", b"MUTATE ", error(b"unexpected end of JSON input")),
    ("MUTATE of an empty object", b"MUTATE {}", error(b"unknown mutate operation")),
    (
        "MUTATE with a space",
        b'MUTATE {"cmd": "clear","target":"dead"}',
        error(b"invalid format"),
    ),
    (
        "MUTATE of the reserved jobs",
        b'MUTATE {"cmd":"clear","target":"working"}',
        error(b"invalid target for mutation command"),
    ),
    (
        "MUTATE with a number",
        b'MUTATE {"cmd":5}',
        error(b"json: cannot unmarshal number into Go struct field Operation.cmd of type string"),
    ),
    (
        "MUTATE of two unknown jobs",
        b'MUTATE {"cmd":"discard","target":"scheduled","filter":{"jids":["a","b"]}}',
        OK,
    ),
    (
        "TRACK",
        b"TRACK",
        error(b"tracking subsystem is only available in Faktory Enterprise"),
    ),
    (
        "TRACK GET",
        b"TRACK GET x",
        error(b"tracking subsystem is only available in Faktory Enterprise"),
    ),
    (
        "BATCH NEW",
        b"BATCH NEW {}",
        error(b"batch subsystem is only available in Faktory Enterprise"),
    ),
)

PROBES: tuple[Row, ...] = (
    *(row("A", f"greeted {line!r}", dial(), raw(line, OK)) for line in GREETED),
    *(row("A", f"shut out {line!r}", dial(), raw(line, closes=True)) for line in SHUT_OUT),
    row(
        "A",
        "HELLO, three commands and END in one packet",
        dial(),
        raw(
            b'HELLO {"v":2}\r\nNOPE\r\nNOPE2\r\nEND\r\nNOPE3\r\n',
            OK,
            error(b"unknown command NOPE"),
            error(b"unknown command NOPE2"),
            closes=True,
        ),
    ),
    *(row("A", name, ask(line, reply)) for name, line, reply in PRODUCER),
    *(row("A", name, ask(line, reply)) for name, line, reply in CONSUMER),
    *(row("A", name, ask(line, reply)) for name, line, reply in ADMIN),
    row("A", "END", ask(b"END", closes=True)),
    row("A", "END with text", ask(b"END now", closes=True)),
    row("A", "FETCH of an empty queue", ask(b"FETCH @q1", NIL, after=1.95), slow=True),
    row(
        "A",
        "BEAT while running, quiet and terminated",
        *login(b'{"v":2,"wid":"@w1"}'),
        ask(b'BEAT {"wid":"@w1"}', OK),
        ask(b'BEAT {"wid":"@w1","current_state":"quiet"}', b'$17\r\n{"state":"quiet"}\r\n'),
        ask(b'BEAT {"wid":"@w1"}', b'$17\r\n{"state":"quiet"}\r\n'),
        ask(
            b'BEAT {"wid":"@w1","current_state":"terminate"}',
            b'$21\r\n{"state":"terminate"}\r\n',
        ),
        ask(b'BEAT {"wid":"@w1"}', b'$21\r\n{"state":"terminate"}\r\n'),
    ),
    row(
        "A",
        "nothing of a refused PUSHB is stored",
        ask(b"PUSHB [" + job() + b",5]", error(b"invalid JSON: @any")),
        pushed(job(jid=b"@j2")),
        ask(b"FETCH @q1", fetched(jid=b"@j2")),
    ),
)

FAIL = ask(
    b'FAIL {"jid":"@j1","message":"boom <x>","errtype":"ValueError","backtrace":["l1","l2"]}', OK
)


def requeue(target: bytes) -> Exchange:
    line = b'MUTATE {"cmd":"requeue","target":"%b","filter":{"jids":["@j1"]}}'
    return ask(line % target, OK)


def run(number: int, following: bytes = b"", remaining: int = 0) -> Exchange:
    """Write the FETCH of a run; from the second on with the failure of the run before."""
    failure = (
        b'"failure":{"failed_at":"@now3","next_at":"%b","message":"boom \\u003cx\\u003e",'
        b'"errtype":"ValueError","backtrace":["l1","l2"],"retry_count":%d,"remaining":%d},'
        % (following, number - 2, remaining)
    )
    return ask(
        b"FETCH @q1",
        bulk(
            b'{"retry":2,%b"jid":"@j1","queue":"@q1","jobtype":"a","created_at":"@now1",'
            b'"enqueued_at":"@now2","args":[1]}' % (failure if number > 1 else b"")
        ),
    )


HISTORY = row(
    "B",
    "retry 2: three runs and a death",
    pushed(job(jobtype=b"a", args=b"[1]", retry=b"2")),
    run(1),
    FAIL,
    requeue(b"retries"),
    run(2, b"@next0", 2),
    FAIL,
    requeue(b"retries"),
    run(3, b"@next1", 1),
    FAIL,
    requeue(b"retries"),
    requeue(b"dead"),
    run(4, b"@next1", 0),
)

ROWS: tuple[Row, ...] = (*PROBES, HISTORY)
