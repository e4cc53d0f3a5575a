"""What the links inside one process promise."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import anyio
import pytest

from faktory_async.net import MemoryLink, memory_links
from tests.net._loops import in_virtual_time, on_virtual_asyncio
from tests.net._peers import when


@in_virtual_time
async def test_bytes_go_out_and_come_in() -> None:
    one, other = memory_links()
    await one.send(b"there")
    assert await other.receive() == b"there"
    await other.send(b"ba")
    await other.send(b"ck")
    assert await one.receive() == b"back"


@in_virtual_time
async def test_a_receiver_waits_for_data() -> None:
    one, other = memory_links()
    got: list[bytes] = []

    async def receive() -> None:
        got.append(await other.receive())

    async with anyio.create_task_group() as tg:
        tg.start_soon(receive)
        await when(lambda: other._incoming.reader is not None)
        await one.send(b"now")
    assert got == [b"now"]


@in_virtual_time
async def test_what_does_not_fit_waits_for_the_reader() -> None:
    one, other = memory_links(room=4)
    got = bytearray()
    async with anyio.create_task_group() as tg:
        tg.start_soon(one.send, b"0123456789")
        await when(lambda: one.unsent() == 6)
        while len(got) < 10:
            got += await other.receive()
    assert got == b"0123456789"
    assert one.unsent() == 0


def has_unsent(link: MemoryLink, count: int) -> bool:
    return link.unsent() == count


@pytest.mark.parametrize("read", [0, 4, 8])
@in_virtual_time
async def test_what_the_peer_gets_and_what_is_unsent_is_everything(read: int) -> None:
    one, other = memory_links(room=4)
    got = bytearray()
    async with anyio.create_task_group() as tg:
        tg.start_soon(one.send, b"0123456789")
        await when(lambda: one.unsent() == 6)
        for expected in range(6 - 4, 6 - 4 - read, -4):
            got += await other.receive()
            await when(partial(has_unsent, one, max(0, expected)))
        tg.cancel_scope.cancel()
    one.abort()
    unsent = one.unsent()
    while other._incoming.data:
        got += await other.receive()
    with pytest.raises(ConnectionResetError):
        await other.receive()
    assert len(got) + unsent == 10
    assert unsent == one.unsent()


@on_virtual_asyncio
async def test_a_task_that_is_cancelled_while_it_sends_leaves_the_count_exact() -> None:
    one, other = memory_links(room=4)
    task = asyncio.create_task(one.send(b"0123456789"))
    await when(lambda: one.unsent() == 6)
    task.cancel()
    await asyncio.wait([task])
    one.abort()
    assert await other.receive() == b"0123"
    assert one.unsent() == 6


@in_virtual_time
async def test_a_cancelled_receive_loses_nothing() -> None:
    one, other = memory_links()
    async with anyio.create_task_group() as tg:
        tg.start_soon(other.receive)
        await when(lambda: other._incoming.reader is not None)
        tg.cancel_scope.cancel()
    await one.send(b"kept")
    assert await other.receive() == b"kept"


@in_virtual_time
async def test_the_end_comes_after_the_data_and_the_other_way_is_closed() -> None:
    one, other = memory_links()
    await one.send(b"last")
    await one.aclose()
    assert await other.receive() == b"last"
    assert await other.receive() == b""
    with pytest.raises(BrokenPipeError):
        await other.send(b"never")
    assert other.unsent() == len(b"never")
    with pytest.raises(ConnectionResetError):
        await one.receive()


@in_virtual_time
async def test_an_abort_wakes_the_sender_and_the_receiver_on_both_sides() -> None:
    one, other = memory_links(room=1)
    errors: list[type[BaseException]] = []

    async def fails(link: MemoryLink, *data: bytes) -> None:
        try:
            await (link.send(*data) if data else link.receive())
        except OSError as error:
            errors.append(type(error))

    async with anyio.create_task_group() as tg:
        tg.start_soon(fails, one, b"xy")
        tg.start_soon(fails, one)
        await when(lambda: one.unsent() == 1 and one._incoming.reader is not None)
        other.abort()
        one.abort()
    assert errors.count(BrokenPipeError) == errors.count(ConnectionResetError) == 1


async def end_by_close(link: MemoryLink) -> None:
    await link.aclose()


async def end_by_abort(link: MemoryLink) -> None:
    link.abort()


@pytest.mark.parametrize("end", [end_by_close, end_by_abort])
@in_virtual_time
async def test_data_and_ends_are_readable(end: Callable[[MemoryLink], Awaitable[None]]) -> None:
    one, other = memory_links()
    assert not one.readable()
    await other.send(b"x")
    assert one.readable()
    await one.receive()
    assert not one.readable()
    await end(other)
    assert one.readable()
