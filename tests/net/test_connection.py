"""What a connection promises: replies to those who wait, bounded time, and the truth about it."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import permutations

import anyio
import pytest
from anyio.lowlevel import checkpoint

from faktory_async.errors import (
    AuthenticationError,
    CommandTimeoutError,
    ConnectError,
    ConnectionLostError,
    FaktoryError,
    ProtocolError,
    ServerBusyError,
    TooManyConnectionsError,
    UsageError,
)
from faktory_async.net import Connection, Link, MemoryLink, memory_links
from faktory_async.protocol import ClientSession, Identity, Ticket
from tests.net._faktory import HI, Echo, Recorder, Server, conversation, echoed, opened, trickle
from tests.net._loops import in_virtual_time, jump, on_virtual_asyncio
from tests.net._peers import when

# -- the handshake ------------------------------------------------------------------------------


@in_virtual_time
async def test_a_connection_says_who_we_are_and_is_idle() -> None:
    ours, theirs = memory_links()
    server = Server(theirs)
    async with anyio.create_task_group() as tg:
        tg.start_soon(server.greet)
        connection = await Connection.open(ours, identity=Identity(wid="w1", pid=7))
        assert connection.idle
        assert connection.usable
        assert not connection.closed
        assert repr(connection) == "<Connection ready>"
    assert server.lines == ['HELLO {"v":2,"wid":"w1","pid":7,"labels":[]}']


@in_virtual_time
async def test_a_handshake_may_come_in_any_pieces() -> None:
    ours, theirs = memory_links()

    async def trickle_the_handshake() -> None:
        for byte in HI:
            await theirs.send(bytes([byte]))
            await when(lambda: not theirs._outgoing.data)
        await theirs.receive()
        for byte in b"+OK\r\n":
            await theirs.send(bytes([byte]))
            await when(lambda: not theirs._outgoing.data)

    async with anyio.create_task_group() as tg:
        tg.start_soon(trickle_the_handshake)
        connection = await Connection.open(ours)
        assert connection.idle


@in_virtual_time
async def test_the_password_goes_out_hashed() -> None:
    ours, theirs = memory_links()
    server = Server(theirs)
    await theirs.send(b'+HI {"v":2,"i":4728,"s":"279b5384a25685ee"}\r\n')
    async with anyio.create_task_group() as tg:
        tg.start_soon(partial(Connection.open, ours, password="sekrit"))
        await server.line()
        await theirs.send(b"+OK\r\n")
    assert "199e487f0e15e3f8bafe3bc5bf9e8b4cf338cf1182c034dbd7862318b4ae317a" in server.lines[0]
    assert "sekrit" not in server.lines[0]


SALTED = b'+HI {"v":2,"i":2,"s":"00"}\r\n'


@pytest.mark.parametrize(
    ("said", "error", "text"),
    [
        (b"", ConnectError, r"without a greeting: if it speaks TLS, use tcp\+tls://"),
        (b'+HI {"v"', ConnectError, "without a greeting"),
        (HI, ConnectError, "instead of accepting the HELLO"),
        (HI + b"+O", ConnectError, "instead of accepting the HELLO"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", ProtocolError, "no reply of a Faktory"),
        (b"+OK\r\n", ProtocolError, "does not greet as a Faktory does"),
        (b"+HI {]\r\n", ProtocolError, "greeting cannot be read"),
        (b"x" * 70_000, ProtocolError, "more than 65536 bytes"),
        (HI + b"$5\r\nhello\r\n", ProtocolError, "reply|bulk"),
        (HI + b"+OK\r\n+OK\r\n", ProtocolError, "nobody asked for"),
        (HI + b"+OK\r\n-ERR what now\r\n", ServerBusyError, "what now"),
        (HI + b"+OK\r\n-ERR too many connections: 2001\r\n", TooManyConnectionsError, "2001"),
        (SALTED, AuthenticationError, "none was given"),
        (HI + b"-ERR Invalid password\r\n", AuthenticationError, "refused the password"),
    ],
)
@in_virtual_time
async def test_a_handshake_that_fails_is_explained_and_leaves_nothing_open(
    said: bytes, error: type[FaktoryError], text: str
) -> None:
    ours, theirs = memory_links(room=100_000)
    link = Recorder(ours)

    async def talk() -> None:
        greeting, hi, answer = said.rpartition(HI)
        await theirs.send(greeting + hi or answer)
        if hi:
            await theirs.receive()
            await theirs.send(answer)
        theirs._outgoing.ended = True
        theirs._outgoing.changed()

    async with anyio.create_task_group() as tg:
        tg.start_soon(talk)
        with pytest.raises(error, match=text) as caught:
            await Connection.open(link)
        assert caught.value.maybe_executed is False
    assert "abort" in link.calls
    assert "aclose" in link.calls


@in_virtual_time
async def test_a_server_that_asks_for_too_much_hashing_is_refused() -> None:
    ours, theirs = memory_links()
    await theirs.send(b'+HI {"v":2,"i":100001,"s":"00"}\r\n')
    with pytest.raises(ProtocolError, match="100000") as caught:
        await Connection.open(ours, password="x")
    assert caught.value.maybe_executed is False


@pytest.mark.parametrize("said", [b"", HI, HI + b"+O"])
@in_virtual_time
async def test_a_connection_that_is_lost_in_the_handshake_is_no_connection(said: bytes) -> None:
    ours, theirs = memory_links()
    await theirs.send(said)
    theirs.abort()
    with pytest.raises(ConnectError, match="was lost at once") as caught:
        await Connection.open(ours)
    assert caught.value.maybe_executed is False


@pytest.mark.parametrize("said", [b"", HI, HI + b"+O"])
@in_virtual_time
async def test_a_handshake_that_is_cancelled_leaves_nothing_open(said: bytes) -> None:
    ours, theirs = memory_links()
    link = Recorder(ours)
    await theirs.send(said)
    with anyio.move_on_after(1) as scope:
        await Connection.open(link)
    assert scope.cancelled_caught
    assert link.calls[-1] == "aclose"
    assert theirs.readable()


# -- one command ----------------------------------------------------------------------------------


@in_virtual_time
async def test_a_command_gets_its_reply() -> None:
    async with conversation() as (connection, server), anyio.create_task_group() as tg:
        tg.start_soon(server.echo)
        assert await connection.execute(Echo("hello")) == "hello"
        assert server.lines[-1] == "ECHO hello"
        assert connection.usable


@in_virtual_time
async def test_an_error_of_the_server_is_raised_and_the_connection_lives() -> None:
    async with conversation() as (connection, server):
        await server.link.send(b"-ERR Internal trouble\r\n")
        with pytest.raises(ServerBusyError, match="Internal trouble"):
            await connection.execute(Echo("hello"))
        assert connection.idle


@in_virtual_time
async def test_a_connection_with_anything_to_read_is_not_usable() -> None:
    async with conversation() as (connection, server):
        assert connection.usable
        await server.link.send(b"-ERR goodbye\r\n")
        assert connection.idle
        assert not connection.usable


@in_virtual_time
async def test_sending_nothing_is_a_mistake() -> None:
    """A ticket that waits for no reply would take somebody else's."""
    async with conversation() as (connection, server), anyio.create_task_group() as tg:
        with pytest.raises(UsageError, match="nothing to send"):
            await connection.send([])
        tg.start_soon(server.echo)
        assert await connection.execute(Echo("hello")) == "hello"


