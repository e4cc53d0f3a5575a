"""Sending without waiting: what a link takes at once, and what is known of the rest."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import pytest

from faktory_async.errors import (
    CommandTimeoutError,
    ConnectionLostError,
    FaktoryError,
    ProtocolError,
)
from faktory_async.net import AsyncioLink, Connection, MemoryLink, memory_links
from tests.net._faktory import HI, Echo, Recorder, Server, conversation, echoed, opened
from tests.net._loops import in_virtual_time, on_asyncio_loops, on_virtual_asyncio
from tests.net._peers import Peer, pair, when

MUCH = Echo("x" * (1 << 20))


@asynccontextmanager
async def small_talk() -> AsyncGenerator[tuple[Connection, Peer]]:
    """Open a connection over a socket that holds little."""
    with pair(small=True) as (sock, peer):
        _, link = await asyncio.get_running_loop().create_connection(AsyncioLink, sock=sock.dup())
        sock.close()
        greeting = asyncio.create_task(greet(peer))
        connection = await Connection.open(link)
        await greeting
        try:
            yield connection, peer
        finally:
            connection.abort()
            await connection.aclose()


async def greet(peer: Peer) -> None:
    peer.send(HI)
    assert (await peer.read_line()).startswith(b"HELLO")
    peer.send(b"+OK\r\n")


# -- where the link sees to the rest ------------------------------------------------------------


@on_asyncio_loops
async def test_what_fits_is_sent_at_once() -> None:
    async with small_talk() as (connection, peer):
        ticket = connection.post([Echo("a")])
        assert not connection.unposted
        assert not connection.idle
        assert await peer.read_line() == b"ECHO a\r\n"
        peer.send(echoed("a"))
        await connection.receive(ticket)
        assert Echo("a").decode(ticket.replies[0]) == "a"
        assert connection.idle


@on_asyncio_loops
async def test_what_does_not_fit_is_on_its_way_all_the_same() -> None:
    async with small_talk() as (connection, peer):
        ticket = connection.post([MUCH])
        assert not connection.unposted, "nobody has to wait for it"
        assert connection.failure(ticket).maybe_executed is False
        line = await peer.read_line()
        assert line == MUCH.encode()
        await when(lambda: connection.failure(ticket).maybe_executed)


@on_asyncio_loops
async def test_what_did_not_leave_before_an_abort_never_does() -> None:
    async with small_talk() as (connection, peer):
        ticket = connection.post([MUCH])
        connection.abort()
        with pytest.raises(ConnectionLostError) as caught:
            await connection.receive(ticket)
        assert caught.value.maybe_executed is False
        peer.take()
        assert b"\n" not in await peer.read_to_end()


@on_asyncio_loops
async def test_posting_to_a_peer_that_is_gone_proves_that_nothing_left() -> None:
    async with small_talk() as (connection, peer):
        peer.reset()
        with pytest.raises(ConnectionLostError) as caught:
            connection.post([Echo("a")])
        assert caught.value.maybe_executed is False
        assert connection.closed


@on_asyncio_loops
async def test_posting_once_the_end_was_noticed_proves_that_nothing_left() -> None:
    async with small_talk() as (connection, peer):
        peer.reset()
        await when(lambda: connection._link._over)  # type: ignore[attr-defined]
        assert connection.idle, "nobody has asked the link yet"
        with pytest.raises(ConnectionLostError) as caught:
            connection.post([Echo("a")])
        assert caught.value.maybe_executed is False
        assert connection.closed


# -- where somebody has to hand it over ---------------------------------------------------------


@in_virtual_time
async def test_what_the_link_cannot_take_is_handed_over_by_the_caller() -> None:
    async with conversation() as (connection, server):
        ticket = connection.post([Echo("a")])
        assert connection.unposted
        await connection.hand_over(ticket, shield=False)
        assert not connection.unposted
        await server.echo()
        await connection.receive(ticket)


@in_virtual_time
async def test_handing_over_is_bounded_by_the_tickets_time() -> None:
    async with conversation(room=100) as (connection, _):
        ticket = connection.post([Echo("x" * 1_000)], timeout=3)
        began = anyio.current_time()
        with pytest.raises(CommandTimeoutError) as caught:
            await connection.hand_over(ticket, shield=True)
        assert caught.value.maybe_executed is False
        assert anyio.current_time() - began == pytest.approx(3)
        assert connection.closed


@pytest.mark.parametrize("shield", [True, False])
@in_virtual_time
async def test_a_cancelled_scope_waits_for_the_bytes_only_behind_a_shield(*, shield: bool) -> None:
    async with conversation(room=100) as (connection, server):
        ticket = connection.post([Echo("x" * 1_000)])
        began = anyio.current_time()
        async with anyio.create_task_group() as group:
            group.start_soon(after, 2, server.line)
            with anyio.move_on_after(1):
                await connection.hand_over(ticket, shield=shield)
            assert anyio.current_time() - began == pytest.approx(2 if shield else 1)
            assert connection.closed is not shield
            assert connection.failure(ticket).maybe_executed is shield
            group.cancel_scope.cancel()


async def after(seconds: float, act: Callable[[], Awaitable[object]]) -> None:
    await anyio.sleep(seconds)
    await act()


@on_virtual_asyncio
async def test_a_native_cancellation_does_not_wait_in_spite_of_the_shield() -> None:
    async with conversation(room=100) as (connection, _):
        ticket = connection.post([Echo("x" * 1_000)])
        task = asyncio.create_task(connection.hand_over(ticket, shield=True))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert connection.closed
        with pytest.raises(ConnectionLostError, match="given up while sending") as caught:
            await connection.receive(ticket)
        assert caught.value.maybe_executed is False


@in_virtual_time
async def test_handing_over_to_a_link_that_breaks_is_a_lost_connection() -> None:
    ours, theirs = memory_links()
    server = Server(theirs)
    connection = await opened(ours, server)
    ticket = connection.post([Echo("a")])
    theirs.abort()
    with pytest.raises(ConnectionLostError) as caught:
        await connection.hand_over(ticket, shield=False)
    assert caught.value.maybe_executed is False


@in_virtual_time
async def test_nothing_is_posted_on_a_connection_that_is_over() -> None:
    async with conversation() as (connection, _):
        connection.abort()
        with pytest.raises(ConnectionLostError) as caught:
            connection.post([Echo("a")])
        assert caught.value.maybe_executed is False
        assert not connection.unposted


@in_virtual_time
async def test_a_link_without_a_way_to_start_says_so() -> None:
    link, _ = memory_links()
    assert Recorder(link).start(b"a") is False
    assert link.start(b"a") is False
    assert isinstance(link, MemoryLink)
    assert link.unsent() == 0


# -- replies that nobody reads ------------------------------------------------------------------


class Heed:
    """Notes how far a ticket was each time that it was told to look."""

    def __init__(
        self,
        connection: Connection,
        *commands: Echo,
        timeout: float = 7,
        renewed: bool = False,
    ) -> None:
        self.connection = connection
        self.ticket = connection.post(commands, timeout=timeout, renewed=renewed)
        self.ticket.heed = self
        self.looks: list[tuple[int, bool]] = []

    def __call__(self) -> None:
        self.looks.append((len(self.ticket.replies), self.connection.watching))


@on_asyncio_loops
async def test_replies_are_brought_without_a_task_that_receives() -> None:
    async with small_talk() as (connection, peer):
        heed = Heed(connection, Echo("a"), Echo("b"))
        assert connection.watch(heed.ticket)
        assert connection.watching
        peer.send(echoed("a"))
        await when(lambda: bool(heed.looks))
        peer.send(echoed("b"))
        await when(lambda: len(heed.looks) == 2)
        assert heed.looks == [(1, True), (2, False)]
        assert connection.idle
        await connection.receive(heed.ticket)  # which does not wait
        assert connection.usable


@on_asyncio_loops
async def test_whoever_heeds_replies_can_send_anew_and_watch() -> None:
    async with small_talk() as (connection, peer):
        heeds = [Heed(connection, Echo("a"))]

        def again() -> None:
            heeds.append(Heed(connection, Echo("b")))
            assert connection.watch(heeds[1].ticket)

        heeds[0].ticket.heed = again
        assert connection.watch(heeds[0].ticket)
        assert await peer.read_line() == b"ECHO a\r\n"
        peer.send(echoed("a"))
        assert await peer.read_line() == b"ECHO b\r\n"
        peer.send(echoed("b"))
        await when(lambda: bool(heeds[1].looks))
        assert heeds[1].ticket.done
        assert connection.usable


def talk_nonsense(peer: Peer) -> None:
    peer.send(b"*what\r\n")


@pytest.mark.parametrize(
    ("harm", "error"),
    [
        (Peer.close, ConnectionLostError),
        (Peer.reset, ConnectionLostError),
        (talk_nonsense, ProtocolError),
    ],
)
@on_asyncio_loops
async def test_whoever_watches_is_told_to_look_when_no_reply_will_come(
    harm: Callable[[Peer], None], error: type[FaktoryError]
) -> None:
    async with small_talk() as (connection, peer):
        heed = Heed(connection, Echo("a"))
        assert connection.watch(heed.ticket)
        assert await peer.read_line() == b"ECHO a\r\n"
        harm(peer)
        await when(lambda: bool(heed.looks))
        assert heed.looks == [(0, False)]
        with pytest.raises(error) as caught:
            await connection.receive(heed.ticket)
        assert caught.value.maybe_executed is True


@on_virtual_asyncio
async def test_whoever_watches_is_told_to_look_when_the_time_is_over() -> None:
    async with small_talk() as (connection, _):
        heed = Heed(connection, Echo("a"), timeout=3)
        assert connection.watch(heed.ticket)
        await asyncio.sleep(2.9)
        assert heed.looks == []
        await asyncio.sleep(0.2)
        assert heed.looks == [(0, False)]
        with pytest.raises(CommandTimeoutError):
            await connection.receive(heed.ticket)


@on_asyncio_loops
async def test_whoever_receives_takes_over_from_one_that_watches() -> None:
    async with small_talk() as (connection, peer):
        heed = Heed(connection, Echo("a"))
        assert connection.watch(heed.ticket)
        task = asyncio.create_task(connection.receive(heed.ticket))
        await when(lambda: not connection.watching)
        peer.send(echoed("a"))
        await task
        assert heed.looks == [(1, False)]
        assert connection.usable


@on_virtual_asyncio
async def test_pieces_of_a_reply_move_the_time_of_one_that_watches() -> None:
    async with small_talk() as (connection, peer):
        heed = Heed(connection, Echo("a"), timeout=3, renewed=True)
        assert connection.watch(heed.ticket)
        await asyncio.sleep(2)
        peer.send(echoed("a")[:1])
        await when(lambda: bool(heed.looks))
        await asyncio.sleep(2.9)
        assert heed.looks == [(0, True)]
        await asyncio.sleep(0.2)
        assert heed.looks == [(0, True), (0, False)]
        with pytest.raises(CommandTimeoutError):
            await connection.receive(heed.ticket)


@in_virtual_time
async def test_a_link_that_brings_nothing_has_to_be_read() -> None:
    async with conversation() as (connection, server):
        ticket = connection.post([Echo("a")])
        assert not connection.watch(ticket), "its bytes have not left"
        await connection.hand_over(ticket, shield=False)
        assert not connection.watch(ticket)
        await server.echo()
        await connection.receive(ticket)
