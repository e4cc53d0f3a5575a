"""FETCH, ACK, FAIL and BEAT."""

from tests.conformance._script import (
    NIL,
    OK,
    Exchange,
    HangUp,
    Row,
    Silence,
    ask,
    error,
    eventually,
    fetched,
    job,
    login,
    pushed,
    read,
    row,
    send,
)

__all__ = ["ROWS"]

NO_QUEUE = error(b"must call fetch with at least one queue")
NOT_FOUND = error(b"Job not found @j1")
QUIET = b'$17\r\n{"state":"quiet"}\r\n'
TERMINATE = b'$21\r\n{"state":"terminate"}\r\n'
# `FETCH` answers nil after 2 s; the server's own rounding may take it a little below.
NIL_AFTER = 1.95


def failure(line: bytes, stored: bytes, name: str) -> Row:
    """Write a row that FAILs a job with `line` and reads the failure it comes back with."""
    return row(
        "5.5",
        name,
        pushed(job(retry=b"3")),
        ask(b"FETCH @q1", fetched(retry=b"3")),
        ask(line, OK),
        ask(b'MUTATE {"cmd":"requeue","target":"retries","filter":{"jids":["@j1"]}}', OK),
        ask(
            b"FETCH @q1",
            fetched(
                b'"failure":{"failed_at":"@now","next_at":"@next0",%b,"retry_count":0,'
                b'"remaining":3}' % stored,
                retry=b"3",
            ),
        ),
    )


def lines_of_backtrace(count: int) -> bytes:
    return b"[" + b",".join(b'"l%d"' % number for number in range(count)) + b"]"


