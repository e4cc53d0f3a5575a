"""What the link over an asyncio transport promises, on real sockets, on asyncio and uvloop."""

import asyncio
import math
import socket
import tracemalloc
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.lowlevel import checkpoint

from faktory_async.net import AsyncioLink
from faktory_async.net._asyncio_link import _READ_LIMIT, keep_alive
from tests.net._loops import on_asyncio_loops, on_virtual_asyncio
from tests.net._peers import Peer, pair, when

MUCH = bytes(range(256)) * 4_096  # 1 MiB: more than two small buffers hold


@asynccontextmanager
async def linked(*, small: bool = False) -> AsyncGenerator[tuple[AsyncioLink, Peer]]:
    """Open a link and close it, so that nothing is left for the garbage collector."""
    with pair(small=small) as (sock, peer):
        loop = asyncio.get_running_loop()
        _, link = await loop.create_connection(AsyncioLink, sock=sock.dup())
        sock.close()
        try:
            yield link, peer
        finally:
            link.abort()
            await link.aclose()


async def fill(link: AsyncioLink, data: bytes = MUCH) -> asyncio.Task[None]:
    """Begin to send more than fits, and return when the sender waits."""
    task = asyncio.create_task(link.send(data))
    await when(lambda: link.unsent() > 0)
    return task


def arrive(link: AsyncioLink, data: bytes) -> None:
    """Let bytes arrive as the event loop does."""
    link.get_buffer(-1)[: len(data)] = data
    link.buffer_updated(len(data))


async def ended(task: asyncio.Task[None]) -> BaseException | None:
    await asyncio.wait([task])
    return asyncio.CancelledError() if task.cancelled() else task.exception()


# -- bytes in, bytes out ------------------------------------------------------------------------


@on_asyncio_loops
async def test_bytes_go_out_and_come_in() -> None:
    async with linked() as (link, peer):
        await link.send(b"there")
        assert await peer.read(5) == b"there"
        peer.send(b"back")
        assert await link.receive() == b"back"
        assert link.unsent() == 0


@on_asyncio_loops
async def test_what_came_in_pieces_is_received_at_once() -> None:
    async with linked() as (link, peer):
        peer.send(b"one ")
        await when(lambda: bool(link._chunks))
        peer.send(b"two")
        await when(lambda: len(link._chunks) == 2)
        assert await link.receive() == b"one two"


@on_asyncio_loops
async def test_the_end_comes_after_the_data_and_stays() -> None:
    async with linked() as (link, peer):
        peer.send(b"last")
        peer.close()
        assert await link.receive() == b"last"
        assert await link.receive() == b""
        assert await link.receive() == b""


@on_asyncio_loops
async def test_a_reset_comes_after_the_data_and_stays() -> None:
    async with linked() as (link, peer):
        peer.send(b"last")
        await when(lambda: bool(link._chunks))
        peer.reset()
        await when(lambda: link._over)
        assert await link.receive() == b"last"
        for _ in range(2):
            with pytest.raises(ConnectionResetError):
                await link.receive()


@on_asyncio_loops
async def test_an_error_that_was_raised_is_kept_nowhere() -> None:
    async with linked() as (link, peer):
        peer.reset()
        await when(lambda: link._over)
        raised: list[Exception] = []
        for _ in range(2):
            with pytest.raises(ConnectionResetError) as first:
                await link.receive()
            with pytest.raises(ConnectionResetError) as second:
                link.start(b"more")
            raised += [first.value, second.value]
        assert len(set(map(id, raised))) == 4
        assert link._lost not in raised
        assert {str(error) for error in raised} == {str(link._lost)}


@on_asyncio_loops
async def test_whatever_a_transport_ends_by_is_an_error_of_the_network() -> None:
    async with linked() as (link, _):
        link.connection_lost(RuntimeError("the loop is at a loss"))
        with pytest.raises(ConnectionResetError, match="the loop is at a loss"):
            await link.receive()