# -- split-phase ----------------------------------------------------------------------------------


def text_of(ticket: Ticket) -> list[str]:
    return [Echo("").decode(reply) for reply in ticket.replies]


@in_virtual_time
async def test_commands_sent_together_get_their_replies_in_order() -> None:
    async with conversation() as (connection, server):
        ticket = await connection.send([Echo("a"), Echo("b"), Echo("c")])
        await server.link.send(echoed("a") + echoed("b") + echoed("c"))
        await connection.receive(ticket)
        assert text_of(ticket) == ["a", "b", "c"]
        await connection.receive(ticket)
        assert connection.idle


@in_virtual_time
async def test_a_receive_that_is_cancelled_is_taken_up_by_another_task() -> None:
    async with conversation() as (connection, server):
        ticket = await connection.send([Echo("a"), Echo("b")])
        await server.link.send(echoed("a") + echoed("b")[:3])
        with anyio.move_on_after(1) as scope:
            await connection.receive(ticket)
        assert scope.cancelled_caught
        assert not connection.closed
        assert not connection.idle
        async with anyio.create_task_group() as tg:
            tg.start_soon(connection.receive, ticket)
            await checkpoint()
            await server.link.send(echoed("b")[3:])
        assert text_of(ticket) == ["a", "b"]
        assert connection.idle


