"""A process with a server, one job and a worker, for tests that send it signals.

    python -m tests.worker.signalled BACKEND HANDLER [OPTION]

It says on stdout what happens, a line each. The handler `obedient` finishes when a line comes in
on stdin, `deaf` ignores every cancellation, `idle` has no job at all; nor have `slow_to_open` and
`slow_to_close`, whose handlers' source waits for a line or for the end of stdin.
"""

import logging
import sys
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import msgspec

from faktory_async import Client, EmbeddedServer, Job, Worker


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - read by the test


async def obedient(job: Job) -> None:
    say("started")
    await anyio.wait_readable(sys.stdin)


async def deaf(job: Job) -> None:
    say("started")
    with anyio.CancelScope(shield=True):
        while True:
            try:
                await anyio.sleep_forever()
            except BaseException:  # noqa: BLE001 - nothing stops it: that is the point
                say("ignored")


class Slow:
    """A source of handlers that takes its time, at its beginning or at its end."""

    def __init__(self, name: str) -> None:
        self._slow_to_open = name == "slow_to_open"

    def resolve(self, jobtype: str) -> None:
        return None

    def jobtypes(self) -> Collection[str]:
        return ()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        if self._slow_to_open:
            say("opening")
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    say("gave up opening")
                    await anyio.wait_readable(sys.stdin)
        say("opened")
        yield
        say("closing")
        await anyio.wait_readable(sys.stdin)


async def main(handler: str, **options: Any) -> None:
    handlers = {"obedient": obedient, "deaf": deaf}
    async with EmbeddedServer(fetch_wait=0.1) as server, Client(server.url) as client:
        if handler in handlers:
            await client.push(Job("order", jid="12345678"))
        source = Slow(handler) if handler.startswith("slow") else None
        worker = Worker(
            source or {"order": handlers.get(handler, obedient)}, url=server.url, **options
        )
        if handler == "idle":
            worker.register("never", obedient)
        try:
            async with anyio.create_task_group() as group:
                if handler == "idle":
                    group.start_soon(say_when_working, client)
                details = await worker.run()
                say(msgspec.json.encode(details).decode())
        finally:
            with anyio.CancelScope(shield=True):
                info = await client.info()
                say(f"processed {info.total_processed} failures {info.total_failures}")


async def say_when_working(client: Client) -> None:
    """Wait until the worker is known to the server: then its signals are obeyed."""
    while True:
        info = await client.info()
        if info.tasks["Workers"].size:
            say("started")
            return
        await anyio.lowlevel.checkpoint()


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
    backend, chosen, *flags = sys.argv[1:]
    uvloop = {"use_uvloop": True} if backend == "uvloop" else {}
    anyio.run(
        partial(main, chosen, **dict.fromkeys(flags, False)),
        backend="trio" if backend == "trio" else "asyncio",
        backend_options=uvloop,
    )
