"""The job document: fields, validation, defaults, timestamps, and what FETCH prints."""

from tests.conformance._script import (
    OK,
    Row,
    ask,
    bulk,
    error,
    fetched,
    job,
    pushed,
    row,
)

__all__ = ["ROWS"]

NO_JID = b"jobs must have a reasonable jid parameter"
NO_TYPE = b"jobs must have a jobtype parameter"
NO_ARGS = b"jobs must have an args parameter"
TOO_LONG = b"jobs cannot be reserved for more than one day"
INVALID_JSON = error(b"invalid JSON: @any")
LAYOUT = b'"2006-01-02T15:04:05.999999999Z07:00"'


def returned(section: str, name: str, sent: bytes, reply: bytes) -> Row:
    """Write a row that stores a job and fetches it."""
    return row(section, name, pushed(sent), ask(b"FETCH @q1", reply))


def refused(section: str, name: str, sent: bytes, text: bytes) -> Row:
    """Write a row in which PUSH and PUSHB refuse one job with the same text."""
    escaped = text.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    jid = b"" if b'"jid"' not in sent else b"@j1"
    return row(
        section,
        name,
        ask(b"PUSH " + sent, error(text)),
        ask(b"PUSHB [" + sent + b"]", bulk(b'{"%b":"%b"}' % (jid, escaped))),
    )


def malformed(section: str, name: str, sent: bytes) -> Row:
    """Write a row in which PUSH and PUSHB cannot even decode a job."""
    return row(
        section,
        name,
        ask(b"PUSH " + sent, INVALID_JSON),
        ask(b"PUSHB [" + sent + b"]", INVALID_JSON),
    )


def no_queue(name: bytes) -> bytes:
    return b'cannot get "%b" queue: queue names must match \\A[a-zA-Z0-9._-]+\\z' % name


def no_time(at: bytes, why: bytes) -> bytes:
    return b'invalid timestamp for \'at\': "%b": parsing time "%b"%b' % (at, at, why)


def unread(at: bytes, rest: bytes, part: bytes) -> bytes:
    """Write the refusal of an `at` whose `rest` cannot be read as `part` of a timestamp."""
    return no_time(at, b' as %b: cannot parse "%b" as "%b"' % (LAYOUT, rest, part))


TIMES = b'"created_at":"2020-02-02T02:02:02Z","enqueued_at":"@now"'
FULL = (
    b'{"jid":"@j1","jobtype":"t","args":[1],"queue":"@q1","retry":3,"reserve_for":600,'
    b'"at":"2020-01-01T00:00:00Z","created_at":"2020-02-02T02:02:02Z",'
    b'"enqueued_at":"2020-03-03T03:03:03Z","backtrace":5,"custom":{"a":1}}'
)

