"""Greeting, HELLO and password."""

from tests.conformance._script import (
    OK,
    HalfClose,
    Row,
    Silence,
    ask,
    dial,
    error,
    greeted,
    login,
    raw,
    row,
)

__all__ = ["ROWS"]

CHALLENGE = b'+HI {"v":2,"i":@iter,"s":"@salt"}\r\n'
UNKNOWN = error(b"unknown command NOPE")
REFUSED = error(b"Invalid password")

ACCEPTED = (
    ("version 2", b'HELLO {"v":2}\r\n'),
    ("no version", b"HELLO {}\r\n"),
    ("version null", b'HELLO {"v":null}\r\n'),
    ("version 0", b'HELLO {"v":0}\r\n'),
    ("version 1", b'HELLO {"v":1}\r\n'),
    ("version 3", b'HELLO {"v":3}\r\n'),
    ("version 255", b'HELLO {"v":255}\r\n'),
    ("keys in upper case", b'HELLO {"V":2,"WID":"@w1"}\r\n'),
    ("unknown keys", b'HELLO {"v":2,"foo":[1],"bar":{"baz":null}}\r\n'),
    ("a username", b'HELLO {"v":2,"username":"bob"}\r\n'),
    ("a pwdhash that nobody asked for", b'HELLO {"v":2,"pwdhash":"00"}\r\n'),
    ("an empty wid", b'HELLO {"v":2,"wid":""}\r\n'),
    ("blanks inside the object", b'HELLO { "v" : 2 }\r\n'),
    ("blanks behind the object", b'HELLO {"v":2}  \t \r\n'),
    ("a line ended by LF", b'HELLO {"v":2}\n'),
    (
        "everything a worker says",
        b'HELLO {"v":2,"hostname":"h","wid":"@w1","pid":12,"labels":["a","b"],"rss_kb":5}\r\n',
    ),
    ("no labels", b'HELLO {"v":2,"labels":[]}\r\n'),
    (
        "null for every key",
        b'HELLO {"v":2,"hostname":null,"wid":null,"pid":null,"labels":null,"rss_kb":null}\r\n',
    ),
    (
        "null as credentials",
        b'HELLO {"v":2,"pwdhash":null,"username":null}\r\n',
    ),
)

CLOSED = (
    ("another command", b"INFO\r\n"),
    ("lower case", b'hello {"v":2}\r\n'),
    ("no object", b"HELLO\r\n"),
    ("a space and no object", b"HELLO \r\n"),
    ("two spaces", b'HELLO  {"v":2}\r\n'),
    ("no space", b'HELLO{"v":2}\r\n'),
    ("an array", b"HELLO []\r\n"),
    ("an empty line", b"\r\n"),
    ("an object without its end", b'HELLO {"v":2\r\n'),
    ("text behind the object", b'HELLO {"v":2} x\r\n'),
    ("version 256", b'HELLO {"v":256}\r\n'),
    ("version -1", b'HELLO {"v":-1}\r\n'),
    ("version 2.0", b'HELLO {"v":2.0}\r\n'),
    ("version as text", b'HELLO {"v":"2"}\r\n'),
    ("a pid as text", b'HELLO {"v":2,"pid":"12"}\r\n'),
    ("a pid with a fraction", b'HELLO {"v":2,"pid":1.5}\r\n'),
    ("rss_kb as text", b'HELLO {"v":2,"rss_kb":"1"}\r\n'),
    ("a number as hostname", b'HELLO {"v":2,"hostname":1}\r\n'),
    ("a number as wid", b'HELLO {"v":2,"wid":1}\r\n'),
    ("a number as pwdhash", b'HELLO {"v":2,"pwdhash":1}\r\n'),
    ("a number as username", b'HELLO {"v":2,"username":1}\r\n'),
    ("labels as text", b'HELLO {"v":2,"labels":"a"}\r\n'),
    ("a number among the labels", b'HELLO {"v":2,"labels":["a",1]}\r\n'),
    ("a RESP array", b'*2\r\n$5\r\nHELLO\r\n$7\r\n{"v":2}\r\n'),
)


