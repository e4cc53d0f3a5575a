"""Closing a client by force: nobody waits any more, and nobody is lied to."""

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from faktory_async import (
    Client,
    ClientStateError,
    ConnectionLostError,
    FaktoryError,
    ServerBusyError,
)
from tests.client._setting import (
    ONE,
    after,
    bringing,
    ignore,
    quiet,
    setting,
    stalled_leader,
)
from tests.worker.peer import Line, error, peering

pytestmark = pytest.mark.anyio


async def test_force_ends_those_that_were_written_as_unknown() -> None:
    async with setting(limits=ONE) as it:
        it.peer.always("PUSHB", ignore)
        await it.start(0, 1, 2)
        await it.client.aclose(force=True)
        assert it.now == 0
        assert type(it.failure(0)) is ConnectionLostError
        assert it.failure(0).maybe_executed is True


async def test_force_ends_those_that_were_not_written_as_not_stored() -> None:
    async with setting(limits=ONE) as it:
        it.peer.always("PUSHB", ignore)
        await it.start(0)  # alone in the frame that is under way
        await it.start(1, 2, 3)
        await it.client.aclose(force=True)
        assert it.now == 0
        assert it.kinds([1, 2, 3]) == {ClientStateError}
        assert not it.failure(1).maybe_executed
        assert "closed before the job was sent" in str(it.failure(1))


async def test_force_ends_a_dial_and_whoever_waits_for_it() -> None:
    async with setting(gates=1) as it:
        await it.start(0, 1, 2)
        assert it.dialler.began == 1
        await it.client.aclose(force=True)
        assert it.now == 0
        assert it.kinds([0, 1, 2]) == {ClientStateError}


async def test_force_proves_what_stayed_here() -> None:
    async with setting(room=300, limits=ONE) as it:
        await stalled_leader(it, 2, 3)
        await it.client.aclose(force=True)
        assert it.kinds([1, 2, 3]) == {ConnectionLostError}
        assert not any(it.failure(number).maybe_executed for number in (1, 2, 3))


@pytest.mark.parametrize("steps", range(12))
@pytest.mark.parametrize("brought", [False, True])
async def test_force_may_come_between_an_error_and_whoever_sees_to_it(
    steps: int, *, brought: bool
) -> None:
    token = bringing.set(brought)
    async with setting(limits=ONE) as it:
        it.peer.answer("PUSHB", after(1, busy))
        await it.start(0)
        await it.start(1)
        await anyio.sleep(1)
        for _ in range(steps):
            await anyio.lowlevel.checkpoint()
        await it.client.aclose(force=True)
        await quiet()
        assert it.kinds([0]) <= {ServerBusyError, ConnectionLostError}
        assert it.failure(0).maybe_executed is True
        assert it.outcomes[1] != "under way"
    bringing.reset(token)


async def busy(line: Line) -> bytes:
    return error("context deadline exceeded")


async def test_force_after_a_close_that_waits_ends_the_waiting() -> None:
    async with setting(limits=ONE) as it:
        it.peer.always("PUSHB", ignore)
        await it.start(0)
        async with anyio.create_task_group() as group:
            group.start_soon(it.client.aclose)
            await quiet()
            assert it.outcomes[0] == "under way"
            await it.client.aclose(force=True)
        assert it.now == 0
        assert type(it.failure(0)) is ConnectionLostError


async def test_force_ends_other_commands_whether_they_wait_dial_or_are_sent() -> None:
    errors: list[FaktoryError] = []

    async def ask(client: Client) -> None:
        with pytest.raises(FaktoryError) as caught:
            await client.info()
        errors.append(caught.value)

    async with peering() as peer:
        peer.always("INFO", ignore)
        held = anyio.Event()

        async def dial() -> Any:
            if peer.dials:
                await held.wait()
            return await peer.dial()

        client = Client(dial=dial, limits=ONE)
        await client.open()
        async with anyio.create_task_group() as group:
            group.start_soon(ask, client)  # is sent
            await quiet()
            group.start_soon(ask, client)  # waits for a connection
            await quiet()
            await client.aclose(force=True)
        assert {type(error) for error in errors} == {ClientStateError, ConnectionLostError}

        client = Client(dial=dial)
        await client.open()
        async with anyio.create_task_group() as group:
            group.start_soon(ask, client)  # dials
            await quiet()
            await client.aclose(force=True)
        assert type(errors[-1]) is ClientStateError
