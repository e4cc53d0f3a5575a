"""Properties of the protocol: no cut, no garbage and no order of events matters."""

import json
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from faktory_async.errors import FaktoryError, ProtocolError, UsageError
from faktory_async.protocol import (
    NULL,
    OK,
    PRODUCER,
    Ack,
    Beat,
    BulkReply,
    ClientSession,
    Command,
    ErrorReply,
    Fail,
    Fetch,
    Flush,
    Identity,
    Info,
    OversizedReply,
    Push,
    PushBulk,
    Reply,
    ReplyReader,
    ServerSession,
    SimpleReply,
    State,
    Ticket,
    encode_reply,
    parse_greeting,
    refusal,
)
from tests.protocol._pair import Pair

# What a line can hold: any bytes but its own end.
lines = st.binary(max_size=40).filter(lambda data: b"\r\n" not in data)
wire_text = lines.map(lambda data: data.decode("utf-8", "surrogateescape"))
codes = st.from_regex(r"[A-Z]{0,12}", fullmatch=True)
replies = st.one_of(
    st.just(OK),
    st.just(NULL),
    st.builds(SimpleReply, wire_text),
    st.builds(ErrorReply, codes, wire_text),
    st.builds(BulkReply, st.binary(max_size=60)),
)
garbage = st.one_of(
    st.binary(max_size=60),
    st.lists(
        st.sampled_from(
            [b"+", b"-", b"$", b"$-1", b"$5", b":", b"*", b"OK", b"\r\n", b"\r", b"\n", b"9", b"a"]
        ),
        max_size=30,
    ).map(b"".join),
)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut the bytes at these places, modulo their length."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(places)]


def read(reader: ReplyReader, parts: list[bytes]) -> tuple[list[Reply], str | None]:
    """Return the replies read, and the error that ended it."""
    found: list[Reply] = []
    try:
        for part in parts:
            found += reader.feed(part)
        if reader.error is not None:
            raise reader.error
    except ProtocolError as error:
        return found, str(error)
    return found, None


@given(st.lists(replies, max_size=12), st.lists(st.integers(0, 10_000), max_size=20))
@settings(deadline=None)
def test_any_replies_are_read_as_they_were_written_however_they_are_cut(
    sent: list[Reply], cuts: list[int]
) -> None:
    data = b"".join(map(encode_reply, sent))
    reader = ReplyReader()
    assert read(reader, pieces(data, cuts)) == (sent, None)
    assert not reader.pending
    assert read(ReplyReader(), [data[i : i + 1] for i in range(len(data))]) == (sent, None)


@given(st.lists(replies, max_size=3), garbage, st.lists(st.integers(0, 10_000), max_size=20))
@settings(deadline=None)
def test_any_bytes_give_the_same_replies_and_the_same_error_however_they_are_cut(
    good: list[Reply], bad: bytes, cuts: list[int]
) -> None:
    data = b"".join(map(encode_reply, good)) + bad
    limits: dict[str, Any] = {"max_line": 40, "max_bulk": 60}
    whole = read(ReplyReader(**limits), [data])
    assert read(ReplyReader(**limits), pieces(data, cuts)) == whole
    assert read(ReplyReader(**limits), [data[i : i + 1] for i in range(len(data))]) == whole


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from('"\\{[]}:,'),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=12,
)
jobs = st.dictionaries(
    st.sampled_from(["custom", "failure", "args", "at", "", 'j"d'])
    | st.sampled_from(["jid", "queue", "jobtype", "reserve_for"]),
    json_values,
)


@given(jobs, st.booleans(), st.integers(2, 60), st.lists(st.integers(0, 10_000), max_size=20))
@settings(deadline=None)
def test_a_job_that_is_too_large_is_outlined_however_it_is_cut(
    job: dict[str, Any],
    ascii_only: bool,  # noqa: FBT001 - drawn
    limit: int,
    cuts: list[int],
) -> None:
    document = json.dumps(job, ensure_ascii=ascii_only).encode()
    data = encode_reply(BulkReply(document)) + b"+OK\r\n"
    reader = ReplyReader(max_bulk=limit, skip=True)
    (first, *rest), error = read(reader, pieces(data, cuts))
    assert (rest, error, reader.pending) == ([OK], None, False)
    if len(document) <= limit:
        assert first == BulkReply(document)
        return
    assert isinstance(first, OversizedReply)
    assert first.size == len(document)
    names = ("jid", "queue", "jobtype", "reserve_for")
    plain = {name: job[name] for name in names if not isinstance(job.get(name, []), dict | list)}
    assert json.loads(first.outline) == plain


