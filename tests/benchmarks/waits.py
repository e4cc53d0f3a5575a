"""What a worker does while it waits: one JSON line for one case.

    python -m tests.benchmarks.waits [--loop uvloop] sleep JOBS CONCURRENCY
    python -m tests.benchmarks.waits [--loop uvloop] latency TIMES
    python -m tests.benchmarks.waits [--loop uvloop] idle SECONDS

`FAKTORY_URL` names the server. `sleep` works jobs that wait for a second. `latency` takes the time
from a push to the start of its handler on a worker that has nothing to do, and, in turn with it,
from the same push to the reply of a FETCH on a bare blocking socket. `idle` looks at a worker that
nobody sends anything.
"""

import argparse
import asyncio
import os
import socket
import statistics
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, Self

import anyio
import msgspec
from msgspec import Struct

from faktory_async import Address, Client, Job, Worker
from tests.benchmarks.rates import cpu_seconds

_REST: Final = 0.005  # seconds in which the worker's next FETCH arrives
_SETTLED: Final = 3.0  # seconds after which a worker that got nothing has no more to begin
_FETCH_WAIT: Final = 2.0  # seconds that the server keeps a FETCH when there is no job


class Sleep(Struct):
    """Jobs that wait; `sockets` are the worker's own, the heartbeat's included."""

    loop: str
    jobs: int
    concurrency: int
    seconds: float
    sockets: int
    cpu_us: float


class Latency(Struct):
    """Microseconds from a push to the handler's start, and to the reply on a bare socket."""

    loop: str
    times: int
    median_us: float
    p99_us: float
    bare_median_us: float
    bare_p99_us: float


class Idle(Struct):
    """What an idle worker uses; `fetches` is how many were in flight, in the mean.

    `fetches` is told by the server's count of commands, the few BEATs among them: it answers an
    empty FETCH after 2 s.
    """

    loop: str
    seconds: float
    cpu_percent: float
    commands: int
    fetches: float


async def sleep(url: str, jobs: int, concurrency: int, *, each: float = 1.0) -> Sleep:
    """Work jobs that wait for `each` seconds, from the first one's start to the last one's end."""
    queue = f"sleep-{os.getpid()}"
    async with Client(url) as client:
        await client.push_bulk(Job("bench", [n, "hello"], queue=queue) for n in range(jobs))
        before = (await client.info()).server.connections
        worker = Worker(url=url, queues=[queue], concurrency=concurrency)
        left, start, cpu = jobs, 0.0, 0.0
        results: list[Sleep] = []

        @worker.register("bench")
        async def bench(job: Job) -> None:
            nonlocal left, start, cpu
            if not start:
                start, cpu = time.perf_counter(), cpu_seconds()
            await asyncio.sleep(each)
            left -= 1
            if left == 0:
                seconds, used = time.perf_counter() - start, cpu_seconds() - cpu
                sockets = (await client.info()).server.connections - before
                results.append(
                    Sleep(_loop(), jobs, concurrency, seconds, sockets, used / jobs * 1e6)
                )
                worker.stop()

        await worker.run()
    return results[0]


async def latency(url: str, times: int) -> Latency:
    """Push one job after the other, by turns to an idle worker and to a bare FETCH."""
    queue, bare_queue = f"latency-{os.getpid()}", f"bare-{os.getpid()}"
    worker = Worker(url=url, queues=[queue])
    started = asyncio.Event()
    begun = 0.0

    @worker.register("bench")
    async def bench(job: Job) -> None:
        nonlocal begun
        begun = time.perf_counter()
        started.set()

    ours: list[float] = []
    theirs: list[float] = []
    async with _running(worker):
        with _Bare(url, wid=None) as pusher, _Bare(url, wid=f"bare-{os.getpid()}") as fetcher:
            for number in range(times):
                started.clear()
                await anyio.sleep(_REST)
                pushed = time.perf_counter()
                pusher.send(_push(queue, number))
                await started.wait()
                ours.append(begun - pushed)
                pusher.receive()

                fetcher.send(b"FETCH %b\r\n" % bare_queue.encode())
                await anyio.sleep(_REST)
                pushed = time.perf_counter()
                pusher.send(_push(bare_queue, number))
                fetcher.receive()
                theirs.append(time.perf_counter() - pushed)
                pusher.receive()
                fetcher.send(b'ACK {"jid":"%b"}\r\n' % _jid(bare_queue, number))
                fetcher.receive()
    return Latency(
        _loop(),
        times,
        statistics.median(ours) * 1e6,
        _p99(ours) * 1e6,
        statistics.median(theirs) * 1e6,
        _p99(theirs) * 1e6,
    )


