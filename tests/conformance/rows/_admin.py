"""INFO, FLUSH, QUEUE, the Enterprise commands, and what holds for all commands."""

from tests.conformance._script import (
    OK,
    Row,
    ask,
    bulk,
    dial,
    error,
    fetched,
    info,
    job,
    login,
    pushed,
    row,
)

__all__ = ["ROWS"]

LATER = b'"at":"2099-01-01T00:00:00Z"'
TRACKING = error(b"tracking subsystem is only available in Faktory Enterprise")
BATCHES = error(b"batch subsystem is only available in Faktory Enterprise")
NO_JID = error(b"jobs must have a reasonable jid parameter")
# The head of a queue that was never enqueued by the server has no time to count from.
NO_TIME = error(
    b'QUEUE: parsing time "" as "2006-01-02T15:04:05.999999999Z07:00": cannot parse "" as "2006"'
)

EVERY: tuple[Row, ...] = (
    *(
        row("4", f"no such command: {verb.decode()}", ask(verb, error(b"unknown command " + verb)))
        for verb in (b"PING", b"CRON", b"QUIT", b"STATS", b"CONFIG")
    ),
    row("4", "text behind INFO is ignored", ask(b"INFO and more", info()), clean=True),
    row("4", "text behind FLUSH is ignored", ask(b"FLUSH and more", OK), clean=True),
    row("4", "text behind TRACK is ignored", ask(b"TRACK and more", TRACKING)),
    row("4", "text behind BATCH is ignored", ask(b"BATCH and more", BATCHES)),
    row(
        "4",
        "a producer may do a worker's work",
        pushed(job()),
        ask(b"FETCH @q1", fetched()),
        ask(b'ACK {"jid":"@j1"}', OK),
        pushed(job(jid=b"@j2")),
        ask(b"FETCH @q1", fetched(jid=b"@j2")),
        ask(b'FAIL {"jid":"@j2"}', OK),
        *login(b'{"v":2,"wid":"@w1"}', on="b"),
        ask(b'BEAT {"wid":"@w1"}', OK),
    ),
    row(
        "4",
        "a worker may do a producer's work",
        *login(b'{"v":2,"wid":"@w1"}'),
        ask(b"PUSH " + job(), OK),
        ask(b"FETCH @q1", fetched()),
    ),
)