FETCHING: tuple[Row, ...] = (
    row("5.3", "no queue", ask(b"FETCH", NO_QUEUE)),
    row("5.3", "an empty queue name waits", ask(b"FETCH ", NIL, after=NIL_AFTER), slow=True),
    row(
        "5.3",
        "empty names among others are harmless",
        pushed(job()),
        ask(b"FETCH  @q2   @q1 ", fetched()),
    ),
    row(
        "5.3",
        "an asterisk is a name like any other",
        pushed(job()),
        ask(b"FETCH *", NIL, after=NIL_AFTER),
        ask(b"FETCH @q1", fetched()),
        slow=True,
    ),
    row(
        "5.3",
        "nothing comes within 2 s",
        ask(b"FETCH @q1 @q2", NIL, after=NIL_AFTER, within=3),
        slow=True,
    ),
    row(
        "5.3",
        "names that no queue can have",
        ask(b"FETCH \xc3\xa9 \xff\x00 a/b", NIL, after=NIL_AFTER),
        slow=True,
    ),
    row(
        "5.3",
        "the oldest job first",
        pushed(job(jid=b"@j1"), job(jid=b"@j2")),
        pushed(job(jid=b"@j3")),
        ask(b"FETCH @q1", fetched(jid=b"@j1")),
        ask(b"FETCH @q1", fetched(jid=b"@j2")),
        ask(b"FETCH @q1", fetched(jid=b"@j3")),
    ),
    row(
        "5.3",
        "queues in the order of the line, each until it is empty",
        pushed(job(jid=b"@j1", queue=b"@q1"), job(jid=b"@j2", queue=b"@q2")),
        pushed(job(jid=b"@j3", queue=b"@q1"), job(jid=b"@j4", queue=b"@q2")),
        ask(b"FETCH @q2 @q1", fetched(jid=b"@j2", queue=b"@q2")),
        ask(b"FETCH @q2 @q1", fetched(jid=b"@j4", queue=b"@q2")),
        ask(b"FETCH @q2 @q1", fetched(jid=b"@j1", queue=b"@q1")),
        ask(b"FETCH @q1 @q2", fetched(jid=b"@j3", queue=b"@q1")),
    ),
    *(
        row(
            "5.3",
            f"a blocked FETCH gets a job of queue {number} of 3 at once",
            send(b"FETCH @q1 @q2 @q3"),
            Silence("a", 0.2),
            pushed(job(queue=b"@q%d" % number), on="b"),
            read(fetched(queue=b"@q%d" % number), within=1),
            slow=True,
        )
        for number in (1, 2, 3)
    ),
    row(
        "5.3",
        "who waits longest is served first",
        send(b"FETCH @q1", on="a"),
        Silence("a", 0.2),
        send(b"FETCH @q1", on="b"),
        Silence("b", 0.2),
        send(b"FETCH @q1", on="c"),
        Silence("c", 0.2),
        pushed(job(jid=b"@j1"), on="d"),
        read(fetched(jid=b"@j1"), on="a", within=1),
        pushed(job(jid=b"@j2"), on="d"),
        read(fetched(jid=b"@j2"), on="b", within=1),
        pushed(job(jid=b"@j3"), on="d"),
        read(fetched(jid=b"@j3"), on="c", within=1),
        slow=True,
    ),
    row(
        "5.3",
        "5,000 queues",
        pushed(job()),
        ask(b"FETCH " + b" ".join(b"q%d" % n for n in range(4999)) + b" @q1", fetched()),
    ),
    row(
        "5.3",
        "every paused queue is left out",
        pushed(job(jid=b"@j1", queue=b"@q1"), job(jid=b"@j2", queue=b"@q2")),
        ask(b"QUEUE PAUSE @q1", OK),
        ask(b"FETCH @q1 @q2", fetched(jid=b"@j2", queue=b"@q2")),
        ask(b"QUEUE RESUME @q1", OK),
        ask(b"FETCH @q1 @q2", fetched(jid=b"@j1", queue=b"@q1")),
    ),
    row(
        "5.3",
        "all queues paused",
        pushed(job()),
        ask(b"QUEUE PAUSE @q1", OK),
        ask(b"FETCH @q1", NIL, after=NIL_AFTER),
        ask(b"QUEUE RESUME @q1", OK),
        ask(b"FETCH @q1", fetched()),
    ),
    row(
        "5.3",
        "a FETCH that waits when its queue is paused still gets a job",
        pushed(job(jid=b"@j1")),
        ask(b"FETCH @q1", fetched(jid=b"@j1")),
        send(b"FETCH @q1"),
        Silence("a", 0.2),
        ask(b"QUEUE PAUSE @q1", OK, on="b"),
        pushed(job(jid=b"@j2"), on="b"),
        read(fetched(jid=b"@j2"), within=1),
    ),
    row(
        "5.3",
        "a quiet worker is made to wait for nothing",
        *login(b'{"v":2,"wid":"@w1"}'),
        pushed(job()),
        ask(b'BEAT {"wid":"@w1","current_state":"quiet"}', QUIET),
        ask(b"FETCH @q1", NIL, after=NIL_AFTER),
        ask(b"FETCH @q1", fetched(), on="b"),
        slow=True,
    ),
    row(
        "5.3",
        "a terminated worker is made to wait for nothing",
        *login(b'{"v":2,"wid":"@w1"}'),
        pushed(job()),
        ask(b'BEAT {"wid":"@w1","current_state":"terminate"}', TERMINATE),
        ask(b"FETCH @q1", NIL, after=NIL_AFTER),
        ask(b"FETCH @q1", fetched(), on="b"),
        slow=True,
    ),
    row(
        "5.3",
        "a quiet worker's FETCH without a queue waits too",
        *login(b'{"v":2,"wid":"@w1"}'),
        ask(b'BEAT {"wid":"@w1","current_state":"quiet"}', QUIET),
        ask(b"FETCH", NIL, after=NIL_AFTER),
        slow=True,
    ),
    row(
        "5.3",
        "what is fetched is reserved, and gone from the queue",
        pushed(job()),
        ask(b"FETCH @q1", fetched()),
        ask(b"FETCH @q1", NIL, on="b"),
        ask(b'FAIL {"jid":"@j1"}', OK),
        slow=True,
    ),
    row(
        "5.3",
        "a client that hangs up while it waits still takes a job",
        send(b"FETCH @q1"),
        Silence("a", 0.3),
        HangUp("a"),
        pushed(job(), on="b"),
        ask(b"FETCH @q1", NIL, on="b"),
        ask(b'FAIL {"jid":"@j1"}', OK, on="b"),
        slow=True,
    ),
)