@on_asyncio_loops
async def test_a_peer_that_half_closed_can_still_be_sent_to() -> None:
    async with linked() as (link, peer):
        peer.half_close()
        assert await link.receive() == b""
        await link.send(b"a late reply")
        assert await peer.read(12) == b"a late reply"


@on_asyncio_loops
async def test_the_end_wakes_a_receiver() -> None:
    async with linked() as (link, peer):
        task = asyncio.create_task(link.receive())
        await when(lambda: link._reader is not None)
        peer.close()
        assert await task == b""


@pytest.mark.parametrize("how", ["by a scope", "natively"])
@on_asyncio_loops
async def test_a_cancelled_receive_loses_nothing(how: str) -> None:
    async with linked() as (link, _):
        scope = anyio.CancelScope()

        async def receive() -> None:
            with scope:
                await link.receive()
                raise AssertionError("nothing was there to receive")

        task = asyncio.create_task(receive())
        await when(lambda: link._reader is not None)
        # The cancellation and the bytes arrive in the same round of the loop.
        task.cancel() if how == "natively" else scope.cancel()
        arrive(link, b"kept")
        await asyncio.wait([task])
        assert await link.receive() == b"kept"
        assert link._reader is None


@on_asyncio_loops
async def test_a_reader_that_does_not_read_stops_the_peer() -> None:
    async with linked() as (link, peer):
        sent = 0
        while sent < len(MUCH) and not link._reading_paused:
            try:
                sent += peer.socket.send(MUCH[sent : sent + 65_536])
            except BlockingIOError:
                await checkpoint()
        # One read of the loop can bring up to 256 KiB beyond the limit.
        await when(lambda: link._reading_paused)
        for _ in range(10):
            await checkpoint()
        assert link._size <= _READ_LIMIT * 2
        assert link._size == len(await link.receive())
        assert not link._reading_paused


@on_asyncio_loops
async def test_a_small_piece_needs_little_memory() -> None:
    async with linked() as (link, peer):
        peer.send(b"one")
        assert await link.receive() == b"one"
        tracemalloc.start()
        try:
            peer.send(b"two")
            assert await link.receive() == b"two"
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 64 * 1024


@on_asyncio_loops
async def test_links_that_share_a_buffer_keep_what_is_theirs() -> None:
    async with linked() as (one, first), linked() as (two, second):
        first.send(b"first")
        await when(lambda: bool(one._chunks))
        second.send(b"2nd")
        await when(lambda: bool(two._chunks))
        assert await one.receive() == b"first"
        assert await two.receive() == b"2nd"


@on_asyncio_loops
async def test_everything_comes_through_a_link_that_pauses() -> None:
    got = bytearray()
    async with linked() as (link, peer):

        async def pump() -> None:
            sent = 0
            while sent < len(MUCH):
                await anyio.wait_writable(peer.socket)
                sent += peer.socket.send(MUCH[sent:])
            peer.close()

        async with anyio.create_task_group() as tg:
            tg.start_soon(pump)
            while data := await link.receive():
                got += data
                await when(lambda: link._reading_paused or link._eof)
        assert bytes(got) == MUCH


@on_asyncio_loops
async def test_what_was_paused_can_be_received_after_the_link_was_aborted() -> None:
    async with linked() as (link, _):
        for start in range(0, len(MUCH), _READ_LIMIT):
            arrive(link, MUCH[start : start + _READ_LIMIT])
        assert link._reading_paused
        link.abort()
        assert await link.receive() == MUCH
        assert await link.receive() == b""


# -- readable -----------------------------------------------------------------------------------


@on_asyncio_loops
async def test_nothing_is_readable_on_an_idle_link() -> None:
    async with linked() as (link, _):
        assert not link.readable()


@pytest.mark.parametrize("end", [Peer.close, Peer.reset, Peer.half_close])
@on_asyncio_loops
async def test_an_end_is_readable_before_the_loop_has_seen_it(end: Callable[[Peer], None]) -> None:
    async with linked() as (link, peer):
        end(peer)
        assert not link._eof
        assert link.readable()
        await when(lambda: link._eof)
        assert link.readable()


