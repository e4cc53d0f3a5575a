"""What stands in for anyio's clock and events is as good as they are, on every loop."""

import asyncio

import anyio
import pytest
from anyio.lowlevel import checkpoint

from faktory_async.net import Native, wake
from tests.net._cancel import cancelled_at
from tests.net._loops import in_virtual_time, on_asyncio_loops, on_every_loop


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