FIELDS: tuple[Row, ...] = (
    returned(
        "6.1",
        "every field",
        FULL,
        fetched(
            b'"custom":{"a":1}',
            b'"reserve_for":600,"backtrace":5',
            retry=b"3",
            args=b"[1]",
            times=TIMES + b',"at":"2020-01-01T00:00:00Z"',
        ),
    ),
    returned(
        "6.1",
        "a failure of the client's own",
        job(
            b'"failure":{"retry_count":1,"remaining":24,"failed_at":"x","next_at":"y",'
            b'"message":"m","errtype":"e","backtrace":["l"],"unknown":1}'
        ),
        fetched(
            b'"failure":{"failed_at":"x","next_at":"y","message":"m","errtype":"e",'
            b'"backtrace":["l"],"retry_count":1,"remaining":24}'
        ),
    ),
    returned(
        "6.1",
        "an empty failure",
        job(b'"failure":{}'),
        fetched(b'"failure":{"failed_at":"","retry_count":0,"remaining":0}'),
    ),
    returned(
        "6.1",
        "unknown fields are dropped",
        job(b'"priority":5,"unknown":{"a":[1]},"bid":"b"'),
        fetched(),
    ),
    returned(
        "6.1",
        "keys in any case",
        b'{"JID":"@j1","JobType":"t","ARGS":[],"Queue":"@q1","ReTry":4,"Reserve_For":90,'
        b'"CUSTOM":{"Key":1}}',
        fetched(b'"custom":{"Key":1}', b'"reserve_for":90', retry=b"4"),
    ),
    returned(
        "6.1",
        "the last of equal keys wins",
        b'{"jid":"xxxxxxxxxxxx","jid":"@j1","jobtype":"x","jobtype":"t","args":[1],"args":[2],'
        b'"queue":"x","queue":"@q1","retry":1,"retry":2}',
        fetched(args=b"[2]", retry=b"2"),
    ),
    returned(
        "6.1",
        "the last of equal keys wins, whatever their case",
        job(b'"JID":"@j2","Args":[9]', jid=b"@j1"),
        fetched(jid=b"@j2", args=b"[9]"),
    ),
    returned(
        "6.1",
        "two custom objects merge",
        job(b'"custom":{"a":1,"b":{"x":1}},"custom":{"b":{"y":2},"c":3}'),
        fetched(b'"custom":{"a":1,"b":{"y":2},"c":3}'),
    ),
    returned(
        "6.1",
        "null is absent",
        job(
            b'"reserve_for":null,"at":null,"created_at":null,"enqueued_at":null,'
            b'"backtrace":null,"custom":null,"failure":null'
        ),
        fetched(),
    ),
    returned(
        "6.1",
        "null behind a value changes nothing for plain fields",
        job(b'"jid":null,"jobtype":null,"queue":null,"reserve_for":90,"reserve_for":null'),
        fetched(tail=b'"reserve_for":90'),
    ),
    *(
        malformed("6.1", f"{name.decode()} as {field.decode()}", job(b'"%b":%b' % (field, name)))
        for field in (b"retry", b"reserve_for", b"backtrace")
        for name in (b"60.0", b'"60"', b"true", b"9223372036854775808", b"1e2", b"[]", b"{}")
    ),
    *(
        malformed("6.1", f"{value.decode()} as {field.decode()}", job(b'"%b":%b' % (field, value)))
        for field, value in (
            (b"jid", b"5"),
            (b"jobtype", b"true"),
            (b"queue", b"[]"),
            (b"at", b"5"),
            (b"created_at", b"{}"),
            (b"enqueued_at", b"false"),
            (b"args", b"{}"),
            (b"args", b'"x"'),
            (b"custom", b"[]"),
            (b"custom", b'"x"'),
            (b"failure", b'"x"'),
            (b"failure", b'{"retry_count":"1"}'),
            (b"failure", b'{"backtrace":"x"}'),
        )
    ),
    returned(
        "6.1",
        "the widest integers",
        job(b'"reserve_for":-9223372036854775808,"backtrace":9223372036854775807'),
        fetched(tail=b'"reserve_for":-9223372036854775808,"backtrace":9223372036854775807'),
    ),
)

