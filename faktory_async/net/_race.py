"""Happy eyeballs (RFC 8305) on asyncio: a name's addresses are tried in turn, 0.25 s apart.

anyio has its own for trio; neither asyncio's nor uvloop's `create_connection` does it alike.
"""

import asyncio
import socket
from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Any, Final, TypeAlias

import anyio

_HEAD_START: Final = 0.25  # seconds, as RFC 8305 recommends

_Found: TypeAlias = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]


async def connected_socket(host: str, port: int) -> socket.socket:
    """Return a socket that is connected to the first address of the host that answers.

    Raises:
        OSError: the host has no address, or none of them answers.

    Cancelled, every socket is closed.
    """
    found = _interleaved(await _addresses(host, port))
    if len(found) == 1:
        return await _connect(found[0])
    race = _Race()
    try:
        await race.run(found)
    except BaseException:
        race.close()
        raise
    if race.winner is None:
        raise OSError("; ".join(dict.fromkeys(str(error) for error in race.errors)))
    return race.winner


class _Race:
    def __init__(self) -> None:
        self.winner: socket.socket | None = None
        self.errors: list[OSError] = []

    async def run(self, found: Sequence[_Found]) -> None:
        async with anyio.create_task_group() as runners:
            for each in found:
                failed = anyio.Event()
                runners.start_soon(self._try, each, failed, runners.cancel_scope)
                with anyio.move_on_after(_HEAD_START):
                    await failed.wait()

    async def _try(self, found: _Found, failed: anyio.Event, race: anyio.CancelScope) -> None:
        try:
            sock = await _connect(found)
        except OSError as error:
            self.errors.append(error)
            failed.set()
            return
        if self.winner is None:
            self.winner = sock
            race.cancel()
        else:
            sock.close()

    def close(self) -> None:
        if self.winner is not None:
            self.winner.close()


async def _addresses(host: str, port: int) -> Sequence[_Found]:
    try:
        # What is an address already needs nobody to be asked, and no thread.
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        loop = asyncio.get_running_loop()
        return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def _interleaved(found: Sequence[_Found]) -> list[_Found]:
    """Alternate the families, beginning with the one that the resolver prefers."""
    preferred = [each for each in found if each[0] == found[0][0]]
    others = [each for each in found if each[0] != found[0][0]]
    pairs = chain.from_iterable(zip_longest(preferred, others))
    return [each for each in pairs if each is not None]


async def _connect(found: _Found) -> socket.socket:
    family, kind, protocol, _, address = found
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock
