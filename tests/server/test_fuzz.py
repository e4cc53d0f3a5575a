"""Whatever bytes arrive: an answer or a close, never an exception, and the server goes on."""

import json

from hypothesis import given
from hypothesis import strategies as st

from faktory_async.server import Answers, Close, Connection, Waiting
from tests.server._driver import Driver, body

JOB = b'{"jid":"job-0001","jobtype":"a","args":[1,"x",{"b":[null]}],"queue":"q","retry":1'
LINES = [
    b'HELLO {"v":2,"wid":"w1","labels":["a"],"pid":5}',
    b"PUSH " + JOB + b"}",
    b"PUSH " + JOB + b',"at":"2026-11-23T22:00:01Z"}',
    b"PUSH " + JOB + b',"custom":{"a":1.5e3},"failure":{"retry_count":1},"reserve_for":60}',
    b"PUSHB [" + JOB + b"}," + JOB + b',"at":"2099-01-01T00:00:00Z"}]',
    b"FETCH q default",
    b'ACK {"jid":"job-0001"}',
    b'FAIL {"jid":"job-0001","message":"m","errtype":"e","backtrace":["l"]}',
    b'BEAT {"wid":"w1","rss_kb":5,"current_state":"quiet"}',
    b'MUTATE {"cmd":"requeue","target":"scheduled","filter":{"jids":["job-0001"]}}',
    b'MUTATE {"cmd":"kill","target":"retries","filter":{"regexp":"*[a-z]?\\\\*"}}',
    b'MUTATE {"cmd":"discard","target":"dead","filter":{"jobtype":"a"}}',
    b"QUEUE PAUSE q",
    b"QUEUE RESUME *",
    b"QUEUE REMOVE q default",
    b"QUEUE LATENCY q default",
    b"INFO",
    b"FLUSH",
    b"END",
    b"TRACK GET x",
]
PIECES = [
    *(bytes([byte]) for byte in b'{}[]":,\\ \t\r019.eE+-*?tfn\x00\x1f\x7f\x80\xff'),
    *(
        b"null",
        b"true",
        b"-0",
        b"1e999",
        b"9" * 30,
        b"\\ud800",
        b"\\u0000",
        b"\xc3\xa9",
        b"[" * 200,
    ),
    *(b'"jid"', b'"retry":', b'"custom":{},', b'"at":"x",', b"wid", b"default", b"PUSH ", b" "),
]

edits = st.lists(
    st.tuples(st.integers(0, 200), st.integers(0, 3), st.sampled_from(PIECES)), max_size=3
)


def edit(line: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    """Return a line with some of its bytes replaced."""
    for place, removed, piece in changes:
        line = line[:place] + piece + line[place + removed :]
    return line


spoilt = st.builds(edit, st.sampled_from(LINES), edits)
# A line to send, or seconds that pass.
steps = st.lists(spoilt | st.sampled_from(LINES) | st.integers(1, 200), max_size=30)


class Session:
    """One client that dials again whenever it is closed."""

    def __init__(self) -> None:
        self.driver = Driver()
        self.waits: list[Waiting] = []
        self.connection = self.dial()

    @property
    def answers(self) -> Answers:
        return self.driver.answers

    def dial(self) -> Connection:
        connection = self.answers.open_connection()
        assert self.answers.answer(connection, b'HELLO {"wid":"w1"}') == b"+OK\r\n"
        return connection

    def send(self, line: bytes) -> None:
        answer = self.answers.answer(self.connection, line)
        if isinstance(answer, bytes):
            assert answer[:1] in {b"+", b"-", b"$"}
            assert answer.endswith(b"\r\n")
            return
        if isinstance(answer, Waiting):
            self.waits.append(answer)
        else:
            assert isinstance(answer, Close)
        self.answers.close_connection(self.connection)
        self.connection = self.dial()

    def rest(self, seconds: int) -> None:
        for waiting in self.waits:
            waiting.expire()
            assert waiting.reply
        self.waits.clear()
        closing = self.driver.advance(seconds)
        if self.connection in closing:
            self.answers.close_connection(self.connection)
            self.connection = self.dial()


@given(steps)
def test_whatever_is_sent_the_server_goes_on(drawn: list[bytes | int]) -> None:
    session = Session()
    for step in drawn:
        if isinstance(step, bytes):
            session.send(step)
        else:
            session.rest(step)
    session.rest(200_000)
    info = json.loads(body(session.driver.send(b"INFO")))
    assert info["server"]["connections"] == 2
    assert info["faktory"]["tasks"]["Workers"]["size"] == 1
    assert info["faktory"]["sets"]["working"] == 0
    assert info["faktory"]["sets"]["retries"] == len(session.driver.broker.retries)
    assert len(session.driver.broker._room) == 0


@given(spoilt | st.binary(max_size=60))
def test_the_first_line_is_welcome_or_closed(line: bytes) -> None:
    answers = Driver(password="x").answers
    answer = answers.answer(answers.open_connection(), line)
    assert answer in (Close(b""), Close(b"-ERR Invalid password\r\n"))