INFO: tuple[Row, ...] = (
    row("5.7", "an empty server", ask(b"INFO", info()), clean=True),
    row(
        "5.7",
        "a queue is listed from its first job on, also when it is empty",
        pushed(job(jid=b"@j1"), job(jid=b"@j2")),
        ask(b"INFO", info(b'"@q1":2', totals=(0, 0, 2, 1))),
        ask(b"FETCH @q1", fetched(jid=b"@j1")),
        ask(b"FETCH @q1", fetched(jid=b"@j2")),
        ask(b"INFO", info(b'"@q1":0', sets=(0, 0, 0, 2), totals=(0, 0, 0, 1))),
        clean=True,
    ),
    row(
        "5.7",
        "queues are sorted and their sizes summed",
        pushed(job(queue=b"@q3"), job(queue=b"@q1"), job(queue=b"@q2"), job(queue=b"@q3")),
        ask(b"INFO", info(b'"@q1":1,"@q2":1,"@q3":2', totals=(0, 0, 4, 3))),
        clean=True,
    ),
    row(
        "5.7",
        "a scheduled job makes no queue",
        pushed(job(LATER)),
        ask(b"INFO", info(sets=(0, 0, 1, 0))),
        clean=True,
    ),
    row(
        "5.7",
        "naming a queue does not make it",
        ask(b"QUEUE PAUSE @q1", OK),
        ask(b"QUEUE LATENCY @q1", bulk(b'{"@q1":0}')),
        ask(b"QUEUE REMOVE @q1", OK),
        ask(b"INFO", info()),
        clean=True,
    ),
    row(
        "5.7",
        "an ACK of a reserved job counts, one of an unknown job does not",
        pushed(job()),
        ask(b"FETCH @q1", fetched()),
        ask(b'ACK {"jid":"@j1"}', OK),
        ask(b"INFO", info(b'"@q1":0', totals=(0, 1, 0, 1))),
        ask(b'ACK {"jid":"@j1"}', OK),
        ask(b'ACK {"jid":"@j2"}', OK),
        ask(b"INFO", info(b'"@q1":0', totals=(0, 1, 0, 1))),
        clean=True,
    ),
    row(
        "5.7",
        "a FAIL counts as failure and as processed",
        pushed(job()),
        ask(b"FETCH @q1", fetched()),
        ask(b'FAIL {"jid":"@j1"}', OK),
        ask(b"INFO", info(b'"@q1":0', sets=(0, 1, 0, 0), totals=(1, 1, 0, 1))),
        ask(b'FAIL {"jid":"@j1"}', error(b"Job not found @j1")),
        ask(b"INFO", info(b'"@q1":0', sets=(0, 1, 0, 0), totals=(1, 1, 0, 1))),
        clean=True,
    ),
    row(
        "5.7",
        "a refused job counts nowhere",
        ask(b"PUSH " + job(jid=b"short"), NO_JID),
        ask(b"PUSH " + job(queue=b"a/b"), error(b'cannot get "a/b" queue: @any')),
        ask(b"INFO", info()),
        clean=True,
    ),
    row(
        "5.7",
        "the sum of four sets",
        pushed(job(jid=b"@j1", retry=b"0"), job(jid=b"@j2"), job(jid=b"@j3", retry=b"-1")),
        pushed(job(LATER, jid=b"@j4"), job(LATER, jid=b"@j5"), job(jid=b"@j6")),
        ask(b"FETCH @q1", fetched(jid=b"@j1", retry=b"0")),
        ask(b"FETCH @q1", fetched(jid=b"@j2")),
        ask(b"FETCH @q1", fetched(jid=b"@j3", retry=b"-1")),
        ask(b"FETCH @q1", fetched(jid=b"@j6")),
        ask(b'FAIL {"jid":"@j1"}', OK),
        ask(b'FAIL {"jid":"@j2"}', OK),
        ask(b'FAIL {"jid":"@j3"}', OK),
        ask(b"INFO", info(b'"@q1":0', sets=(1, 1, 2, 1), totals=(3, 3, 0, 1))),
        clean=True,
    ),
    row(
        "5.7",
        "a pause is not shown",
        pushed(job()),
        ask(b"QUEUE PAUSE @q1", OK),
        ask(b"INFO", info(b'"@q1":1', totals=(0, 0, 1, 1))),
        clean=True,
    ),
    row(
        "5.7",
        "connections, workers and known commands are counted, this INFO included",
        ask(b"INFO", info(busy=b"0", workers=b"0", connections=b"1", commands=b"1")),
        ask(b"NOPE", error(b"unknown command NOPE")),
        *login(b'{"v":2,"wid":"@w1"}', on="b"),
        *login(b'{"v":2,"wid":"@w1"}', on="c"),
        *login(b'{"v":2,"wid":"@w2"}', on="d"),
        dial("e"),
        ask(b"INFO", info(busy=b"0", workers=b"2", connections=b"4", commands=b"2")),
        ask(b"ACK nonsense", error(b"invalid ACK nonsense")),
        pushed(job(), on="b"),
        ask(b"FETCH @q1", fetched()),
        ask(
            b"INFO",
            info(
                b'"@q1":0',
                sets=(0, 0, 0, 1),
                totals=(0, 0, 0, 1),
                busy=b"1",
                workers=b"2",
                connections=b"4",
                commands=b"6",
            ),
        ),
        private=True,
    ),
)

