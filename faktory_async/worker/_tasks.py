"""Tasks for jobs, with an owner that ends only when all of them have."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeAlias

import anyio

from faktory_async.net import on_asyncio

Work: TypeAlias = Coroutine[Any, Any, None]


class Start(Protocol):
    """Starts a task that does some work."""

    def __call__(self, work: Work, /, *, name: str) -> object:
        """Start the task, in a copy of the caller's context."""
        ...


@asynccontextmanager
async def task_owner() -> AsyncGenerator[Start]:
    """Own the tasks that are started in the block, which ends when all of them have.

    On asyncio they are asyncio's own: one of anyio costs as much as all else that a worker does
    for a short job. An error that gets out of one cancels the others, as in any group.
    """
    if on_asyncio():
        async with asyncio.TaskGroup() as native:
            if asyncio.get_running_loop().get_task_factory() is None:
                yield native.create_task
                return

            def begin(work: Work, /, *, name: str) -> None:
                # The factory may let the work begin before asyncio has given its task the name.
                native.create_task(_named(work, name), name=name)

            yield begin
    else:
        async with anyio.create_task_group() as group:

            def start(work: Work, /, *, name: str) -> None:
                group.start_soon(_await, work, name=name)

            yield start


async def _named(work: Work, name: str) -> None:
    if (task := asyncio.current_task()) is not None:
        task.set_name(name)
    await work


async def _await(work: Work) -> None:
    await work