VALIDATION: tuple[Row, ...] = (
    refused("6.2", "no jid", b'{"jobtype":"t","args":[]}', NO_JID),
    row("6.2", "an empty jid", ask(b"PUSH " + job(jid=b""), error(NO_JID))),
    row("6.2", "a jid of 7 bytes", ask(b"PUSH " + job(jid=b"1234567"), error(NO_JID))),
    row(
        "6.2",
        "a jid of 8 bytes",
        pushed(job(jid=b"12345678")),
        ask(b"FETCH @q1", fetched(jid=b"12345678")),
        ask(b'ACK {"jid":"12345678"}', OK),
    ),
    row(
        "6.2",
        "a jid of 3 letters and 6 bytes",
        ask(b"PUSH " + job(jid="ééé".encode()), error(NO_JID)),
    ),
    row(
        "6.2",
        "a jid of 4 letters and 8 bytes",
        pushed(job(jid="éééé".encode())),
        ask(b"FETCH @q1", fetched(jid="éééé".encode())),
        ask('ACK {"jid":"éééé"}'.encode(), OK),
    ),
    returned("6.2", "a jid with spaces", job(jid=b"@j1 and more"), fetched(jid=b"@j1 and more")),
    returned(
        "6.2",
        "a jid of 10,000 bytes",
        job(jid=b"@j1" + b"x" * 10_000),
        fetched(jid=b"@j1" + b"x" * 10_000),
    ),
    refused("6.2", "no jobtype", b'{"jid":"@j1","args":[]}', NO_TYPE),
    refused("6.2", "an empty jobtype", job(jobtype=b""), NO_TYPE),
    refused("6.2", "a null jobtype", b'{"jid":"@j1","jobtype":null,"args":[]}', NO_TYPE),
    returned("6.2", "a blank jobtype", job(jobtype=b" "), fetched(jobtype=b" ")),
    refused("6.2", "no args", b'{"jid":"@j1","jobtype":"t"}', NO_ARGS),
    refused("6.2", "null for args", job(args=b"null"), NO_ARGS),
    refused("6.2", "a reservation of more than a day", job(b'"reserve_for":86401'), TOO_LONG),
    *(
        returned(
            "6.2",
            f"a reservation of {seconds.decode()} s",
            job(b'"reserve_for":' + seconds),
            fetched(tail=b'"reserve_for":' + seconds),
        )
        for seconds in (b"86400", b"59", b"1", b"-1", b"-100000")
    ),
    returned("6.2", "a reservation of 0 s", job(b'"reserve_for":0'), fetched()),
    *(
        refused("6.2", f"a queue name: {why}", job(queue=name), no_queue(name))
        for why, name in (
            ("a space", b"a b"),
            ("a slash", b"a/b"),
            ("a letter that is not ASCII", "é".encode()),
            ("a colon", b"a:b"),
            ("an asterisk", b"*"),
            ("a trailing space", b"a "),
            ("a plus", b"a+b"),
        )
    ),
    *(
        row("6.2", f"a queue name: {why}", ask(b"PUSH " + job(queue=name), error(no_queue(name))))
        for why, name in (
            ("a line feed", rb"a\n"),
            ("a quote", rb"a\"b"),
            ("a backslash", rb"a\\b"),
        )
    ),
    row(
        "6.2",
        "a queue name of every kind of legal character",
        pushed(job(queue=b"@q1.AZaz09_-.")),
        ask(b"FETCH @q1.AZaz09_-.", fetched(queue=b"@q1.AZaz09_-.")),
    ),
    row(
        "6.2",
        "a queue name of 1,000 bytes",
        pushed(job(queue=b"@q1" + b"x" * 988)),
        ask(b"FETCH @q1" + b"x" * 988, fetched(queue=b"@q1" + b"x" * 988)),
    ),
    row(
        "6.2",
        "a queue name of one dot",
        pushed(job(queue=b".")),
        ask(b"FETCH .", fetched(queue=b".")),
        clean=True,
    ),
    row(
        "6.2",
        "an illegal queue name is no matter while the job is scheduled",
        pushed(job(b'"at":"2099-01-01T00:00:00Z"', queue=b"a b")),
        ask(b"PUSH " + job(b'"at":"2099-01-01T00:00:00Z"', queue=b"a b", jid=b"@j2"), OK),
    ),
    refused(
        "6.2",
        "an illegal queue name and a past time",
        job(b'"at":"2020-01-01T00:00:00Z"', queue=b"a b"),
        no_queue(b"a b"),
    ),
    refused("6.2", "jid before jobtype", b'{"jobtype":"","args":null}', NO_JID),
    refused("6.2", "jobtype before args", job(jobtype=b"", args=b"null"), NO_TYPE),
    refused("6.2", "args before reserve_for", job(b'"reserve_for":86401', args=b"null"), NO_ARGS),
    refused("6.2", "reserve_for before at", job(b'"reserve_for":86401,"at":"x"'), TOO_LONG),
    refused(
        "6.2", "at before the queue", job(b'"at":"x"', queue=b"a b"), unread(b"x", b"x", b"2006")
    ),
    malformed("6.2", "types before everything else", job(b'"reserve_for":"x"', jid=b"")),
    returned(
        "6.2",
        "what is not validated",
        job(
            b'"backtrace":-5,"created_at":"junk","enqueued_at":"junk",'
            b'"failure":{"failed_at":"junk","retry_count":-7,"remaining":99}',
            retry=b"-12345",
        ),
        fetched(
            b'"failure":{"failed_at":"junk","retry_count":-7,"remaining":99}',
            b'"backtrace":-5',
            retry=b"-12345",
            times=b'"created_at":"junk","enqueued_at":"@now"',
        ),
    ),
)

