"""Middleware: what runs around every handler."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from faktory_async.model import Job
from faktory_async.worker._handlers import Runner
from faktory_async.worker._outcome import Ack, Outcome
from faktory_async.worker._perform import sound

CallNext: TypeAlias = Callable[[Job], Awaitable[Outcome]]
"""What a middleware calls to go on: the next one, or the handler."""

Middleware: TypeAlias = Callable[[Job, CallNext], Awaitable[Outcome | None]]
"""Runs around every handler.

What the handler raises comes out of `call_next`. What the middleware returns is how the job ends;
with None it ends as `call_next` said, and well where that was not called or its exception was
caught.
"""

_DONE: Final = Ack()


def chained(middleware: Sequence[Middleware], runner: Runner) -> Runner:
    """Return the runner with every middleware around it, the first one outermost."""
    for layer in reversed(middleware):
        runner = _around(layer, runner)
    return runner


def _around(layer: Middleware, inner: Runner) -> Runner:
    async def run(job: Job) -> Outcome:
        said: Outcome = _DONE

        async def call_next(job: Job) -> Outcome:
            nonlocal said
            said = sound(await inner(job))
            return said

        outcome = await layer(job, call_next)
        return said if outcome is None else outcome

    return run