@on_virtual_asyncio
async def test_a_receive_whose_task_is_cancelled_is_taken_up_by_another_task() -> None:
    async with conversation() as (connection, server):
        ticket = await connection.send([Echo("a")])
        task = asyncio.create_task(connection.receive(ticket))
        await when(lambda: connection._reading is not None)
        await server.link.send(echoed("a"))
        task.cancel()  # in the very moment when the reply is there
        await asyncio.wait([task])
        assert task.cancelled()
        await connection.receive(ticket)
        assert text_of(ticket) == ["a"]


@in_virtual_time
async def test_the_one_who_waits_reads_on_when_the_reader_is_cancelled() -> None:
    async with conversation() as (connection, server), anyio.create_task_group() as tg:
        first = await connection.send([Echo("a")])
        second = await connection.send([Echo("b")])
        scope = anyio.CancelScope()

        async def give_up() -> None:
            with scope:
                await connection.receive(first)

        tg.start_soon(give_up)
        await when(lambda: connection._reading is not None)
        tg.start_soon(connection.receive, second)
        await when(lambda: connection._news is not None)
        scope.cancel()
        await when(lambda: connection._news is None and connection._reading is not None)
        await server.link.send(echoed("a") + echoed("b"))
        await when(lambda: second.done)
        assert text_of(first) == ["a"]
        assert text_of(second) == ["b"]


@pytest.mark.parametrize("order", list(permutations(range(3))))
@in_virtual_time
async def test_each_receiver_wakes_as_soon_as_its_reply_is_there_whoever_reads(
    order: tuple[int, ...],
) -> None:
    async with conversation() as (connection, server), anyio.create_task_group() as tg:
        tickets = [await connection.send([Echo(text)]) for text in "abc"]
        woken: list[str] = []

        async def receive(ticket: Ticket) -> None:
            await connection.receive(ticket)
            woken.extend(text_of(ticket))

        for index in order:
            tg.start_soon(receive, tickets[index])
            await checkpoint()
        for text in "abc":
            await server.link.send(echoed(text))
            await when(partial(woken.__contains__, text))
            assert woken[-1] == text
        assert connection.idle


@in_virtual_time
async def test_commands_of_many_tasks_are_not_mixed_up() -> None:
    async with conversation(room=7) as (connection, server), anyio.create_task_group() as tg:

        async def ask(text: str) -> None:
            assert await connection.execute(Echo(text)) == text

        async def answer() -> None:
            for _ in range(20):
                await server.echo()

        tg.start_soon(answer)
        for number in range(20):
            tg.start_soon(ask, f"number {number}")


@in_virtual_time
async def test_a_complete_ticket_is_received_though_the_connection_broke() -> None:
    async with conversation() as (connection, server):
        first = await connection.send([Echo("a")])
        second = await connection.send([Echo("b")])
        await server.link.send(echoed("a"))
        await server.link.aclose()
        with pytest.raises(ConnectionLostError):
            await connection.receive(second)
        await connection.receive(first)
        assert text_of(first) == ["a"]