def proved(name: str, hello: bytes, *, accepted: bool) -> Row:
    """Write a row of one HELLO to a server with a password."""
    answer = (
        (ask(hello, OK), ask(b"NOPE", UNKNOWN)) if accepted else (ask(hello, REFUSED, closes=True),)
    )
    return row("2", f"password: {name}", dial(greeting=CHALLENGE), *answer, password=True)


ROWS: tuple[Row, ...] = (
    row("2", "the greeting comes first", dial()),
    *(
        row("2", f"HELLO accepted: {name}", dial(), raw(line, OK), ask(b"NOPE", UNKNOWN))
        for name, line in ACCEPTED
    ),
    *(greeted("2", f"HELLO closed: {name}", line, closes=True) for name, line in CLOSED),
    row(
        "2",
        "a wid of 1 byte registers a worker",
        *login(b'{"v":2,"wid":"@w1"}'),
        ask(b'BEAT {"wid":"@w1"}', OK),
    ),
    row(
        "2",
        "the end of the stream in place of HELLO",
        dial(),
        HalfClose("a"),
        raw(b"", closes=True),
    ),
    row(
        "2",
        "a silent client is closed after 2 s",
        dial(),
        raw(b"", closes=True, after=1.9, within=3),
        slow=True,
    ),
    row(
        "2",
        "trickling bytes do not prolong the handshake",
        dial(),
        raw(b"HEL"),
        Silence("a", 0.9),
        raw(b'LO {"v"'),
        Silence("a", 0.8),
        raw(b":2", closes=True, within=1),
        slow=True,
    ),
    row(
        "2",
        "HELLO after 1.5 s is in time",
        dial(),
        Silence("a", 1.5),
        ask(b'HELLO {"v":2}', OK),
        slow=True,
    ),
    row(
        "2",
        "no deadline once HELLO was said",
        Silence("a", 2.6),
        ask(b"NOPE", UNKNOWN),
        slow=True,
    ),
    proved("the right hash", b'HELLO {"v":2,"pwdhash":"@pwdhash"}', accepted=True),
    proved("version 3 iterates too", b'HELLO {"v":3,"pwdhash":"@pwdhash"}', accepted=True),
    proved("any username", b'HELLO {"username":"bob","pwdhash":"@pwdhash","v":2}', accepted=True),
    proved("version 1 iterates once", b'HELLO {"v":1,"pwdhash":"@onehash"}', accepted=True),
    proved("version 0 iterates once", b'HELLO {"v":0,"pwdhash":"@onehash"}', accepted=True),
    proved("no version iterates once", b'HELLO {"pwdhash":"@onehash"}', accepted=True),
    proved("version 1 with all iterations", b'HELLO {"v":1,"pwdhash":"@pwdhash"}', accepted=False),
    proved("version 2 with one iteration", b'HELLO {"v":2,"pwdhash":"@onehash"}', accepted=False),
    proved("upper case", b'HELLO {"v":2,"pwdhash":"@PWDHASH"}', accepted=False),
    proved("the hash of another password", b'HELLO {"v":2,"pwdhash":"@badhash"}', accepted=False),
    proved("no hash", b'HELLO {"v":2}', accepted=False),
    proved("an empty hash", b'HELLO {"v":2,"pwdhash":""}', accepted=False),
    row(
        "2",
        "password: another challenge for each connection",
        *(
            step
            for name in "abc"
            for step in (
                dial(name, greeting=CHALLENGE),
                ask(b'HELLO {"v":2,"pwdhash":"@pwdhash"}', OK, on=name),
            )
        ),
        password=True,
    ),
    row(
        "2",
        "password: a malformed HELLO is closed without a word",
        dial(greeting=CHALLENGE),
        ask(b'HELLO {"v":2,"pid":"x"}', closes=True),
        password=True,
    ),
    row(
        "2",
        "password: another command is closed without a word",
        dial(greeting=CHALLENGE),
        ask(b"INFO", closes=True),
        password=True,
    ),
    row(
        "2",
        "password: what was pipelined behind a wrong hash is not answered",
        dial(greeting=CHALLENGE),
        raw(b'HELLO {"v":2}\r\nNOPE\r\n', REFUSED, closes=True),
        password=True,
    ),
)