@given(st.lists(replies, max_size=3), garbage, st.lists(st.integers(0, 10_000), max_size=20))
@settings(deadline=None)
def test_whatever_is_skipped_is_the_same_however_it_is_cut(
    good: list[Reply], bad: bytes, cuts: list[int]
) -> None:
    data = b"".join(map(encode_reply, good)) + bad
    limits: dict[str, Any] = {"max_line": 40, "max_bulk": 20, "skip": True}
    whole = read(ReplyReader(**limits), [data])
    assert read(ReplyReader(**limits), pieces(data, cuts)) == whole
    assert read(ReplyReader(**limits), [data[i : i + 1] for i in range(len(data))]) == whole


@given(lines, st.binary(max_size=200))
@settings(deadline=None)
def test_what_was_read_is_written_as_the_same_bytes(line: bytes, data: bytes) -> None:
    for sent in (b"+%b\r\n" % line, b"-ERR %b\r\n" % line, b"$%d\r\n%b\r\n" % (len(data), data)):
        [reply] = ReplyReader().feed(sent)
        assert encode_reply(reply) == sent


def error_of(call: Callable[[], object]) -> FaktoryError | None:
    """Return the error of ours that the call raised; any other goes through."""
    try:
        call()
    except FaktoryError as error:
        return error
    return None


@given(garbage.filter(bool), st.booleans())
@settings(deadline=None)
def test_only_errors_of_ours_escape_from_a_session(data: bytes, greeted: bool) -> None:  # noqa: FBT001 - drawn
    session = ClientSession()
    if greeted:
        session.receive(b'+HI {"v":2}\r\n')
        session.hello(PRODUCER, None)
    error = error_of(lambda: session.receive(data))
    if error is None:
        assert session.state not in (State.CLOSED, State.BROKEN)
    else:
        assert session.state in (State.CLOSED, State.BROKEN)
        assert not error.maybe_executed or data.startswith(b"+OK\r\n")
    session.receive(b"")
    assert session.state in (State.CLOSED, State.BROKEN)


@given(replies)
@settings(deadline=None)
def test_only_errors_of_ours_escape_from_the_meaning_of_a_reply(reply: Reply) -> None:
    commands: list[Command[Any]] = [
        Ack("a"), Fail("a", "b", "c"), Beat("w"), Flush(), Info(), PushBulk([]), Fetch(["q"])
    ]  # fmt: skip
    for command in commands:
        error = error_of(partial(command.decode, reply))
        assert error is not None or not isinstance(reply, ErrorReply)


@given(st.text(max_size=80) | wire_text)
@settings(deadline=None)
def test_only_errors_of_ours_escape_from_a_greeting(text: str) -> None:
    for reply in (SimpleReply(text), SimpleReply(f"HI {text}"), SimpleReply(f'HI {{"s":{text}}}')):
        error = error_of(partial(parse_greeting, reply))
        assert error is None or not error.maybe_executed


@given(st.text(max_size=60) | wire_text, codes)
@settings(deadline=None)
def test_any_text_of_a_server_is_a_refusal(text: str, code: str) -> None:
    assert isinstance(refusal(text, code=code), FaktoryError)


# -- nothing can begin another command --------------------------------------------------------

any_text = st.text(st.characters(exclude_categories=[]), max_size=20)
wids = st.from_regex(r"[!-~]{1,20}", fullmatch=True)


def is_one_line(command: Command[Any]) -> bool:
    session = ServerSession()
    session.greeted()
    session.receive(b"HELLO\n")
    session.next_line()
    session.answered()
    session.receive(command.encode())
    return session.next_line() == command.encode()[:-2] and session.buffered == 0


@given(any_text, any_text, any_text, st.lists(any_text, max_size=3))
@settings(deadline=None)
def test_no_text_of_a_report_begins_another_command(
    jid: str, errtype: str, message: str, backtrace: list[str]
) -> None:
    for command in (Ack(jid), Fail(jid, errtype, message, backtrace)):
        try:
            line = command.encode()
        except UsageError:
            assert any(
                "\ud800" <= c <= "\udfff" for c in "".join([jid, errtype, message, *backtrace])
            )
            continue
        assert is_one_line(command)
        assert json.loads(line.split(b" ", 1)[1])["jid"] == jid


@given(st.lists(any_text | st.from_regex(r"[a-zA-Z0-9._-]{1,9}", fullmatch=True), max_size=4))
@settings(deadline=None)
def test_no_name_of_a_queue_begins_another_command(queues: list[str]) -> None:
    try:
        command = Fetch(queues)
    except UsageError:
        return
    assert is_one_line(command)
    assert command.encode()[:-2].split(b" ")[1:] == [queue.encode() for queue in queues]