# -- deadlines ------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_reply_that_does_not_come_in_time_ends_the_connection() -> None:
    async with conversation(patience=7) as (connection, server):
        began = anyio.current_time()
        with pytest.raises(CommandTimeoutError, match="did not answer in time") as caught:
            await connection.execute(Echo("a"))
        assert anyio.current_time() - began == pytest.approx(7)
        assert caught.value.maybe_executed is True
        assert connection.closed
        assert server.link.readable()


@pytest.mark.parametrize("seconds", [2, 20])
@in_virtual_time
async def test_a_command_may_have_a_timeout_of_its_own(seconds: float) -> None:
    async with conversation(patience=7) as (connection, _):
        began = anyio.current_time()
        with pytest.raises(CommandTimeoutError):
            await connection.execute(Echo("a"), timeout=seconds)
        assert anyio.current_time() - began == pytest.approx(seconds)


@pytest.mark.parametrize("seconds", [0, -1])
@in_virtual_time
async def test_without_time_left_nothing_is_sent(seconds: float) -> None:
    async with conversation() as (connection, server):
        with pytest.raises(CommandTimeoutError) as caught:
            await connection.execute(Echo("a"), timeout=seconds)
        assert caught.value.maybe_executed is False
        assert not server.link.readable()
        assert connection.usable


@in_virtual_time
async def test_a_server_that_takes_no_bytes_in_time_has_not_got_the_command() -> None:
    async with conversation(room=4) as (connection, _):
        with pytest.raises(CommandTimeoutError, match="took no more bytes in time") as caught:
            await connection.execute(Echo("a"))
        assert caught.value.maybe_executed is False
        assert connection.closed


@in_virtual_time
async def test_a_timeout_after_the_first_of_two_commands_left_proves_nothing() -> None:
    async with conversation(room=len("ECHO a\r\n") + 3) as (connection, server):
        with pytest.raises(CommandTimeoutError, match="took no more bytes") as caught:
            await connection.send([Echo("a"), Echo("b")])
        assert caught.value.maybe_executed is True
        assert await server.line() == "ECHO a"


@in_virtual_time
async def test_a_command_that_waits_for_others_to_be_sent_has_a_deadline_too() -> None:
    async with conversation(room=4) as (connection, _), anyio.create_task_group() as tg:

        async def block() -> None:
            with pytest.raises(CommandTimeoutError, match="took no more bytes"):
                await connection.send([Echo("a")], timeout=5)

        tg.start_soon(block)
        await when(lambda: connection._sending.statistics().locked)
        with pytest.raises(CommandTimeoutError, match="no time left to send") as caught:
            await connection.send([Echo("b")], timeout=2)
        assert caught.value.maybe_executed is False
        assert not connection.closed


@in_virtual_time
async def test_pieces_of_a_reply_do_not_move_the_deadline() -> None:
    async with conversation(patience=7) as (connection, server), anyio.create_task_group() as tg:
        tg.start_soon(trickle, server, echoed("0123456789"), 0.9)
        began = anyio.current_time()
        with pytest.raises(CommandTimeoutError):
            await connection.execute(Echo("0123456789"))
        assert anyio.current_time() - began == pytest.approx(7)
        tg.cancel_scope.cancel()


@in_virtual_time
async def test_pieces_of_a_reply_renew_the_time_where_that_is_asked_for() -> None:
    async with conversation(patience=7) as (connection, server), anyio.create_task_group() as tg:
        tg.start_soon(trickle, server, echoed("0123456789"), 5.0)
        ticket = await connection.send([Echo("0123456789")], renewed=True)
        await connection.receive(ticket)
        assert text_of(ticket) == ["0123456789"]


