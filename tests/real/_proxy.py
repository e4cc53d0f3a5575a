"""A TCP proxy in front of a server, which cuts connections when it is told to."""

import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Final

import anyio
import anyio.abc

_NETWORK: Final = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)


class Proxy:
    """Stands in front of a server, and cuts connections when it is told to."""

    def __init__(self, port: int) -> None:
        self.cuts = 0
        self._port = port
        self._open: list[anyio.CancelScope] = []

    async def __call__(self, near: anyio.abc.SocketStream) -> None:
        with suppress(*_NETWORK), anyio.CancelScope() as scope:
            self._open.append(scope)
            try:
                async with (
                    near,
                    await anyio.connect_tcp("127.0.0.1", self._port) as far,
                    anyio.create_task_group() as group,
                ):
                    group.start_soon(self._copy, near, far, scope)
                    group.start_soon(self._copy, far, near, scope)
            except* _NETWORK:
                pass
            finally:
                self._open.remove(scope)

    async def _copy(
        self,
        source: anyio.abc.SocketStream,
        target: anyio.abc.SocketStream,
        scope: anyio.CancelScope,
    ) -> None:
        with suppress(*_NETWORK):
            async for data in source:
                await target.send(data)
        scope.cancel()

    def cut(self, chance: random.Random) -> None:
        if self._open:
            self.cuts += 1
            chance.choice(self._open).cancel()


@asynccontextmanager
async def proxied(proxy: Proxy) -> AsyncGenerator[str]:
    """Let the proxy listen for the length of a block; what it gives is the address."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, proxy)
        yield f"tcp://127.0.0.1:{port}"
        group.cancel_scope.cancel()
