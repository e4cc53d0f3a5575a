"""A worker that works what is there."""

from typing import Any

import anyio

from faktory_async import App, EmbeddedServer, Job, StopDetails, Worker


async def work(app: App, **options: Any) -> StopDetails:
    """Work until nothing is left."""
    with anyio.fail_after(60):
        return await Worker(app, burst=True, handle_signals=False, **options).run()


async def push(app: App, *jobs: Job) -> None:
    """Store jobs as a neighbour without types does."""
    async with app:
        for job in jobs:
            await app.client().push(job)


def failure_of(server: EmbeddedServer) -> tuple[str | None, str | None]:
    """Return errtype and message of the only job that waits for its retry."""
    [entry] = server.retries
    assert entry.job.failure is not None
    return entry.job.failure.errtype, entry.job.failure.message