@on_asyncio_loops
async def test_data_is_readable_before_the_loop_has_seen_it_and_until_it_is_received() -> None:
    async with linked() as (link, peer):
        peer.send(b"unasked")
        assert not link._chunks
        assert link.readable()
        await when(lambda: bool(link._chunks))
        assert link.readable()
        await link.receive()
        assert not link.readable()


@on_asyncio_loops
async def test_a_link_that_is_over_is_readable() -> None:
    async with linked() as (link, _):
        link.abort()
        assert link.readable()


# -- what was surely not handed over --------------------------------------------------------------


@pytest.mark.parametrize("sender", ["waiting", "cancelled"])
@pytest.mark.parametrize("drained", ["at once", "later"])
@on_asyncio_loops
async def test_what_the_peer_gets_and_what_is_unsent_is_everything(
    drained: str, sender: str
) -> None:
    """The proof that `maybe_executed` False is right.

    A peer that makes room in the very moment of the abort finds a loop that would like to write.
    """
    async with linked(small=True) as (link, peer):
        task = await fill(link)
        if sender == "cancelled":
            task.cancel()
            await asyncio.wait([task])
        link.abort()
        if drained == "at once":
            peer.take()
        unsent = link.unsent()
        got = await peer.read_to_end()
        assert unsent == link.unsent()
        assert len(got) + unsent == len(MUCH)
        assert got == MUCH[: len(got)]
        assert isinstance(
            await ended(task), OSError if sender == "waiting" else asyncio.CancelledError
        )


@on_asyncio_loops
async def test_a_scope_that_cancels_a_sender_leaves_the_count_exact() -> None:
    async with linked(small=True) as (link, peer):
        scope = anyio.CancelScope()

        async def cancel_when_it_waits() -> None:
            await when(lambda: link.unsent() > 0)
            scope.cancel()

        canceller = asyncio.create_task(cancel_when_it_waits())
        with scope:
            await link.send(MUCH)
        assert canceller.done()
        link.abort()
        peer.take()
        assert len(await peer.read_to_end()) + link.unsent() == len(MUCH)


@on_asyncio_loops
async def test_the_count_shrinks_while_the_peer_reads() -> None:
    async with linked(small=True) as (link, peer):
        task = await fill(link)
        before = link.unsent()
        peer.take()
        await when(lambda: link.unsent() < before)
        assert not task.done()
        link.abort()
        assert len(await peer.read_to_end()) + link.unsent() == len(MUCH)
        assert isinstance(await ended(task), OSError)


@on_asyncio_loops
async def test_a_send_ends_when_the_last_byte_is_with_the_kernel() -> None:
    async with linked(small=True) as (link, peer):
        task = await fill(link)
        while not task.done():
            peer.take()
            await checkpoint()
        assert link.unsent() == 0
        link.abort()
        assert await peer.read_to_end() == MUCH


@on_asyncio_loops
async def test_a_reset_with_bytes_pending_keeps_at_least_the_last_one() -> None:
    async with linked(small=True) as (link, peer):
        task = await fill(link)
        peer.reset()
        assert isinstance(await ended(task), OSError)
        assert link.unsent() >= 1
        link.abort()
        assert link.unsent() >= 1


@on_asyncio_loops
async def test_a_write_after_a_reset_that_the_loop_has_not_seen_keeps_all() -> None:
    async with linked() as (link, peer):
        peer.reset()
        with pytest.raises(ConnectionError):
            await link.send(b"too late")
        assert link.unsent() == len(b"too late")


@on_asyncio_loops
async def test_a_write_after_a_reset_that_the_loop_has_seen_is_refused() -> None:
    async with linked() as (link, peer):
        peer.reset()
        await when(lambda: link._over)
        with pytest.raises(ConnectionResetError):
            await link.send(b"too late")
        assert link.unsent() == len(b"too late")
        link.abort()
        assert link.unsent() == len(b"too late")


