"""A task group that one task opens and another one closes.

Fixtures of pytest-asyncio are set up and torn down by different tasks, and a task group must be
left by the task that entered it. So on asyncio a task of our own holds the group, and whoever
closes the host waits for that task; nothing outlives the host. There it is asyncio's own group,
since transports announce a connection by a callback, outside of any task, where anyio's starts
nothing. On trio the group is entered where the host is opened.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
from anyio.abc import TaskGroup

from faktory_async.net import on_asyncio


class Host:
    """Runs tasks until it is closed."""

    def __init__(self) -> None:
        self._group: TaskGroup | asyncio.TaskGroup | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Be ready for tasks. Cancelled, nothing is left behind."""
        if not on_asyncio():
            self._group = anyio.create_task_group()
            await self._group.__aenter__()
            return
        ready = asyncio.Event()
        self._keeper = asyncio.create_task(self._keep(ready), name="faktory embedded server")
        try:
            await ready.wait()
        except BaseException:
            self._keeper.cancel()
            raise

    def start_soon(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run something until it ends or the host is closed; on asyncio from a callback too."""
        if isinstance(self._group, asyncio.TaskGroup):
            self._group.create_task(run())
        elif self._group is not None:
            self._group.start_soon(run)

    async def close(self) -> None:
        """Cancel every task and wait for its end.

        Raises:
            Exception: what a task has raised; that is a bug.
        """
        group, self._group = self._group, None
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
            if not self._keeper.cancelled():
                self._keeper.result()
        elif isinstance(group, TaskGroup):
            group.cancel_scope.cancel()
            await group.__aexit__(None, None, None)

    async def _keep(self, ready: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            self._group = group
            ready.set()
            await asyncio.get_running_loop().create_future()
