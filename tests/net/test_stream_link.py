"""What the link over any stream of anyio promises: on sockets of every loop, and without one."""

import contextlib
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream
from anyio.lowlevel import checkpoint
from anyio.streams.stapled import StapledObjectStream

from faktory_async.net import NETWORK_ERRORS, StreamLink
from faktory_async.net._stream_link import socket_readable
from tests.net._loops import in_virtual_time, on_every_loop
from tests.net._peers import HOST, Peer, listener, when
from tests.net._tls import Authority, Records, tls_server

MUCH = bytes(range(256)) * 65_536  # 16 MiB: more than the buffers of two sockets hold


@asynccontextmanager
async def linked() -> AsyncGenerator[tuple[StreamLink, Peer]]:
    with listener() as listening:
        stream = await anyio.connect_tcp(*listening.getsockname())
        link = StreamLink(stream)
        accepted, _ = listening.accept()
        with accepted:
            try:
                yield link, Peer(accepted)
            finally:
                await link.aclose()


class Bytes(ByteStream):
    """A byte stream without a socket, in memory."""

    def __init__(self, ends: StapledObjectStream[bytes]) -> None:
        self._ends = ends
        self.closed = False

    async def send(self, item: bytes) -> None:
        await self._ends.send(item)

    async def receive(self, max_bytes: int = 65_536) -> bytes:
        return await self._ends.receive()

    async def send_eof(self) -> None:
        await self._ends.send_eof()

    async def aclose(self) -> None:
        self.closed = True
        await self._ends.aclose()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return {}


def streams() -> tuple[Bytes, Bytes]:
    to_right, from_left = anyio.create_memory_object_stream[bytes](1)
    to_left, from_right = anyio.create_memory_object_stream[bytes](1)
    return (
        Bytes(StapledObjectStream(to_right, from_right)),
        Bytes(StapledObjectStream(to_left, from_left)),
    )


# -- over a socket ------------------------------------------------------------------------------


@on_every_loop
async def test_bytes_go_out_and_come_in() -> None:
    async with linked() as (link, peer):
        await link.send(b"there")
        assert await peer.read(5) == b"there"
        peer.send(b"back")
        assert await link.receive() == b"back"


@on_every_loop
async def test_the_end_comes_after_the_data_and_stays() -> None:
    async with linked() as (link, peer):
        peer.send(b"last")
        peer.close()
        assert await link.receive() == b"last"
        assert await link.receive() == b""
        assert await link.receive() == b""


@on_every_loop
async def test_a_reset_is_an_error() -> None:
    async with linked() as (link, peer):
        peer.reset()
        with pytest.raises(anyio.BrokenResourceError):
            await link.receive()


@on_every_loop
async def test_nothing_is_readable_on_an_idle_link() -> None:
    async with linked() as (link, _):
        assert not link.readable()


@pytest.mark.parametrize("end", [Peer.close, Peer.reset, Peer.half_close])
@on_every_loop
async def test_an_end_is_readable_at_once(end: Callable[[Peer], None]) -> None:
    async with linked() as (link, peer):
        end(peer)
        assert link.readable()


@on_every_loop
async def test_a_cancelled_receive_loses_nothing() -> None:
    async with linked() as (link, peer), anyio.create_task_group() as tg:

        async def receive() -> None:
            await link.receive()
            raise AssertionError("nothing was there to receive")

        tg.start_soon(receive)
        await when(lambda: bool(link._at_work))
        tg.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await when(lambda: not link._at_work)
            peer.send(b"kept")
            assert await link.receive() == b"kept"


@on_every_loop
async def test_what_stayed_here_cannot_be_known() -> None:
    async with linked() as (link, peer), anyio.create_task_group() as tg:

        async def send() -> None:
            with pytest.raises((anyio.BrokenResourceError, anyio.ClosedResourceError)):
                await link.send(MUCH)

        tg.start_soon(send)
        await when(lambda: bool(link._at_work))
        await checkpoint()
        assert link.unsent() == 0
        link.abort()
        assert len(await peer.read_to_end()) < len(MUCH)


@on_every_loop
async def test_an_abort_wakes_the_one_who_receives() -> None:
    async with linked() as (link, _), anyio.create_task_group() as tg:
        ends: list[bytes | BaseException] = []

        async def receive() -> None:
            try:
                ends.append(await link.receive())
            except anyio.ClosedResourceError as error:
                ends.append(error)

        tg.start_soon(receive)
        await when(lambda: bool(link._at_work))
        link.abort()
        await when(lambda: bool(ends))


@on_every_loop
async def test_the_peer_sees_an_abort_at_once() -> None:
    async with linked() as (link, peer):
        link.abort()
        link.abort()
        assert link.readable()
        assert await peer.read_to_end() == b""


@on_every_loop
async def test_a_link_that_is_over_neither_sends_nor_receives() -> None:
    async with linked() as (link, peer):
        link.abort()
        with pytest.raises(anyio.ClosedResourceError):
            await link.send(b"never")
        with pytest.raises(anyio.ClosedResourceError):
            await link.receive()
        assert await peer.read_to_end() == b""