FLUSH: tuple[Row, ...] = (
    row(
        "5.8",
        "queues, sets and counters are erased, names stay",
        pushed(job(jid=b"@j1"), job(jid=b"@j2"), job(LATER, jid=b"@j3"), job(jid=b"@j4")),
        ask(b"FETCH @q1", fetched(jid=b"@j1")),
        ask(b"FETCH @q1", fetched(jid=b"@j2")),
        ask(b'FAIL {"jid":"@j1"}', OK),
        ask(b"INFO", info(b'"@q1":1', sets=(0, 1, 1, 1), totals=(1, 1, 1, 1))),
        ask(b"FLUSH", OK),
        ask(b"INFO", info(b'"@q1":0', totals=(0, 0, 0, 1))),
        clean=True,
    ),
    row(
        "5.8",
        "a paused queue stays paused",
        pushed(job(jid=b"@j1")),
        ask(b"QUEUE PAUSE @q1", OK),
        ask(b"FLUSH", OK),
        pushed(job(jid=b"@j2", queue=b"@q1"), job(jid=b"@j3", queue=b"@q2")),
        ask(b"FETCH @q1 @q2", fetched(jid=b"@j3", queue=b"@q2")),
        ask(b"QUEUE RESUME @q1", OK),
        ask(b"FETCH @q1 @q2", fetched(jid=b"@j2")),
        clean=True,
    ),
    row(
        "5.8",
        "an ACK afterwards counts",
        pushed(job()),
        ask(b"FETCH @q1", fetched()),
        ask(b"FLUSH", OK),
        ask(b'ACK {"jid":"@j1"}', OK),
        ask(b"INFO", info(b'"@q1":0', totals=(0, 1, 0, 1))),
        clean=True,
    ),
    row(
        "5.8",
        "a FAIL afterwards records nothing",
        pushed(job()),
        ask(b"FETCH @q1", fetched()),
        ask(b"FLUSH", OK),
        ask(b'FAIL {"jid":"@j1"}', OK),
        ask(b"INFO", info(b'"@q1":0', totals=(0, 0, 0, 1))),
        ask(b'FAIL {"jid":"@j1"}', error(b"Job not found @j1")),
        clean=True,
    ),
    row(
        "5.8",
        "a reservation that is never reported stays in memory",
        pushed(job(jid=b"@j1"), job(jid=b"@j2")),
        ask(b"FETCH @q1", fetched(jid=b"@j1")),
        ask(b"FETCH @q1", fetched(jid=b"@j2")),
        ask(b"FLUSH", OK),
        ask(b'FAIL {"jid":"@j1"}', OK),
        ask(b"INFO", info(b'"@q1":0', totals=(0, 0, 0, 1), busy=b"1")),
        private=True,
    ),
    row(
        "5.8",
        "workers and their states stay",
        *login(b'{"v":2,"wid":"@w1"}'),
        ask(b'BEAT {"wid":"@w1","current_state":"quiet"}', bulk(b'{"state":"quiet"}')),
        ask(b"FLUSH", OK),
        ask(b'BEAT {"wid":"@w1"}', bulk(b'{"state":"quiet"}')),
        clean=True,
    ),
    row(
        "5.8",
        "the default of retry stays polluted",
        ask(b"PUSH " + job(retry=b"7"), OK),
        ask(b"FLUSH", OK),
        pushed(b'{"jid":"@j2","jobtype":"t","queue":"@q1","args":[]}'),
        ask(b"FETCH @q1", fetched(jid=b"@j2", retry=b"7")),
        clean=True,
    ),
    row(
        "5.8",
        "a clean slate by three commands",
        pushed(job(queue=b"@q1"), job(queue=b"@q2")),
        ask(b"QUEUE PAUSE @q1", OK),
        ask(b"QUEUE RESUME *", OK),
        ask(b"FLUSH", OK),
        ask(b"QUEUE REMOVE *", OK),
        ask(b"INFO", info()),
        clean=True,
    ),
)


def no_subcommand(name: bytes) -> bytes:
    return error(b"no such QUEUE subcommand: " + name)


def paused_or_not(name: str, *pausing: bytes, paused: bool) -> Row:
    """Write a row that tells whether queue 1 is paused after `pausing`."""
    first, second = (b"2", b"1") if paused else (b"1", b"2")
    return row(
        "5.9",
        name,
        pushed(job(jid=b"@j1", queue=b"@q1"), job(jid=b"@j2", queue=b"@q2")),
        *(ask(line, OK) for line in pausing),
        ask(b"FETCH @q1 @q2", fetched(jid=b"@j" + first, queue=b"@q" + first)),
        ask(b"QUEUE RESUME @q1 @q2", OK),
        ask(b"FETCH @q1 @q2", fetched(jid=b"@j" + second, queue=b"@q" + second)),
    )


