"""When a client may be used, and what it says when it may not."""

import os
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest

from faktory_async import Client, ClientStateError, Job
from tests.worker.peer import peering

pytestmark = pytest.mark.anyio

COMMANDS: list[Callable[[Client], Coroutine[Any, Any, object]]] = [
    lambda client: client.push(Job("order")),
    lambda client: client.push_bulk([Job("order")]),
    lambda client: client.push_bulk([]),
    lambda client: client.info(),
    lambda client: client.flush(),
]
each_command = pytest.mark.parametrize(
    "command", COMMANDS, ids=["push", "push_bulk", "push_bulk of nothing", "info", "flush"]
)
Command = Callable[[Client], Coroutine[Any, Any, object]]


def in_another_loop(main: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Run a coroutine to its end in a loop of another thread."""
    with ThreadPoolExecutor(1) as threads:
        threads.submit(anyio.run, main).result()


@each_command
async def test_a_client_that_is_not_open_says_how_to_open_it(command: Command) -> None:
    with pytest.raises(ClientStateError, match=r"write `async with Client\(\) as client:`"):
        await command(Client())


@each_command
async def test_a_closed_client_says_so(command: Command) -> None:
    async with peering() as peer:
        async with Client(dial=peer.dial) as client:
            await client.info()
        with pytest.raises(ClientStateError, match="the client is closed"):
            await command(client)
        await anyio.wait_all_tasks_blocked()
        assert [line.verb for line in peer.lines] == ["HELLO", "INFO", "END"]


@each_command
async def test_a_client_of_another_event_loop_says_so(command: Command) -> None:
    client = Client()

    async def elsewhere() -> None:
        await client.open()

    in_another_loop(elsewhere)
    with pytest.raises(ClientStateError, match="belongs to another event loop: open one in each"):
        await command(client)


@each_command
async def test_a_client_from_before_a_fork_says_so(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client()
    await client.open()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(ClientStateError, match="opened before a fork: open one in each process"):
        await command(client)


async def test_in_a_forked_child_closing_leaves_the_parents_connections_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with peering() as peer:
        client = Client(dial=peer.dial)
        await client.open()
        await client.info()
        with monkeypatch.context() as child:
            child.setattr(os, "getpid", lambda: -1)
            await client.aclose()
        await anyio.wait_all_tasks_blocked()
        assert peer.of("END") == []
        assert peer.open_connections == 1


async def test_closing_in_another_event_loop_is_refused() -> None:
    async with peering() as peer:
        client = Client(dial=peer.dial)
        await client.open()
        await client.info()
        with pytest.raises(ClientStateError, match="belongs to another event loop"):
            in_another_loop(client.aclose)
        await client.info()
        await client.aclose()
        await peer.saw("END")


async def test_a_client_is_opened_once() -> None:
    client = Client()
    await client.open()
    with pytest.raises(ClientStateError, match="the client is open already"):
        await client.open()
    await client.aclose()
    await client.aclose()
    with pytest.raises(ClientStateError, match="the client is closed already"):
        await client.open()


async def test_a_client_that_was_never_opened_can_be_closed() -> None:
    client = Client()
    await client.aclose()
    with pytest.raises(ClientStateError, match="closed"):
        await client.open()


async def test_one_task_may_open_a_client_and_another_one_close_it() -> None:
    async with peering() as peer:
        client = Client(dial=peer.dial)
        for step in (client.open, client.info, client.aclose):
            async with anyio.create_task_group() as group:
                group.start_soon(step)
        await anyio.wait_all_tasks_blocked()
        assert [line.verb for line in peer.lines] == ["HELLO", "INFO", "END"]


async def test_opening_does_no_io() -> None:
    async with peering() as peer:
        async with Client(dial=peer.dial):
            await anyio.sleep(60)
        assert peer.dials == 0


async def test_closing_while_a_push_is_under_way_lets_it_end() -> None:
    async with peering() as peer:
        gate = peer.hold("PUSHB", b"$2\r\n{}\r\n")
        client = Client(dial=peer.dial)
        await client.open()
        async with anyio.create_task_group() as group:
            group.start_soon(client.push, Job("order"))
            await gate.reached.wait()
            group.start_soon(client.aclose)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(ClientStateError):
                await client.push(Job("order"))
            assert peer.open_connections == 1
            gate.open()
        await anyio.wait_all_tasks_blocked()
        assert peer.open_connections == 0


async def test_a_repr_shows_where_and_how_and_no_password() -> None:
    client = Client("tcp://:secret@example.com:7000")
    assert repr(client).startswith("<Client tcp://example.com:7000 not open:")
    await client.open()
    assert " open:" in repr(client)
    await client.aclose()
    assert " closed:" in repr(client)
