"""Happy eyeballs: which of a name's addresses is taken, and what the others leave behind."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from faktory_async.net import _race
from faktory_async.net._race import connected_socket
from tests.net._loops import on_asyncio_loops, on_virtual_asyncio
from tests.net._peers import HOST, listener

STREAM = socket.SOCK_STREAM
V6, V4 = socket.AF_INET6, socket.AF_INET


def found(family: socket.AddressFamily, host: str) -> tuple[Any, ...]:
    return (family, STREAM, 6, "", (host, 7419))


class Network:
    """Stands in for sockets: which addresses answer, when, and what was tried."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *addresses: tuple[Any, ...]) -> None:
        self.behaviour: dict[str, Callable[[], Any]] = {}
        self.tried: list[tuple[str, float]] = []
        self.open: list[socket.socket] = []

        async def resolve(host: str, port: int) -> list[tuple[Any, ...]]:
            return list(addresses)

        monkeypatch.setattr(_race, "_addresses", resolve)
        monkeypatch.setattr(_race, "_connect", self.connect)

    async def connect(self, address: tuple[Any, ...]) -> socket.socket:
        host = address[4][0]
        self.tried.append((host, asyncio.get_running_loop().time()))
        await self.behaviour[host]()
        sock = socket.socket()
        self.open.append(sock)
        return sock

    def close(self) -> None:
        for sock in self.open:
            sock.close()


async def silence() -> None:
    await anyio.sleep_forever()


async def refusal() -> None:
    raise ConnectionRefusedError(111, "Connection refused")


async def at_once() -> None: ...


@on_virtual_asyncio
async def test_an_address_that_keeps_silent_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = Network(monkeypatch, found(V6, "a6"), found(V6, "b6"), found(V4, "a4"))
    network.behaviour = {"a6": silence, "a4": at_once, "b6": silence}
    start = asyncio.get_running_loop().time()
    with await connected_socket("h", 7419) as sock:
        assert network.open == [sock]
    assert network.tried == [("a6", start), ("a4", start + 0.25)]


@on_virtual_asyncio
async def test_an_address_that_refuses_lets_the_next_one_start_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = Network(monkeypatch, found(V6, "a6"), found(V4, "a4"))
    network.behaviour = {"a6": refusal, "a4": at_once}
    start = asyncio.get_running_loop().time()
    (await connected_socket("h", 7419)).close()
    assert network.tried == [("a6", start), ("a4", start)]


@on_virtual_asyncio
async def test_the_slower_of_two_that_answer_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    both = anyio.Event()

    async def together() -> None:
        with anyio.CancelScope(shield=True):  # the kernel was faster than the cancellation
            await both.wait()

    async def open_the_gate() -> None:
        both.set()
        await together()

    network = Network(monkeypatch, found(V6, "a6"), found(V4, "a4"))
    network.behaviour = {"a6": together, "a4": open_the_gate}
    with await connected_socket("h", 7419) as sock:
        assert [each.fileno() >= 0 for each in network.open] == [
            each is sock for each in network.open
        ]
        assert len(network.open) == 2


@on_virtual_asyncio
async def test_when_all_refuse_every_reason_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_route() -> None:
        raise OSError(113, "No route to host")

    network = Network(monkeypatch, found(V6, "a6"), found(V4, "a4"), found(V4, "b4"))
    network.behaviour = {"a6": no_route, "a4": refusal, "b4": refusal}
    with pytest.raises(OSError, match=r"No route to host; \[Errno 111\] Connection refused$"):
        await connected_socket("h", 7419)


@on_virtual_asyncio
@pytest.mark.parametrize("how", ["scope", "native"])
async def test_cancelled_nothing_stays_open(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    network = Network(monkeypatch, found(V6, "a6"), found(V4, "a4"))
    network.behaviour = {"a6": silence, "a4": silence}
    if how == "scope":
        with anyio.move_on_after(1) as scope:
            await connected_socket("h", 7419)
        assert scope.cancelled_caught
    else:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await connected_socket("h", 7419)
    assert len(network.tried) == 2
    assert network.open == []


@on_virtual_asyncio
async def test_cancelled_in_the_moment_of_success_the_socket_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = Network(monkeypatch, found(V6, "a6"), found(V4, "a4"))
    task: asyncio.Task[socket.socket]

    async def success_and_cancellation() -> None:
        task.cancel()

    network.behaviour = {"a6": success_and_cancellation, "a4": silence}
    task = asyncio.ensure_future(connected_socket("h", 7419))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [sock.fileno() for sock in network.open] == [-1]


@on_asyncio_loops
async def test_what_is_an_address_already_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(*args: object, **options: object) -> None:
        raise AssertionError("nobody needs to be asked")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", ask, raising=False)
    [address] = await _race._addresses(HOST, 7419)
    assert address[4] == (HOST, 7419)


@on_asyncio_loops
async def test_where_nothing_listens_the_socket_is_closed() -> None:
    with listener() as listening:
        port = listening.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        await connected_socket(HOST, port)
