"""A storm of pushes over the real server: cancelled, cut off, its redis stalled, itself restarted.

    python -m tests.real.storm [--loop asyncio|uvloop|trio] [--pushes 10000] [--seed 1]

Prints what callers were told, and which of it was not true: nothing, or the program ends with 1.
"""

import argparse
import functools
import os
import random
import signal
import sys
import warnings
from collections import Counter

import anyio

from faktory_async import Client, Timeouts
from faktory_async.model import Envelope
from faktory_async.net import Address, Connector
from faktory_async.protocol import Ack, Fetch
from tests.client import test_storm
from tests.client.test_storm import Storm
from tests.real import RealServer
from tests.real._proxy import Proxy, proxied


async def disturb(server: RealServer, proxy: Proxy, chance: random.Random) -> None:
    """Cut connections, and every now and then stall redis for a while or restart the server."""
    for step in range(1_000_000):
        await anyio.sleep(chance.uniform(0, 0.1))
        proxy.cut(chance)
        if step % 40 == 20:
            os.kill(server.redis_pid, signal.SIGSTOP)
            await anyio.sleep(chance.uniform(0.2, 6))
            os.kill(server.redis_pid, signal.SIGCONT)
        if step % 40 == 39:
            await anyio.to_thread.run_sync(server.restart)


async def stored(url: str) -> Counter[str]:
    """Fetch everything, and count by jid."""
    found = Counter[str]()

    async def consume() -> None:
        connection = await Connector(Address.parse(url))()
        while (data := await connection.execute(Fetch(["default"]))) is not None:
            jid = Envelope.decode(data).jid
            found[jid] += 1
            await connection.execute(Ack(jid))
        await connection.aclose()

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(consume)
    return found


async def main(server: RealServer, pushes: int, seed: int, *, natively: bool) -> bool:
    test_storm.PUSHES = pushes  # type: ignore[misc]  # pyright: ignore[reportConstantRedefinition]
    chance = random.Random(seed)  # noqa: S311 - a storm, no secret
    proxy = Proxy(server.port)
    async with proxied(proxy) as url:
        client = Client(url, timeouts=Timeouts(connect=1))
        storm = Storm(client, seed, natively=natively)
        async with client, anyio.create_task_group() as weather:
            weather.start_soon(disturb, server, proxy, chance)
            await storm.rage()
            weather.cancel_scope.cancel()
    os.kill(server.redis_pid, signal.SIGCONT)
    with anyio.CancelScope(shield=True):
        await anyio.sleep(6)  # what redis was given while it was stopped
    found = await stored(server.url)
    words = Counter(storm.told.values())
    missing = [jid for jid, word in storm.told.items() if word == "stored" and not found[jid]]
    there = [jid for jid, word in storm.told.items() if word == "not stored" and found[jid]]
    twice = [jid for jid, count in found.items() if count > 1]
    unknown = sum(1 for jid, word in storm.told.items() if word == "unknown" and found[jid])
    print(  # noqa: T201 - the result, for people
        f"{dict(words)}, {unknown} of the unknown are there; {proxy.cuts} cuts; "
        f"stored but missing: {len(missing)}, not stored but there: {len(there)}, "
        f"twice: {len(twice)}",
        flush=True,
    )
    return not (missing or there or twice)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Push in a storm against the real server.")
    parser.add_argument("--loop", choices=["asyncio", "uvloop", "trio"], default="asyncio")
    parser.add_argument("--pushes", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    warnings.simplefilter("ignore", ResourceWarning)
    with RealServer() as real:
        fine = anyio.run(
            functools.partial(
                main, real, chosen.pushes, chosen.seed, natively=chosen.loop != "trio"
            ),
            backend="trio" if chosen.loop == "trio" else "asyncio",
            backend_options={"use_uvloop": True} if chosen.loop == "uvloop" else {},
        )
    sys.exit(not fine)
