"""Every command's replies: lines and the exact bytes that come back."""

import pytest

from faktory_async.server import Close
from tests.server._driver import NOW, Driver, body, sizes, stored

OK = "+OK\r\n"
J = '"jid":"12345678","jobtype":"a"'
JOB = f'{{{J},"args":[]}}'
NO_JID = "jobs must have a reasonable jid parameter"
RULE = r"queue names must match \A[a-zA-Z0-9._-]+\z"
LAYOUT = "2006-01-02T15:04:05.999999999Z07:00"
INTO = "invalid JSON: json: cannot unmarshal"

ACCEPTED = [
    JOB,
    f" {JOB} \t",
    '{"JID":"12345678","JobType":"a","ARGS":[]}',
    '{"jid":"éééé","jobtype":" ","args":[]}',
    f'{{{J},"args":[],"reserve_for":86400,"retry":-9,"backtrace":-1,"unknown":[1]}}',
    f'{{{J},"args":[],"reserve_for":-5}}',
    f'{{{J},"args":[],"at":""}}',
    f'{{{J},"args":[],"at":"2099-01-01T00:00:00,5Z"}}',
    f'{{{J},"args":[],"at":"2099-01-01T0:00:00Z"}}',
    f'{{{J},"args":[],"at":"2099-01-01T00:00:00.1234567890123Z"}}',
    f'{{{J},"args":[],"at":"2099-01-01T00:00:00+02:00"}}',
    f'{{{J},"args":[],"at":"2099-01-01T00:00:00Z","queue":"a b"}}',
    f'{{{J},"args":[],"custom":null,"failure":null,"retry":null,"at":null}}',
]

REFUSED = [
    ("", "invalid JSON: unexpected end of JSON input"),
    ("{}", NO_JID),
    ("null", NO_JID),
    ('{"jid":"1234567","jobtype":"a","args":[]}', NO_JID),
    ('{"jid":"ééé1","jobtype":"a","args":[]}', NO_JID),
    ('{"jid":"12345678","args":[]}', "jobs must have a jobtype parameter"),
    (f"{{{J}}}", "jobs must have an args parameter"),
    (f'{{{J},"args":null}}', "jobs must have an args parameter"),
    (
        f'{{{J},"args":[],"reserve_for":86401}}',
        "jobs cannot be reserved for more than one day",
    ),
    (f'{{{J},"args":[],"queue":"a b"}}', f'cannot get "a b" queue: {RULE}'),
    (f'{{{J},"args":[],"queue":"é\\n"}}', f'cannot get "é\\n" queue: {RULE}'),
    (
        f'{{{J},"args":[],"at":"2000-01-01T00:00:00Z","queue":"/"}}',
        f'cannot get "/" queue: {RULE}',
    ),
    (
        f'{{{J},"args":[],"at":"2099-01-01T00:00:00"}}',
        (
            "invalid timestamp for 'at': \"2099-01-01T00:00:00\": parsing time"
            f' "2099-01-01T00:00:00" as "{LAYOUT}": cannot parse "" as "Z07:00"'
        ),
    ),
    (
        f'{{{J},"args":[],"at":"2099-13-01T00:00:00Z"}}',
        (
            "invalid timestamp for 'at': \"2099-13-01T00:00:00Z\": parsing time"
            ' "2099-13-01T00:00:00Z": month out of range'
        ),
    ),
    (
        f'{{{J},"args":[],"at":"é"}}',
        (
            f'invalid timestamp for \'at\': "é": parsing time "\\xc3\\xa9" as "{LAYOUT}":'
            ' cannot parse "\\xc3\\xa9" as "2006"'
        ),
    ),
    ("5", f"{INTO} number into Go value of type client.Job"),
    ("[]", f"{INTO} array into Go value of type client.Job"),
    ('"x"', f"{INTO} string into Go value of type client.Job"),
    ("true", f"{INTO} bool into Go value of type client.Job"),
    ('{"jid":5}', f"{INTO} number into Go struct field Job.jid of type string"),
    ('{"JID":[]}', f"{INTO} array into Go struct field Job.jid of type string"),
    ('{"args":{}}', f"{INTO} object into Go struct field Job.args of type []interface {{}}"),
    ('{"args":[1e400]}', f"{INTO} number 1e400 into Go struct field Job.args of type float64"),
    (
        '{"args":[{"a":1e400}],"jid":5}',
        f"{INTO} number 1e400 into Go struct field Job.args of type float64",
    ),
    ('{"retry":2.5}', f"{INTO} number 2.5 into Go struct field Job.retry of type int"),
    ('{"retry":true}', f"{INTO} bool into Go struct field Job.retry of type int"),
    ('{"reserve_for":"60"}', f"{INTO} string into Go struct field Job.reserve_for of type int"),
    ('{"reserve_for":1e2}', f"{INTO} number 1e2 into Go struct field Job.reserve_for of type int"),
    (
        '{"retry":99999999999999999999}',
        f"{INTO} number 99999999999999999999 into Go struct field Job.retry of type int",
    ),
    (
        '{"custom":[]}',
        f"{INTO} array into Go struct field Job.custom of type map[string]interface {{}}",
    ),
    (
        '{"failure":"x"}',
        f"{INTO} string into Go struct field Job.failure of type client.Failure",
    ),
    (
        '{"failure":{"backtrace":[5]}}',
        f"{INTO} number into Go struct field Failure.failure.backtrace of type string",
    ),
    (
        '{"failure":{"retry_count":"3"},"jid":5}',
        f"{INTO} string into Go struct field Failure.failure.retry_count of type int",
    ),
    ("{} x", "invalid JSON: invalid character 'x' after top-level value"),
    ('{"jid":"\x00"}', r"invalid JSON: invalid character '\x00' in string literal"),
    ('{"args":[NaN]}', "invalid JSON: invalid character 'N' looking for beginning of value"),
    ("[" * 10_001, "invalid JSON: invalid character '[' exceeded max depth"),
]

