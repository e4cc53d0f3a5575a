"""What becomes of a job: reservation, failure, retries, the dead set, a restart."""

from tests.conformance._script import (
    OK,
    Exchange,
    Restart,
    Row,
    Step,
    ask,
    bulk,
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
FAIL = ask(b'FAIL {"jid":"@j1","message":"boom","errtype":"ValueError"}', OK)
STAMPS = b'"created_at":"@now8","enqueued_at":"@now9"'


def failure(failed: int, retry: int, *, dead: bool = False) -> bytes:
    """Write the failure of a job that failed this many times, at first at `@now1`.

    A dead job shows the time of the try that it died of.
    """
    tries = failed - 2 if dead else failed - 1
    following = b',"next_at":"@next%d"' % tries if tries >= 0 else b""
    return (
        b'"failure":{"failed_at":"@now1"%b,"message":"boom","errtype":"ValueError",'
        b'"retry_count":%d,"remaining":%d}' % (following, failed - 1, max(retry - failed + 1, 0))
    )


def requeue(target: bytes) -> Exchange:
    line = b'MUTATE {"cmd":"requeue","target":"%b","filter":{"jids":["@j1"]}}'
    return ask(line % target, OK)


def fetch(retry: int, failed: bytes = b"") -> Exchange:
    return ask(b"FETCH @q1", fetched(failed, retry=b"%d" % retry, times=STAMPS))


def to_its_death(retry: int) -> tuple[Step, ...]:
    """Fail a job until it is dead, reading its failure each time."""
    steps: list[Step] = [pushed(job(retry=b"%d" % retry)), fetch(retry)]
    for failed in range(1, retry + 1):
        steps += [FAIL, requeue(b"dead"), requeue(b"retries")]
        steps.append(fetch(retry, failure(failed, retry)))
    steps += [FAIL, requeue(b"retries"), requeue(b"dead")]
    steps.append(fetch(retry, failure(retry + 1, retry, dead=True)))
    return tuple(steps)


def own_failure(name: str, retry: int, members: bytes, stored: bytes, target: bytes) -> Row:
    """Write a row in which a job that brings a failure of its own fails once more."""
    return row(
        "7.3",
        f"a failure that the client brought: {name}",
        pushed(job(b'"failure":{%b}' % members, retry=b"%d" % retry)),
        ask(b"FETCH @q1", fetched(b'"failure":{%b}' % members, retry=b"%d" % retry)),
        FAIL,
        requeue(target),
        ask(b"FETCH @q1", fetched(b'"failure":{%b}' % stored, retry=b"%d" % retry)),
    )


SETS: tuple[Row, ...] = (
    row(
        "7.1",
        "a future time goes to the scheduled set, a past one to its queue",
        pushed(job(LATER, jid=b"@j1"), job(b'"at":"2020-01-01T00:00:00Z"', jid=b"@j2")),
        ask(b"INFO", info(b'"@q1":1', sets=(0, 0, 1, 0), totals=(0, 0, 1, 1))),
        clean=True,
    ),
    row(
        "7.1",
        "equal bytes are one entry of a set",
        pushed(job(LATER + b',"created_at":"x"'), job(LATER + b',"created_at":"x"')),
        pushed(job(LATER + b',"created_at":"y"')),
        ask(b"INFO", info(sets=(0, 0, 2, 0))),
        clean=True,
    ),
)

RESERVATIONS: tuple[Row, ...] = (
    *(
        row(
            "7.2",
            f"reserve_for {seconds.decode()} is shown as it was sent",
            pushed(job(b'"reserve_for":' + seconds)),
            ask(b"FETCH @q1", fetched(tail=b'"reserve_for":' + seconds)),
            ask(b'ACK {"jid":"@j1"}', OK),
        )
        for seconds in (b"1", b"59", b"60", b"1800", b"86400", b"-5")
    ),
    row(
        "7.2",
        "a reservation outlives its worker and its queue",
        *login(b'{"v":2,"wid":"@w1"}'),
        pushed(job(), on="b"),
        ask(b"FETCH @q1", fetched()),
        ask(b"END", closes=True),
        ask(b"QUEUE REMOVE @q1", OK, on="b"),
        ask(b'FAIL {"jid":"@j1"}', OK, on="b"),
    ),
    row(
        "7.2",
        "a quiet worker may still report",
        *login(b'{"v":2,"wid":"@w1"}'),
        pushed(job(jid=b"@j1"), job(jid=b"@j2")),
        ask(b"FETCH @q1", fetched(jid=b"@j1")),
        ask(b"FETCH @q1", fetched(jid=b"@j2")),
        ask(b'BEAT {"wid":"@w1","current_state":"terminate"}', bulk(b'{"state":"terminate"}')),
        ask(b'ACK {"jid":"@j1"}', OK),
        ask(b'FAIL {"jid":"@j1"}', error(b"Job not found @j1")),
        ask(b'FAIL {"jid":"@j2"}', OK),
    ),
)

FAILURES: tuple[Row, ...] = (
    *(
        row("7.3", f"retry {retry}: {retry + 1} runs, then dead", *to_its_death(retry))
        for retry in (1, 2, 4, 11)
    ),
    row(
        "7.3",
        "retry 0: nothing is kept",
        pushed(job(retry=b"0")),
        fetch(0),
        FAIL,
        ask(b"INFO", info(b'"@q1":0', totals=(1, 1, 0, 1))),
        clean=True,
    ),
    *(
        row(
            "7.3",
            f"retry {retry}: dead at once",
            pushed(job(retry=b"%d" % retry)),
            fetch(retry),
            FAIL,
            ask(b"INFO", info(b'"@q1":0', sets=(1, 0, 0, 0), totals=(1, 1, 0, 1))),
            requeue(b"dead"),
            fetch(
                retry,
                b'"failure":{"failed_at":"@now1","message":"boom","errtype":"ValueError",'
                b'"retry_count":0,"remaining":%d}' % retry,
            ),
            clean=True,
        )
        for retry in (-1, -7)
    ),
    row(
        "7.3",
        "a dead job that is requeued and fails again is dead at once",
        *to_its_death(1),
        FAIL,
        requeue(b"retries"),
        requeue(b"dead"),
        fetch(
            1,
            b'"failure":{"failed_at":"@now1","next_at":"@next0","message":"boom",'
            b'"errtype":"ValueError","retry_count":2,"remaining":0}',
        ),
    ),
    row(
        "7.3",
        "a dead job of retry -1 counts on",
        pushed(job(retry=b"-1")),
        fetch(-1),
        FAIL,
        requeue(b"dead"),
        fetch(
            -1,
            b'"failure":{"failed_at":"@now1","message":"boom","errtype":"ValueError",'
            b'"retry_count":0,"remaining":-1}',
        ),
        FAIL,
        requeue(b"dead"),
        fetch(
            -1,
            b'"failure":{"failed_at":"@now1","message":"boom","errtype":"ValueError",'
            b'"retry_count":1,"remaining":-1}',
        ),
    ),
    row(
        "7.3",
        "the last message, errtype and backtrace stand",
        pushed(job()),
        fetch(25),
        ask(b'FAIL {"jid":"@j1","message":"m1","errtype":"E1","backtrace":["l1","l2"]}', OK),
        requeue(b"retries"),
        fetch(
            25,
            b'"failure":{"failed_at":"@now1","next_at":"@next0","message":"m1","errtype":"E1",'
            b'"backtrace":["l1","l2"],"retry_count":0,"remaining":25}',
        ),
        ask(b'FAIL {"jid":"@j1","message":"m2","errtype":"E2"}', OK),
        requeue(b"retries"),
        fetch(
            25,
            b'"failure":{"failed_at":"@now1","next_at":"@next1","message":"m2","errtype":"E2",'
            b'"retry_count":1,"remaining":24}',
        ),
        ask(b'FAIL {"jid":"@j1","backtrace":["l3"]}', OK),
        requeue(b"retries"),
        fetch(
            25,
            b'"failure":{"failed_at":"@now1","next_at":"@next2","message":"unknown",'
            b'"errtype":"unknown","backtrace":["l3"],"retry_count":2,"remaining":23}',
        ),
    ),
    own_failure(
        "it counts on",
        3,
        b'"failed_at":"f","next_at":"n","message":"m","errtype":"e","retry_count":1,"remaining":2',
        b'"failed_at":"f","next_at":"@next2","message":"boom","errtype":"ValueError",'
        b'"retry_count":2,"remaining":1',
        b"retries",
    ),
    own_failure(
        "it has used up its retries",
        3,
        b'"failed_at":"f","next_at":"n","retry_count":2,"remaining":0',
        b'"failed_at":"f","next_at":"n","message":"boom","errtype":"ValueError",'
        b'"retry_count":3,"remaining":0',
        b"dead",
    ),
    own_failure(
        "what it says of the remaining ones decides nothing",
        5,
        b'"failed_at":"f","retry_count":0,"remaining":0',
        b'"failed_at":"f","next_at":"@next1","message":"boom","errtype":"ValueError",'
        b'"retry_count":1,"remaining":0',
        b"retries",
    ),
    own_failure(
        "a negative remainder stays",
        5,
        b'"failed_at":"f","retry_count":0,"remaining":-3',
        b'"failed_at":"f","next_at":"@next1","message":"boom","errtype":"ValueError",'
        b'"retry_count":1,"remaining":-3',
        b"retries",
    ),
    own_failure(
        "the 25th retry is about four days away",
        99,
        b'"failed_at":"f","retry_count":23,"remaining":5',
        b'"failed_at":"f","next_at":"@next24","message":"boom","errtype":"ValueError",'
        b'"retry_count":24,"remaining":4',
        b"retries",
    ),
)

KEPT: tuple[Row, ...] = (
    row(
        "7.4",
        "queues, sets, counters, pauses and reservations survive a restart",
        pushed(job(jid=b"@j1"), job(jid=b"@j2"), job(jid=b"@j3"), job(LATER, jid=b"@j4")),
        pushed(job(jid=b"@j5", queue=b"@q2"), job(jid=b"@j6", queue=b"@q2")),
        ask(b"FETCH @q1", fetched(jid=b"@j1")),
        ask(b"FETCH @q1", fetched(jid=b"@j2")),
        ask(b"FETCH @q2", fetched(jid=b"@j5", queue=b"@q2")),
        ask(b'FAIL {"jid":"@j1"}', OK),
        ask(b"QUEUE PAUSE @q1", OK),
        Restart(),
        ask(b"INFO", info(b'"@q1":1,"@q2":1', sets=(0, 1, 1, 2), totals=(1, 1, 2, 2), busy=b"2")),
        ask(b"FETCH @q1 @q2", fetched(jid=b"@j6", queue=b"@q2")),
        ask(b'ACK {"jid":"@j5"}', OK),
        ask(b'FAIL {"jid":"@j5"}', error(b"Job not found @j5")),
        ask(b'FAIL {"jid":"@j2"}', OK),
        ask(b"QUEUE RESUME @q1", OK),
        ask(b"FETCH @q1", fetched(jid=b"@j3")),
        private=True,
    ),
    row(
        "7.4",
        "workers, the count of commands and the default of retry do not",
        *login(b'{"v":2,"wid":"@w1"}'),
        ask(b"PUSH " + job(retry=b"7"), OK),
        ask(b'BEAT {"wid":"@w1"}', OK),
        Restart(),
        ask(b'BEAT {"wid":"@w1"}', error(b"unknown worker @w1")),
        ask(b"FETCH @q1", fetched(retry=b"7")),
        pushed(b'{"jid":"@j2","jobtype":"t","queue":"@q1","args":[]}'),
        ask(b"FETCH @q1", fetched(jid=b"@j2")),
        ask(
            b"INFO",
            info(
                b'"@q1":0',
                sets=(0, 0, 0, 2),
                totals=(0, 0, 0, 1),
                workers=b"0",
                connections=b"1",
                commands=b"5",
            ),
        ),
        private=True,
    ),
)

ROWS: tuple[Row, ...] = (*SETS, *RESERVATIONS, *FAILURES, *KEPT)
