"""One client of the embedded server: what it sends in whatever pieces, and what it gets."""

import hashlib
import json
import logging

import anyio
import anyio.lowlevel
import pytest

from faktory_async.net import AsyncioLink
from faktory_async.server import EmbeddedServer
from faktory_async.server._conversation import Conversation
from tests.net._loops import in_virtual_time, on_every_loop
from tests.server._wire import (
    GREETING,
    HELLO,
    NIL,
    OK,
    Dial,
    Wire,
    by_memory,
    by_tcp,
    connected,
)

both_ways = pytest.mark.parametrize("dial", [by_tcp, by_memory])

JOB = b'{"jid":"a-job-001","jobtype":"a","args":[]}'


def unknown(verb: bytes) -> bytes:
    return b"-ERR unknown command %b\r\n" % verb


def the_conversation(server: EmbeddedServer) -> Conversation:
    """The only one that a server has."""
    (conversation,) = server._core.conversations.values()
    return conversation


# -- the handshake --------------------------------------------------------------------------------


@in_virtual_time
async def test_who_says_nothing_is_sent_away_after_two_seconds() -> None:
    async with EmbeddedServer() as server, connected(server, by_memory, hello=None) as wire:
        start = anyio.current_time()
        assert await wire.end() == GREETING
        assert anyio.current_time() - start == pytest.approx(2)


@in_virtual_time
async def test_a_hello_that_trickles_in_has_no_more_time() -> None:
    async with EmbeddedServer() as server, connected(server, by_memory, hello=None) as wire:
        start = anyio.current_time()
        for byte in HELLO[:10]:
            with anyio.move_on_after(0.15):
                await wire.rest()
            await wire.send(bytes([byte]))
        assert await wire.end() == GREETING
        assert anyio.current_time() - start == pytest.approx(2)


@in_virtual_time
async def test_who_was_greeted_in_time_may_be_silent_for_long() -> None:
    async with EmbeddedServer() as server, connected(server, by_memory, hello=None) as wire:
        await wire.reply()
        with anyio.move_on_after(1.9):
            await wire.rest()
        assert await wire.ask(HELLO.strip()) == OK
        with anyio.move_on_after(300) as silence:
            await wire.rest()
        assert silence.cancelled_caught
        assert await wire.ask(b"NOPE") == unknown(b"NOPE")


@in_virtual_time
async def test_the_deadline_of_the_handshake_does_not_cut_a_fetch_sent_with_it() -> None:
    async with (
        EmbeddedServer(handshake_wait=1, fetch_wait=3) as server,
        connected(server, by_memory, hello=None) as wire,
    ):
        await wire.send(HELLO + b"FETCH q\r\nNOPE\r\n")
        start = anyio.current_time()
        assert await wire.replies(4) == [GREETING, OK, NIL, unknown(b"NOPE")]
        assert anyio.current_time() - start == pytest.approx(3)


@on_every_loop
@both_ways
@pytest.mark.parametrize(
    "line",
    [
        b"INFO",
        b"hello {}",
        b"HELLO",
        b"HELLO  {}",
        b"HELLO{}",
        b'HELLO {"v":2} x',
        b'HELLO {"v":256}',
        b'HELLO {"wid":1}',
        b"GET / HTTP/1.1",
        b"\x16\x03\x01\x02\x00",
        b"",
    ],
)
async def test_a_bad_hello_ends_the_connection_without_a_word(dial: Dial, line: bytes) -> None:
    async with EmbeddedServer() as server, connected(server, dial, hello=None) as wire:
        await wire.send(line + b"\r\n")
        assert await wire.rest() == GREETING
        assert server.counters.connections == 0


def challenge(greeting: bytes) -> tuple[int, bytes]:
    """Return iterations and salt of a greeting that asks for the password."""
    fields = json.loads(greeting.removeprefix(b"+HI "))
    assert list(fields) == ["v", "i", "s"]
    return fields["i"], fields["s"].encode()


def proof(password: bytes, salt: bytes, iterations: int) -> str:
    data = password + salt
    for _ in range(iterations):
        data = hashlib.sha256(data).digest()
    return data.hex()


@on_every_loop
@both_ways
async def test_who_proves_the_password_is_let_in(dial: Dial) -> None:
    async with (
        EmbeddedServer(password="sekrit é") as server,
        connected(server, dial, hello=None) as wire,
    ):
        iterations, salt = challenge(await wire.reply())
        assert 4000 <= iterations < 8096
        hello = {"v": 2, "pwdhash": proof("sekrit é".encode(), salt, iterations)}
        assert await wire.ask(b"HELLO " + json.dumps(hello).encode()) == OK
        assert await wire.ask(b"NOPE") == unknown(b"NOPE")


