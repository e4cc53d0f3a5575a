"""How lines come in and replies go out, whatever the command."""

from tests.conformance._script import (
    NIL,
    OK,
    Exchange,
    HalfClose,
    Row,
    Silence,
    ask,
    bulk,
    dial,
    error,
    fetched,
    job,
    raw,
    row,
)

__all__ = ["ROWS"]

INTERNAL = error(b"internal error")
ANY_INFO = bulk(b'{"now":"@now","server_utc_time":@any}')
MEBIBYTE = 1 << 20


def nested(levels: int) -> bytes:
    """Write a job of so many levels of nesting, of which its args make all but the first."""
    return job(args=b"[" * (levels - 1) + b"]" * (levels - 1))


def unknown(verb: bytes) -> bytes:
    return error(b"unknown command " + verb)


UNKNOWN_VERBS = (
    ("an empty line", b"\r\n", b""),
    ("an empty line ended by LF", b"\n", b""),
    ("a verb in lower case", b"info\r\n", b"info"),
    ("a verb in mixed case", b"Flush\r\n", b"Flush"),
    ("a space before the verb", b" INFO\r\n", b""),
    ("bytes that are no text", b"\x00\x01\xff\xfe\r\n", b"\x00\x01\xff\xfe"),
    ("a second CR belongs to the text", b"FLUSH\r\r\n", b"FLUSH\r"),
    ("a CR in the middle belongs to the text", b"FLU\rSH\r\n", b"FLU\rSH"),
    ("a tab is no separator", b"INFO\t\r\n", b"INFO\t"),
    ("a tab before arguments", b"QUEUE\tLATENCY\r\n", b"QUEUE\tLATENCY"),
    ("a second HELLO", b"HELLO\r\n", b"HELLO"),
    ("a second HELLO with its object", b'HELLO {"v":2}\r\n', b"HELLO"),
    ("only the verb is echoed", b"NOPE and more\r\n", b"NOPE"),
    ("LF alone ends a line", b"NOPE\n", b"NOPE"),
)

ROWS: tuple[Row, ...] = (
    *(
        row("1", f"unknown verb: {name}", raw(line, unknown(verb)), ask(b"TRACK", b"-ERR @any\r\n"))
        for name, line, verb in UNKNOWN_VERBS
    ),
    row(
        "1",
        "a RESP array is read as three lines",
        raw(b"*1\r\n$4\r\nINFO\r\n", unknown(b"*1"), unknown(b"$4"), ANY_INFO),
    ),
    row(
        "1",
        "LF alone ends a known command",
        raw(b"FETCH\n", error(b"must call fetch with at least one queue")),
    ),
    row(
        "1",
        "a raw newline in the error of FAIL",
        ask(rb'FAIL {"jid":"no\npe"}', b"-ERR Job not found no\npe\r\n"),
        ask(b"NOPE", unknown(b"NOPE")),
    ),
    row(
        "1",
        "a raw newline in the error of BEAT",
        ask(rb'BEAT {"wid":"no\npe"}', b"-ERR unknown worker no\npe\r\n"),
        ask(b"NOPE", unknown(b"NOPE")),
    ),
    *(
        row(
            "1",
            f"a handler that panics: {line.decode()}",
            ask(line, INTERNAL),
            ask(b"NOPE", unknown(b"NOPE")),
        )
        for line in (
            b"PUSH",
            b"PUSHB",
            b"ACK",
            b"FAIL",
            b"BEAT",
            b"QUEUE",
            b"QUEUE PAUSE",
            b"QUEUE RESUME",
            b"QUEUE REMOVE",
        )
    ),
    row(
        "1",
        "an unknown verb of 5 MiB comes back whole",
        ask(b"V" * (5 * MEBIBYTE), unknown(b"V" * (5 * MEBIBYTE)), within=20),
    ),
    row(
        "1",
        "a HELLO of 8 MiB",
        dial(),
        ask(b'HELLO {"v":2,"hostname":"%b"}' % (b"h" * (8 * MEBIBYTE)), OK, within=20),
    ),
    row(
        "1",
        "a PUSH of 64 MiB",
        ask(b"PUSH " + job(args=b'["%b"]' % (b"x" * (64 * MEBIBYTE))), OK, within=60),
    ),
    row("1", "nesting of 10,000 levels is read", ask(b"PUSH " + nested(10_000), OK)),
    row(
        "1",
        "nesting of 10,001 levels is refused",
        ask(
            b"PUSH " + nested(10_001),
            error(b"invalid JSON: invalid character '[' exceeded max depth"),
        ),
    ),
    row(
        "1",
        "pipelined commands are answered in order",
        raw(
            b"NOPE1\r\nPUSHB [" + job() + b"]\r\nNOPE2\nFETCH @q1\r\nACK {}\r\n",
            unknown(b"NOPE1"),
            bulk(b"{}"),
            unknown(b"NOPE2"),
            fetched(),
            error(b"invalid ACK {}"),
        ),
    ),
    row(
        "1",
        "commands in the packet of HELLO",
        dial(),
        raw(b'HELLO {"v":2}\r\nNOPE1\r\nNOPE2\r\n', OK, unknown(b"NOPE1"), unknown(b"NOPE2")),
    ),
    row(
        "1",
        "a blocking FETCH delays what is behind it",
        raw(b"FETCH @q1\r\nNOPE\r\n", NIL, unknown(b"NOPE"), after=1.9),
        slow=True,
    ),
    row(
        "1",
        "a half-close after pipelining: every reply, then the end",
        raw(b"NOPE1\r\nACK {}\r\nNOPE2\r\n"),
        HalfClose("a"),
        Exchange(
            "a",
            b"",
            (unknown(b"NOPE1"), error(b"invalid ACK {}"), unknown(b"NOPE2")),
            closes=True,
        ),
    ),
    row(
        "1",
        "a command in pieces",
        raw(b"NO"),
        Silence("a", 0.05),
        raw(b"PE"),
        Silence("a", 0.05),
        raw(b"\r"),
        Silence("a", 0.05),
        raw(b"\n", unknown(b"NOPE")),
    ),
    row(
        "1",
        "a command may take longer than a handshake",
        raw(b"NO"),
        Silence("a", 2.6),
        raw(b"PE\r\n", unknown(b"NOPE")),
        slow=True,
    ),
    row(
        "1",
        "a line without its end is not executed",
        raw(b"PUSHB [" + job(jid=b"@j1") + b"]"),
        HalfClose("a"),
        Exchange("a", b"", (), closes=True),
        ask(b"PUSHB [" + job(jid=b"@j2") + b"]", bulk(b"{}"), on="b"),
        ask(b"FETCH @q1", fetched(jid=b"@j2"), on="b"),
    ),
)