@on_every_loop
async def test_aborting_after_the_transport_closed_itself_hurts_no_other_socket() -> None:
    """A transport of uvloop still names its descriptor when that belongs to somebody else."""
    async with linked() as (link, peer):
        peer.reset()
        with pytest.raises(anyio.BrokenResourceError):
            await link.receive()
        await link._stream.aclose()
        pairs = [socket.socketpair() for _ in range(20)]
        link.abort()
        assert link.readable()
        for one, other in pairs:
            one.send(b"alive")
            assert other.recv(5) == b"alive"
            one.close()
            other.close()


@on_every_loop
async def test_a_close_that_is_cancelled_frees_all_the_same() -> None:
    async with linked() as (link, peer):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await link.aclose()
        assert await peer.read_to_end() == b""
        await link.aclose()


# -- with TLS -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@asynccontextmanager
async def encrypted(
    authority: Authority, answer: Callable[[Records], None]
) -> AsyncGenerator[StreamLink]:
    """Give a link to a server that answers a line with records, all of them in one segment."""

    def behave(connection: socket.socket) -> None:
        records = Records(connection, authority.server_context())
        records.read_line()
        answer(records)
        records.flush()
        while connection.recv(65_536):
            pass

    with tls_server(None, behave) as port:
        stream = await anyio.connect_tcp(
            HOST,
            port,
            tls=True,
            ssl_context=authority.trusting_context(),
            tls_standard_compatible=False,
        )
        link = StreamLink(stream)
        try:
            await link.send(b"go on\r\n")
            yield link
        finally:
            await link.aclose()


@on_every_loop
async def test_a_second_record_is_readable_and_not_lost(authority: Authority) -> None:
    def answer(records: Records) -> None:
        records.write(b"one")
        records.write(b"two")
        records.write(b"three")

    async with encrypted(authority, answer) as link:
        assert await link.receive() == b"one"
        assert link.readable()
        assert link.readable(), "however often it is asked"
        assert await link.receive() == b"two"
        assert await link.receive() == b"three", "whether it was asked or not"
        assert not link.readable()


@on_every_loop
async def test_a_goodbye_behind_the_data_is_readable(authority: Authority) -> None:
    def answer(records: Records) -> None:
        records.write(b"last")
        records.say_goodbye()

    async with encrypted(authority, answer) as link:
        assert await link.receive() == b"last"
        assert link.readable()
        assert await link.receive() == b""
        assert await link.receive() == b""


@on_every_loop
async def test_what_is_no_record_is_readable_and_ends_the_link(authority: Authority) -> None:
    def answer(records: Records) -> None:
        records.write(b"last")
        records.garble(b"HTTP/1.1 400 Bad Request\r\n")

    async with encrypted(authority, answer) as link:
        assert await link.receive() == b"last"
        assert link.readable()
        with contextlib.suppress(*NETWORK_ERRORS):  # versions of OpenSSL differ
            assert await link.receive() == b""


@on_every_loop
async def test_half_a_record_is_not_lost_by_looking(authority: Authority) -> None:
    go_on = threading.Event()

    def answer(records: Records) -> None:
        records.write(b"one")
        records.write(b"two")
        records.flush_all_but(5)
        go_on.wait(10)

    async with encrypted(authority, answer) as link:
        assert await link.receive() == b"one"
        assert not link.readable()
        go_on.set()
        assert await link.receive() == b"two"


# -- without a socket -----------------------------------------------------------------------------


@in_virtual_time
async def test_a_stream_without_a_socket_carries_bytes_and_its_end() -> None:
    ours, theirs = streams()
    link = StreamLink(ours)
    await link.send(b"there")
    assert await theirs.receive() == b"there"
    await theirs.send(b"back")
    assert not link.readable()
    assert await link.receive() == b"back"
    await theirs.aclose()
    assert await link.receive() == b""
    await link.aclose()
    assert ours.closed


@pytest.mark.parametrize("what", ["send", "receive"])
@in_virtual_time
async def test_an_abort_wakes_whoever_waits_where_there_is_no_socket(what: str) -> None:
    ours, theirs = streams()
    link = StreamLink(ours)
    if what == "send":
        await link.send(b"fills the buffer")

    async def wait() -> None:
        with pytest.raises(anyio.ClosedResourceError):
            await (link.send(b"more") if what == "send" else link.receive())

    async with anyio.create_task_group() as tg:
        tg.start_soon(wait)
        await when(lambda: bool(link._at_work))
        link.abort()
    assert link.readable()
    await link.aclose()
    await theirs.aclose()


# -- readable, by any means -----------------------------------------------------------------------


@pytest.mark.parametrize("means", ["poll", "select"])
def test_a_socket_is_readable_when_a_read_would_not_wait(
    means: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if means == "select":
        monkeypatch.delattr("select.poll")  # as on Windows
    one, other = socket.socketpair()
    with one, other:
        assert not socket_readable(one)
        other.send(b"x")
        assert socket_readable(one)
    assert socket_readable(one)