SAID = [
    ("PUSH", "-ERR internal error\r\n"),
    ("PUSHB", "-ERR internal error\r\n"),
    ("PUSHB ", "-ERR invalid JSON: unexpected end of JSON input\r\n"),
    ("PUSHB []", "$2\r\n{}\r\n"),
    ("PUSHB null", "$2\r\n{}\r\n"),
    ("PUSHB [null]", f'$48\r\n{{"":"{NO_JID}"}}\r\n'),
    ("PUSHB [{},{}]", f'$48\r\n{{"":"{NO_JID}"}}\r\n'),
    (
        'PUSHB [{"jid":"short","jobtype":"a","args":[]}]',
        f'$53\r\n{{"short":"{NO_JID}"}}\r\n',
    ),
    (f"PUSHB {JOB}", f"-ERR {INTO} object into Go value of type []client.Job\r\n"),
    (f"PUSHB [{JOB},5]", f"-ERR {INTO} number into Go value of type client.Job\r\n"),
    ('PUSHB [{"jid":5}]', f"-ERR {INTO} number into Go struct field Job.jid of type string\r\n"),
    ("FETCH", "-ERR must call fetch with at least one queue\r\n"),
    ("ACK", "-ERR internal error\r\n"),
    ("ACK ", "-ERR invalid ACK \r\n"),
    ("ACK {}", "-ERR invalid ACK {}\r\n"),
    ("ACK null", "-ERR invalid ACK null\r\n"),
    ("ACK []", "-ERR invalid ACK []\r\n"),
    ('ACK {"jid":5}', '-ERR invalid ACK {"jid":5}\r\n'),
    ('ACK {"jid":"x","n":1}', '-ERR invalid ACK {"jid":"x","n":1}\r\n'),
    ('ACK {"JID":"x"}', '-ERR invalid ACK {"JID":"x"}\r\n'),
    ('ACK {"jid":"x"} y', '-ERR invalid ACK {"jid":"x"} y\r\n'),
    ('ACK {"jid":"nope"}', OK),
    ('ACK  {"jid":"nope"} ', OK),
    ('ACK {"jid":null}', OK),
    ('ACK {"jid":""}', OK),
    ('ACK {"jid":"x","other":"y","third":null}', OK),
    ('ACK {"jid":"\\ud800"}', OK),
    ("FAIL", "-ERR internal error\r\n"),
    ("FAIL ", "-ERR invalid FAIL \r\n"),
    ("FAIL nope", "-ERR invalid FAIL nope\r\n"),
    ("FAIL {}", "-ERR missing JID\r\n"),
    ("FAIL null", "-ERR missing JID\r\n"),
    ('FAIL {"jid":""}', "-ERR missing JID\r\n"),
    ('FAIL {"jid":"nope"}', "-ERR Job not found nope\r\n"),
    ('FAIL {"JID":"nope","unknown":5,"message":null}', "-ERR Job not found nope\r\n"),
    ('FAIL {"jid":"no\\npe"}', "-ERR Job not found no\npe\r\n"),
    ('FAIL {"jid":"x","backtrace":"str"}', '-ERR invalid FAIL {"jid":"x","backtrace":"str"}\r\n'),
    ('FAIL {"jid":"x","message":5}', '-ERR invalid FAIL {"jid":"x","message":5}\r\n'),
    ("BEAT", "-ERR internal error\r\n"),
    ("BEAT ", "-ERR invalid BEAT \r\n"),
    ("BEAT []", "-ERR invalid BEAT []\r\n"),
    ("BEAT {}", "-ERR unknown worker \r\n"),
    ('BEAT {"wid":"nope"}', "-ERR unknown worker nope\r\n"),
    ('BEAT {"wid":"a\\nb"}', "-ERR unknown worker a\nb\r\n"),
    ('BEAT {"wid":"w1","rss_kb":5.5}', '-ERR invalid BEAT {"wid":"w1","rss_kb":5.5}\r\n'),
    ("QUEUE", "-ERR internal error\r\n"),
    ("QUEUE ", "-ERR no such QUEUE subcommand: \r\n"),
    ("QUEUE  PAUSE x", "-ERR no such QUEUE subcommand: \r\n"),
    ("QUEUE bogus x", "-ERR no such QUEUE subcommand: BOGUS\r\n"),
    ("QUEUE straße", "-ERR no such QUEUE subcommand: STRAßE\r\n"),
    ("QUEUE PAUSE", "-ERR internal error\r\n"),
    ("QUEUE RESUME", "-ERR internal error\r\n"),
    ("QUEUE REMOVE", "-ERR internal error\r\n"),
    ("QUEUE pause nope", OK),
    ("QUEUE PAUSE ", OK),
    ("QUEUE LATENCY", "$2\r\n{}\r\n"),
    ("QUEUE LATENCY *", "-ERR QUEUE LATENCY does not support wildcards\r\n"),
    ("QUEUE LATENCY nope", '$10\r\n{"nope":0}\r\n'),
    ("QUEUE LATENCY ", '$6\r\n{"":0}\r\n'),
    ("QUEUE LATENCY b * a b", '$19\r\n{"*":0,"a":0,"b":0}\r\n'),
    ("MUTATE", "-ERR invalid format\r\n"),
    ("MUTATE ", "-ERR unexpected end of JSON input\r\n"),
    ("MUTATE {}", "-ERR unknown mutate operation\r\n"),
    ('MUTATE {"cmd": "clear","target":"dead"}', "-ERR invalid format\r\n"),
    ('MUTATE {"cmd":"clear","target":"working"}', "-ERR invalid target for mutation command\r\n"),
    ('MUTATE {"cmd":"clear"}', "-ERR invalid target for mutation command\r\n"),
    ('MUTATE {"cmd":"Clear","target":"dead"}', "-ERR unknown mutate operation\r\n"),
    ('MUTATE {"CMD":"clear","TARGET":"dead"}', OK),
    (
        'MUTATE {"cmd":5}',
        "-ERR json: cannot unmarshal number into Go struct field Operation.cmd of type string\r\n",
    ),
    (
        'MUTATE {"cmd":"clear","target":5}',
        (
            "-ERR json: cannot unmarshal number into Go struct field Operation.target"
            " of type client.Structure\r\n"
        ),
    ),
    (
        'MUTATE {"filter":[]}',
        (
            "-ERR json: cannot unmarshal array into Go struct field Operation.filter"
            " of type client.JobFilter\r\n"
        ),
    ),
    (
        'MUTATE {"filter":{"jids":[5]}}',
        (
            "-ERR json: cannot unmarshal number into Go struct field JobFilter.filter.jids"
            " of type string\r\n"
        ),
    ),
    ('MUTATE {"cmd":"discard","target":"scheduled","filter":{"jids":["a","b"]}}', OK),
    ("TRACK", "-ERR tracking subsystem is only available in Faktory Enterprise\r\n"),
    ("TRACK GET x", "-ERR tracking subsystem is only available in Faktory Enterprise\r\n"),
    ("BATCH NEW {}", "-ERR batch subsystem is only available in Faktory Enterprise\r\n"),
    ("FLUSH now", OK),
    ("", "-ERR unknown command \r\n"),
    ("info", "-ERR unknown command info\r\n"),
    (" INFO", "-ERR unknown command \r\n"),
    ("INFO\t", "-ERR unknown command INFO\t\r\n"),
    ("FLUSH\r", "-ERR unknown command FLUSH\r\r\n"),
    ("HELLO {}", "-ERR unknown command HELLO\r\n"),
    ("CRON x", "-ERR unknown command CRON\r\n"),
]

