"""What the server does by its clock: promotion, reservations that end, workers that are evicted.

Due jobs are looked for every 5 s, ended reservations and silent workers every 15 s. So what ends
after 60 s has surely been acted on after `SETTLED` seconds.

The server takes ended reservations in tens, and leaves the rest to the next round when one of ten
belongs to no job; a row that makes such an orphan therefore has a server of its own.
"""

from tests.conformance._script import (
    NIL,
    OK,
    Row,
    Silence,
    Step,
    Wait,
    ask,
    bulk,
    error,
    fetched,
    info,
    job,
    login,
    pushed,
    read,
    row,
)

__all__ = ["ROWS"]

SETTLED = 76.5
BEFORE = 58
WORKER = b'{"v":2,"wid":"@w1"}'
BEAT = b'BEAT {"wid":"@w1"}'
UNKNOWN_VERB = error(b"unknown command NOPE")
UNKNOWN_WORKER = error(b"unknown worker @w1")
MINUTE = b'"reserve_for":60'
EXPIRED = (
    b'"failure":{"failed_at":"@now",%b"message":"Faktory job reservation expired",'
    b'"errtype":"ReservationExpired","retry_count":0,"remaining":%b}'
)
LATER = b'"at":"2099-01-01T00:00:00Z"'
TWIN = job(b'"at":"@soon2","created_at":"2020-01-01T00:00:00Z"')
ODD_QUEUE = "@q1é".encode()


def not_found(jid: bytes) -> bytes:
    return error(b"Job not found " + jid)


def requeue(target: bytes, jid: bytes = b"@j1") -> Step:
    line = b'MUTATE {"cmd":"requeue","target":"%b","filter":{"jids":["%b"]}}'
    return ask(line % (target, jid), OK)


CONNECTIONS: tuple[Row, ...] = (
    row(
        "3.1",
        "a connection without a wid may be idle",
        ask(b"NOPE", UNKNOWN_VERB),
        Wait(SETTLED),
        ask(b"NOPE", UNKNOWN_VERB),
        timer=True,
    ),
)

SCHEDULE: tuple[Row, ...] = (
    row(
        "7.1",
        "a scheduled job is queued when it is due",
        pushed(job(b'"at":"@soon4"')),
        ask(b"FETCH @q1", NIL, after=1.95),
        Wait(10),
        ask(b"FETCH @q1", fetched(times=b'"created_at":"@now","enqueued_at":"@now","at":"@soon4"')),
        timer=True,
    ),
    row(
        "7.1",
        "a blocked FETCH gets a job that becomes due",
        pushed(job(b'"at":"@soon2"')),
        Wait(8),
        ask(b"FETCH @q1", fetched(times=b'"created_at":"@now","enqueued_at":"@now","at":"@soon2"')),
        timer=True,
    ),
    row(
        "7.1",
        "due jobs are queued in the order of their times",
        pushed(
            job(b'"at":"@soon3"', jid=b"@j1"),
            job(b'"at":"@soon2"', jid=b"@j2"),
            job(b'"at":"@soon1"', jid=b"@j3"),
        ),
        Wait(9),
        *(
            ask(
                b"FETCH @q1",
                fetched(
                    jid=jid,
                    times=b'"created_at":"@now","enqueued_at":"@now","at":"%b"' % at,
                ),
            )
            for jid, at in ((b"@j3", b"@soon1"), (b"@j2", b"@soon2"), (b"@j1", b"@soon3"))
        ),
        timer=True,
    ),
    row(
        "7.1",
        "a due job with an illegal queue name is destroyed",
        pushed(
            job(b'"at":"@soon2"', jid=b"@j1", queue=ODD_QUEUE),
            job(b'"at":"@soon2"', jid=b"@j2"),
        ),
        Wait(8),
        ask(
            b"FETCH " + ODD_QUEUE + b" @q1",
            fetched(jid=b"@j2", times=b'"created_at":"@now","enqueued_at":"@now","at":"@soon2"'),
        ),
        requeue(b"scheduled"),
        requeue(b"retries"),
        requeue(b"dead"),
        ask(b"FETCH " + ODD_QUEUE, NIL, after=1.95),
        timer=True,
    ),
    row(
        "7.1",
        "a retry is queued again when its time has come",
        pushed(job()),
        ask(b"FETCH @q1", fetched()),
        ask(b'FAIL {"jid":"@j1"}', OK),
        Wait(12),
        ask(b"FETCH @q1", NIL, after=1.95),
        Wait(52),
        ask(
            b"FETCH @q1",
            fetched(
                b'"failure":{"failed_at":"@now","next_at":"@next0","message":"unknown",'
                b'"errtype":"unknown","retry_count":0,"remaining":25}'
            ),
        ),
        timer=True,
    ),
    row(
        "11.3e",
        "the bytes of a promoted job are a second job, run at once",
        pushed(TWIN),
        pushed(TWIN),
        Wait(8),
        pushed(TWIN),
        *(
            ask(
                b"FETCH @q1",
                fetched(
                    times=(
                        b'"created_at":"2020-01-01T00:00:00Z","enqueued_at":"@now","at":"@soon2"'
                    )
                ),
            )
            for _ in range(2)
        ),
        ask(b"FETCH @q1", NIL, after=1.95),
        timer=True,
    ),
)