ACKED = (
    ("an unknown jid", b'{"jid":"@j1"}'),
    ("an empty jid", b'{"jid":""}'),
    ("a null jid", b'{"jid":null}'),
    ("more keys that are text", b'{"jid":"@j1","foo":"bar"}'),
    ("a jid last", b'{"foo":"bar","jid":"@j1"}'),
    ("blanks around it", b'  {"jid": "@j1"} '),
)

NOT_ACKED = (
    ("nothing", b""),
    ("an empty object", b"{}"),
    ("null", b"null"),
    ("an array", b"[]"),
    ("a number", b'{"jid":5}'),
    ("a key that is a number", b'{"jid":"x","n":1}'),
    ("another key alone", b'{"foo":"bar"}'),
    ("JID in upper case", b'{"JID":"x"}'),
    ("text behind it", b'{"jid":"x"} y'),
    ("bad JSON", b"{jid}"),
    ("bare text", b"@j1"),
    ("bytes that are no text", b"\xff\x00"),
)

ACKING: tuple[Row, ...] = (
    *(row("5.4", f"OK: {name}", ask(b"ACK " + payload, OK)) for name, payload in ACKED),
    *(
        row("5.4", f"refused: {name}", ask(b"ACK " + payload, error(b"invalid ACK " + payload)))
        for name, payload in NOT_ACKED
    ),
    row(
        "5.4",
        "a reserved job",
        pushed(job()),
        ask(b"FETCH @q1", fetched()),
        ask(b'ACK {"jid":"@j1"}', OK),
        ask(b'FAIL {"jid":"@j1"}', NOT_FOUND),
    ),
    row(
        "5.4",
        "a second time",
        pushed(job()),
        ask(b"FETCH @q1", fetched()),
        ask(b'ACK {"jid":"@j1"}', OK),
        ask(b'ACK {"jid":"@j1"}', OK),
    ),
    row(
        "5.4",
        "a job that is still in its queue stays there",
        pushed(job()),
        ask(b'ACK {"jid":"@j1"}', OK),
        ask(b"FETCH @q1", fetched()),
    ),
    row(
        "5.4",
        "from another connection and another worker",
        *login(b'{"v":2,"wid":"@w1"}', on="a"),
        *login(b'{"v":2,"wid":"@w2"}', on="b"),
        pushed(job()),
        ask(b"FETCH @q1", fetched()),
        ask(b'ACK {"jid":"@j1"}', OK, on="b"),
        ask(b'FAIL {"jid":"@j1"}', NOT_FOUND),
    ),
)

BAD_FAILS = (
    ("nothing", b""),
    ("bare text", b"nope"),
    ("an array", b"[]"),
    ("a number", b'{"jid":5}'),
    ("a message that is a number", b'{"jid":"x","message":5}'),
    ("an errtype that is a number", b'{"jid":"x","errtype":5}'),
    ("a backtrace that is text", b'{"jid":"x","backtrace":"str"}'),
    ("a number in the backtrace", b'{"jid":"x","backtrace":["a",5]}'),
    ("text behind it", b'{"jid":"x"} y'),
)

