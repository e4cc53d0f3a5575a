"""What the server does that nobody would design, and that clients must live with."""

from tests.conformance._script import (
    NIL,
    OK,
    Exchange,
    Row,
    Step,
    ask,
    bulk,
    error,
    fetched,
    info,
    job,
    pushed,
    row,
)

__all__ = ["ROWS"]

LATER = b'"at":"2099-01-01T00:00:00Z"'
NO_JID = error(b"jobs must have a reasonable jid parameter")
NOT_FOUND = error(b"Job not found @j1")
DEFAULTED = b'{"jid":"@j9","jobtype":"t","queue":"@q9","args":[]}'


def defaulted(retry: bytes) -> tuple[Step, ...]:
    """Push a job without `retry` and show what the server took for it."""
    return (
        pushed(DEFAULTED),
        ask(b"FETCH @q9", fetched(jid=b"@j9", queue=b"@q9", retry=retry)),
    )


def default(name: str, *steps: Step, becomes: bytes) -> Row:
    return row("11.1", name, *steps, *defaulted(becomes), clean=True)


def requeue(target: bytes) -> Exchange:
    line = b'MUTATE {"cmd":"requeue","target":"%b","filter":{"jids":["@j1"]}}'
    return ask(line % target, OK)


FAILED = (
    b'"failure":{"failed_at":"@now","next_at":"@next0","message":"unknown",'
    b'"errtype":"unknown","retry_count":0,"remaining":25}'
)

POLLUTION: tuple[Row, ...] = (
    default("nothing was pushed", becomes=b"25"),
    default("a PUSH", ask(b"PUSH " + job(retry=b"7"), OK), becomes=b"7"),
    default("a PUSH of 0", ask(b"PUSH " + job(retry=b"0"), OK), becomes=b"0"),
    default("a PUSH of -1", ask(b"PUSH " + job(retry=b"-1"), OK), becomes=b"-1"),
    default(
        "the last of two",
        ask(b"PUSH " + job(retry=b"7"), OK),
        ask(b"PUSH " + job(retry=b"9"), OK),
        becomes=b"9",
    ),
    default("a refused PUSH", ask(b'PUSH {"jid":"x","retry":11}', NO_JID), becomes=b"11"),
    default("a scheduled PUSH", ask(b"PUSH " + job(LATER, retry=b"12"), OK), becomes=b"12"),
    default(
        "a PUSH without retry keeps what is",
        ask(b"PUSH " + job(retry=b"7"), OK),
        ask(b'PUSH {"jid":"@j1","jobtype":"t","queue":"@q1","args":[]}', OK),
        ask(b'PUSH {"jid":"@j1","jobtype":"t","queue":"@q1","args":[],"retry":null}', OK),
        becomes=b"7",
    ),
    default("a PUSHB does not", pushed(job(retry=b"7")), becomes=b"25"),
    default(
        "bad syntax does not",
        ask(b'PUSH {"jid":"@j1","retry":7', error(b"invalid JSON: @any")),
        becomes=b"25",
    ),
    default(
        "a retry of a wrong type does not",
        ask(b'PUSH {"retry":"7"}', error(b"invalid JSON: @any")),
        ask(b'PUSH {"retry":2.5}', error(b"invalid JSON: @any")),
        becomes=b"25",
    ),
    row(
        "11.1",
        "a PUSH without retry gets the default, and so does one with null",
        ask(b"PUSH " + job(retry=b"7"), OK),
        ask(b'PUSH {"jid":"@j2","jobtype":"t","queue":"@q2","args":[]}', OK),
        ask(b'PUSH {"jid":"@j3","jobtype":"t","queue":"@q2","args":[],"retry":null}', OK),
        ask(b"FETCH @q2", fetched(jid=b"@j2", queue=b"@q2", retry=b"7")),
        ask(b"FETCH @q2", fetched(jid=b"@j3", queue=b"@q2", retry=b"7")),
        clean=True,
    ),
    default(
        "a refused PUSH sets it right again",
        ask(b"PUSH " + job(retry=b"7"), OK),
        ask(b'PUSH {"retry":25}', NO_JID),
        becomes=b"25",
    ),
)

