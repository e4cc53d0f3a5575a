"""Cancel a coroutine at the k-th place where it waits."""

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

import anyio

__all__ = ["cancelled_at"]

T = TypeVar("T")


@types.coroutine
def _cancelling_at(
    work: Coroutine[Any, Any, T], turn: int, cancel: Callable[[], object]
) -> Generator[Any, Any, T]:
    turns = 0
    value: Any = None
    error: BaseException | None = None
    while True:
        try:
            waited_for = work.send(value) if error is None else work.throw(error)
        except StopIteration as stop:
            result: T = stop.value
            return result
        turns += 1
        if turns == turn:
            cancel()
        value = error = None
        try:
            value = yield waited_for
        except BaseException as caught:  # noqa: BLE001 - thrown into the work, above
            error = caught


async def cancelled_at(work: Coroutine[Any, Any, object], turn: int, how: str) -> bool:
    """Run the work, cancel it when it waits for the `turn`-th time; tell whether it came so far.

    Args:
        work: What to run.
        turn: From 1.
        how: "scope" or "task", natively; the latter on asyncio only.
    """
    reached = False
    scope = anyio.CancelScope()

    def cancel() -> None:
        nonlocal reached
        reached = True
        if how == "task":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        else:
            scope.cancel()

    async def run() -> None:
        with scope:
            await _cancelling_at(work, turn, cancel)

    if how == "scope":
        await run()
    else:
        await asyncio.wait([asyncio.create_task(run())])
    return reached