QUEUE: tuple[Row, ...] = (
    row("5.9", "two spaces", ask(b"QUEUE  PAUSE @q1", no_subcommand(b""))),
    row(
        "5.9",
        "a subcommand in lower case comes back in upper",
        ask(b"QUEUE bogus", no_subcommand(b"BOGUS")),
    ),
    row("5.9", "no subcommand behind the space", ask(b"QUEUE ", no_subcommand(b""))),
    *(
        row("5.9", f"names that do not exist: {line.decode()}", ask(b"QUEUE %b @q1 @q2" % line, OK))
        for line in (b"PAUSE", b"RESUME", b"REMOVE", b"pause", b"Resume", b"rEMOVE")
    ),
    paused_or_not("PAUSE", b"QUEUE PAUSE @q1", paused=True),
    paused_or_not("PAUSE in lower case", b"QUEUE pause @q1", paused=True),
    paused_or_not("PAUSE twice", b"QUEUE PAUSE @q1", b"QUEUE PAUSE @q1", paused=True),
    paused_or_not("PAUSE of an unknown name too", b"QUEUE PAUSE @q9 @q1", paused=True),
    paused_or_not("RESUME", b"QUEUE PAUSE @q1", b"QUEUE RESUME @q1", paused=False),
    paused_or_not("RESUME *", b"QUEUE PAUSE @q1", b"QUEUE RESUME *", paused=False),
    paused_or_not("RESUME of another", b"QUEUE PAUSE @q1", b"QUEUE RESUME @q2", paused=True),
    paused_or_not(
        "* is a name where it is not the first",
        b"QUEUE PAUSE @q1 @q2",
        b"QUEUE RESUME @q2 *",
        paused=True,
    ),
    paused_or_not(
        "what stands behind a first * is ignored",
        b"QUEUE PAUSE *",
        b"QUEUE RESUME @q2",
        paused=True,
    ),
    row(
        "5.9",
        "PAUSE * reaches every queue",
        pushed(job(queue=b"@q1"), job(jid=b"@j2", queue=b"@q2")),
        ask(b"QUEUE PAUSE * @q1", OK),
        pushed(job(jid=b"@j3", queue=b"@q3")),
        ask(b"FETCH @q1 @q2 @q3", fetched(jid=b"@j3", queue=b"@q3")),
        ask(b"QUEUE RESUME *", OK),
        ask(b"FETCH @q2", fetched(jid=b"@j2", queue=b"@q2")),
        clean=True,
    ),
    row(
        "5.9",
        "a paused queue takes jobs",
        pushed(job(jid=b"@j1")),
        ask(b"QUEUE PAUSE @q1", OK),
        pushed(job(jid=b"@j2")),
        ask(b"PUSH " + job(jid=b"@j3"), OK),
        ask(b"INFO", info(b'"@q1":3', totals=(0, 0, 3, 1))),
        clean=True,
    ),
    row(
        "5.9",
        "a queue cannot be paused before its first job",
        ask(b"QUEUE PAUSE @q1", OK),
        pushed(job()),
        ask(b"FETCH @q1", fetched()),
    ),
    row(
        "5.9",
        "REMOVE drops the jobs, the name and the pause",
        pushed(job(jid=b"@j1"), job(jid=b"@j2")),
        ask(b"QUEUE PAUSE @q1", OK),
        ask(b"QUEUE REMOVE @q1", OK),
        ask(b"INFO", info()),
        pushed(job(jid=b"@j3")),
        ask(b"FETCH @q1", fetched(jid=b"@j3")),
        ask(b"INFO", info(b'"@q1":0', sets=(0, 0, 0, 1), totals=(0, 0, 0, 1))),
        clean=True,
    ),
    row(
        "5.9",
        "REMOVE *",
        pushed(job(queue=b"@q1"), job(queue=b"@q2")),
        ask(b"QUEUE REMOVE * @q1", OK),
        ask(b"INFO", info()),
        clean=True,
    ),
    row(
        "5.9",
        "REMOVE leaves what is reserved, scheduled or waiting for a retry",
        pushed(job(jid=b"@j1"), job(jid=b"@j2"), job(LATER, jid=b"@j3")),
        ask(b"FETCH @q1", fetched(jid=b"@j1")),
        ask(b"FETCH @q1", fetched(jid=b"@j2")),
        ask(b'FAIL {"jid":"@j1"}', OK),
        ask(b"QUEUE REMOVE @q1", OK),
        ask(b"INFO", info(sets=(0, 1, 1, 1), totals=(1, 1, 0, 0))),
        ask(b'FAIL {"jid":"@j2"}', OK),
        ask(b"INFO", info(sets=(0, 2, 1, 0), totals=(2, 2, 0, 0))),
        clean=True,
    ),
    row("5.9", "LATENCY without a name", ask(b"QUEUE LATENCY", bulk(b"{}"))),
    row("5.9", "LATENCY of an empty name", ask(b"QUEUE LATENCY ", bulk(b'{"":0}'))),
    row("5.9", "LATENCY of an unknown queue", ask(b"QUEUE LATENCY @q1", bulk(b'{"@q1":0}'))),
    row(
        "5.9",
        "LATENCY in lower case",
        ask(b"queue latency @q1", error(b"unknown command queue")),
        ask(b"QUEUE latency @q1", bulk(b'{"@q1":0}')),
    ),
    row(
        "5.9",
        "LATENCY of an empty queue",
        pushed(job()),
        ask(b"FETCH @q1", fetched()),
        ask(b"QUEUE LATENCY @q1", bulk(b'{"@q1":0}')),
    ),
    row(
        "5.9",
        "LATENCY sorts its names and merges equal ones",
        pushed(job(queue=b"@q1"), job(queue=b"@q2")),
        ask(
            b"QUEUE LATENCY @q2 nope @q1 @q2",
            bulk(b'{"nope":0,"@q1":@num,"@q2":@num}'),
        ),
    ),
    row(
        "5.9",
        "LATENCY takes no wildcard alone",
        ask(b"QUEUE LATENCY *", error(b"QUEUE LATENCY does not support wildcards")),
    ),
    row(
        "5.9",
        "LATENCY takes * beside others as a name",
        ask(b"QUEUE LATENCY @q1 *", bulk(b'{"*":0,"@q1":0}')),
        ask(b"QUEUE LATENCY * @q1", bulk(b'{"*":0,"@q1":0}')),
    ),
    row(
        "5.9",
        "LATENCY fails for all when a head has no time",
        pushed(job(LATER, jid=b"@j1", queue=b"@q1"), job(jid=b"@j2", queue=b"@q2")),
        ask(b'MUTATE {"cmd":"requeue","target":"scheduled","filter":{"jids":["@j1"]}}', OK),
        ask(b"QUEUE LATENCY @q2 @q1", NO_TIME),
        ask(b"QUEUE LATENCY @q2", bulk(b'{"@q2":@num}')),
    ),
    row(
        "5.9",
        "LATENCY looks at the job that is fetched next",
        pushed(job(jid=b"@j1")),
        pushed(job(LATER, jid=b"@j2")),
        ask(b'MUTATE {"cmd":"requeue","target":"scheduled","filter":{"jids":["@j2"]}}', OK),
        ask(b"QUEUE LATENCY @q1", bulk(b'{"@q1":@num}')),
        ask(b"FETCH @q1", fetched(jid=b"@j1")),
        ask(b"QUEUE LATENCY @q1", NO_TIME),
    ),
)

ENTERPRISE: tuple[Row, ...] = (
    *(
        row("5.11", line.decode(), ask(line, TRACKING))
        for line in (
            b"TRACK",
            b"TRACK ",
            b"TRACK GET 12345678",
            b'TRACK SET {"jid":"12345678","percent":5}',
            b"TRACK NONSENSE",
        )
    ),
    *(
        row("5.11", line.decode(), ask(line, BATCHES))
        for line in (
            b"BATCH",
            b"BATCH ",
            b'BATCH NEW {"description":"d"}',
            b"BATCH OPEN b-1",
            b"BATCH COMMIT b-1",
            b"BATCH STATUS b-1",
            b"BATCH NONSENSE",
        )
    ),
)

ROWS: tuple[Row, ...] = (*EVERY, *INFO, *FLUSH, *QUEUE, *ENTERPRISE)