@in_virtual_time
async def test_a_renewed_time_ends_when_the_pieces_do() -> None:
    async with conversation(patience=7) as (connection, server), anyio.create_task_group() as tg:
        tg.start_soon(trickle, server, echoed("0123456789")[:4], 5.0)
        ticket = await connection.send([Echo("0123456789")], renewed=True)
        began = anyio.current_time()
        with pytest.raises(CommandTimeoutError):
            await connection.receive(ticket)
        assert anyio.current_time() - began == pytest.approx(4 * 5 + 7)


@in_virtual_time
async def test_a_reader_that_gives_up_renews_nobodys_time() -> None:
    async with conversation(patience=7) as (connection, _), anyio.create_task_group() as tg:
        ticket = await connection.send([Echo("a")], renewed=True)
        deadline = ticket.deadline

        async def read_for(seconds: float) -> None:
            with anyio.move_on_after(seconds):
                await connection.receive(ticket)

        tg.start_soon(read_for, 5)
        await when(lambda: connection._reading is not None)
        with pytest.raises(CommandTimeoutError):
            await connection.receive(ticket)
        assert anyio.current_time() == pytest.approx(deadline)


class Late(Link):
    """A link that has the data, but whose loop delivers it some rounds later."""

    def __init__(self, link: MemoryLink) -> None:
        self._link = link

    async def send(self, data: bytes) -> None:
        await self._link.send(data)

    async def receive(self) -> bytes:
        await when(self._link.readable)
        for _ in range(5):
            await checkpoint()
        return await self._link.receive()

    def readable(self) -> bool:
        return self._link.readable()

    def unsent(self) -> int:
        return self._link.unsent()

    def abort(self) -> None:
        self._link.abort()

    async def aclose(self) -> None:
        await self._link.aclose()


@in_virtual_time
async def test_a_reply_that_is_there_is_taken_though_the_loop_was_late() -> None:
    ours, theirs = memory_links()
    server = Server(theirs)
    connection = await opened(Late(ours), server)
    async with anyio.create_task_group() as tg:

        async def answer_late() -> None:
            await server.echo()
            jump(20)

        tg.start_soon(answer_late)
        assert await connection.execute(Echo("a")) == "a"
        assert connection.idle


@in_virtual_time
async def test_a_late_loop_is_not_an_excuse_for_a_server_that_says_half_a_reply() -> None:
    ours, theirs = memory_links()
    server = Server(theirs)
    connection = await opened(Late(ours), server)
    ticket = await connection.send([Echo("a")])
    await theirs.send(echoed("a")[:3])
    jump(20)
    began = anyio.current_time()
    with pytest.raises(CommandTimeoutError):
        await connection.receive(ticket)
    assert anyio.current_time() - began <= 1.0


# -- the truth about what was executed ------------------------------------------------------------


@pytest.mark.parametrize("room", [1, 7, 8, 9, 15, 16, 17, 23, 24, 31, 32, 100])
@pytest.mark.parametrize("ended_by", ["us", "the deadline", "the server"])
@in_virtual_time
async def test_each_command_of_a_pipeline_knows_whether_it_can_have_been_executed(
    room: int, ended_by: str
) -> None:
    """The server executes a command when it has its newline, never before."""
    ours, theirs = memory_links(room)
    errors: dict[str, FaktoryError] = {}
    server = Server(theirs)
    connection = await opened(ours, server)

    async def ask(text: str) -> None:
        try:
            await connection.execute(Echo(text))
        except FaktoryError as error:
            errors[text] = error

    async with anyio.create_task_group() as tg:
        for text in "abcd":
            tg.start_soon(ask, text)
            await checkpoint()
        if ended_by == "us":
            connection.abort()
        elif ended_by == "the server":
            got = bytes(theirs._incoming.data)
            await theirs.aclose()
            theirs._incoming.data[:] = got
    count = bytes(theirs._incoming.data).count(b"\n")
    assert [errors[text].maybe_executed for text in "abcd"] == [n < count for n in range(4)]
    kind = CommandTimeoutError if ended_by == "the deadline" else ConnectionLostError
    assert {type(error) for error in errors.values()} == {kind}


