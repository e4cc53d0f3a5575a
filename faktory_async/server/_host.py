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
from anyio.abc import TaskGroup

from faktory_async.net import on_asyncio

Run = Callable[[], Coroutine[Any, Any, None]]


class Host(ABC):
    """Runs tasks until it is closed."""

    @abstractmethod
    async def open(self) -> None:
        """Be ready for tasks. Cancelled, nothing is left behind."""

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


def make_host() -> Host:
    """Return a host for the event loop that runs."""
    return _AsyncioHost() if on_asyncio() else _TrioHost()


class _AsyncioHost(Host):
    def __init__(self) -> None:
        self._group: asyncio.TaskGroup | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def open(self) -> None:
        ready = asyncio.Event()
        self._keeper = asyncio.create_task(self._keep(ready), name="faktory embedded server")
        try:
            await ready.wait()
        except BaseException:
            self._keeper.cancel()
            raise

    def start_soon(self, run: Run) -> None:
        if self._group is not None:
            self._group.create_task(run())

    async def close(self) -> None:
        self._group = None
        if self._keeper is None:
            return
        self._keeper.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.wait([self._keeper])
        if not self._keeper.cancelled():
            self._keeper.result()

    async def _keep(self, ready: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            self._group = group
            ready.set()
            await asyncio.get_running_loop().create_future()


class _TrioHost(Host):
    def __init__(self) -> None:
        self._group: TaskGroup | None = None
        self._over: anyio.Event | None = None
        self._error: Exception | None = None

    async def open(self) -> None:
        # Nothing but the event loop itself can hold a task that outlives who started it.
        from trio.lowlevel import spawn_system_task  # noqa: PLC0415 - exists where trio runs

        ready = anyio.Event()
        self._over = anyio.Event()
        spawn_system_task(self._keep, ready, self._over, name="faktory embedded server")
        with anyio.CancelScope(shield=True):
            await ready.wait()

    def start_soon(self, run: Run) -> None:
        if self._group is not None:
            self._group.start_soon(run)

    async def close(self) -> None:
        group, self._group = self._group, None
        if group is not None:
            group.cancel_scope.cancel()
        if self._over is not None:
            with anyio.CancelScope(shield=True):
                await self._over.wait()
        if self._error is not None:
            raise self._error

    async def _keep(self, ready: anyio.Event, over: anyio.Event) -> None:
        try:
            async with anyio.create_task_group() as group:
                self._group = group
                ready.set()
                await anyio.sleep_forever()
        except Exception as error:  # noqa: BLE001 - whoever closes the host raises it
            self._error = error
        finally:
            over.set()
