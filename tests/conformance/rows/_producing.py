"""PUSH and PUSHB."""

from tests.conformance._script import OK, Row, Step, ask, bulk, error, fetched, job, row

__all__ = ["ROWS"]

NO_JID = b"jobs must have a reasonable jid parameter"
NO_TYPE = b"jobs must have a jobtype parameter"
NO_ARGS = b"jobs must have an args parameter"
ALL_OK = bulk(b"{}")

# The decoder's exact words depend on the Go release; what a client can rely on is the prefix.
INVALID_JSON = error(b"invalid JSON: @any")

REFUSED_LINES = (
    ("nothing", b"PUSH ", error(b"invalid JSON: unexpected end of JSON input")),
    ("an array", b"PUSH []", INVALID_JSON),
    ("a number", b"PUSH 5", INVALID_JSON),
    ("a number as jid", b'PUSH {"jid":5}', INVALID_JSON),
    ("an object as args", b'PUSH {"jid":"@j1","jobtype":"t","args":{}}', INVALID_JSON),
    ("a fraction as retry", b"PUSH " + job(retry=b"2.5"), INVALID_JSON),
    ("text behind the job", b"PUSH " + job() + b"x", INVALID_JSON),
    ("a second job behind it", b"PUSH " + job() + b" {}", INVALID_JSON),
    ("half a job", b"PUSH " + job()[:-1], INVALID_JSON),
    ("a bare word", b"PUSH nope", INVALID_JSON),
    ("null", b"PUSH null", error(NO_JID)),
    ("an empty object", b"PUSH {}", error(NO_JID)),
)


def bulk_of(*jobs: bytes) -> bytes:
    return b"PUSHB [" + b",".join(jobs) + b"]"


def fetch_in_order(*jids: bytes) -> tuple[Step, ...]:
    return tuple(ask(b"FETCH @q1", fetched(jid=jid)) for jid in jids)


ROWS: tuple[Row, ...] = (
    row("5.1", "a job", ask(b"PUSH " + job(), OK), ask(b"FETCH @q1", fetched())),
    row(
        "5.1",
        "blanks around the payload",
        ask(b"PUSH   " + job() + b"  \t", OK),
        ask(b"FETCH @q1", fetched()),
    ),
    *(
        row("5.1", f"refused: {name}", ask(line, reply), ask(b"TRACK", error(b"@any")))
        for name, line, reply in REFUSED_LINES
    ),
    row(
        "5.1",
        "the same jid again is accepted",
        ask(b"PUSH " + job(), OK),
        ask(b"PUSH " + job(), OK),
        ask(b"FETCH @q1", fetched()),
        ask(b"FETCH @q1", fetched()),
    ),
    row(
        "5.2",
        "jobs are stored in their order",
        ask(bulk_of(job(jid=b"@j2"), job(jid=b"@j1"), job(jid=b"@j3")), ALL_OK),
        *fetch_in_order(b"@j2", b"@j1", b"@j3"),
    ),
    row("5.2", "an empty array", ask(b"PUSHB []", ALL_OK)),
    row("5.2", "null for the array", ask(b"PUSHB null", ALL_OK)),
    row("5.2", "blanks around the array", ask(b"PUSHB  [ ] ", ALL_OK)),
    row("5.2", "null for a job", ask(b"PUSHB [null]", b'$48\r\n{"":"%b"}\r\n' % NO_JID)),
    row("5.2", "an empty job", ask(b"PUSHB [{}]", b'$48\r\n{"":"%b"}\r\n' % NO_JID)),
    row(
        "5.2",
        "jobs without a jid share one entry",
        ask(b"PUSHB [{},null,{}]", b'$48\r\n{"":"%b"}\r\n' % NO_JID),
    ),
    row(
        "5.2",
        "a short jid",
        ask(
            b'PUSHB [{"jid":"short","jobtype":"a","args":[]}]',
            b'$53\r\n{"short":"jobs must have a reasonable jid parameter"}\r\n',
        ),
    ),
    row(
        "5.2",
        "only the refused are named, their jids sorted, and the others are stored",
        ask(
            bulk_of(
                job(jid=b"@j3", jobtype=b""),
                job(jid=b"@j1"),
                b'{"jid":"@j2","jobtype":"t"}',
                job(jid=b"@j4"),
            ),
            bulk(b'{"@j2":"%b","@j3":"%b"}' % (NO_ARGS, NO_TYPE)),
        ),
        *fetch_in_order(b"@j1", b"@j4"),
    ),
    row(
        "5.2",
        "the refused with one jid collapse, the last one's text stays",
        ask(
            bulk_of(b'{"jid":"@j1","jobtype":"t"}', b'{"jid":"@j1"}'),
            bulk(b'{"@j1":"%b"}' % NO_TYPE),
        ),
    ),
    row(
        "5.2",
        "texts and jids are escaped",
        ask(
            bulk_of(job(jid=b"<&>-----", queue=b"a<b>&c")),
            bulk(
                rb'{"\u003c\u0026\u003e-----":"cannot get \"a\u003cb\u003e\u0026c\" queue: '
                rb'queue names must match \\A[a-zA-Z0-9._-]+\\z"}'
            ),
        ),
    ),
    row(
        "5.2",
        "an object instead of an array",
        ask(
            b"PUSHB {}",
            error(
                b"invalid JSON: json: cannot unmarshal object into Go value of type []client.Job"
            ),
        ),
    ),
    row("5.2", "a string instead of an array", ask(b'PUSHB "x"', INVALID_JSON)),
    *(
        row(
            "5.2",
            f"nothing is stored beside {name}",
            ask(b"PUSHB [" + job(jid=b"@j1") + b"," + wrong, INVALID_JSON),
            ask(bulk_of(job(jid=b"@j2")), ALL_OK),
            *fetch_in_order(b"@j2"),
        )
        for name, wrong in (
            ("a number", b"5]"),
            ("a wrongly typed member", b'{"jid":5}]'),
            ("a syntax error", b"{]"),
            ("a missing end", b"{}"),
            ("text behind the array", b"{}]x"),
        )
    ),
    row(
        "5.2",
        "jobs without created_at get one for all, and an enqueued_at each",
        ask(bulk_of(job(jid=b"@j1"), job(jid=b"@j2")), ALL_OK),
        *(
            ask(
                b"FETCH @q1",
                fetched(jid=jid, times=b'"created_at":"@now1","enqueued_at":"@now"'),
            )
            for jid in (b"@j1", b"@j2")
        ),
    ),
    row(
        "5.2",
        "a job with a future time among others is not queued",
        ask(bulk_of(job(b'"at":"2099-01-01T00:00:00Z"', jid=b"@j1"), job(jid=b"@j2")), ALL_OK),
        *fetch_in_order(b"@j2"),
    ),
    row(
        "5.2",
        "a thousand jobs",
        ask(bulk_of(*(job(jid=b"@j1") for _ in range(1000))), ALL_OK),
        ask(b"FETCH @q1", fetched()),
    ),
)
