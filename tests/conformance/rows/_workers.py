"""Workers: who is one, what its states do, and where they are looked at.

The server forgets a worker a moment after its last client saw the end of the stream.
"""

from tests.conformance._script import (
    NIL,
    OK,
    HangUp,
    Row,
    ask,
    bulk,
    error,
    eventually,
    fetched,
    job,
    login,
    pushed,
    row,
)

__all__ = ["ROWS"]

WORKER = b'{"v":2,"wid":"@w1"}'
BEAT = b'BEAT {"wid":"@w1"}'
QUIETEN = b'BEAT {"wid":"@w1","current_state":"quiet"}'
QUIET = bulk(b'{"state":"quiet"}')
TERMINATE = bulk(b'{"state":"terminate"}')
UNKNOWN = error(b"unknown worker @w1")

ROWS: tuple[Row, ...] = (
    row("8", "HELLO with a wid makes a worker", *login(WORKER), ask(BEAT, OK)),
    row(
        "8",
        "HELLO without a wid makes none",
        *login(b'{"v":2,"wid":"","hostname":"h","pid":1,"labels":["l"]}'),
        ask(b'BEAT {"wid":""}', error(b"unknown worker ")),
    ),
    row(
        "8",
        "a second connection inherits the state",
        *login(WORKER, on="a"),
        ask(QUIETEN, QUIET, on="a"),
        *login(WORKER, on="b"),
        ask(BEAT, QUIET, on="b"),
    ),
    row(
        "8",
        "one BEAT moves all connections of a wid",
        *login(WORKER, on="a"),
        *login(WORKER, on="b"),
        ask(QUIETEN, QUIET, on="b"),
        ask(BEAT, QUIET, on="a"),
    ),
    row(
        "8",
        "a worker that comes again starts as running",
        *login(WORKER, on="a"),
        ask(b'BEAT {"wid":"@w1","current_state":"terminate"}', TERMINATE, on="a"),
        ask(b"END", closes=True, on="a"),
        eventually(BEAT, UNKNOWN, on="c"),
        *login(WORKER, on="b"),
        ask(BEAT, OK, on="b"),
    ),
    row(
        "8",
        "a worker that comes again after half of it went is the old one",
        *login(WORKER, on="a"),
        *login(WORKER, on="b"),
        ask(QUIETEN, QUIET, on="a"),
        ask(b"END", closes=True, on="a"),
        *login(WORKER, on="c"),
        ask(BEAT, QUIET, on="c"),
    ),
    row(
        "8",
        "the last connection takes the worker with it",
        *login(WORKER, on="a"),
        ask(BEAT, OK, on="b"),
        ask(b"END", closes=True, on="a"),
        eventually(BEAT, UNKNOWN, on="b"),
    ),
    row(
        "8",
        "a terminated worker may push, fetch by another connection, and report",
        *login(WORKER),
        ask(b'BEAT {"wid":"@w1","current_state":"terminate"}', TERMINATE),
        pushed(job()),
        ask(b"FETCH @q1", fetched(), on="b"),
        ask(b'ACK {"jid":"@j1"}', OK),
        ask(b'FAIL {"jid":"@j1"}', error(b"Job not found @j1")),
    ),
    row(
        "8",
        "only the first connection of a quiet worker is held back, an older one",
        *login(WORKER, on="a"),
        *login(WORKER, on="b"),
        ask(QUIETEN, QUIET, on="a"),
        pushed(job()),
        ask(b"FETCH @q1", NIL, on="a", after=1.95),
        ask(b"FETCH @q1", fetched(), on="b"),
        slow=True,
    ),
    row(
        "8",
        "only the first connection of a quiet worker is held back, a newer one",
        *login(WORKER, on="a"),
        ask(QUIETEN, QUIET, on="a"),
        *login(WORKER, on="b"),
        pushed(job()),
        ask(b"FETCH @q1", fetched(), on="b"),
        ask(b"FETCH @q1", NIL, on="a", after=1.95),
        slow=True,
    ),
    row(
        "8",
        "nobody is held back once the first connection is gone",
        *login(WORKER, on="a"),
        *login(WORKER, on="b"),
        ask(QUIETEN, QUIET, on="b"),
        ask(b"END", closes=True, on="a"),
        *login(WORKER, on="c"),
        pushed(job(jid=b"@j1"), job(jid=b"@j2"), on="b"),
        ask(b"FETCH @q1", fetched(jid=b"@j1"), on="b"),
        ask(b"FETCH @q1", fetched(jid=b"@j2"), on="c"),
        ask(BEAT, QUIET, on="b"),
    ),
    row(
        "8",
        "the end of one worker is not that of another",
        *login(WORKER, on="a"),
        *login(b'{"v":2,"wid":"@w2"}', on="b"),
        HangUp("a"),
        ask(b'BEAT {"wid":"@w2"}', OK, on="b"),
    ),
)