RAW = [
    (b"\x00\x01\xff\xfe", b"-ERR unknown command \x00\x01\xff\xfe\r\n"),
    (b"ACK \xff", b"-ERR invalid ACK \xff\r\n"),
    (b"FAIL \xff", b"-ERR invalid FAIL \xff\r\n"),
    (b"BEAT \xff", b"-ERR invalid BEAT \xff\r\n"),
    (b'FAIL {"jid":"\xff"}', "-ERR Job not found \ufffd\r\n".encode()),
    (b"QUEUE \xc3\xa9\xff x", "-ERR no such QUEUE subcommand: É\ufffd\r\n".encode()),
    (b"QUEUE LATENCY \xff \xc3\xa9", b'$19\r\n{"\xc3\xa9":0,"\\ufffd":0}\r\n'),
    (b'QUEUE LATENCY "<', b'$14\r\n{"\\"\\u003c":0}\r\n'),
    (
        b'PUSHB [{"jid":"\xff<"}]',
        '$57\r\n{"\ufffd\\u003c":"jobs must have a reasonable jid parameter"}\r\n'.encode(),
    ),
]


@pytest.mark.parametrize("payload", ACCEPTED)
def test_takes_every_job_that_the_real_server_takes(payload: str) -> None:
    driver = Driver()
    assert driver.ask(f"PUSH {payload}") == OK
    held = len(driver.broker.scheduled) + sum(len(queue.jobs) for queue in driver.broker.queues)
    assert held == 1