@in_virtual_time
async def test_the_answered_commands_of_a_ticket_are_kept_when_the_next_is_lost() -> None:
    async with conversation() as (connection, server):
        ticket = await connection.send([Echo("a"), Echo("b")])
        await server.echo()
        await server.link.aclose()
        with pytest.raises(ConnectionLostError, match="server closed") as caught:
            await connection.receive(ticket)
        assert text_of(ticket) == ["a"]
        assert caught.value.maybe_executed is True


@in_virtual_time
async def test_the_link_is_aborted_before_anybody_is_told_what_stayed() -> None:
    """Told first, the bytes could still leave."""
    ours, theirs = memory_links(room=4)
    link = Recorder(ours)
    server = Server(theirs)
    connection = await opened(link, server)
    link.calls.clear()
    with pytest.raises(CommandTimeoutError):
        await connection.execute(Echo("a"))
    assert link.calls[:3] == ["send", "abort", "unsent"]


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b":1\r\n", ProtocolError),
        (b"$1\r\nabc", ProtocolError),
        (b"$99999999999\r\n", ProtocolError),
    ],
)
@in_virtual_time
async def test_bytes_without_sense_end_the_connection(
    said: bytes, error: type[FaktoryError]
) -> None:
    async with conversation() as (connection, server):
        await server.link.send(said)
        with pytest.raises(error) as caught:
            await connection.execute(Echo("a"))
        assert caught.value.maybe_executed is True
        assert connection.closed
        assert repr(connection) == "<Connection broken>"
        with pytest.raises(error) as again:
            await connection.execute(Echo("b"))
        assert again.value.maybe_executed is False


@in_virtual_time
async def test_a_reply_too_many_does_not_spoil_the_ones_before_it() -> None:
    async with conversation() as (connection, server):
        await server.link.send(echoed("a") + b"-ERR too many connections: 2001\r\n")
        assert await connection.execute(Echo("a")) == "a"
        assert connection.closed
        with pytest.raises(TooManyConnectionsError):
            await connection.execute(Echo("b"))


@in_virtual_time
async def test_a_connection_on_which_half_a_reply_too_many_came_is_not_used_again() -> None:
    async with conversation() as (connection, server):
        await server.link.send(echoed("a") + b"-ERR shutdown in pro")
        assert await connection.execute(Echo("a")) == "a"
        assert not connection.usable
        assert not connection.idle
        await connection.aclose()
        assert "END" not in server.lines


@pytest.mark.parametrize(
    "refusal",
    [
        b"-ERR shutdown in progress\r\n",
        b"-ERR invalid JSON: x\r\n",
        b"-NOTUNIQUE Job not unique\r\n",
        b"-ERR Invalid password\r\n",
        b"-ERR what now\r\n",
    ],
)
@in_virtual_time
async def test_a_refusal_that_was_begun_before_the_command_proves_nothing_about_it(
    refusal: bytes,
) -> None:
    async with conversation() as (connection, server), anyio.create_task_group() as tg:

        async def go_on() -> None:
            await server.line()  # and may store what it asks for
            await server.link.send(refusal[10:])

        await server.link.send(echoed("a") + refusal[:10])
        assert await connection.execute(Echo("a")) == "a"
        await server.line()
        tg.start_soon(go_on)
        with pytest.raises(ConnectionLostError, match="ended the connection: ") as caught:
            await connection.execute(Echo("b"))
        assert caught.value.maybe_executed is True
        assert isinstance(connection.error, ConnectionLostError)
        with pytest.raises(ConnectionLostError, match="ended the connection: ") as again:
            await connection.execute(Echo("c"))
        assert again.value.maybe_executed is False


@in_virtual_time
async def test_the_end_of_the_stream_ends_the_connection() -> None:
    async with conversation() as (connection, server):
        ticket = await connection.send([Echo("a")])
        await server.link.aclose()
        with pytest.raises(ConnectionLostError, match="the server closed") as caught:
            await connection.receive(ticket)
        assert caught.value.maybe_executed is True
        with pytest.raises(ConnectionLostError) as again:
            await connection.receive(ticket)
        assert again.value.maybe_executed is True