BARE = b'"jid":"@j1","jobtype":"t","args":[]'

DEFAULTS: tuple[Row, ...] = (
    *(
        row(
            "6.3",
            f"the queue default: {name}",
            pushed(b"{%b%b}" % (BARE, queue)),
            ask(b"FETCH default", fetched(queue=b"default")),
            clean=True,
        )
        for name, queue in (
            ("missing", b""),
            ("null", b',"queue":null'),
            ("empty", b',"queue":""'),
        )
    ),
    *(
        row(
            "6.3",
            f"retry 25: {name}",
            pushed(b'{%b,"queue":"@q1"%b}' % (BARE, retry)),
            ask(b"FETCH @q1", fetched()),
            clean=True,
        )
        for name, retry in (("missing", b""), ("null", b',"retry":null'))
    ),
    row(
        "6.3",
        "retry 0 stays",
        pushed(job(retry=b"0")),
        ask(b"FETCH @q1", fetched(retry=b"0")),
    ),
    row(
        "6.3",
        "defaults of a PUSH",
        ask(b"PUSH {" + BARE + b"}", OK),
        ask(b"FETCH default", fetched(queue=b"default")),
        clean=True,
    ),
    returned("6.3", "created_at empty", job(b'"created_at":""'), fetched()),
    returned(
        "6.3",
        "created_at is kept as it is",
        job(b'"created_at":"2020-01-01 +02:00 or so"'),
        fetched(times=b'"created_at":"2020-01-01 +02:00 or so","enqueued_at":"@now"'),
    ),
    returned(
        "6.3",
        "enqueued_at is overwritten",
        job(b'"enqueued_at":"2020-01-01T00:00:00Z"'),
        fetched(),
    ),
    row(
        "6.3",
        "a scheduled job has no enqueued_at, but keeps the client's",
        pushed(job(b'"at":"2099-01-01T00:00:00Z","enqueued_at":"junk"')),
        ask(b'MUTATE {"cmd":"requeue","target":"scheduled","filter":{"jids":["@j1"]}}', OK),
        ask(
            b"FETCH @q1",
            fetched(times=b'"created_at":"@now","enqueued_at":"junk","at":"2099-01-01T00:00:00Z"'),
        ),
    ),
    returned(
        "6.3",
        "zero and empty are omitted",
        job(b'"reserve_for":0,"backtrace":0,"custom":{},"at":"","failure":null'),
        fetched(),
    ),
)

# Times that are read: what a client may write for the year 2099, and for the year 2020.
READABLE = (
    b"-01-01T00:00:00Z",
    b"-01-01T00:00:00.5Z",
    b"-01-01T00:00:00,5Z",
    b"-01-01T00:00:00.1234567890123Z",
    b"-01-01T00:00:00+02:00",
    b"-01-01T00:00:00-23:59",
    b"-01-01T00:00:00.000000000+00:00",
    b"-01-01T0:00:00Z",
    b"-12-31T23:59:59.999999999Z",
    b"-12-31T00:00:00.25-00:00",
)

