"""The client that handlers push with."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from typing import Final

from faktory_async.client import Client
from faktory_async.errors import UsageError

_client: Final[ContextVar[Client]] = ContextVar("faktory_async_job_client")


def job_client() -> Client:
    """Return a client to push with from inside a handler: the one that the worker was given.

    A worker that was given none has one of its own for the same server. It is open until the last
    handler has ended, also while the worker drains, and dials nothing before its first use. From a
    thread: `anyio.from_thread.run(job_client().push, job)`.

    Raises:
        UsageError: outside of a handler, or in a worker process.
    """
    try:
        return _client.get()
    except LookupError:
        raise UsageError("there is no job client outside of a handler") from None


@asynccontextmanager
async def serving(client: AbstractAsyncContextManager[Client]) -> AsyncGenerator[None]:
    """Let `job_client` return the client within the block, and in tasks that it starts."""
    async with client as opened:
        token = _client.set(opened)
        try:
            yield
        finally:
            _client.reset(token)