@pytest.mark.parametrize(("payload", "text"), REFUSED)
def test_refuses_the_others_in_its_words(payload: str, text: str) -> None:
    driver = Driver()
    assert driver.ask(f"PUSH {payload}") == f"-ERR {text}\r\n"
    assert len(driver.broker.queues) == len(driver.broker.scheduled) == 0


@pytest.mark.parametrize(("line", "reply"), SAID)
def test_answers_in_the_real_servers_words(line: str, reply: str) -> None:
    driver = Driver()
    assert driver.ask(line) == reply
    assert sizes(driver) == sizes(Driver())


@pytest.mark.parametrize(("line", "reply"), RAW)
def test_answers_bytes_that_are_no_text(line: bytes, reply: bytes) -> None:
    assert Driver().send(line) == reply


@pytest.mark.parametrize("line", [b"END", b"END now"])
def test_end_closes_without_a_word(line: bytes) -> None:
    driver = Driver()
    assert driver.closes(line, driver.first) == b""


def test_a_server_that_stops_refuses_and_closes() -> None:
    driver = Driver()
    driver.answers.stopping = True
    answer = driver.answers.answer(driver.first, b"FLUSH")
    assert answer == Close(b"-ERR shutdown in progress\r\n")


# -- what a job looks like ------------------------------------------------------------------------

FETCHED = [
    ("", stored(enqueued_at=NOW)),
    ('"retry":7,"queue":"default"', stored(retry="7", enqueued_at=NOW)),
    ('"retry":null,"queue":null', stored(enqueued_at=NOW)),
    ('"queue":"q-1._A"', stored(queue="q-1._A", enqueued_at=NOW)),
    ('"created_at":"junk","enqueued_at":"old"', stored(created_at="junk", enqueued_at=NOW)),
    ('"created_at":""', stored(enqueued_at=NOW)),
    ('"priority":5,"zzz":{}', stored(enqueued_at=NOW)),
    ('"custom":{},"reserve_for":0,"backtrace":0,"at":""', stored(enqueued_at=NOW)),
    (
        '"custom":{"b":1.0,"a":{"d":"<","c":[]}}',
        stored(custom='{"a":{"c":[],"d":"\\u003c"},"b":1}', enqueued_at=NOW),
    ),
    (
        '"custom":{"a":1,"b":{"x":1}},"custom":{"b":{"y":2}}',
        stored(custom='{"a":1,"b":{"y":2}}', enqueued_at=NOW),
    ),
    ('"custom":{"a":1},"custom":null,"custom":{"b":1}', stored(custom='{"b":1}', enqueued_at=NOW)),
    ('"reserve_for":5', stored(reserve_for="5", enqueued_at=NOW)),
    ('"at":"2000-01-01T00:00:00+01:00"', stored(at="2000-01-01T00:00:00+01:00", enqueued_at=NOW)),
    ('"at":"2026-11-23T22:00:00.125Z"', stored(at=NOW, enqueued_at=NOW)),
    (
        '"failure":{}',
        stored(failure='{"failed_at":"","retry_count":0,"remaining":0}', enqueued_at=NOW),
    ),
    (
        (
            '"failure":{"retry_count":3,"x":1,"backtrace":[null,"a"],"message":"","errtype":"e",'
            '"FAILED_AT":"junk","remaining":-4,"next_at":"nx"}'
        ),
        stored(
            failure='{"failed_at":"junk","next_at":"nx","errtype":"e","backtrace":["","a"],'
            '"retry_count":3,"remaining":-4}',
            enqueued_at=NOW,
        ),
    ),
    (
        '"failure":{"backtrace":["a"]},"failure":{"message":"m"}',
        stored(
            failure='{"failed_at":"","message":"m","backtrace":["a"],"retry_count":0,'
            '"remaining":0}',
            enqueued_at=NOW,
        ),
    ),
]