REPORTS: tuple[Row, ...] = (
    row(
        "11.3c",
        "a repeated FAIL takes the next worker's reservation",
        pushed(job(retry=b"25")),
        ask(b"FETCH @q1", fetched()),
        ask(b'FAIL {"jid":"@j1"}', OK),
        requeue(b"retries"),
        ask(b"FETCH @q1", fetched(FAILED), on="b"),
        ask(b'FAIL {"jid":"@j1"}', OK),
        ask(b'ACK {"jid":"@j1"}', OK, on="b"),
        ask(b'FAIL {"jid":"@j1"}', NOT_FOUND, on="b"),
        requeue(b"retries"),
        ask(
            b"FETCH @q1",
            fetched(
                b'"failure":{"failed_at":"@now","next_at":"@next1","message":"unknown",'
                b'"errtype":"unknown","retry_count":1,"remaining":24}'
            ),
            on="b",
        ),
    ),
    row(
        "11.3c",
        "a repeated ACK takes the reservation of the same jid pushed again",
        pushed(job()),
        ask(b"FETCH @q1", fetched()),
        ask(b'ACK {"jid":"@j1"}', OK),
        pushed(job()),
        ask(b"FETCH @q1", fetched(), on="b"),
        ask(b'ACK {"jid":"@j1"}', OK),
        ask(b'FAIL {"jid":"@j1"}', NOT_FOUND, on="b"),
    ),
    row(
        "11.3c",
        "a FAIL takes the reservation of the same jid pushed again",
        pushed(job()),
        ask(b"FETCH @q1", fetched()),
        pushed(job()),
        ask(b"FETCH @q1", fetched(), on="b"),
        ask(b'FAIL {"jid":"@j1"}', OK),
        ask(b'ACK {"jid":"@j1"}', OK, on="b"),
        requeue(b"retries"),
        ask(b"FETCH @q1", fetched(FAILED)),
    ),
)


def killed(name: str, retry: bytes, first: bytes, dead: int) -> Row:
    """Write a row of a FAIL and a kill by jid; `first` is the set the FAIL leads to."""
    retries, died = (1, 0) if first == b"retries" else (0, 1 if first else 0)
    return row(
        "11.3d",
        name,
        pushed(job(retry=retry)),
        ask(b"FETCH @q1", fetched(retry=retry)),
        ask(b'FAIL {"jid":"@j1"}', OK),
        ask(b"INFO", info(b'"@q1":0', sets=(died, retries, 0, 0), totals=(1, 1, 0, 1))),
        ask(b'MUTATE {"cmd":"kill","target":"retries","filter":{"jids":["@j1"]}}', OK),
        ask(b"INFO", info(b'"@q1":0', sets=(dead, 0, 0, 0), totals=(1, 1, 0, 1))),
        clean=True,
    )


MUTATIONS: tuple[Row, ...] = (
    killed("retry 25 ends in the dead set", b"25", b"retries", 1),
    killed("retry 1 ends in the dead set", b"1", b"retries", 1),
    killed("retry -1 ends in the dead set", b"-1", b"dead", 1),
    killed("retry 0 is gone after the FAIL", b"0", b"", 0),
    row(
        "11.3d",
        "the order of jid, queue and jobtype exists at the top level alone",
        pushed(
            job(LATER, jid=b"@j1", args=b'[{"jid":"@j2","queue":"@q1","jobtype":"t","a":1}]'),
            job(LATER + b',"custom":{"jid":"@j2","queue":"@q1","jobtype":"t"}', jid=b"@j3"),
            job(LATER, jid=b"@j2"),
        ),
        ask(
            b'MUTATE {"cmd":"requeue","target":"scheduled","filter":{"regexp":'
            b'"*\\"jid\\":\\"@j2\\",\\"queue\\":\\"@q1\\",\\"jobtype\\":\\"t\\",*"}}',
            OK,
        ),
        ask(b"INFO", info(b'"@q1":1', sets=(0, 0, 2, 0), totals=(0, 0, 1, 1))),
        ask(
            b"FETCH @q1",
            fetched(jid=b"@j2", times=b'"created_at":"@now",' + LATER),
        ),
        clean=True,
    ),
)

STAMPED = LATER + b',"created_at":"2020-01-01T00:00:00Z"'