FAILING: tuple[Row, ...] = (
    *(
        row("5.5", f"refused: {name}", ask(b"FAIL " + payload, error(b"invalid FAIL " + payload)))
        for name, payload in BAD_FAILS
    ),
    *(
        row("5.5", f"no jid: {name}", ask(b"FAIL " + payload, error(b"missing JID")))
        for name, payload in (
            ("an empty object", b"{}"),
            ("null", b"null"),
            ("an empty jid", b'{"jid":""}'),
            ("a null jid", b'{"jid":null}'),
            ("other keys", b'{"message":"m"}'),
        )
    ),
    row("5.5", "an unknown job", ask(b'FAIL {"jid":"@j1"}', NOT_FOUND)),
    row(
        "5.5",
        "a job that is still in its queue",
        pushed(job()),
        ask(b'FAIL {"jid":"@j1"}', NOT_FOUND),
        ask(b"FETCH @q1", fetched()),
    ),
    row(
        "5.5",
        "a second time",
        pushed(job()),
        ask(b"FETCH @q1", fetched()),
        ask(b'FAIL {"jid":"@j1"}', OK),
        ask(b'FAIL {"jid":"@j1"}', NOT_FOUND),
    ),
    row(
        "5.5",
        "from another connection",
        pushed(job()),
        ask(b"FETCH @q1", fetched()),
        ask(b'FAIL {"jid":"@j1"}', OK, on="b"),
    ),
    failure(
        b'FAIL {"jid":"@j1","message":"boom","errtype":"ValueError","backtrace":["l1","l2"]}',
        b'"message":"boom","errtype":"ValueError","backtrace":["l1","l2"]',
        "everything a worker says",
    ),
    failure(
        b'FAIL {"JID":"@j1","Message":"boom","ERRTYPE":"E","BackTrace":["l"],"more":5}',
        b'"message":"boom","errtype":"E","backtrace":["l"]',
        "keys in any case, unknown ones ignored",
    ),
    failure(
        b'FAIL {"jid":"@j1"}', b'"message":"unknown","errtype":"unknown"', "nothing but the jid"
    ),
    failure(
        b'FAIL {"jid":"@j1","message":null,"errtype":null,"backtrace":null}',
        b'"message":"unknown","errtype":"unknown"',
        "null is absent",
    ),
    failure(
        b'FAIL {"jid":"@j1","message":"","errtype":"","backtrace":[]}',
        b'"message":"unknown","errtype":"unknown"',
        "empty is unknown",
    ),
    failure(
        rb'FAIL {"jid":"@j1","message":" \n\t","errtype":"  "}',
        b'"message":"unknown","errtype":"unknown"',
        "blank is unknown",
    ),
    failure(
        rb'FAIL {"jid":"@j1","message":" \n two words\t\r\n","errtype":"\u00a0E\u2003"}',
        b'"message":"two words","errtype":"E"',
        "whitespace around is stripped",
    ),
    failure(
        b'FAIL {"jid":"@j1","message":"%b","errtype":"%b"}' % (b"m" * 1001, b"e" * 101),
        b'"message":"%b","errtype":"%b"' % (b"m" * 1000, b"e" * 100),
        "message and errtype are cut",
    ),
    failure(
        b'FAIL {"jid":"@j1","message":"%b","errtype":"%b"}' % (b"m" * 1000, b"e" * 100),
        b'"message":"%b","errtype":"%b"' % (b"m" * 1000, b"e" * 100),
        "message and errtype that just fit",
    ),
    failure(
        b'FAIL {"jid":"@j1","message":"%b","errtype":"%b"}'
        % (b"m" * 999 + "é".encode(), b"e" * 99 + "é".encode()),
        b'"message":"%b","errtype":"%b"'
        % (b"m" * 999 + "\ufffd".encode(), b"e" * 99 + "\ufffd".encode()),
        "a character that is cut in two is replaced",
    ),
    failure(
        b'FAIL {"jid":"@j1","message":"%b  "}' % (b" " + b"m" * 999),
        b'"message":"%b","errtype":"unknown"' % (b"m" * 999),
        "whitespace is stripped before the cut",
    ),
    failure(
        b'FAIL {"jid":"@j1","backtrace":%b}' % lines_of_backtrace(51),
        b'"message":"unknown","errtype":"unknown","backtrace":' + lines_of_backtrace(50),
        "the first 50 lines of a backtrace stay",
    ),
    failure(
        b'FAIL {"jid":"@j1","backtrace":["%b",""]}' % (b"l" * 5000),
        b'"message":"unknown","errtype":"unknown","backtrace":["%b",""]' % (b"l" * 5000),
        "lines of a backtrace have no limit",
    ),
    row(
        "5.5",
        "the job's own backtrace limits nothing",
        pushed(job(b'"backtrace":1')),
        ask(b"FETCH @q1", fetched(tail=b'"backtrace":1')),
        ask(b'FAIL {"jid":"@j1","backtrace":["l1","l2"]}', OK),
        ask(b'MUTATE {"cmd":"requeue","target":"retries","filter":{"jids":["@j1"]}}', OK),
        ask(
            b"FETCH @q1",
            fetched(
                b'"failure":{"failed_at":"@now","next_at":"@next0","message":"unknown",'
                b'"errtype":"unknown","backtrace":["l1","l2"],"retry_count":0,"remaining":25}',
                b'"backtrace":1',
            ),
        ),
    ),
)