@pytest.mark.parametrize(("more", "document"), FETCHED)
def test_a_job_comes_back_normalised(more: str, document: str) -> None:
    driver = Driver()
    driver.push(more=more)
    queue = "q-1._A" if "q-1" in more else "default"
    assert driver.fetch(queue) == document


ARGUMENTS = [
    ("[1.0,1e2,-0,9007199254740993]", "[1,100,-0,9007199254740992]"),
    ('[{"b":1,"a":2,"b":3}]', '[{"a":2,"b":3}]'),
    ('["<b>&\\u2028\\/\\u007f"]', '["\\u003cb\\u003e\\u0026\\u2028/\x7f"]'),
    ('["\\ud800\\ud83d\\ude00"]', '["\ufffd😀"]'),
    ("[" * 9999 + "]" * 9999, "[" * 9999 + "]" * 9999),
]


@pytest.mark.parametrize(("sent", "fetched"), ARGUMENTS)
def test_arguments_pass_through_go(sent: str, fetched: str) -> None:
    driver = Driver()
    assert driver.ask(f'PUSH {{"jid":"job-0001","jobtype":"a","args":{sent}}}') == OK
    assert driver.fetch() == stored(enqueued_at=NOW).replace('"args":[]', f'"args":{fetched}')


def test_bytes_that_are_no_text_come_back_as_replacement_characters() -> None:
    driver = Driver()
    assert (
        driver.send(b'PUSH {"jid":"\xff2345678","jobtype":"a","args":["\xe2\x82"]}') == b"+OK\r\n"
    )
    document = stored("\ufffd2345678", enqueued_at=NOW).replace("[]", '["\ufffd\ufffd"]')
    assert driver.fetch() == document


# -- the default retry -------------------------------------------------------------------------

POLLUTING = [
    ('PUSH {"jid":"12345678","jobtype":"a","args":[],"retry":7}', 7),
    ('PUSH {"jid":"12345678","jobtype":"a","args":[],"retry":7,"at":"2099-01-01T00:00:00Z"}', 7),
    ('PUSH {"jid":"x","retry":11}', 11),
    ('PUSH {"jid":5,"retry":11}', 11),
    ('PUSH {"retry":13,"retry":null}', 13),
    ('PUSH {"retry":14,"retry":"x"}', 14),
    ('PUSH {"retry":null,"retry":12}', 25),
    ('PUSH {"retry":2.5}', 25),
    ('PUSH {"retry":"x"}', 25),
    ('PUSH {"retry":7', 25),
    ('PUSHB [{"jid":"12345678","jobtype":"a","args":[],"retry":7}]', 25),
]


@pytest.mark.parametrize(("line", "default"), POLLUTING)
def test_push_writes_the_default_retry_of_later_jobs(line: str, default: int) -> None:
    driver = Driver()
    driver.ask(line)
    driver.ask("FLUSH")
    driver.push("later-01")
    driver.ask('PUSHB [{"jid":"later-02","jobtype":"a","args":[],"retry":null}]')
    for jid in ("later-01", "later-02"):
        assert driver.fetch() == stored(jid, retry=str(default), enqueued_at=NOW)


# -- PUSHB ---------------------------------------------------------------------------------------