TIMESTAMPS: tuple[Row, ...] = (
    *(
        row(
            "6.4",
            f"a future {at.decode()} is scheduled and returned as it was",
            pushed(job(b'"at":"2099%b"' % at)),
            ask(b'MUTATE {"cmd":"requeue","target":"scheduled","filter":{"jids":["@j1"]}}', OK),
            ask(b"FETCH @q1", fetched(times=b'"created_at":"@now","at":"2099%b"' % at)),
        )
        for at in READABLE
    ),
    *(
        returned(
            "6.4",
            f"a past {at.decode()} is queued at once and returned as it was",
            job(b'"at":"2020%b"' % at),
            fetched(times=b'"created_at":"@now","enqueued_at":"@now","at":"2020%b"' % at),
        )
        for at in READABLE
    ),
    *(
        refused("6.4", f"at: {name}", job(b'"at":"%b"' % at), unread(at, rest, part))
        for name, at, rest, part in (
            ("garbage", b"garbage", b"garbage", b"2006"),
            ("a date alone", b"2099-01-01", b"", b"T"),
            ("no zone", b"2099-01-01T00:00:00", b"", b"Z07:00"),
            ("a space for the T", b"2099-01-01 00:00:00Z", b" 00:00:00Z", b"T"),
            ("t in lower case", b"2099-01-01t00:00:00Z", b"t00:00:00Z", b"T"),
            ("z in lower case", b"2099-01-01T00:00:00z", b"z", b"Z07:00"),
            ("a zone without a colon", b"2099-01-01T00:00:00+0200", b"+0200", b"Z07:00"),
            ("a leading space", b" 2099-01-01T00:00:00Z", b" 2099-01-01T00:00:00Z", b"2006"),
            ("no seconds", b"2099-01-01T00:00Z", b"Z", b":"),
        )
    ),
    *(
        refused("6.4", f"at: {name}", job(b'"at":"%b"' % at), no_time(at, why))
        for name, at, why in (
            ("month 13", b"2099-13-01T00:00:00Z", b": month out of range"),
            ("month 0", b"2099-00-01T00:00:00Z", b": month out of range"),
            ("day 32", b"2099-01-32T00:00:00Z", b": day out of range"),
            ("February 30", b"2099-02-30T00:00:00Z", b": day out of range"),
            ("hour 24", b"2099-01-01T24:00:00Z", b": hour out of range"),
            ("minute 60", b"2099-01-01T00:60:00Z", b": minute out of range"),
            ("second 60", b"2099-01-01T00:00:60Z", b": second out of range"),
        )
    ),
    row(
        "6.4",
        "at: text behind it",
        ask(
            b"PUSH " + job(b'"at":"2099-01-01T00:00:00Zx"'),
            error(no_time(b"2099-01-01T00:00:00Zx", b': extra text: "x"')),
        ),
    ),
)


def printed(name: str, value: bytes, output: bytes) -> Row:
    """Write a row that sends one JSON value in args and in custom, and reads it back."""
    return returned(
        "6.5",
        name,
        job(b'"custom":{"k":%b}' % value, args=b"[%b]" % value),
        fetched(b'"custom":{"k":%b}' % output, args=b"[%b]" % output),
    )


NUMBERS = (
    (b"0", b"0"),
    (b"-0", b"-0"),
    (b"-0.0", b"-0"),
    (b"1", b"1"),
    (b"-1", b"-1"),
    (b"1.0", b"1"),
    (b"1.50", b"1.5"),
    (b"1e2", b"100"),
    (b"1E+2", b"100"),
    (b"12e-1", b"1.2"),
    (b"0.1", b"0.1"),
    (b"0.30000000000000004", b"0.30000000000000004"),
    (b"3.141592653589793238", b"3.141592653589793"),
    (b"9007199254740991", b"9007199254740991"),
    (b"9007199254740992", b"9007199254740992"),
    (b"9007199254740993", b"9007199254740992"),
    (b"123456789012345678", b"123456789012345680"),
    (b"9223372036854775807", b"9223372036854776000"),
    (b"-9223372036854775808", b"-9223372036854776000"),
    (b"18446744073709551616", b"18446744073709552000"),
    (b"1e20", b"100000000000000000000"),
    (b"123456789e12", b"123456789000000000000"),
    (b"999999999999999999999", b"1e+21"),
    (b"1e21", b"1e+21"),
    (b"1.5e21", b"1.5e+21"),
    (b"1e22", b"1e+22"),
    (b"-1e100", b"-1e+100"),
    (b"1.7976931348623157e308", b"1.7976931348623157e+308"),
    (b"0.001", b"0.001"),
    (b"0.00001", b"0.00001"),
    (b"1e-5", b"0.00001"),
    (b"0.000001", b"0.000001"),
    (b"0.0000012345", b"0.0000012345"),
    (b"9.99e-7", b"9.99e-7"),
    (b"0.0000001", b"1e-7"),
    (b"1e-7", b"1e-7"),
    (b"1e-10", b"1e-10"),
    (b"-2.5e-9", b"-2.5e-9"),
    (b"5e-324", b"5e-324"),
    (b"1e-400", b"0"),
)