TWINS: tuple[Row, ...] = (
    row(
        "11.3e",
        "equal jobs in one PUSHB are one",
        pushed(job(STAMPED), job(STAMPED)),
        ask(b"INFO", info(sets=(0, 0, 1, 0))),
        clean=True,
    ),
    row(
        "11.3e",
        "equal jobs on one connection are one",
        pushed(job(STAMPED)),
        pushed(job(STAMPED)),
        ask(b"INFO", info(sets=(0, 0, 1, 0))),
        clean=True,
    ),
    row(
        "11.3e",
        "equal jobs on two connections are one",
        pushed(job(STAMPED)),
        pushed(job(STAMPED), on="b"),
        ask(b"INFO", info(sets=(0, 0, 1, 0))),
        clean=True,
    ),
    row(
        "11.3e",
        "the order of keys makes no difference",
        pushed(b'{"jid":"@j1","jobtype":"t","queue":"@q1","args":[{"a":1,"b":2}],%b}' % STAMPED),
        pushed(b'{%b,"args":[{"b":2,"a":1}],"queue":"@q1","jobtype":"t","jid":"@j1"}' % STAMPED),
        ask(b"INFO", info(sets=(0, 0, 1, 0))),
        clean=True,
    ),
    row(
        "11.3e",
        "without created_at: one in a frame",
        pushed(job(LATER), job(LATER)),
        ask(b"INFO", info(sets=(0, 0, 1, 0))),
        clean=True,
    ),
    row(
        "11.3e",
        "without created_at: two in two frames",
        pushed(job(LATER)),
        pushed(job(LATER)),
        ask(b"INFO", info(sets=(0, 0, 2, 0))),
        clean=True,
    ),
    row(
        "11.3e",
        "what is scheduled has no enqueued_at",
        pushed(job(STAMPED)),
        requeue(b"scheduled"),
        ask(b"FETCH @q1", fetched(times=b'"created_at":"2020-01-01T00:00:00Z",' + LATER)),
    ),
)

DUPLICATES: tuple[Row, ...] = (
    row(
        "11.4",
        "two jobs of one jid share a reservation",
        pushed(job(args=b"[1]"), job(args=b"[2]")),
        ask(b"FETCH @q1", fetched(args=b"[1]"), on="a"),
        ask(b"FETCH @q1", fetched(args=b"[2]"), on="b"),
        ask(b"INFO", info(b'"@q1":0', sets=(0, 0, 0, 2), totals=(0, 0, 0, 1))),
        ask(b'ACK {"jid":"@j1"}', OK, on="a"),
        ask(b"INFO", info(b'"@q1":0', sets=(0, 0, 0, 1), totals=(0, 1, 0, 1))),
        ask(b'ACK {"jid":"@j1"}', OK, on="b"),
        ask(b"INFO", info(b'"@q1":0', sets=(0, 0, 0, 1), totals=(0, 1, 0, 1))),
        clean=True,
    ),
    row(
        "11.4",
        "the second FAIL of one jid finds nothing",
        pushed(job(args=b"[1]"), job(args=b"[2]")),
        ask(b"FETCH @q1", fetched(args=b"[1]")),
        ask(b"FETCH @q1", fetched(args=b"[2]")),
        ask(b'FAIL {"jid":"@j1"}', OK),
        ask(b'FAIL {"jid":"@j1"}', NOT_FOUND),
        requeue(b"retries"),
        ask(b"FETCH @q1", fetched(FAILED, args=b"[2]")),
    ),
)

ODDITIES: tuple[Row, ...] = (
    row(
        "11.5",
        "a FETCH without a queue is an error",
        ask(b"FETCH", error(b"must call fetch with at least one queue")),
    ),
    row(
        "11.5",
        "a FETCH waits on all of its queues",
        ask(b"FETCH @q1 @q2 @q3", NIL, after=1.95),
        pushed(job(queue=b"@q3")),
        ask(b"FETCH @q1 @q2 @q3", fetched(queue=b"@q3")),
        slow=True,
    ),
    row(
        "11.5",
        "MUTATE takes no space and leaves stale times",
        pushed(job(LATER + b',"enqueued_at":"2020-01-01T00:00:00Z"')),
        ask(b'MUTATE {"cmd":"requeue", "target":"scheduled"}', error(b"invalid format")),
        requeue(b"scheduled"),
        ask(b"QUEUE LATENCY @q1", bulk(b'{"@q1":@num}')),
        ask(
            b"FETCH @q1",
            fetched(times=b'"created_at":"@now","enqueued_at":"2020-01-01T00:00:00Z",' + LATER),
        ),
    ),
    row(
        "11.5",
        "MUTATE of a job with a bad time breaks LATENCY",
        pushed(job(LATER + b',"enqueued_at":"junk"')),
        requeue(b"scheduled"),
        ask(
            b"QUEUE LATENCY @q1",
            error(
                b'QUEUE: parsing time "junk" as "2006-01-02T15:04:05.999999999Z07:00": '
                b'cannot parse "junk" as "2006"'
            ),
        ),
    ),
)

ROWS: tuple[Row, ...] = (*POLLUTION, *REPORTS, *MUTATIONS, *TWINS, *DUPLICATES, *ODDITIES)
