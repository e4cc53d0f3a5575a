"""The client's session, fed by hand."""

from collections.abc import Callable
from typing import Any

import pytest

from faktory_async.errors import (
    AuthenticationError,
    ClientStateError,
    FaktoryError,
    ProtocolError,
    ServerBusyError,
    TooManyConnectionsError,
    UsageError,
)
from faktory_async.protocol import (
    NULL,
    OK,
    PRODUCER,
    Ack,
    BulkReply,
    ClientSession,
    Command,
    End,
    ErrorReply,
    Fetch,
    Flush,
    Greeting,
    Push,
    State,
)

HI = b'+HI {"v":2}\r\n'
ACK = Ack("12345678")


def state_of(session: ClientSession) -> State:
    """The state now, whatever a checker concludes from the assertion before."""
    return session.state


def new() -> ClientSession:
    return ClientSession()


def greeted() -> ClientSession:
    session = new()
    session.receive(HI)
    return session


def identifying() -> ClientSession:
    session = greeted()
    session.hello(PRODUCER, None)
    return session


def ready() -> ClientSession:
    session = identifying()
    session.receive(b"+OK\r\n")
    return session


def busy() -> ClientSession:
    session = ready()
    session.send([ACK])
    return session


def closed() -> ClientSession:
    session = ready()
    session.end(End().encode())
    return session


def broken() -> ClientSession:
    session = ready()
    session.fail()
    return session


Make = Callable[[], ClientSession]
IN: dict[State, Make] = {
    State.GREETING: new,
    State.GREETED: greeted,
    State.IDENTIFYING: identifying,
    State.READY: ready,
    State.BUSY: busy,
    State.CLOSED: closed,
    State.BROKEN: broken,
}
EARLY = (State.GREETING, State.GREETED, State.IDENTIFYING)

for_each_state = pytest.mark.parametrize("state", list(State))


@for_each_state
def test_the_states_of_these_tests_are_what_they_say(state: State) -> None:
    assert IN[state]().state is state


# -- the handshake ----------------------------------------------------------------------------


def test_a_handshake_goes_from_greeting_to_ready() -> None:
    session = new()
    assert session.greeting is None
    session.receive(b'+HI {"v":2')
    assert state_of(session) is State.GREETING
    session.receive(b"}\r\n")
    assert state_of(session) is State.GREETED
    assert session.greeting == Greeting()
    line = session.hello(PRODUCER, None)
    assert line == b'HELLO {"v":2}\r\n'
    assert session.written == len(line)
    assert state_of(session) is State.IDENTIFYING
    session.receive(b"+OK\r\n")
    assert state_of(session) is State.READY


