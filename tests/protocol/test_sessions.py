"""Client's and server's session against each other: one table drives both."""

import pytest

from faktory_async.errors import (
    AuthenticationError,
    FaktoryError,
    ProtocolError,
    ServerBusyError,
    TooManyConnectionsError,
)
from faktory_async.protocol import (
    NULL,
    OK,
    PRODUCER,
    Ack,
    BulkReply,
    ClientSession,
    ErrorReply,
    Fetch,
    Flush,
    Info,
    State,
)
from tests.protocol._pair import Pair

FULL = b"+OK\r\n-ERR too many connections: 2001\r\n"


def states(pair: Pair) -> tuple[State, State]:
    return pair.client.state, pair.server.state


def test_both_go_through_the_handshake_in_step() -> None:
    pair = Pair()
    assert states(pair) == (State.GREETING, State.GREETED)
    pair.to_client()
    assert states(pair) == (State.GREETED, State.GREETED)
    pair.hello()
    assert states(pair) == (State.IDENTIFYING, State.GREETED)
    pair.to_server()
    assert pair.server.next_line() == b'HELLO {"v":2}'
    assert states(pair) == (State.IDENTIFYING, State.IDENTIFYING)
    pair.server.answered()
    pair.client.receive(b"+OK\r\n")
    assert states(pair) == (State.READY, State.READY)


def test_pipelined_commands_are_answered_in_order() -> None:
    pair = Pair.ready()
    first = pair.send(Ack("one"), Fetch(["q"]))
    second = pair.send(Info(), Flush())
    pair.to_server()
    for reply in (OK, NULL, BulkReply(b"{}"), ErrorReply("ERR", "x")):
        assert pair.answer(reply)
    assert pair.heard[1:] == [b'ACK {"jid":"one"}', b"FETCH q", b"INFO", b"FLUSH"]
    pair.to_client()
    assert first.replies == [OK, NULL]
    assert second.replies == [BulkReply(b"{}"), ErrorReply("ERR", "x")]
    assert states(pair) == (State.READY, State.READY)


def test_end_closes_both_and_nothing_after_it_is_heard() -> None:
    pair = Pair.ready()
    ticket = pair.send(Flush())
    pair.to_server()
    pair.answer(OK)
    pair.to_client()
    pair.end()
    pair.up += b"FLUSH\r\n"
    assert pair.client.state is State.CLOSED
    pair.to_server()
    assert pair.answer(OK) == b"END"
    assert pair.answer(OK) is None
    assert states(pair) == (State.CLOSED, State.CLOSED)
    pair.to_client()
    assert states(pair) == (State.CLOSED, State.CLOSED)
    assert ticket.done


@pytest.mark.parametrize("delivered", [0, 1, 5])
def test_a_connection_that_ends_amid_commands_breaks_both(delivered: int) -> None:
    pair = Pair.ready()
    ticket = pair.send(Ack("one"), Ack("two"))
    pair.to_server()
    pair.answer(OK)
    pair.server.next_line()
    pair.close()
    del pair.down[delivered:]
    pair.to_client()
    pair.to_client()
    assert states(pair) == (State.BROKEN, State.BROKEN)
    assert ticket.replies == ([OK] if delivered == 5 else [])
    assert not ticket.done


def test_a_connection_that_ends_when_nothing_is_unanswered_closes_both() -> None:
    pair = Pair.ready()
    pair.close()
    pair.to_client()
    assert states(pair) == (State.CLOSED, State.CLOSED)


def test_a_hello_that_is_met_by_a_close_closes_both() -> None:
    pair = Pair()
    pair.to_client()
    pair.hello()
    pair.to_server()
    assert pair.server.next_line()
    pair.close()
    pair.to_client()
    assert states(pair) == (State.CLOSED, State.CLOSED)


@pytest.mark.parametrize(
    ("text", "kind"),
    [("Invalid password", AuthenticationError), ("whatever", ServerBusyError)],
)
def test_an_error_during_the_handshake_changed_nothing_and_after_it_nobody_knows(
    text: str, kind: type[FaktoryError]
) -> None:
    pair = Pair()
    pair.to_client()
    pair.hello()
    pair.to_server()
    pair.answer(ErrorReply("ERR", text))
    with pytest.raises(kind) as early:
        pair.to_client()
    assert not early.value.maybe_executed
    pair = Pair.ready()
    ticket = pair.send(Flush())
    pair.to_server()
    pair.answer(b":5\r\n")
    with pytest.raises(ProtocolError) as late:
        pair.to_client()
    assert late.value.maybe_executed
    assert not ticket.done


@pytest.mark.parametrize("cut", range(len(FULL)))
def test_a_server_that_is_full_is_understood_however_its_two_replies_are_cut(cut: int) -> None:
    pair = Pair()
    pair.to_client()
    pair.hello()
    pair.to_server()
    pair.answer(FULL)

    def read() -> None:
        pair.to_client(cut)
        pair.to_client()

    with pytest.raises(TooManyConnectionsError) as caught:
        read()
    assert not caught.value.maybe_executed
    assert pair.client.state is State.BROKEN


@pytest.mark.parametrize("cut", range(5, len(FULL)))
def test_a_server_that_is_full_is_understood_by_a_command_that_follows_at_once(cut: int) -> None:
    client = ClientSession()
    client.receive(b'+HI {"v":2}\r\n')
    client.hello(PRODUCER, None)
    client.receive(FULL[:cut])
    ticket = client.send([Flush()])[1]

    def read() -> None:
        client.receive(FULL[cut:])
        Flush().decode(ticket.replies[0])

    with pytest.raises(TooManyConnectionsError) as caught:
        read()
    assert not caught.value.maybe_executed
