"""Three processes run one timetable on a real server: each tick must be worked once.

python -m tests.adversity.cron [SECONDS]     by default 150: longer than ticks are pushed ahead

One process is killed and started again, one is stopped for a while and goes on, and their clocks
differ by 2 s. The ticks come every second.
"""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

import anyio

from faktory_async import App, Worker, current_job
from faktory_async.model import World, use_world
from tests.house._source import ROOT
from tests.real import RealServer

SKEW: Final = (0.0, 2.0, -2.0)  # seconds
_LATE: Final = 12.0  # seconds: the server looks every 5 s for what is due, and a worker fetches it

app = App()
runs: Counter[datetime] = Counter()


@app.cron("* * * * * *")
@app.job(queue="ticks")
async def tick() -> None:
    at = current_job().at
    assert at is not None, "a tick has its time"
    runs[at] += 1


class Skewed(World):
    """A clock that is wrong by some seconds."""

    def __init__(self, seconds: float) -> None:
        self._ahead = timedelta(seconds=seconds)

    def utcnow(self) -> datetime:
        return datetime.now(UTC) + self._ahead


async def schedule(skew: float) -> None:
    """What one of the three processes does."""
    with use_world(Skewed(skew)):
        await app.run_cron()


@contextmanager
def scheduling(url: str, skew: float) -> Generator[subprocess.Popen[bytes]]:
    """Have a process run the timetable."""
    process = subprocess.Popen(  # noqa: S603 - ourselves
        [sys.executable, "-m", "tests.adversity.cron", "run", str(skew)],
        cwd=ROOT,
        env={**os.environ, "FAKTORY_URL": url},
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()


async def disturb(url: str, seconds: float) -> None:
    """Run three processes for so long, and harm two of them on the way."""
    one, two, three = (scheduling(url, skew) for skew in SKEW)
    with one as killed, two as stopped, three:
        await anyio.sleep(seconds / 4)
        killed.kill()
        stopped.send_signal(signal.SIGSTOP)
        await anyio.sleep(seconds / 4)
        with scheduling(url, SKEW[0]):
            await anyio.sleep(seconds / 4)
            stopped.send_signal(signal.SIGCONT)
            await anyio.sleep(seconds / 4)


class Proof(Counter[str]):
    """What came of it: ticks that were `due`, `missed`, and worked `twice`."""


async def prove(server: RealServer, seconds: float) -> Proof:
    """Work what the three push, and count.

    Args:
        server: A fresh one.
        seconds: How long they push.
    """
    runs.clear()
    worker = Worker(app, url=server.url, queues=["ticks"], cron=False, handle_signals=False)
    until = datetime.now(UTC) + timedelta(seconds=seconds)
    async with anyio.create_task_group() as group:
        group.start_soon(worker.run)
        await disturb(server.url, seconds)
        await anyio.sleep(_LATE)
        worker.stop()
    first = min(runs)
    due = [first + timedelta(seconds=n) for n in range(int((until - first).total_seconds()))]
    return Proof(
        due=len(due),
        missed=sum(runs[at] == 0 for at in due),
        twice=sum(times > 1 for times in runs.values()),
    )


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["run"]:
        anyio.run(schedule, float(arguments[1]))
        return
    seconds = float(arguments[0]) if arguments else 150.0
    with RealServer() as server:
        print(dict(anyio.run(prove, server, seconds)))  # noqa: T201 - a program for a person


if __name__ == "__main__":
    main(sys.argv[1:])
