"""The server's session, fed by hand."""

import pytest

from faktory_async.errors import ProtocolError
from faktory_async.protocol import MAX_COMMAND, ServerSession, State
from tests.protocol._counting import CountingBuffer


def state_of(session: ServerSession) -> State:
    """The state now, whatever a checker concludes from the assertion before."""
    return session.state


def greeted(*, max_line: int = MAX_COMMAND) -> ServerSession:
    session = ServerSession(max_line=max_line)
    session.greeted()
    return session


def ready(*, max_line: int = MAX_COMMAND) -> ServerSession:
    session = greeted(max_line=max_line)
    session.receive(b"HELLO\n")
    assert session.next_line() == b"HELLO"
    session.answered()
    return session


def lines(session: ServerSession) -> list[bytes]:
    """Take and answer whatever is complete."""
    taken: list[bytes] = []
    while (line := session.next_line()) is not None:
        taken.append(line)
        session.answered()
    return taken


def test_a_handshake_goes_from_greeting_to_ready() -> None:
    session = ServerSession()
    session.receive(b'HELLO {"v":2}\r\n')
    assert session.next_line() is None
    assert state_of(session) is State.GREETING
    session.greeted()
    assert state_of(session) is State.GREETED
    assert session.next_line() == b'HELLO {"v":2}'
    assert state_of(session) is State.IDENTIFYING
    session.answered()
    assert state_of(session) is State.READY


def test_a_hello_that_is_refused_closes_the_session() -> None:
    session = greeted()
    session.receive(b"hello\n")
    assert session.next_line() == b"hello"
    session.closed()
    assert state_of(session) is State.CLOSED


@pytest.mark.parametrize(
    ("sent", "line"),
    [
        (b"INFO\r\n", b"INFO"),
        (b"INFO\n", b"INFO"),
        (b"\n", b""),
        (b"\r\n", b""),
        (b"FLUSH\r\r\n", b"FLUSH\r"),
        (b"a\rb\r\n", b"a\rb"),
        (b" INFO\t\r\n", b" INFO\t"),
        (b"\x00\x01\xff\xfe\r\n", b"\x00\x01\xff\xfe"),
    ],
)
def test_a_line_ends_at_a_newline_and_one_cr_before_it_is_no_part_of_it(
    sent: bytes, line: bytes
) -> None:
    session = ready()
    session.receive(sent)
    assert session.next_line() == line
    bytewise = ready()
    for byte in sent:
        assert bytewise.next_line() is None
        bytewise.receive(bytes([byte]))
    assert bytewise.next_line() == line


def test_a_cr_that_ended_the_line_before_is_no_part_of_an_empty_one() -> None:
    session = ready()
    session.receive(b"A\r\n\nB\n")
    assert lines(session) == [b"A", b"", b"B"]


def test_the_next_line_waits_until_the_one_before_is_answered() -> None:
    session = ready()
    session.receive(b"A\nB\nC")
    assert session.next_line() == b"A"
    assert state_of(session) is State.BUSY
    assert session.next_line() is None
    session.receive(b"\n")
    assert session.buffered == 4
    session.answered()
    assert state_of(session) is State.READY
    assert lines(session) == [b"B", b"C"]
    assert session.buffered == 0


@pytest.mark.parametrize("line", [b"END", b"END now", b"END "])
def test_an_end_closes_the_session_and_nothing_after_it_is_given_out(line: bytes) -> None:
    session = ready()
    session.receive(line + b"\r\nFLUSH\r\n")
    assert session.next_line() == line
    assert state_of(session) is State.CLOSED
    assert session.next_line() is None
    session.closed()
    assert state_of(session) is State.CLOSED


@pytest.mark.parametrize("line", [b"ENDS", b"end", b" END", b"END\t", b"\nEND"[1:] + b"\r"])
def test_what_only_looks_like_an_end_is_a_command(line: bytes) -> None:
    session = ready()
    session.receive(line + b"\r\n")
    assert session.next_line() == line
    assert state_of(session) is State.BUSY