async def idle(url: str, seconds: float, *, settled: float = _SETTLED) -> Idle:
    """Run a worker that nobody sends anything, with a handler and the defaults."""
    worker = Worker(url=url, queues=[f"idle-{os.getpid()}"])

    @worker.register("bench")
    async def bench(job: Job) -> None: ...

    async with Client(url) as client, _running(worker):
        await anyio.sleep(settled)
        before = (await client.info()).server.command_count
        start, cpu = time.perf_counter(), cpu_seconds()
        await anyio.sleep(seconds)
        took, used = time.perf_counter() - start, cpu_seconds() - cpu
        # Our own INFO is one of them.
        commands = (await client.info()).server.command_count - before - 1
    return Idle(_loop(), took, used / took * 100, commands, commands * _FETCH_WAIT / took)


@asynccontextmanager
async def _running(worker: Worker) -> AsyncGenerator[None]:
    async with anyio.create_task_group() as group:
        await group.start(worker.run)
        yield
        worker.stop()


def _loop() -> str:
    module = type(asyncio.get_running_loop()).__module__
    return "uvloop" if module.startswith("uvloop") else "asyncio"


def _p99(values: list[float]) -> float:
    return sorted(values)[len(values) * 99 // 100]


# -- a bare socket --------------------------------------------------------------------------------


class _Bare:
    """A blocking socket that knows how to greet, and reads replies that arrive whole.

    A socket of its own for each direction of a job: whatever an event loop costs is not in it.
    """

    def __init__(self, url: str, wid: str | None) -> None:
        address = Address.parse(url)
        self._socket = socket.create_connection((address.host, address.port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.receive()
        worker: dict[str, Any] = (
            {} if wid is None else {"wid": wid, "hostname": "bare", "pid": 1, "labels": []}
        )
        self.send(b"HELLO %b\r\n" % msgspec.json.encode({"v": 2} | worker))
        self.receive()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self) -> bytes:
        """Read one reply: a line, or a bulk string with its end.

        Raises:
            ConnectionError: the server closed, or said that something is wrong.
        """
        data = b""
        while not _whole(data):
            more = self._socket.recv(65536)
            if not more:
                raise ConnectionError("the server closed")
            data += more
        if data.startswith(b"-"):
            raise ConnectionError(data)
        return data


def _whole(data: bytes) -> bool:
    line, end, rest = data.partition(b"\r\n")
    if not end or not line.startswith(b"$") or line == b"$-1":
        return bool(end)
    return len(rest) >= int(line[1:]) + 2


def _jid(queue: str, number: int) -> bytes:
    return b"%b-%08d" % (queue.encode(), number)


def _push(queue: str, number: int) -> bytes:
    job = {
        "jid": _jid(queue, number).decode(),
        "jobtype": "bench",
        "queue": queue,
        "args": [number],
    }
    return b"PUSH %b\r\n" % msgspec.json.encode(job)


# -- the command ----------------------------------------------------------------------------------


def _case(chosen: argparse.Namespace, url: str) -> Callable[[], Awaitable[Struct]]:
    if chosen.case == "sleep":
        return partial(sleep, url, chosen.jobs, chosen.concurrency)
    if chosen.case == "latency":
        return partial(latency, url, chosen.times)
    return partial(idle, url, chosen.seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure one case and print one JSON line.")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    cases = parser.add_subparsers(dest="case", required=True)
    sleepers = cases.add_parser("sleep")
    sleepers.add_argument("jobs", type=int)
    sleepers.add_argument("concurrency", type=int)
    cases.add_parser("latency").add_argument("times", type=int)
    cases.add_parser("idle").add_argument("seconds", type=float)
    chosen = parser.parse_args()
    url = Address.from_environment().secret_url
    options = {"use_uvloop": chosen.loop == "uvloop"}
    result = anyio.run(_case(chosen, url), backend_options=options)
    print(msgspec.json.encode(result).decode(), flush=True)


if __name__ == "__main__":
    main()