RESERVATIONS: tuple[Row, ...] = (
    row(
        "7.2",
        "a reservation that ends is a failure",
        pushed(job(MINUTE)),
        ask(b"FETCH @q1", fetched(tail=MINUTE)),
        Wait(SETTLED),
        ask(b'FAIL {"jid":"@j1"}', not_found(b"@j1")),
        requeue(b"retries"),
        ask(b"FETCH @q1", fetched(EXPIRED % (b'"next_at":"@next0",', b"25"), MINUTE)),
        timer=True,
    ),
    row(
        "5.4",
        "an ACK after the end is welcome and changes nothing",
        pushed(job(MINUTE)),
        ask(b"FETCH @q1", fetched(tail=MINUTE)),
        Wait(SETTLED),
        ask(b'ACK {"jid":"@j1"}', OK),
        requeue(b"retries"),
        ask(b"FETCH @q1", fetched(EXPIRED % (b'"next_at":"@next0",', b"25"), MINUTE)),
        timer=True,
    ),
    *(
        row(
            "7.2",
            f"reserve_for {seconds.decode()} counts as 60",
            pushed(job(MINUTE, jid=b"@j3"), job(b'"reserve_for":' + seconds)),
            pushed(job(b'"reserve_for":' + seconds, jid=b"@j2")),
            ask(b"FETCH @q1", fetched(tail=MINUTE, jid=b"@j3")),
            ask(b"FETCH @q1", fetched(tail=b'"reserve_for":' + seconds)),
            ask(b"FETCH @q1", fetched(tail=b'"reserve_for":' + seconds, jid=b"@j2")),
            Wait(BEFORE),
            ask(b'FAIL {"jid":"@j1"}', OK),
            Wait(SETTLED),
            ask(b'FAIL {"jid":"@j2"}', not_found(b"@j2")),
            timer=True,
        )
        for seconds in (b"1", b"59", b"-5")
    ),
    row(
        "7.2",
        "a longer reservation and the default one are still there",
        pushed(
            job(b'"reserve_for":100', jid=b"@j1"),
            job(jid=b"@j2"),
            job(b'"reserve_for":0', jid=b"@j3"),
        ),
        ask(b"FETCH @q1", fetched(tail=b'"reserve_for":100', jid=b"@j1")),
        ask(b"FETCH @q1", fetched(jid=b"@j2")),
        ask(b"FETCH @q1", fetched(jid=b"@j3")),
        Wait(SETTLED),
        ask(b'FAIL {"jid":"@j1"}', OK),
        ask(b'FAIL {"jid":"@j2"}', OK),
        ask(b'FAIL {"jid":"@j3"}', OK),
        timer=True,
    ),
    row(
        "7.2",
        "the end with retry 0: the job vanishes",
        pushed(job(MINUTE, retry=b"0")),
        ask(b"FETCH @q1", fetched(tail=MINUTE, retry=b"0")),
        Wait(SETTLED),
        ask(b'FAIL {"jid":"@j1"}', not_found(b"@j1")),
        requeue(b"retries"),
        requeue(b"dead"),
        ask(b"FETCH @q1", NIL, after=1.95),
        timer=True,
    ),
    row(
        "7.2",
        "the end with retry -1: the job is dead",
        pushed(job(MINUTE, retry=b"-1")),
        ask(b"FETCH @q1", fetched(tail=MINUTE, retry=b"-1")),
        Wait(SETTLED),
        requeue(b"dead"),
        ask(b"FETCH @q1", fetched(EXPIRED % (b"", b"-1"), MINUTE, retry=b"-1")),
        timer=True,
    ),
    row(
        "5.3",
        "what a client took that hung up while it waited comes back by the end",
        pushed(job(MINUTE, jid=b"@j2", queue=b"@q2")),
        ask(b"FETCH @q2", fetched(tail=MINUTE, jid=b"@j2", queue=b"@q2"), on="b"),
        ask(b"END", closes=True, on="b"),
        Wait(SETTLED),
        requeue(b"retries", b"@j2"),
        ask(
            b"FETCH @q2",
            fetched(EXPIRED % (b'"next_at":"@next0",', b"25"), MINUTE, jid=b"@j2", queue=b"@q2"),
        ),
        timer=True,
    ),
    row(
        "11.4",
        "of two jobs of one jid the forgotten one is dropped at its end",
        pushed(job(MINUTE, args=b"[1]"), job(MINUTE, args=b"[2]")),
        ask(b"FETCH @q1", fetched(tail=MINUTE, args=b"[1]")),
        ask(b"FETCH @q1", fetched(tail=MINUTE, args=b"[2]")),
        ask(b'ACK {"jid":"@j1"}', OK),
        Wait(SETTLED),
        requeue(b"retries"),
        requeue(b"dead"),
        ask(b"FETCH @q1", NIL, after=1.95),
        timer=True,
        private=True,
    ),
    row(
        "5.7",
        "the end of a reservation and of a worker are counted",
        *login(WORKER, on="b"),
        pushed(job(MINUTE, retry=b"-1")),
        ask(b"FETCH @q1", fetched(tail=MINUTE, retry=b"-1")),
        ask(
            b"INFO",
            info(
                b'"@q1":0', sets=(0, 0, 0, 1), totals=(0, 0, 0, 1), busy=b"1", workers=b"1"
            ).replace(b'"reaped":@int', b'"reaped":0'),
        ),
        Wait(SETTLED),
        read(on="b", closes=True),
        ask(
            b"INFO",
            info(
                b'"@q1":0', sets=(1, 0, 0, 0), totals=(1, 1, 0, 1), busy=b"0", workers=b"0"
            ).replace(b'"reaped":@int', b'"reaped":1'),
        ),
        timer=True,
        private=True,
    ),
)