def test_a_first_line_that_says_end_is_no_goodbye() -> None:
    session = greeted()
    session.receive(b"END\n")
    assert session.next_line() == b"END"
    assert state_of(session) is State.IDENTIFYING


def test_a_client_that_sends_no_more_still_has_its_lines_answered() -> None:
    session = ready()
    session.receive(b"A\nB\nincomplete")
    session.receive(b"")
    assert session.half_closed
    assert lines(session) == [b"A", b"B"]
    assert session.next_line() is None


def test_a_client_that_is_gone_breaks_what_waits_for_an_answer() -> None:
    idle, working = ready(), ready()
    working.receive(b"A\n")
    working.next_line()
    for session in (idle, working):
        session.closed()
    assert (idle.state, working.state) == (State.CLOSED, State.BROKEN)


# -- limits -----------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("step", [1, 3, 100])
def test_a_line_of_exactly_the_limit_is_taken_however_it_is_cut(end: bytes, step: int) -> None:
    session = ready(max_line=10)
    sent = b"0123456789" + end
    for at in range(0, len(sent), step):
        session.receive(sent[at : at + step])
    assert session.next_line() == b"0123456789"


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("before", [b"", b"A\n", b"A\r\nB\n"])
@pytest.mark.parametrize("step", [1, 3, 100])
def test_a_longer_line_is_refused_however_it_is_cut(end: bytes, before: bytes, step: int) -> None:
    session = ready(max_line=10)
    sent = before + b"0123456789x" + end + b"C\n"
    heard: list[bytes] = []

    def read() -> None:
        for at in range(0, len(sent), step):
            session.receive(sent[at : at + step])
            while (line := session.next_line()) is not None:
                heard.append(line)
                session.answered()

    with pytest.raises(ProtocolError, match="more than 10 bytes"):
        read()
    assert heard == before.split()
    assert state_of(session) is State.BROKEN
    assert session.next_line() is None


def test_a_line_without_an_end_is_refused_before_it_fills_the_memory() -> None:
    session = ready(max_line=10)
    session.receive(b"x" * 11)
    assert session.next_line() is None  # the last byte could still have been a CR
    session.receive(b"x")
    with pytest.raises(ProtocolError, match="more than 10 bytes"):
        session.next_line()


def test_nothing_is_kept_of_a_line_that_is_too_long_while_lines_before_it_wait() -> None:
    session = ready(max_line=10)
    session.receive(b"A\nB\n" + b"x" * 12)
    assert session.next_line() == b"A"
    for _ in range(10):
        session.receive(b"x" * 100 + b"\nC\n")
    assert session.buffered == 14
    session.answered()
    assert session.next_line() == b"B"
    session.answered()
    with pytest.raises(ProtocolError, match="more than 10 bytes"):
        session.next_line()
    assert state_of(session) is State.BROKEN


def test_lines_that_wait_may_be_more_than_the_limit_together() -> None:
    session = ready(max_line=10)
    for _ in range(10):
        session.receive(b"12345678\n" * 10)
    assert lines(session) == [b"12345678"] * 100


# -- cost -------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 1024, 1_000_000])
@pytest.mark.parametrize("sent", [b"x" * 200_000 + b"\n", b"INFO\r\n" * 30_000])
def test_reading_is_linear_in_the_bytes_however_they_are_cut(sent: bytes, step: int) -> None:
    session = ready()
    session._buffer = buffer = CountingBuffer()
    count = 0
    for at in range(0, len(sent), step):
        session.receive(sent[at : at + step])
        count += len(lines(session))
    assert count == sent.count(b"\n")
    assert len(sent) <= buffer.work <= 5 * len(sent)


def test_lines_that_were_taken_do_not_stay_in_memory_while_more_keep_coming() -> None:
    session = ready()
    session.receive(b"A\n")
    for _ in range(10_000):
        session.receive(b"A\n")
        assert session.next_line() == b"A"
        session.answered()
        assert len(session._buffer) <= 16
    assert session.buffered == 2
