"""Retry and Dead lose no job wherever their delivery is interrupted.

The worker, the server or its Redis may end at any point between the handler and the last report. So
at the moment when each command of a delivery strikes trouble, and again when the trouble is over,
the job must be somewhere: reserved, scheduled, to be retried, or dead.
"""

from collections.abc import Callable
from typing import Final

import anyio
import anyio.lowlevel
import pytest

from faktory_async import App, Dead, EmbeddedServer, JobType, Retry, Worker
from faktory_async.server import Fault

pytestmark = pytest.mark.anyio

# What a handler says, and the commands by which that is delivered.
WORDS: Final[dict[str, tuple[str, ...]]] = {
    "later": ("INFO", "PUSHB", "ACK"),
    "soon": ("INFO", "PUSHB", "ACK"),
    "free": ("INFO", "PUSHB", "ACK"),
    "dead": ("FAIL", "MUTATE"),
    "dead at once": ("INFO", "PUSHB", "MUTATE", "ACK"),  # it has no retry, so a FAIL would drop it
}

TROUBLE: Final[dict[str, Callable[[EmbeddedServer, str], Fault]]] = {
    "silence": lambda server, verb: server.faults.stall(on=verb, times=1),
    "silence, but done": lambda server, verb: server.faults.stall(on=verb, times=1, executed=True),
    "cut off": lambda server, verb: server.faults.close_after(0, on=verb, times=1),
    "refused": lambda server, verb: server.faults.error("ERR not today", on=verb, times=1),
    "redis stalls": lambda server, verb: server.faults.deadline_exceeded(
        stored=False, on=verb, times=1
    ),
    "redis stalls, but stores": lambda server, verb: server.faults.deadline_exceeded(
        stored=True, on=verb, times=1
    ),
}

CASES: Final = [
    (word, verb, trouble) for word, verbs in WORDS.items() for verb in verbs for trouble in TROUBLE
]


def an_app() -> tuple[App, JobType[[str]], JobType[[str]]]:
    app = App()

    @app.job
    async def say(word: str) -> None:
        match word:
            case "later":
                raise Retry(30)
            case "soon":
                raise Retry
            case "free":
                raise Retry(30, free=True)
            case _:
                raise Dead("no use")

    @app.job(retry="discard")
    async def say_once(word: str) -> None:
        raise Dead("no use")

    return app, say, say_once


def places(server: EmbeddedServer, jid: str) -> list[str]:
    """Say where a job is, under its own jid or that of what was pushed in its place."""
    found = [
        ("reserved", [entry.job for entry in server.working]),
        ("scheduled", [entry.job for entry in server.scheduled]),
        ("retries", [entry.job for entry in server.retries]),
        ("dead", [entry.job for entry in server.dead]),
        ("queued", [job for queue in server.queues.values() for job in queue.jobs]),
    ]
    return [
        place
        for place, jobs in found
        for job in jobs
        if job.jid == jid or job.custom.get("retry_of") == jid
    ]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # what is in question is the server's state
@pytest.mark.parametrize(("word", "verb", "trouble"), CASES)
async def test_the_job_is_somewhere(word: str, verb: str, trouble: str) -> None:
    app, say, once = an_app()
    async with EmbeddedServer(fetch_wait=0.01) as server:
        with app.aimed_at(server.url, server.dial):
            async with app:
                job = await (once if word == "dead at once" else say).push(word)
            worker = Worker(app, handle_signals=False)
            fault = TROUBLE[trouble](server, verb)
            with anyio.fail_after(30):
                async with anyio.create_task_group() as group:
                    with fault:
                        group.start_soon(worker.run)
                        while not fault.hits:
                            await anyio.lowlevel.checkpoint()
                        # A worker that dies here leaves it so.
                        assert places(server, job.jid)
                    while not (worker.stats.processed or worker.stats.unknown):
                        await anyio.lowlevel.checkpoint()
                    worker.stop()
        assert places(server, job.jid)