STRINGS = (
    ("plain text", b"plain text", b"plain text"),
    ("an escaped slash", rb"a\/b", b"a/b"),
    ("a quote and a backslash", rb"\"\\", rb"\"\\"),
    ("short escapes", rb"\b\f\n\r\t", rb"\b\f\n\r\t"),
    ("short escapes written long", rb"\u0008\u000c\u000a\u000d\u0009", rb"\b\f\n\r\t"),
    ("other controls", rb"\u0000\u0001\u000b\u001F", rb"\u0000\u0001\u000b\u001f"),
    ("HTML's characters", b"<a>&amp;</a>", rb"\u003ca\u003e\u0026amp;\u003c/a\u003e"),
    ("HTML's characters escaped", rb"\u003C\u003E\u0026", rb"\u003c\u003e\u0026"),
    ("line separators", "\u2028\u2029".encode(), rb"\u2028\u2029"),
    ("line separators escaped", rb"\u2028\u2029", rb"\u2028\u2029"),
    ("the delete character", b"\x7f", b"\x7f"),
    ("letters", "é漢字".encode(), "é漢字".encode()),
    ("letters escaped", rb"\u00e9\u6F22", "é漢".encode()),
    ("an emoji", "😀".encode(), "😀".encode()),
    ("an emoji as a pair of surrogates", rb"\ud83d\ude00", "😀".encode()),
    ("a lone high surrogate", rb"a\ud83db", "a\ufffdb".encode()),
    ("a lone low surrogate", rb"a\ude00b", "a\ufffdb".encode()),
    ("two high surrogates", rb"\ud83d\ud83d", "\ufffd\ufffd".encode()),
    ("a high surrogate before another escape", rb"\ud83d\u0041", "\ufffdA".encode()),
    ("a byte that is no UTF-8", b"a\xffb", "a\ufffdb".encode()),
    ("two bytes that are no UTF-8", b"\xff\xfe", "\ufffd\ufffd".encode()),
    ("a character cut short", b"\xe6\xbc!", "\ufffd\ufffd!".encode()),
    ("an overlong encoding", b"\xc0\xaf", "\ufffd\ufffd".encode()),
    ("a surrogate in UTF-8", b"\xed\xa0\xbd", "\ufffd\ufffd\ufffd".encode()),
    ("the replacement character", "\ufffd".encode(), "\ufffd".encode()),
)

OTHER_VALUES = (
    ("literals", b"[true,false,null]", b"[true,false,null]"),
    ("empty containers", b'[[],{},""]', b'[[],{},""]'),
    ("blanks are dropped", b' [ 1 ,\t"a b" ,{ "k" : [ ] } ] ', b'[1,"a b",{"k":[]}]'),
    (
        "keys are sorted at every level",
        b'{"b":1,"a":{"d":1,"c":2},"B":3,"":4}',
        b'{"":4,"B":3,"a":{"c":2,"d":1},"b":1}',
    ),
    (
        "keys are sorted by bytes",
        '{"é":1,"z":2,"😀":3,"\uffff":4,"Z":5}'.encode(),
        '{"Z":5,"z":2,"é":1,"\uffff":4,"😀":3}'.encode(),
    ),
    ("of equal keys the last", b'{"k":1,"k":2}', b'{"k":2}'),
    ("of equal objects the last, unmerged", b'{"k":{"a":1},"k":{"b":2}}', b'{"k":{"b":2}}'),
    ("keys keep their case", b'{"Key":1,"key":2}', b'{"Key":1,"key":2}'),
    ("keys are escaped", b'{"<k>":1}', rb'{"\u003ck\u003e":1}'),
)