@pytest.mark.parametrize(
    ("answer", "kind", "state"),
    [
        (b"-ERR Invalid password\r\n", AuthenticationError, State.CLOSED),
        (b"-ERR shutdown in progress\r\n", ServerBusyError, State.CLOSED),
        (b"-ERR context deadline exceeded\r\n", ServerBusyError, State.CLOSED),
        (b"-ERR too many connections: 2001\r\n", TooManyConnectionsError, State.CLOSED),
        (b"+KO\r\n", ProtocolError, State.BROKEN),
        (b"$-1\r\n", ProtocolError, State.BROKEN),
        (b"$2\r\nOK\r\n", ProtocolError, State.BROKEN),
        (b":1\r\n", ProtocolError, State.BROKEN),
        (b"+" + b"x" * 70_000, ProtocolError, State.BROKEN),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_hello_that_is_not_accepted_changed_nothing(
    answer: bytes, kind: type[FaktoryError], state: State
) -> None:
    session = identifying()
    with pytest.raises(kind) as caught:
        session.receive(answer)
    assert type(caught.value) is kind
    assert not caught.value.maybe_executed
    assert session.state is state


def test_a_refusal_of_the_hello_keeps_the_servers_words() -> None:
    session = identifying()
    with pytest.raises(ServerBusyError) as caught:
        session.receive(b"-LIMIT no more of you\r\n")
    assert (caught.value.code, caught.value.text) == ("LIMIT", "no more of you")


@pytest.mark.parametrize("greeting", [b"+OK\r\n", b":1\r\n", b"SSH-2.0-x\r\n", b"-ERR no\r\n"])
def test_a_greeting_that_no_faktory_sends_breaks_the_session_before_anything_was_sent(
    greeting: bytes,
) -> None:
    session = new()
    with pytest.raises(ProtocolError) as caught:
        session.receive(greeting)
    assert not caught.value.maybe_executed
    assert state_of(session) is State.BROKEN


def test_a_missing_password_leaves_the_session_greeted() -> None:
    session = new()
    session.receive(b'+HI {"v":2,"i":3,"s":"ab"}\r\n')
    with pytest.raises(AuthenticationError):
        session.hello(PRODUCER, None)
    assert state_of(session) is State.GREETED
    assert session.written == 0
    assert session.hello(PRODUCER, "x").startswith(b'HELLO {"v":2,"pwdhash":"')


def test_a_reply_before_the_hello_was_sent_is_not_its_answer() -> None:
    session = new()
    with pytest.raises(ProtocolError, match="nobody asked for") as caught:
        session.receive(HI + b"+OK\r\n")
    assert not caught.value.maybe_executed
    assert state_of(session) is State.BROKEN


# -- commands ---------------------------------------------------------------------------------


def test_one_command_has_one_reply() -> None:
    session = ready()
    data, ticket = session.send([ACK])
    assert data == b'ACK {"jid":"12345678"}\r\n'
    assert state_of(session) is State.BUSY
    assert not ticket.done
    session.receive(b"+OK\r\n")
    assert ticket.done
    assert ticket.replies == [OK]
    assert state_of(session) is State.READY


def test_pipelined_commands_are_answered_first_in_first_out() -> None:
    session = ready()
    first = session.send([ACK, Fetch(["q"])])[1]
    second = session.send([Flush()])[1]
    session.receive(b"+OK\r\n$-")
    assert (first.replies, first.done, second.done) == ([OK], False, False)
    session.receive(b"1\r\n")
    assert (first.replies, first.done, second.done) == ([OK, NULL], True, False)
    assert state_of(session) is State.BUSY
    session.receive(b"-ERR no\r\n")
    assert (second.replies, second.done) == ([ErrorReply("ERR", "no")], True)
    assert state_of(session) is State.READY


def test_a_ticket_knows_where_each_command_ends_in_the_bytes_of_the_session() -> None:
    session = ready()
    sent = b'HELLO {"v":2}\r\n'
    assert session.written == len(sent)
    for commands in ([ACK], [Flush(), Fetch(["a", "b"]), ACK], [Flush()]):
        data, ticket = session.send(commands)
        sent += data
        assert len(ticket.ends) == len(commands)
        for command, end in zip(commands, ticket.ends, strict=True):
            assert sent[:end].endswith(command.encode())
        assert ticket.ends[-1] == session.written == len(sent)


def test_the_bytes_of_end_are_counted() -> None:
    session = ready()
    before = session.written
    assert session.end(End().encode()) == b"END\r\n"
    assert session.written == before + 5


def test_a_list_that_changes_after_it_was_sent_changes_no_ticket() -> None:
    session = ready()
    commands: list[Command[Any]] = [ACK]
    ticket = session.send(commands)[1]
    commands.clear()
    session.receive(b"+OK\r\n")
    assert ticket.done
    assert ticket.commands == (ACK,)


def test_an_error_is_a_reply_like_any_other_and_leaves_the_session_sound() -> None:
    session = ready()
    ticket = session.send([ACK])[1]
    session.receive(b"-ERR too many connections: 2001\r\n")
    assert state_of(session) is State.READY
    with pytest.raises(TooManyConnectionsError):
        ACK.decode(ticket.replies[0])


@pytest.mark.parametrize("make", [ready, busy])
@pytest.mark.parametrize(
    "commands", [[], [Ack("\ud800")], [ACK, Push(b"\n")]], ids=["none", "no Unicode", "newline"]
)
def test_what_cannot_be_sent_leaves_no_trace(make: Make, commands: list[Command[Any]]) -> None:
    session = make()
    state, written = session.state, session.written
    with pytest.raises(UsageError):
        session.send(commands)
    assert (session.state, session.written) == (state, written)
    if state is State.BUSY:
        session.receive(b"+OK\r\n")
    ticket = session.send([ACK])[1]
    session.receive(b"+OK\r\n")
    assert ticket.replies == [OK]
    assert state_of(session) is State.READY


@pytest.mark.parametrize("state", [s for s in State if s not in (State.READY, State.BUSY)])
def test_a_command_out_of_turn_is_refused_and_the_session_stays_as_it_was(state: State) -> None:
    session = IN[state]()
    written = session.written
    with pytest.raises(ClientStateError, match=state.name):
        session.send([ACK])
    assert (session.state, session.written) == (state, written)


@pytest.mark.parametrize("state", [s for s in State if s is not State.GREETED])
def test_a_hello_out_of_turn_is_refused_and_the_session_stays_as_it_was(state: State) -> None:
    session = IN[state]()
    written = session.written
    with pytest.raises(ClientStateError, match="HELLO"):
        session.hello(PRODUCER, None)
    assert (session.state, session.written) == (state, written)


@pytest.mark.parametrize("state", [s for s in State if s is not State.READY])
def test_an_end_out_of_turn_is_refused_and_the_session_stays_as_it_was(state: State) -> None:
    session = IN[state]()
    written = session.written
    with pytest.raises(ClientStateError, match="END"):
        session.end(End().encode())
    assert (session.state, session.written) == (state, written)


# -- what must not arrive ---------------------------------------------------------------------


@for_each_state
def test_garbage_breaks_the_session_and_says_whether_anything_could_be_done(state: State) -> None:
    session = IN[state]()
    if state in (State.CLOSED, State.BROKEN):
        session.receive(b":1\r\n")
        assert session.state is state
        return
    with pytest.raises(ProtocolError) as caught:
        session.receive(b":1\r\n")
    assert caught.value.maybe_executed is (state not in EARLY)
    assert state_of(session) is State.BROKEN


def test_replies_before_garbage_in_the_same_piece_reach_their_tickets() -> None:
    session = ready()
    first, second = session.send([ACK])[1], session.send([ACK])[1]
    with pytest.raises(ProtocolError):
        session.receive(b"+OK\r\n:1\r\n")
    assert (first.done, second.done) == (True, False)
    assert state_of(session) is State.BROKEN


@pytest.mark.parametrize("state", [State.CLOSED, State.BROKEN])
@pytest.mark.parametrize("data", [b"", b"+OK\r\n", b"-ERR x\r\n", b"x" * 100_000])
def test_after_the_end_nothing_counts_and_nothing_is_kept(state: State, data: bytes) -> None:
    session = IN[state]()
    session.receive(data)
    assert session.state is state
    assert not session._reader.pending


def test_replies_to_commands_that_were_given_up_are_dropped() -> None:
    session = ready()
    ticket = session.send([ACK])[1]
    session.fail()
    session.receive(b"+OK\r\n")
    assert not ticket.done
    assert state_of(session) is State.BROKEN


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (b"+OK\r\n", ProtocolError),
        (b"$2\r\n{}\r\n", ProtocolError),
        (b"-ERR too many connections: 2001\r\n", TooManyConnectionsError),
        (b"-ERR whatever\r\n", ServerBusyError),
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_a_reply_that_nobody_asked_for_breaks_the_session(
    reply: bytes,
    kind: type[FaktoryError],
    together: bool,  # noqa: FBT001 - a row of the table
) -> None:
    session = identifying()
    if not together:
        session.receive(b"+OK\r\n")
    with pytest.raises(kind):
        session.receive(b"+OK\r\n" + reply if together else reply)
    assert state_of(session) is State.BROKEN


def test_one_reply_too_many_breaks_the_session_but_not_the_ticket() -> None:
    session = ready()
    ticket = session.send([ACK])[1]
    with pytest.raises(ProtocolError, match="nobody asked for"):
        session.receive(b"+OK\r\n+OK\r\n")
    assert ticket.replies == [OK]
    assert state_of(session) is State.BROKEN


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (b"+OK\r\n", ProtocolError),
        (b"-ERR too many connections: 2001\r\n", TooManyConnectionsError),
    ],
)
def test_a_reply_that_began_before_the_command_is_not_the_commands(
    reply: bytes, kind: type[FaktoryError]
) -> None:
    session = ready()
    session.receive(reply[:2])
    tickets = [session.send([ACK])[1], session.send([ACK])[1]]
    with pytest.raises(kind):
        session.receive(reply[2:] + b"+OK\r\n")
    assert [ticket.replies for ticket in tickets] == [[], []]
    assert state_of(session) is State.BROKEN


