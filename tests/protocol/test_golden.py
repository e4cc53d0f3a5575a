"""The commands and the real server, held to the same bytes."""

import socket
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from faktory_async.errors import AuthenticationError, FaktoryError
from faktory_async.protocol import (
    COMMANDS,
    PRODUCER,
    ClientSession,
    Hello,
    Info,
    Raw,
    ReplyReader,
    State,
    encode_reply,
)
from tests.protocol.golden import GOLDEN, NOTHING, Golden, masked, meaning
from tests.real import RealServer, RealServerFactory

for_each_row = pytest.mark.parametrize("row", GOLDEN, ids=[row.name for row in GOLDEN])


def test_every_command_has_a_golden_row() -> None:
    assert {type(row.command) for row in GOLDEN} == set(COMMANDS)


def test_no_two_commands_say_the_same() -> None:
    said: dict[bytes, set[type]] = {}
    for row in GOLDEN:
        words = row.sent.split()
        plain = words[0] not in (b"QUEUE", b"BATCH", b"TRACK")
        said.setdefault(words[0] if plain else b" ".join(words[:2]), set()).add(type(row.command))
    said[b"QUEUE LATENCY"].discard(Raw)
    assert [len(kinds) for kinds in said.values()] == [1] * len(said)


def test_the_rows_have_names_of_their_own() -> None:
    assert len({row.name for row in GOLDEN}) == len(GOLDEN)


@for_each_row
def test_the_command_is_sent_as_these_bytes(row: Golden) -> None:
    assert row.command.encode() == row.sent


@for_each_row
def test_the_reply_is_read_and_written_as_these_bytes(row: Golden) -> None:
    replies = ReplyReader().feed(row.reply)
    assert len(replies) == (0 if row.meaning is NOTHING else 1)
    assert b"".join(map(encode_reply, replies)) == row.reply


@for_each_row
def test_the_reply_means_this(row: Golden) -> None:
    answers: list[object] = []
    for reply in ReplyReader().feed(row.reply):
        try:
            answers.append(row.command.decode(reply))
        except FaktoryError as error:
            answers.append(error)
    assert [meaning(answer) for answer in answers] == (
        [] if row.meaning is NOTHING else [row.meaning]
    )


# -- the real server --------------------------------------------------------------------------


@contextmanager
def connection(server: RealServer) -> Generator[socket.socket]:
    """Open a connection and take in the greeting."""
    with socket.create_connection((server.host, server.port), timeout=20) as opened:
        assert one_reply(opened).startswith(b"+HI ")
        yield opened


def one_reply(source: socket.socket) -> bytes:
    """Return the bytes of one reply, or b"" at the end."""
    reader, taken = ReplyReader(), b""
    while not (taken and not reader.pending):
        piece = source.recv(1)
        if not piece:
            break
        taken += piece
        reader.feed(piece)
    return taken


def test_the_real_server_answers_as_the_table_says(real_server_factory: RealServerFactory) -> None:
    server = real_server_factory()
    for script in connections():
        with connection(server) as opened:
            for row in script:
                opened.sendall(row.sent)
                assert masked(one_reply(opened)) == masked(row.reply), row.name


def connections() -> list[list[Golden]]:
    """Cut the script where a new connection begins."""
    scripts: list[list[Golden]] = []
    for row in GOLDEN:
        if isinstance(row.command, Hello):
            scripts.append([])
        scripts[-1].append(row)
    return scripts


@pytest.mark.parametrize("password", ["sekrit", "pä ß:@/日本", "x" * 1000])
def test_the_real_server_accepts_the_hash_of_its_password(
    password: str, real_server_factory: RealServerFactory
) -> None:
    session = shake_hands(real_server_factory(password=password), password)
    assert session.state is State.READY
    assert session.greeting is not None
    assert session.greeting.salt
    assert session.greeting.iterations > 1


def test_the_real_server_refuses_the_hash_of_another_password(
    real_server_factory: RealServerFactory,
) -> None:
    with pytest.raises(AuthenticationError, match="Invalid password") as caught:
        shake_hands(real_server_factory(password="sekrit"), "Sekrit")
    assert not caught.value.maybe_executed
    assert "Sekrit" not in repr(caught.value)


def shake_hands(server: RealServer, password: str) -> ClientSession:
    session = ClientSession()
    with socket.create_connection((server.host, server.port), timeout=20) as opened:
        while session.state is State.GREETING:
            session.receive(opened.recv(65536))
        opened.sendall(session.hello(PRODUCER, password))
        while session.state is State.IDENTIFYING:
            session.receive(opened.recv(65536))
    return session


def test_a_session_pipelines_commands_to_the_real_server(real_server: RealServer) -> None:
    session = ClientSession()
    with socket.create_connection((real_server.host, real_server.port), timeout=20) as opened:
        while session.state is State.GREETING:
            session.receive(opened.recv(65536))
        hello = session.hello(PRODUCER, None)
        session.receive(b"+OK\r\n")  # sent with what follows, the server's own comes first below
        commands = [row.command for row in GOLDEN if row.name.endswith("nobody knows fails")] * 50
        data, ticket = session.send(commands)
        opened.sendall(hello + data)
        assert one_reply(opened) == b"+OK\r\n"
        while not ticket.done:
            session.receive(opened.recv(65536))
    assert session.state is State.READY
    assert {encode_reply(reply) for reply in ticket.replies} == {b"-ERR Job not found nobody\r\n"}


def test_masking_leaves_nothing_but_what_differs() -> None:
    fetched = next(row for row in GOLDEN if row.name == "a job is fetched")
    info = next(row for row in GOLDEN if isinstance(row.command, Info))
    assert masked(fetched.reply) == (
        b'$LENGTH\r\n{"retry":25,"jid":"golden-01","queue":"golden","jobtype":"order",'
        b'"created_at":"MOMENT","enqueued_at":"MOMENT","args":[1]}\r\n'
    )
    assert masked(info.reply).startswith(
        b'$LENGTH\r\n{"now":"MOMENT","server_utc_time":"CLOCK","faktory":{"queues":{"golden":N}'
    )
    assert masked(b"$-1\r\n") == b"$-1\r\n"
