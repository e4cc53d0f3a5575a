"""What may be lost and what runs twice when the server or the network fails under load.

python -m tests.adversity.losses killed 20     kill -9 of the server, and its restart
python -m tests.adversity.losses stalled 20    the server's redis stops for 8 s and goes on
python -m tests.adversity.losses cut 20        the worker's connections are cut at random moments

With `--waits` a repetition lasts until every job that is left has run.
"""

import argparse
import logging
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, TypeAlias

import anyio
import anyio.to_thread

from faktory_async import Client, Job, StopDetails, Worker
from tests.adversity.ledger import Balance, Ledger
from tests.real import RealServer
from tests.real._proxy import Proxy, proxied

_JOBS: Final = 10_000
_RESERVE_FOR: Final = 60
_LOOK: Final = 0.01  # seconds between two looks at the numbers
_WAIT: Final = 400.0  # seconds: a reservation, the server's rounds, two retries
_STORED: Final = 6.0  # seconds in which redis works off what it was given while it stood still


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a program for a person


class Load:
    """A worker under load.

    Args:
        url: Where the worker connects.
        server: Where the jobs are pushed, and the numbers asked for.
        jobs: How many.
        failing: Every so many-th fails the first time; 0 for none.
    """

    def __init__(self, url: str, server: RealServer, jobs: int, *, failing: int = 0) -> None:
        self.server = server
        self.jobs = jobs
        self.ledger = Ledger()
        self.worker = Worker(url=url, concurrency=100, handle_signals=False)
        self.ledger.watch(self.worker)
        self.worker.register("order")(self._order)
        self._failing = failing
        self._result: list[StopDetails] = []

    async def _order(self, job: Job) -> None:
        first = self.ledger.begin(job)
        await anyio.sleep(0.002)
        if self._failing and first and job.args[0] % self._failing == 0:
            raise ValueError("boom")
        self.ledger.end(job)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Push everything and run the worker beside the block; then let it come to its end."""
        async with Client(self.server.url) as client:
            made = (Job("order", [n], reserve_for=_RESERVE_FOR) for n in range(self.jobs))
            await client.push_bulk(self.ledger.take(made))
        async with anyio.create_task_group() as group:
            group.start_soon(self._run)
            await self.until(lambda: self.worker.stats.processed > self.jobs // 10)
            yield
            await self._idle()
            self.worker.stop()

    async def _run(self) -> None:
        self._result.append(await self.worker.run())

    async def until(self, true: Callable[[], bool]) -> None:
        async def is_so() -> bool:
            return true()

        await _becomes(is_so, within=120)

    async def _idle(self) -> None:
        """Wait until nothing is queued, nothing is worked, and every report has ended."""

        async def idle() -> bool:
            busy = self.worker.stats.in_flight or self.ledger.reporting
            return not busy and not await self._queued()

        await _becomes(idle, within=180)

    async def emptied(self) -> None:
        """Wait until nothing of it is anywhere: every retry has run, and every reservation ended.

        Raises:
            TimeoutError: something is left after 400 s.
        """

        async def empty() -> bool:
            return not self.balance().kept

        await _becomes(empty, within=_WAIT, look=1)

    async def _queued(self) -> int:
        async with Client(self.server.url) as client:
            return (await client.info()).queues.get("default", 0)

    def balance(self) -> Balance:
        return self.ledger.balance(self.server)

    def verdicts(self) -> str:
        """Say how the reports ended."""
        ends = Counter(end for told in self.ledger.verdicts.values() for end in told)
        return ", ".join(f"{count} {end}" for end, count in sorted(ends.items()))


async def _becomes(
    true: Callable[[], Awaitable[bool]], *, within: float, look: float = _LOOK
) -> None:
    with anyio.fail_after(within):
        while not await true():  # noqa: ASYNC110 - another process makes it true
            await anyio.sleep(look)


def _told(load: Load, balance: Balance, *more: str) -> str:
    """Check what holds in every scene, and describe what became of the jobs."""
    assert not balance.vanished, f"came to a handler, and are gone: {balance.vanished}"
    assert not balance.again, f"were ACKed, and are there again: {balance.again}"
    assert not balance.strangers, f"nobody pushed them: {balance.strangers}"
    return "; ".join(
        (
            f"{len(load.ledger.begun)} of {load.jobs} ran: {load.verdicts()}",
            f"kept {balance.places()}",
            f"{len(balance.untold)} of them were done, and the server was not told",
            f"{len(balance.leftovers)} were ACKed, and are dropped when their time is up",
            f"ran twice: {balance.twice or 'none'}",
            f"lost by the server: {balance.missing or 'none'}",
            *more,
        )
    )


# -- the server is killed -------------------------------------------------------------------------


async def killed(server: RealServer, *, jobs: int = _JOBS, waits: bool = False) -> str:
    """The server loses at most what its FETCHes were about to bring."""
    load = Load(server.url, server, jobs)
    async with load.running():
        out = load.ledger.fetches_out
        os.kill(server.pid, signal.SIGKILL)
        await anyio.to_thread.run_sync(server.kill)
        await anyio.to_thread.run_sync(server.restart)
        if waits:
            await load.emptied()
    balance = load.balance()
    assert not balance.leftovers, f"were ACKed, and are there again: {balance.leftovers}"
    assert len(balance.missing) <= out, f"{out} FETCHes were out, missing: {balance.missing}"
    return _told(load, balance, f"{out} FETCHes were out")


# -- redis stands still ---------------------------------------------------------------------------


class _Errors(logging.Handler):
    """Counts the FETCHes that were answered by an error, each of which may lose a job."""

    def __init__(self) -> None:
        super().__init__()
        self.fetches = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.fetches += str(record.msg).startswith("a FETCH was answered by an error")


async def stalled(
    server: RealServer, *, jobs: int = _JOBS, seconds: float = 8, waits: bool = False
) -> str:
    """The server loses at most one job by each FETCH that it answers with an error."""
    load, errors = Load(server.url, server, jobs, failing=10), _Errors()
    log = logging.getLogger("faktory_async.worker")
    log.addHandler(errors)
    try:
        async with load.running():
            os.kill(server.redis_pid, signal.SIGSTOP)
            try:
                await anyio.sleep(seconds)
            finally:
                os.kill(server.redis_pid, signal.SIGCONT)
            await anyio.sleep(_STORED if seconds > 1 else 0)
            if waits:
                await load.emptied()
    finally:
        log.removeHandler(errors)
    balance = load.balance()
    assert len(balance.missing) <= errors.fetches, f"missing: {balance.missing}"
    doubled = sorted(jid for jid, places in balance.kept.items() if len(places) > 1)
    return _told(
        load,
        balance,
        f"kept twice: {doubled or 'none'}",
        f"{errors.fetches} FETCHes were answered by an error",
    )


# -- connections are cut --------------------------------------------------------------------------


async def cut(server: RealServer, *, jobs: int = _JOBS, waits: bool = False) -> str:
    """Nothing is lost: what a cut FETCH should have brought waits for its reservation's end."""
    chance = random.Random()  # noqa: S311 - moments, no secret
    proxy = Proxy(server.port)
    async with proxied(proxy) as url:
        load = Load(url, server, jobs)
        async with load.running():
            async with anyio.create_task_group() as group:

                async def disturb() -> None:
                    while True:
                        await anyio.sleep(chance.uniform(0, 0.05))
                        proxy.cut(chance)

                group.start_soon(disturb)
                await load.until(lambda: load.worker.stats.processed > jobs * 9 // 10)
                group.cancel_scope.cancel()
            if waits:
                await load.emptied()
        balance = load.balance()
    assert not balance.missing, f"missing: {balance.missing}"
    assert not balance.leftovers, f"were ACKed, and are there again: {balance.leftovers}"
    return _told(load, balance, f"{proxy.cuts} cuts")


# -- the program ----------------------------------------------------------------------------------

Scene: TypeAlias = Callable[..., Awaitable[str]]
SCENES: Final[dict[str, Scene]] = {"killed": killed, "stalled": stalled, "cut": cut}


def main() -> None:
    """Play one scene so many times, each on a server of its own."""
    parser = argparse.ArgumentParser(description="Count what is lost, and what runs twice.")
    parser.add_argument("scene", choices=SCENES)
    parser.add_argument("times", type=int, nargs="?", default=1)
    parser.add_argument("--waits", action="store_true", help="until every job that is left has run")
    chosen = parser.parse_args()
    for number in range(1, chosen.times + 1):
        with RealServer() as server:
            try:
                said = anyio.run(partial(SCENES[chosen.scene], server, waits=chosen.waits))
            except* AssertionError as broken:
                said = f"BROKEN: {broken.exceptions}"
        say(f"{chosen.scene} {number}: {said}")


if __name__ == "__main__":
    main()