@on_every_loop
@both_ways
@pytest.mark.parametrize(
    ("version", "hashed", "accepted"), [(1, 1, True), (2, 1, False), (1, 0, False)]
)
async def test_only_before_version_two_one_hash_is_proof(
    dial: Dial, version: int, hashed: int, *, accepted: bool
) -> None:
    async with (
        EmbeddedServer(password="sekrit") as server,
        connected(server, dial, hello=None) as wire,
    ):
        iterations, salt = challenge(await wire.reply())
        pwdhash = proof(b"sekrit", salt, hashed or iterations)
        await wire.send(b'HELLO {"v":%d,"pwdhash":"%b"}\r\n' % (version, pwdhash.encode()))
        if accepted:
            assert await wire.reply() == OK
        else:
            assert await wire.rest() == b"-ERR Invalid password\r\n"


@on_every_loop
async def test_no_two_connections_get_the_same_challenge() -> None:
    async with (
        EmbeddedServer(password="sekrit") as server,
        connected(server, hello=None) as one,
        connected(server, hello=None) as other,
    ):
        assert challenge(await one.reply())[1] != challenge(await other.reply())[1]


# -- pieces -----------------------------------------------------------------------------------


@on_every_loop
@both_ways
async def test_commands_may_come_in_one_piece_without_limit(dial: Dial) -> None:
    count = 20_000
    lines = b"".join(b"X%d\r\n" % number for number in range(count))
    async with (
        EmbeddedServer() as server,
        connected(server, dial, hello=None) as wire,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(wire.send, HELLO + lines)
        assert await wire.replies(2) == [GREETING, OK]
        for number in range(count):
            assert await wire.reply() == unknown(b"X%d" % number)


@on_every_loop
@both_ways
async def test_commands_may_come_byte_by_byte(dial: Dial) -> None:
    async with EmbeddedServer() as server, connected(server, dial, hello=None) as wire:
        assert await wire.reply() == GREETING
        for byte in HELLO + b"PUSH " + JOB + b"\nFETCH default\r\nACK {}\r\n":
            await wire.send(bytes([byte]))
            await anyio.lowlevel.checkpoint()
        assert await wire.replies(2) == [OK, OK]
        assert b'"jid":"a-job-001"' in await wire.reply()
        assert await wire.reply() == b"-ERR invalid ACK {}\r\n"


@on_every_loop
@both_ways
async def test_end_lets_the_earlier_ones_be_answered_and_the_later_ones_not_be_done(
    dial: Dial,
) -> None:
    async with EmbeddedServer() as server, connected(server, dial) as wire:
        push = b"PUSH " + JOB + b"\r\n"
        await wire.send(b"ONE\r\n" + push + b"END now\r\n" + push + b"TWO\r\n")
        assert await wire.end() == unknown(b"ONE") + OK
        assert len(server.queues["default"]) == 1


@on_every_loop
async def test_a_client_that_says_no_more_gets_every_answer_and_then_the_end() -> None:
    async with EmbeddedServer(fetch_wait=0.05) as server, connected(server, hello=None) as wire:
        await wire.send(HELLO + b"ONE\r\nFETCH q\r\n" + b"TWO\r\n" * 1000 + b"an unfinished line")
        wire.half_close()
        expected = GREETING + OK + unknown(b"ONE") + NIL + unknown(b"TWO") * 1000
        assert await wire.rest() == expected


@on_every_loop
@both_ways
async def test_a_line_over_the_limit_ends_the_connection(
    dial: Dial, caplog: pytest.LogCaptureFixture
) -> None:
    async with EmbeddedServer(max_line=100) as server, connected(server, dial) as wire:
        assert await wire.ask(b"A" * 100) == unknown(b"A" * 100)
        await wire.send(b"ONE\r\n" + b"B" * 101 + b"\r\nTWO\r\n")
        assert await wire.end() == unknown(b"ONE")
    assert "more than 100 bytes" in caplog.text


@on_every_loop
@both_ways
async def test_a_line_without_an_end_does_not_grow_over_the_limit(dial: Dial) -> None:
    async with EmbeddedServer(max_line=100) as server, connected(server, dial) as wire:
        await wire.send(b"A" * 103)
        assert await wire.end() == b""


@on_every_loop
@pytest.mark.parametrize("verb", [b"PUSH %b", b"PUSHB [%b]"])
async def test_a_document_over_the_limit_of_depth_is_refused(verb: bytes) -> None:
    def job(depth: int) -> bytes:
        args = b"[" * depth + b"]" * depth
        return b'{"jid":"a-job-001","jobtype":"a","args":%b}' % args

    async with EmbeddedServer(max_depth=8) as server, connected(server) as wire:
        assert (await wire.ask(verb % job(6)))[:1] in {b"+", b"$"}
        refusal = await wire.ask(verb % job(9))
        assert refusal == b"-ERR invalid JSON: invalid character '[' exceeded max depth\r\n"
        assert len(server.queues["default"]) == 1


# -- bounds -----------------------------------------------------------------------------------


async def flood(wire: Wire, data: bytes, times: int) -> None:
    for _ in range(times):
        await wire.send(data)


@in_virtual_time
@pytest.mark.parametrize("line", [b"INFO\r\n", b"E" * 10_000 + b"\r\n"], ids=["info", "echo"])
async def test_a_client_that_does_not_read_cannot_fill_the_memory(line: bytes) -> None:
    total = 4_000_000
    async with EmbeddedServer() as server, connected(server, by_memory) as wire:
        with anyio.move_on_after(10) as scope:
            await flood(wire, line * 10, total // len(line) // 10)
        assert scope.cancelled_caught
        conversation = the_conversation(server)
        assert conversation._session.buffered < 150_000
        assert conversation._link.unsent() < 100_000
        assert not conversation._out


@in_virtual_time
async def test_a_fetch_behind_answers_that_nobody_reads_takes_no_job() -> None:
    async with (
        EmbeddedServer() as server,
        connected(server, by_memory) as stalled,
        connected(server, by_memory) as producer,
    ):
        # Some 40 kB of answers fit into the way back, and as many again do not.
        await stalled.send(b"INFO\r\n" * 60)
        with anyio.move_on_after(1):
            await producer.rest()
        await stalled.send(b"INFO\r\n" * 60 + b"FETCH default\r\n")
        with anyio.move_on_after(10):
            await producer.rest()
        assert await producer.ask(b"PUSH " + JOB) == OK
        assert len(server.queues["default"]) == 1
        stalled.link.abort()
        assert b"a-job-001" in await producer.ask(b"FETCH default")


@on_every_loop
async def test_nor_can_one_that_has_a_socket() -> None:
    chunk = b"INFO\r\n" * 10_000
    async with EmbeddedServer() as server, connected(server) as wire:
        with wire.raw() as sock:
            stuck = 0
            while stuck < 500:
                try:
                    sock.send(chunk)
                    stuck = 0
                except BlockingIOError:
                    stuck += 1
                await anyio.lowlevel.checkpoint()
        conversation = the_conversation(server)
        assert conversation._session.buffered < 1_000_000
        assert not conversation._out
        if isinstance(conversation._link, AsyncioLink):
            assert conversation._link._size < 1_000_000
            assert conversation._link.unsent() < 100_000


@on_every_loop
async def test_who_reads_late_gets_every_answer() -> None:
    async with EmbeddedServer() as server, connected(server) as wire:
        line, times = b"E" * 10_000, 2_000
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(flood, wire, line + b"\r\n", times)
            for _ in range(1000):
                await anyio.lowlevel.checkpoint()
            for _ in range(times):
                assert await wire.reply() == unknown(line)


@on_every_loop
@both_ways
async def test_a_long_pipeline_does_not_keep_others_waiting(dial: Dial) -> None:
    count = 10_000
    async with (
        EmbeddedServer() as server,
        connected(server, dial) as busy,
        connected(server, dial) as other,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(busy.send, b'ACK {"jid":"a"}\r\n' * count)
        await anyio.lowlevel.checkpoint()
        await other.ask(b"TRACK")
        assert server._answers.commands < count / 4
        await busy.replies(count)


# -- mistakes ---------------------------------------------------------------------------------


@on_every_loop
async def test_a_mistake_of_our_own_is_an_internal_error_and_the_server_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    async with EmbeddedServer() as server, connected(server) as wire:
        monkeypatch.setattr(server._broker, "flush", fail)
        assert await wire.ask(b"FLUSH pwdhash") == b"-ERR internal error\r\n"
        assert await wire.ask(b"NOPE") == unknown(b"NOPE")
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage() == "the embedded server failed at b'FLUSH'"
    assert record.exc_info is not None


@on_every_loop
async def test_a_mistake_of_our_own_in_the_handshake_lets_nobody_in(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    async with EmbeddedServer() as server, connected(server, hello=None) as wire:
        monkeypatch.setattr(server._broker, "connect", fail)
        await wire.send(HELLO)
        assert await wire.rest() == GREETING
    assert "the embedded server failed at b'HELLO'" in caplog.text