OUTPUT: tuple[Row, ...] = (
    row(
        "6.5",
        "the exact reply",
        pushed(job(jid=b"@j1")),
        ask(
            b"FETCH @q1",
            b'$173\r\n{"retry":25,"jid":"@j1","queue":"@q1","jobtype":"t","created_at":"@now",'
            b'"enqueued_at":"@now","args":[]}\r\n',
        ),
    ),
    row(
        "6.5",
        "the exact reply from the default queue",
        pushed(b'{"jid":"12345678","jobtype":"a","args":[]}'),
        ask(
            b"FETCH default",
            b'$164\r\n{"retry":25,"jid":"12345678","queue":"default","jobtype":"a",'
            b'"created_at":"@now","enqueued_at":"@now","args":[]}\r\n',
        ),
        ask(b'ACK {"jid":"12345678"}', OK),
        clean=True,
    ),
    row(
        "6.5",
        "the order of all members",
        pushed(
            b'{"backtrace":5,"reserve_for":70,"args":[1],"at":"2020-01-01T00:00:00Z",'
            b'"enqueued_at":"x","created_at":"y","jobtype":"t","queue":"@q1","jid":"@j1",'
            b'"custom":{"k":1},"failure":{"remaining":1,"retry_count":2,"failed_at":"z"},'
            b'"retry":3}'
        ),
        ask(
            b"FETCH @q1",
            bulk(
                b'{"retry":3,"failure":{"failed_at":"z","retry_count":2,"remaining":1},'
                b'"custom":{"k":1},"jid":"@j1","queue":"@q1","jobtype":"t","created_at":"y",'
                b'"enqueued_at":"@now","at":"2020-01-01T00:00:00Z","args":[1],'
                b'"reserve_for":70,"backtrace":5}'
            ),
        ),
    ),
    *(printed(f"the number {value.decode()}", value, output) for value, output in NUMBERS),
    *(
        printed(f"text: {name}", b'"%b"' % value, b'"%b"' % output)
        for name, value, output in STRINGS
    ),
    *(printed(f"values: {name}", value, output) for name, value, output in OTHER_VALUES),
    returned(
        "6.5",
        "jid and jobtype are escaped too",
        job(jid=rb"@j1<\u0041\ud800", jobtype="t&\u2028".encode()),
        fetched(jid="@j1\\u003cA\ufffd".encode(), jobtype=rb"t\u0026\u2028"),
    ),
    *(
        malformed("6.5", f"no JSON: {value.decode()}", job(args=b"[%b]" % value))
        for value in (
            b"NaN",
            b"Infinity",
            b"-",
            b"+1",
            b"01",
            b"1.",
            b".5",
            b"1e",
            b"0x1",
            b"1,",
            b"'a'",
            b'"\\x"',
            b'"\\u12"',
            b'{"a"}',
            b"{1:2}",
            b"tru",
            b"1 2",
        )
    ),
    row(
        "6.5",
        "no JSON: a number too big for a float",
        ask(
            b"PUSH " + job(args=b"[1e400]"),
            error(
                b"invalid JSON: json: cannot unmarshal number 1e400 into Go struct field "
                b"Job.args of type float64"
            ),
        ),
    ),
    malformed("6.5", "no JSON: a control character in a text", job(args=b'["a\tb"]')),
)

ROWS: tuple[Row, ...] = (*FIELDS, *VALIDATION, *DEFAULTS, *TIMESTAMPS, *OUTPUT)
