"""What stands in for anyio's clock and events is as good as they are, on every loop."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import anyio
import pytest
import trio
from anyio.lowlevel import checkpoint, current_token

from faktory_async.net import Native, current_time, here, wake
from tests.net._cancel import cancelled_at
from tests.net._loops import in_virtual_time, on_asyncio_loops, on_every_loop

_PATIENCE: Final = 30.0  # seconds


@on_every_loop
async def test_the_clock_is_anyios() -> None:
    native = Native()
    before = anyio.current_time()
    now = native.now()
    assert before <= now <= anyio.current_time()


@on_asyncio_loops
async def test_on_asyncio_both_are_its_own() -> None:
    native = Native()
    assert native.now == asyncio.get_running_loop().time
    assert not isinstance(native.event(), anyio.Event)


@in_virtual_time
async def test_an_event_wakes_whoever_waits() -> None:
    event = Native().event()
    woken: list[float] = []

    async def sleeper() -> None:
        await event
        woken.append(anyio.current_time())

    began = anyio.current_time()
    async with anyio.create_task_group() as group:
        group.start_soon(sleeper)
        await anyio.sleep(1)
        assert woken == []
        wake(event)
        wake(event)
    assert woken == [pytest.approx(began + 1)]


@in_virtual_time
async def test_an_event_that_is_set_before_makes_nobody_wait() -> None:
    event = Native().event()
    wake(event)
    await event


@in_virtual_time
async def test_a_wait_ends_with_its_scope_and_the_event_may_be_set_after_that() -> None:
    event = Native().event()
    began = anyio.current_time()
    with anyio.move_on_after(2) as scope:
        await event
    assert scope.cancelled_caught
    assert anyio.current_time() - began == pytest.approx(2)
    wake(event)
    await checkpoint()


@in_virtual_time
async def test_a_wait_ends_at_its_time_or_with_the_event() -> None:
    began = anyio.current_time()
    native = Native()
    await native.wait_until(native.event(), began + 2)
    assert anyio.current_time() - began == pytest.approx(2)
    event = native.event()
    async with anyio.create_task_group() as group:
        group.start_soon(native.wait_until, event, began + 60)
        await anyio.sleep(1)
        wake(event)
    assert anyio.current_time() - began == pytest.approx(3)


@in_virtual_time
async def test_a_time_that_is_over_ends_a_wait_at_once() -> None:
    began = anyio.current_time()
    native = Native()
    await native.wait_until(native.event(), began - 1)
    assert anyio.current_time() == pytest.approx(began)


@on_asyncio_loops
async def test_a_wait_can_be_cancelled_natively() -> None:
    event = Native().event()

    async def waiting() -> None:
        await event

    assert await cancelled_at(waiting(), 1, "task")
    wake(event)


@in_virtual_time
async def test_many_wait_each_until_its_own_time() -> None:
    native, began = Native(), anyio.current_time()
    woken: list[tuple[float, object]] = []

    async def wait(seconds: float) -> None:
        await native.wait_until(native.event(), began + seconds)
        woken.append((seconds, anyio.current_time() - began))

    async with anyio.create_task_group() as group:
        for seconds in (4, 2, 8, 1, 2):  # the later ones ring earlier, and the other way round
            group.start_soon(wait, seconds)
        with anyio.move_on_after(3):  # who leaves takes nobody's time along
            await wait(5)
    assert woken == [(seconds, pytest.approx(seconds)) for seconds in (1, 2, 2, 4, 8)]


# -- whose loop it is -----------------------------------------------------------------------------


@on_every_loop
async def test_a_loop_is_told_by_a_token_and_has_anyios_clock() -> None:
    assert here() == here()
    before = anyio.current_time()
    assert before <= current_time() <= anyio.current_time()


@on_asyncio_loops
async def test_a_callback_of_asyncio_is_in_the_same_loop_as_its_tasks() -> None:
    loop = asyncio.get_running_loop()
    found: asyncio.Future[tuple[object, float]] = loop.create_future()
    loop.call_soon(lambda: found.set_result((here(), current_time())))
    token, now = await found
    assert token == here() == loop
    assert now <= loop.time()


def test_outside_of_every_loop_there_is_nothing_to_be_told() -> None:
    for ask in (here, current_time):
        with pytest.raises(RuntimeError):
            ask()


def as_a_guest(main: Callable[[], Awaitable[None]], *, also: Callable[[], None]) -> None:
    """Run a function on trio, as a guest of asyncio, and something in asyncio's loop beside it."""

    async def host() -> None:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()
        trio.lowlevel.start_guest_run(
            main,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            done_callback=done.set_result,
        )
        loop.call_soon(also)
        await asyncio.sleep(0)
        also()
        (await asyncio.wait_for(done, _PATIENCE)).unwrap()
        also()

    asyncio.run(host())


def test_a_guest_of_asyncio_is_told_from_its_host() -> None:
    """Their clocks are far apart: trio's begins anywhere."""
    guests: list[object] = []
    hosts: list[object] = []

    async def guest() -> None:
        before = trio.current_time()
        assert before <= current_time() <= trio.current_time()
        assert here() == current_token()
        guests.append(here())
        await checkpoint()
        assert here() == guests[0]

    def host() -> None:
        loop = asyncio.get_running_loop()
        before = loop.time()
        assert before <= current_time() <= loop.time()
        hosts.append(here())

    as_a_guest(guest, also=host)
    assert len(guests) == 1
    assert len(hosts) == 3
    assert len({*guests, *hosts}) == 2