BAD_BEATS = (
    ("nothing", b""),
    ("bare text", b"nope"),
    ("an array", b"[]"),
    ("a number as wid", b'{"wid":5}'),
    ("a fraction as rss_kb", b'{"wid":"@w1","rss_kb":5.5}'),
    ("text as rss_kb", b'{"wid":"@w1","rss_kb":"5"}'),
    ("a number as state", b'{"wid":"@w1","current_state":5}'),
    ("text behind it", b'{"wid":"@w1"} x'),
)


def states(name: str, *steps: Exchange) -> Row:
    return row("5.6", name, *login(b'{"v":2,"wid":"@w1"}'), *steps)


def beat(state: bytes, reply: bytes) -> Exchange:
    """Write a BEAT whose `current_state` is the JSON text `state`."""
    return ask(b'BEAT {"wid":"@w1","current_state":%b}' % state, reply)


BEATING: tuple[Row, ...] = (
    states(
        "running, quiet, terminate, and again each time",
        ask(b'BEAT {"wid":"@w1"}', OK),
        ask(b'BEAT {"wid":"@w1","rss_kb":12345}', OK),
        beat(b'"quiet"', QUIET),
        ask(b'BEAT {"wid":"@w1"}', QUIET),
        ask(b'BEAT {"wid":"@w1","rss_kb":12345}', QUIET),
        beat(b'"terminate"', TERMINATE),
        ask(b'BEAT {"wid":"@w1"}', TERMINATE),
        ask(b'BEAT {"wid":"@w1"}', TERMINATE),
    ),
    states(
        "from running to terminate, and never back",
        beat(b'"terminate"', TERMINATE),
        beat(b'"quiet"', TERMINATE),
        beat(b'"running"', TERMINATE),
        beat(b'""', TERMINATE),
    ),
    states(
        "a quiet worker cannot run again",
        beat(b'"quiet"', QUIET),
        beat(b'"running"', QUIET),
        beat(b'"nonsense"', QUIET),
        beat(b'""', QUIET),
        beat(b"null", QUIET),
    ),
    states(
        "states that change nothing",
        beat(b'""', OK),
        beat(b"null", OK),
        beat(b'"running"', OK),
        beat(b'"nonsense"', OK),
        beat(b'"QUIET"', OK),
    ),
    states("keys in any case", ask(b'BEAT {"WID":"@w1","Rss_Kb":1,"more":[]}', OK)),
    states("null for everything else", ask(b'BEAT {"wid":"@w1","rss_kb":null}', OK)),
    states("a negative rss_kb", ask(b'BEAT {"wid":"@w1","rss_kb":-1}', OK)),
    *(
        states(f"refused: {name}", ask(b"BEAT " + line, error(b"invalid BEAT " + line)))
        for name, line in BAD_BEATS
    ),
    row("5.6", "an empty object", ask(b"BEAT {}", error(b"unknown worker "))),
    row("5.6", "null", ask(b"BEAT null", error(b"unknown worker "))),
    row(
        "5.6",
        "a wid that nobody said HELLO with",
        ask(b'BEAT {"wid":"@w1"}', error(b"unknown worker @w1")),
    ),
    row(
        "5.6",
        "a connection without a wid beats for a worker",
        *login(b'{"v":2,"wid":"@w1"}'),
        ask(b'BEAT {"wid":"@w1","current_state":"quiet"}', QUIET, on="b"),
        ask(b'BEAT {"wid":"@w1"}', QUIET),
    ),
    row(
        "5.6",
        "a worker whose connections are all closed",
        *login(b'{"v":2,"wid":"@w1"}', on="a"),
        *login(b'{"v":2,"wid":"@w1"}', on="b"),
        ask(b"END", closes=True, on="a"),
        ask(b'BEAT {"wid":"@w1"}', OK, on="c"),
        ask(b"END", closes=True, on="b"),
        eventually(b'BEAT {"wid":"@w1"}', error(b"unknown worker @w1"), on="c"),
    ),
)

ROWS: tuple[Row, ...] = (*FETCHING, *ACKING, *FAILING, *BEATING)