EVICTION: tuple[Row, ...] = (
    row(
        "8",
        "a worker that is silent for a minute loses all its connections",
        *login(WORKER, on="a"),
        *login(WORKER, on="b"),
        Wait(BEFORE),
        Silence("a", 0.1),
        Silence("b", 0.1),
        Wait(SETTLED),
        read(on="a", closes=True),
        read(on="b", closes=True),
        ask(BEAT, UNKNOWN_WORKER, on="c"),
        timer=True,
    ),
    row(
        "8",
        "work is no heartbeat",
        *login(WORKER),
        Wait(40),
        pushed(job(jid=b"@j1"), job(jid=b"@j2")),
        ask(b"FETCH @q1", fetched(jid=b"@j1")),
        ask(b'ACK {"jid":"@j1"}', OK),
        ask(b"FETCH @q1", fetched(jid=b"@j2")),
        ask(b'FAIL {"jid":"@j2"}', OK),
        Wait(SETTLED),
        read(closes=True),
        timer=True,
    ),
    row(
        "8",
        "a BEAT keeps a worker",
        *login(WORKER),
        Wait(30),
        ask(BEAT, OK),
        Wait(SETTLED),
        ask(BEAT, OK),
        timer=True,
    ),
    row(
        "8",
        "a BEAT on any connection keeps all of its worker",
        *login(WORKER, on="a"),
        *login(WORKER, on="b"),
        Wait(30),
        ask(BEAT, OK, on="c"),
        Wait(SETTLED),
        ask(b"NOPE", UNKNOWN_VERB, on="a"),
        ask(b"NOPE", UNKNOWN_VERB, on="b"),
        ask(BEAT, OK, on="c"),
        timer=True,
    ),
    row(
        "8",
        "the HELLO of a further connection is no heartbeat",
        *login(WORKER, on="a"),
        Wait(40),
        *login(WORKER, on="b"),
        Wait(SETTLED),
        read(on="a", closes=True),
        read(on="b", closes=True),
        timer=True,
    ),
    row(
        "8",
        "an evicted worker that comes again starts as running",
        *login(WORKER, on="a"),
        ask(b'BEAT {"wid":"@w1","current_state":"quiet"}', bulk(b'{"state":"quiet"}'), on="a"),
        Wait(SETTLED),
        read(on="a", closes=True),
        *login(WORKER, on="b"),
        ask(BEAT, OK, on="b"),
        timer=True,
    ),
    row(
        "11.3c",
        "the jobs of an evicted worker can be reported by others",
        *login(WORKER),
        pushed(job(jid=b"@j1"), job(jid=b"@j2")),
        ask(b"FETCH @q1", fetched(jid=b"@j1")),
        ask(b"FETCH @q1", fetched(jid=b"@j2")),
        Wait(SETTLED),
        read(closes=True),
        ask(b'ACK {"jid":"@j1"}', OK, on="b"),
        ask(b'FAIL {"jid":"@j1"}', not_found(b"@j1"), on="b"),
        ask(b'FAIL {"jid":"@j2"}', OK, on="b"),
        timer=True,
    ),
)

ROWS: tuple[Row, ...] = (*CONNECTIONS, *SCHEDULE, *RESERVATIONS, *EVICTION)