@in_virtual_time
async def test_a_link_that_cannot_send_has_not_sent() -> None:
    async with conversation() as (connection, server):
        await server.link.aclose()
        with pytest.raises(ConnectionLostError, match="was lost: the other end") as caught:
            await connection.execute(Echo("a"))
        assert caught.value.maybe_executed is False


@in_virtual_time
async def test_all_who_wait_are_told_of_an_abort() -> None:
    async with conversation() as (connection, _), anyio.create_task_group() as tg:
        told: list[bool] = []
        before = connection._session.written

        async def ask(text: str) -> None:
            with pytest.raises(ConnectionLostError, match="the connection was closed") as caught:
                await connection.execute(Echo(text))
            told.append(caught.value.maybe_executed)

        for text in "abc":
            tg.start_soon(ask, text)
        await when(lambda: connection._session.written - before == 3 * len("ECHO a\r\n"))
        connection.abort()
        await when(lambda: len(told) == 3)
        assert told == [True] * 3


# -- the end --------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_close_says_goodbye() -> None:
    async with conversation() as (connection, server):
        await connection.aclose()
        assert connection.closed
        assert await server.line() == "END"
        with pytest.raises(ConnectionLostError, match="closed") as caught:
            await connection.execute(Echo("a"))
        assert caught.value.maybe_executed is False
        await connection.aclose()


@in_virtual_time
async def test_a_close_with_an_unanswered_command_says_nothing() -> None:
    """A server comes to an END after the commands before it, and would close meanwhile."""
    async with conversation() as (connection, server):
        await connection.send([Echo("a")])
        await connection.aclose()
        assert await server.line() == "ECHO a"
        with pytest.raises(OSError, match="aborted"):
            await server.line()


async def sent(_: bytes) -> None:
    """Take bytes and forget them."""


async def refused(_: bytes) -> None:
    raise BrokenPipeError


async def stuck(_: bytes) -> None:
    await anyio.sleep_forever()


@pytest.mark.parametrize("send", [sent, refused, stuck])
@pytest.mark.parametrize("cancelled", ["cancelled", "not cancelled"])
@in_virtual_time
async def test_a_close_always_frees_the_link_within_a_second(
    send: Callable[[bytes], Awaitable[None]], cancelled: str
) -> None:
    """A stream that is only shut down keeps its socket until the garbage collector comes."""
    ours, _ = memory_links()
    link = Recorder(ours, send)
    connection = Connection(link, timeout=7, session=ready())
    began = anyio.current_time()
    with anyio.CancelScope() as scope:
        if cancelled == "cancelled":
            scope.cancel()
        await connection.aclose()
    assert anyio.current_time() - began <= 1.0
    assert link.calls.count("aclose") == 1


@on_virtual_asyncio
async def test_a_close_whose_task_is_cancelled_frees_the_link() -> None:
    ours, _ = memory_links()
    link = Recorder(ours, stuck)
    connection = Connection(link, timeout=7, session=ready())
    task = asyncio.create_task(connection.aclose())
    await when(lambda: "send" in link.calls)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert link.calls.count("aclose") == 1


def ready() -> ClientSession:
    session = ClientSession()
    session.receive(HI)
    session.hello(Identity(), None)
    session.receive(b"+OK\r\n")
    return session


@in_virtual_time
async def test_a_peer_that_never_lets_go_holds_a_close_for_a_second_only() -> None:
    ours, _ = memory_links()

    class Stubborn(Recorder):
        async def aclose(self) -> None:
            await super().aclose()
            await anyio.sleep_forever()

    link: Link = Stubborn(ours)
    connection = Connection(link, timeout=7, session=ready())
    began = anyio.current_time()
    await connection.aclose()
    assert anyio.current_time() - began == pytest.approx(1.0)
