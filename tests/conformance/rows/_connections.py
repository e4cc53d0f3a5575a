"""The life of a connection: END, disconnects, the limit, a shutdown."""

from tests.conformance._script import (
    OK,
    Crowd,
    HangUp,
    Row,
    Silence,
    Stop,
    ask,
    bulk,
    error,
    fetched,
    job,
    raw,
    read,
    row,
    send,
)

__all__ = ["ROWS"]

BIG = b"V" * (5 << 20)

ROWS: tuple[Row, ...] = (
    row("3.1", "END closes without a reply", ask(b"END", closes=True)),
    row("3.1", "END with text closes without a reply", ask(b"END anything", closes=True)),
    row("3.1", "end is no END", ask(b"end", error(b"unknown command end"))),
    row("3.1", "ENDS is no END", ask(b"ENDS", error(b"unknown command ENDS"))),
    row(
        "3.1",
        "what stands before END is answered, what stands behind is not executed",
        raw(
            b"PUSHB [" + job(jid=b"@j1") + b"]\r\nEND\r\nPUSHB [" + job(jid=b"@j2") + b"]\r\n",
            bulk(b"{}"),
            closes=True,
        ),
        ask(b"PUSHB [" + job(jid=b"@j3") + b"]", bulk(b"{}"), on="b"),
        ask(b"FETCH @q1", fetched(jid=b"@j1"), on="b"),
        ask(b"FETCH @q1", fetched(jid=b"@j3"), on="b"),
    ),
    row(
        "3.1",
        "a client that does not read stalls itself alone",
        raw(BIG + b"\r\n"),
        ask(b"NOPE", error(b"unknown command NOPE"), on="b"),
        read(error(b"unknown command " + BIG), within=20),
    ),
    row(
        "3.1",
        "a closed connection leaves its job reserved",
        ask(b"PUSHB [" + job() + b"]", bulk(b"{}")),
        ask(b"FETCH @q1", fetched()),
        ask(b"END", closes=True),
        ask(b'FAIL {"jid":"@j1"}', OK, on="b"),
    ),
    row(
        "3.2",
        "connection 2,001 is welcomed, then refused and closed",
        Crowd(2000),
        private=True,
    ),
    row(
        "3.3",
        "idle connections see the end of the stream",
        ask(b"NOPE", error(b"unknown command NOPE"), on="a"),
        ask(b"NOPE", error(b"unknown command NOPE"), on="b"),
        Stop(),
        read(on="a", closes=True),
        read(on="b", closes=True),
        private=True,
    ),
    row("3.3", "commands are refused, then the end", Stop(under_load="a"), private=True),
    row(
        "3.3",
        "a blocked FETCH gets an error, then the end",
        send(b"FETCH @q1"),
        Silence("a", 0.2),
        Stop(),
        read(error(b"@any"), closes=True),
        private=True,
    ),
    row(
        "3.1",
        "a killed client's connection concerns nobody",
        raw(b"PUSHB [" + job()[:20]),
        HangUp("a"),
        ask(b"NOPE", error(b"unknown command NOPE"), on="b"),
    ),
)