@given(st.binary(max_size=30), st.binary(max_size=30))
@settings(deadline=None)
def test_no_bytes_of_a_job_begin_another_command(one: bytes, other: bytes) -> None:
    for command in (Push(b"{%b}" % one), PushBulk([b"{%b}" % one, b"{%b}" % other])):
        try:
            command.encode()
        except UsageError:
            assert b"\n" in one + other
        else:
            assert is_one_line(command)


@given(any_text | wids, any_text)
@settings(deadline=None)
def test_no_wid_begins_another_command(wid: str, state: str) -> None:
    try:
        Identity(wid=wid)
        command = Beat(wid, current_state=state)
        command.encode()
    except UsageError:
        return
    assert is_one_line(command)


# -- the two sessions, in any order of events -------------------------------------------------

some_commands = st.lists(
    st.sampled_from([Ack("one"), Flush(), Info(), Fetch(["a", "b"]), Fail("j", "E", "m")]),
    min_size=1,
    max_size=4,
)


class PairMachine(RuleBasedStateMachine):
    """Commands, answers, pieces of bytes and ends, in any order.

    The model: which lines were sent and which replies were given, both as plain lists.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair()
        self.tickets: list[Ticket] = []
        self.sent: list[bytes] = []
        self.given: list[Reply] = []
        self.bytes_sent = 0

    @initialize()
    def shake_hands(self) -> None:
        self.pair = Pair.ready()
        self.bytes_sent = self.pair.client.written

    def is_open(self) -> bool:
        return self.pair.client.state in (State.READY, State.BUSY)

    @precondition(is_open)
    @rule(commands=some_commands)
    def send(self, commands: list[Command[Any]]) -> None:
        ticket = self.pair.send(*commands)
        self.tickets.append(ticket)
        for command, end in zip(commands, ticket.ends, strict=True):
            self.sent.append(command.encode())
            self.bytes_sent += len(command.encode())
            assert end == self.bytes_sent

    @rule(count=st.integers(1, 60))
    def deliver_up(self, count: int) -> None:
        self.pair.to_server(count)

    @rule(count=st.integers(1, 60))
    def deliver_down(self, count: int) -> None:
        self.pair.to_client(count)

    @precondition(lambda self: self.pair.server.state is State.READY)
    @rule(reply=replies)
    def answer(self, reply: Reply) -> None:
        if self.pair.answer(reply) is not None and self.pair.server.state is not State.CLOSED:
            self.given.append(reply)

    @precondition(lambda self: self.pair.client.state is State.READY)
    @rule()
    def end(self) -> None:
        self.pair.end()
        assert self.pair.client.state is State.CLOSED

    @precondition(lambda self: not self.pair.closing)
    @rule()
    def close(self) -> None:
        self.pair.close()

    @invariant()
    def the_server_hears_what_was_sent_in_order(self) -> None:
        heard = [line + b"\r\n" for line in self.pair.heard[1:]]
        lines = [*self.sent, b"END\r\n"] if self.pair.client.state is State.CLOSED else self.sent
        assert heard == lines[: len(heard)]

    @invariant()
    def the_client_gets_what_was_given_in_order(self) -> None:
        arrived = [reply for ticket in self.tickets for reply in ticket.replies]
        assert arrived == self.given[: len(arrived)]

    @invariant()
    def no_ticket_overtakes_another(self) -> None:
        done = [ticket.done for ticket in self.tickets]
        assert done == sorted(done, reverse=True)

    @invariant()
    def the_state_tells_whether_anything_is_unanswered(self) -> None:
        waiting = any(not ticket.done for ticket in self.tickets)
        assert self.pair.client.state in (
            (State.BUSY, State.BROKEN) if waiting else (State.READY, State.CLOSED)
        )

    def teardown(self) -> None:
        """Let everything arrive: what can be answered is, and the ends agree."""
        pair = self.pair
        pair.to_server()
        while pair.answer(OK) is not None:
            if pair.server.state is not State.CLOSED:
                self.given.append(OK)
        pair.to_client()
        self.the_client_gets_what_was_given_in_order()
        if not pair.closing:
            assert all(ticket.done for ticket in self.tickets)
            assert (pair.client.state, pair.server.state) == (State.READY, State.READY)
        else:
            pair.to_client()
            waiting = any(not ticket.done for ticket in self.tickets)
            assert pair.client.state is (State.BROKEN if waiting else State.CLOSED)


PairMachine.TestCase.settings = settings(deadline=None, max_examples=60, stateful_step_count=40)
TestPair = PairMachine.TestCase