def test_a_reply_that_has_begun_does_not_keep_more_commands_from_being_sent() -> None:
    session = ready()
    first = session.send([Fetch(["q"])])[1]
    session.receive(b"$2\r\n{")
    second = session.send([ACK])[1]
    session.receive(b"}\r\n+OK\r\n")
    assert (first.replies, second.replies) == ([BulkReply(b"{}")], [OK])
    assert state_of(session) is State.READY


# -- the end ----------------------------------------------------------------------------------


@for_each_state
def test_the_end_of_the_stream_breaks_only_what_waits_for_a_reply(state: State) -> None:
    session = IN[state]()
    session.receive(b"")
    assert session.state is (State.BROKEN if state in (State.BUSY, State.BROKEN) else State.CLOSED)


def test_the_limits_of_the_reader_can_be_chosen() -> None:
    session = ClientSession(max_line=20, max_bulk=5)
    session.receive(HI)
    session.hello(PRODUCER, None)
    session.receive(b"+OK\r\n")
    session.send([Fetch(["q"])])
    with pytest.raises(ProtocolError, match="the limit is 5"):
        session.receive(b"$6\r\n")
    with pytest.raises(ProtocolError, match="more than 20 bytes"):
        ClientSession(max_line=20).receive(b"+" + b"x" * 21)
