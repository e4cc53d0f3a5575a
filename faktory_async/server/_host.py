"""A task group that one task opens and another one closes.

Fixtures are set up and torn down by different tasks, or by one task within different scopes, and a
task group must be left by the task that entered it, where it was entered. So a task of our own
holds the group, and whoever closes the host waits for that task; nothing outlives the host. On
asyncio it is asyncio's own group, since transports announce a connection by a callback, outside of
any task, where anyio's starts nothing.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any

import anyio

from faktory_async.net import on_asyncio

Run = Callable[[], Coroutine[Any, Any, None]]


class Host(ABC):
    """Runs tasks until it is closed."""

    @abstractmethod
    def start_soon(self, run: Run) -> None:
        """Run something until it ends or the host is closed; on asyncio from a callback too."""

    @abstractmethod
    async def close(self) -> None:
        """Cancel every task and wait for its end. May be called again.

        Raises:
            Exception: what a task has raised; that is a bug.

        Cancelled by anyio, it does so all the same; by asyncio, it does not wait.
        """


async def open_host() -> Host:
    """Return a host for the event loop that runs. Cancelled, nothing is left behind."""
    return await _AsyncioHost.open() if on_asyncio() else await _TrioHost.open()


class _AsyncioHost(Host):
    def __init__(self, keeper: asyncio.Task[None], group: asyncio.TaskGroup) -> None:
        self._keeper = keeper
        self._group = group

    @classmethod
    async def open(cls) -> Host:
        opened: asyncio.Future[asyncio.TaskGroup] = asyncio.get_running_loop().create_future()
        keeper = asyncio.create_task(cls._keep(opened), name="faktory embedded server")
        try:
            # By a shield, or the keeper might find its future cancelled.
            return cls(keeper, await asyncio.shield(opened))
        except BaseException:
            keeper.cancel()
            raise

    def start_soon(self, run: Run) -> None:
        self._group.create_task(run())

    async def close(self) -> None:
        self._keeper.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.wait([self._keeper])
        if not self._keeper.cancelled():
            self._keeper.result()

    @staticmethod
    async def _keep(opened: asyncio.Future[asyncio.TaskGroup]) -> None:
        async with asyncio.TaskGroup() as group:
            opened.set_result(group)
            await asyncio.get_running_loop().create_future()


class _TrioHost(Host):
    def __init__(self) -> None:
        self._group = anyio.create_task_group()
        self._over = anyio.Event()
        self._error: Exception | None = None

    @classmethod
    async def open(cls) -> Host:
        # Nothing but the event loop itself can hold a task that outlives who started it.
        from trio.lowlevel import spawn_system_task  # noqa: PLC0415 - exists where trio runs

        host, ready = cls(), anyio.Event()
        spawn_system_task(host._keep, ready, name="faktory embedded server")
        with anyio.CancelScope(shield=True):
            await ready.wait()
        return host

    def start_soon(self, run: Run) -> None:
        self._group.start_soon(run)

    async def close(self) -> None:
        self._group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await self._over.wait()
        if self._error is not None:
            raise self._error

    async def _keep(self, ready: anyio.Event) -> None:
        try:
            async with self._group:
                ready.set()
                await anyio.sleep_forever()
        except Exception as error:  # noqa: BLE001 - whoever closes the host raises it
            self._error = error
        finally:
            self._over.set()