def test_pushb_stores_the_good_and_names_the_bad() -> None:
    driver = Driver()
    jobs = (
        '{"jid":"job-0001","jobtype":"a","args":[]},'
        '{"jid":"zzzzzzzz","jobtype":"a","args":[],"queue":"<"},'
        '{"jid":"aaaaaaaa","jobtype":"a"},'
        '{"jid":"job-0002","jobtype":"a","args":[]}'
    )
    reply = body(driver.send(f"PUSHB [{jobs}]".encode()))
    assert reply == (
        '{"aaaaaaaa":"jobs must have an args parameter",'
        '"zzzzzzzz":"cannot get \\"\\u003c\\" queue: queue names must match'
        ' \\\\A[a-zA-Z0-9._-]+\\\\z"}'
    )
    assert driver.fetch() == stored("job-0001", enqueued_at=NOW)
    assert driver.fetch() == stored("job-0002", enqueued_at=NOW)


def test_pushb_with_one_wrong_type_stores_nothing() -> None:
    driver = Driver()
    driver.ask(f"PUSHB [{JOB},5]")
    assert driver.fetch() == ""


# -- FETCH and ACK ---------------------------------------------------------------------------------


def test_fetch_takes_the_oldest_of_the_first_queue_that_has_one() -> None:
    driver = Driver()
    for jid, queue in (("low-00001", "low"), ("high-0001", "high"), ("high-0002", "high")):
        driver.push(jid, more=f'"queue":"{queue}"')
    assert [driver.fetch("nope high low") for _ in range(4)] == [
        stored("high-0001", queue="high", enqueued_at=NOW),
        stored("high-0002", queue="high", enqueued_at=NOW),
        stored("low-00001", queue="low", enqueued_at=NOW),
        "",
    ]


def test_fetch_reserves_for_its_own_worker() -> None:
    driver = Driver()
    worker = driver.dial("w1")
    driver.push("job-0001")
    driver.push("job-0002")
    driver.fetch(on=worker)
    driver.fetch()
    assert [entry.wid for entry in driver.broker.working.entries()] == ["w1", ""]


def test_ack_counts_once_and_works_from_any_connection() -> None:
    driver = Driver()
    driver.push()
    driver.fetch(on=driver.dial("w1"))
    for _ in range(2):
        assert driver.ask('ACK {"jid":"job-0001"}') == OK
    assert driver.broker.processed == 1
    assert driver.broker.working.stored == len(driver.broker.working) == 0


def test_ack_leaves_a_job_that_is_still_queued() -> None:
    driver = Driver()
    driver.push()
    assert driver.ask('ACK {"jid":"job-0001"}') == OK
    assert driver.broker.processed == 0
    assert driver.fetch() != ""


# -- FLUSH -----------------------------------------------------------------------------------------


def test_flush_forgets_jobs_and_counts_but_not_names_pauses_and_reservations() -> None:
    driver = Driver()
    for jid in ("job-0001", "job-0002", "job-0003", "job-0004"):
        driver.push(jid)
    for _ in range(3):
        driver.fetch()
    driver.ask('FAIL {"jid":"job-0001"}')
    driver.ask("QUEUE PAUSE default")
    assert driver.ask("FLUSH") == OK
    assert sizes(driver) == sizes(Driver())
    assert (driver.broker.processed, driver.broker.failures) == (0, 0)
    assert [queue.name for queue in driver.broker.queues] == ["default"]
    assert len(driver.broker.working) == 2
    driver.push("job-0005")
    assert driver.fetch() == ""
    assert driver.ask('ACK {"jid":"job-0002"}') == OK
    assert driver.broker.processed == 1
    assert driver.ask('FAIL {"jid":"job-0003"}') == OK
    assert driver.ask('FAIL {"jid":"job-0003"}') == "-ERR Job not found job-0003\r\n"
    assert (driver.broker.processed, driver.broker.failures) == (1, 0)
    assert sizes(driver) == sizes(Driver())


@pytest.mark.parametrize("line", ["PUSH {}", "PUSHB [{}]"])
def test_a_limit_of_ones_own_for_nesting_counts_in_both_pushes(line: str) -> None:
    driver = Driver(max_depth=5)
    job = '{"jid":"12345678","jobtype":"a","args":%s,"custom":{"text":"[[[[[[["}}'
    shallow, deep = (job % ("[" * depth + "]" * depth) for depth in (3, 5))
    assert driver.ask(line.replace("{}", shallow)) in ("+OK\r\n", "$2\r\n{}\r\n")
    assert driver.ask(line.replace("{}", deep)) == (
        "-ERR invalid JSON: invalid character '[' exceeded max depth\r\n"
    )
    assert driver.broker.queues.get("default") is not None