@on_asyncio_loops
async def test_what_an_abort_counted_is_what_stayed_here() -> None:
    """A transport that has written everything may not have told so yet."""
    async with linked() as (link, peer):
        await link.send(b"there")
        link.pause_writing()
        link.abort()
        assert link.unsent() == 0
        await link.aclose()
        assert link._closed is not None
        assert link._closed.done()
        assert link.unsent() == 0
        assert await peer.read_to_end() == b"there"


@on_asyncio_loops
async def test_a_write_after_the_peer_closed_is_handed_over_all_the_same() -> None:
    """The kernel takes it: nobody can say any more that the server did not see it."""
    async with linked() as (link, peer):
        peer.close()
        await link.send(b"into the void")
        assert link.unsent() == 0


@on_asyncio_loops
async def test_sending_on_a_link_that_is_over_fails_and_writes_nothing() -> None:
    async with linked() as (link, peer):
        link.abort()
        with pytest.raises(ConnectionResetError, match="closed"):
            await link.send(b"never")
        assert await peer.read_to_end() == b""


@on_asyncio_loops
async def test_sending_on_a_link_that_was_never_connected_fails() -> None:
    link = AsyncioLink()
    with pytest.raises(ConnectionResetError):
        await link.send(b"never")
    assert not link.readable()
    assert link.unsent() == len(b"never")
    link.abort()
    await link.aclose()


# -- listening ------------------------------------------------------------------------------------


class Ear:
    """Takes what a link brings; so many bytes are enough."""

    def __init__(self, link: AsyncioLink, enough: int) -> None:
        self._link = link
        self._enough = enough
        self.heard = b""
        self.quits = 0

    def take(self, data: bytes) -> bool:
        self.heard += data
        if len(self.heard) < self._enough:
            return False
        self._link.had_enough()
        return True

    def quit(self) -> None:
        self.quits += 1


@on_asyncio_loops
async def test_what_arrives_is_brought_until_it_is_enough() -> None:
    async with linked() as (link, peer):
        ear = Ear(link, 4)
        assert link.listen(ear.take, ear.quit, math.inf)
        peer.send(b"on")
        await when(lambda: ear.heard == b"on")
        peer.send(b"e ")
        await when(lambda: ear.heard == b"one ")
        peer.send(b"two")
        assert await link.receive() == b"two"
        assert ear.heard == b"one "
        peer.close()
        assert await link.receive() == b""
        assert ear.quits == 0


@on_asyncio_loops
async def test_one_that_had_enough_can_listen_anew_in_the_same_call() -> None:
    async with linked() as (link, peer):
        first, second = Ear(link, 1), Ear(link, 1)

        def take(data: bytes) -> bool:
            enough = first.take(data)
            assert link.listen(second.take, second.quit, math.inf)
            return enough

        assert link.listen(take, first.quit, math.inf)
        peer.send(b"1")
        await when(lambda: bool(first.heard))
        peer.send(b"2")
        await when(lambda: bool(second.heard))
        assert (first.heard, second.heard) == (b"1", b"2")
        assert first.quits == second.quits == 0


@pytest.mark.parametrize("end", [Peer.close, Peer.reset, None])
@on_asyncio_loops
async def test_whoever_listens_is_told_of_an_end_once(end: Callable[[Peer], None] | None) -> None:
    async with linked() as (link, peer):
        ear = Ear(link, 4)
        assert link.listen(ear.take, ear.quit, math.inf)
        link.abort() if end is None else end(peer)
        await when(lambda: ear.quits == 1)
        link.abort()
        await link.aclose()
        assert ear.quits == 1
        assert ear.heard == b""


@on_virtual_asyncio
async def test_whoever_listens_is_told_when_its_time_is_over() -> None:
    async with linked() as (link, _):
        ear = Ear(link, 4)
        now = asyncio.get_running_loop().time
        began = now()
        assert link.listen(ear.take, ear.quit, began + 1)
        assert link.listen(ear.take, ear.quit, began + 3)  # the timer rings, and is set anew
        await asyncio.sleep(2)
        assert ear.quits == 0
        await asyncio.sleep(2)
        assert ear.quits == 1


@on_asyncio_loops
async def test_one_that_pumps_takes_over_from_one_that_listens() -> None:
    async with linked() as (link, peer):
        ear, reader = Ear(link, 1), Ear(link, 2)
        assert link.listen(ear.take, ear.quit, math.inf)
        task = asyncio.create_task(link.pump(reader.take, math.inf))
        await when(lambda: link._reader is not None)
        peer.send(b"12")
        assert await task
        assert (ear.heard, reader.heard) == (b"", b"12")
        peer.close()
        assert await link.receive() == b""
        assert ear.quits == 0


@on_asyncio_loops
async def test_what_is_there_already_has_to_be_read() -> None:
    async with linked() as (link, peer):
        ear = Ear(link, 1)
        peer.send(b"early")
        await when(lambda: bool(link._chunks))
        assert not link.listen(ear.take, ear.quit, math.inf)
        assert await link.receive() == b"early"
        peer.close()
        await when(lambda: link._eof)
        assert not link.listen(ear.take, ear.quit, math.inf)


# -- the end --------------------------------------------------------------------------------------


@on_asyncio_loops
async def test_aborting_twice_and_closing_after_it_does_nothing_more() -> None:
    async with linked(small=True) as (link, peer):
        task = await fill(link)
        link.abort()
        unsent = link.unsent()
        link.abort()
        await link.aclose()
        await link.aclose()
        link.abort()
        assert link.unsent() == unsent
        assert len(await peer.read_to_end()) + unsent == len(MUCH)
        assert isinstance(await ended(task), OSError)


@on_asyncio_loops
async def test_an_abort_wakes_a_receiver() -> None:
    async with linked() as (link, _):
        task = asyncio.create_task(link.receive())
        await when(lambda: link._reader is not None)
        link.abort()
        assert await task == b""


@on_asyncio_loops
async def test_a_close_waits_for_what_is_still_to_be_written() -> None:
    async with linked(small=True) as (link, peer):
        sender = await fill(link)
        closer = asyncio.create_task(link.aclose())
        got = await peer.read_to_end()
        await closer
        assert got == MUCH
        assert link.unsent() == 0
        assert await ended(sender) is None


@pytest.mark.parametrize("how", ["by a scope", "natively"])
@on_asyncio_loops
async def test_a_cancelled_close_frees_the_link_and_flushes_no_more(how: str) -> None:
    async with linked(small=True) as (link, peer):
        sender = await fill(link)
        scope = anyio.CancelScope()

        async def close() -> None:
            with scope:
                await link.aclose()

        closer = asyncio.create_task(close())
        await when(lambda: link._over)
        closer.cancel() if how == "natively" else scope.cancel()
        await asyncio.wait([closer])
        got = await peer.read_to_end()
        assert len(got) < len(MUCH)
        assert link.unsent() >= 1
        assert isinstance(await ended(sender), OSError)


@on_asyncio_loops
async def test_the_one_who_listens_is_told_of_the_link() -> None:
    links: list[AsyncioLink] = []
    loop = asyncio.get_running_loop()
    with pair() as (sock, _):
        _, link = await loop.create_connection(lambda: AsyncioLink(links.append), sock=sock.dup())
        assert links == [link]
        link.abort()
        await link.aclose()


# -- options of the socket ------------------------------------------------------------------------


def test_a_socket_that_is_kept_alive_sends_at_once_and_asks_for_its_peer() -> None:
    with socket.socket() as sock:
        keep_alive(sock)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 10


def test_a_system_without_the_fine_options_keeps_alive_without_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(socket, "TCP_KEEPIDLE")
    with socket.socket() as sock:
        keep_alive(sock)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
