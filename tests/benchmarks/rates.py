"""How fast jobs go out and are worked: one JSON line for one case.

    python -m tests.benchmarks.rates [--loop uvloop] push JOBS CLIENTS
    python -m tests.benchmarks.rates [--loop uvloop] bulk JOBS CONNECTIONS
    python -m tests.benchmarks.rates [--loop uvloop] work JOBS CONCURRENCY
    python -m tests.benchmarks.rates [--loop uvloop] work-wide JOBS CONCURRENCY
    python -m tests.benchmarks.rates [--loop uvloop] work-two JOBS CONCURRENCY
    python -m tests.benchmarks.rates [--loop uvloop] typed-push JOBS CLIENTS
    python -m tests.benchmarks.rates [--loop uvloop] typed-work JOBS CONCURRENCY
    python -m tests.benchmarks.rates [--loop uvloop] floor-push JOBS 1
    python -m tests.benchmarks.rates [--loop uvloop] floor-await JOBS 1
    python -m tests.benchmarks.rates [--loop uvloop] floor-bulk JOBS CONNECTIONS
    python -m tests.benchmarks.rates [--loop uvloop] floor-work JOBS CONNECTIONS

`FAKTORY_URL` names the server. The floor is a bare `asyncio.Protocol` that sends bytes made
beforehand and hardly reads the replies: what this event loop can do without a client at all.
`cpu_us` is this process's own user and system time per job.
"""

import argparse
import asyncio
import os
import resource
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, cast

import anyio
import anyio.to_process
import msgspec
from msgspec import Struct

from faktory_async import Address, App, Client, Job, Limits, Worker

_QUEUE: Final = "default"
_CHUNK: Final = 1000  # jobs of one PUSHB
_HELLO: Final = b'HELLO {"v":2}\r\n'


class Rate(Struct):
    """One measurement."""

    peer: str
    case: str
    clients: int
    jobs: int
    seconds: float
    rate: float
    cpu_us: float


class Watch:
    """Takes the time of a case."""

    def __init__(self) -> None:
        self._start, self._cpu = time.perf_counter(), cpu_seconds()

    def stop(self, peer: str, case: str, clients: int, jobs: int) -> Rate:
        seconds = time.perf_counter() - self._start
        cpu = cpu_seconds() - self._cpu
        return Rate(peer, case, clients, jobs, seconds, jobs / seconds, cpu / jobs * 1e6)


def cpu_seconds() -> float:
    """Return the seconds of CPU that this process has used, its own and the kernel's for it."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


# -- this library ---------------------------------------------------------------------------------


async def push(url: str, jobs: int, clients: int) -> Rate:
    """Push from so many coroutines, which share one client."""
    async with Client(url) as client:
        await client.info()  # a connection is there before the watch starts
        share = jobs // clients

        async def produce() -> None:
            for number in range(share):
                await client.push(Job("bench", [number, "hello"], queue=_QUEUE))

        watch = Watch()
        async with anyio.create_task_group() as group:
            for _ in range(clients):
                group.start_soon(produce)
        return watch.stop("faktory-async", "push", clients, share * clients)


async def bulk(url: str, jobs: int, connections: int) -> Rate:
    """Push by `push_bulk`, the making of the jobs included."""
    async with Client(url, limits=Limits(max_connections=connections)) as client:
        await client.info()
        many = (Job("bench", [number, "hello"], queue=_QUEUE) for number in range(jobs))
        watch = Watch()
        report = await client.push_bulk(many, chunk=_CHUNK, in_flight=connections)
        report.raise_for_error()
        return watch.stop("faktory-async", "bulk", connections, report.accepted)


async def work(url: str, jobs: int, concurrency: int) -> Rate:
    """Work jobs that do nothing, from the first one's start to the last one's."""
    return await _work(url, jobs, concurrency, max_fetchers=8)


async def work_wide(url: str, jobs: int, concurrency: int) -> Rate:
    """The same with more fetchers than the default."""
    rate = await _work(url, jobs, concurrency, max_fetchers=24)
    rate.case = "work-wide"
    return rate


async def _work(url: str, jobs: int, concurrency: int, *, max_fetchers: int) -> Rate:
    queue = await _filled(url, jobs)
    worker = Worker(url=url, queues=[queue], concurrency=concurrency, max_fetchers=max_fetchers)
    countdown = _Countdown(jobs, worker)

    @worker.register("bench")
    async def bench(job: Job) -> None:
        countdown.one()

    await worker.run()
    return countdown.rate("faktory-async", concurrency)


async def _filled(url: str, jobs: int) -> str:
    """Fill a queue and return its name."""
    queue = f"bench-{os.getpid()}"
    async with Client(url) as client:
        await client.push_bulk(
            Job("bench", [number, "hello"], queue=queue) for number in range(jobs)
        )
    return queue


class _Countdown:
    """Stops a worker after its last job, and takes the time since the first one."""

    def __init__(self, jobs: int, worker: Worker) -> None:
        self._jobs = self._left = jobs
        self._worker = worker
        self._watch: Watch | None = None
        self._rate: Rate | None = None

    def one(self) -> None:
        if self._watch is None:
            self._watch = Watch()
        self._left -= 1
        if self._left == 0:
            self._rate = self._watch.stop("", "work", 0, self._jobs)
            self._worker.stop()

    def rate(self, peer: str, concurrency: int) -> Rate:
        if self._rate is None:
            raise AssertionError("not all jobs were worked")
        self._rate.peer, self._rate.clients = peer, concurrency
        return self._rate


# -- the typed layer above it ---------------------------------------------------------------------


async def typed_push(url: str, jobs: int, clients: int) -> Rate:
    """Push typed jobs from so many coroutines."""
    app = App(url)

    @app.job(queue=_QUEUE)
    async def bench(number: int, word: str) -> None: ...

    async with app:
        await app.client().info()  # a connection is there before the watch starts
        share = jobs // clients

        async def produce() -> None:
            for number in range(share):
                await bench.push(number, "hello")

        watch = Watch()
        async with anyio.create_task_group() as group:
            for _ in range(clients):
                group.start_soon(produce)
        return watch.stop("faktory-async typed", "push", clients, share * clients)


async def typed_work(url: str, jobs: int, concurrency: int) -> Rate:
    """Work typed jobs that do nothing."""
    queue = await _filled(url, jobs)
    app = App(url)
    worker = Worker(app, queues=[queue], concurrency=concurrency)
    countdown = _Countdown(jobs, worker)

    @app.job
    async def bench(number: int, word: str) -> None:
        countdown.one()

    await worker.run()
    return countdown.rate("faktory-async typed", concurrency)


async def work_two(url: str, jobs: int, concurrency: int) -> Rate:
    """Work jobs that do nothing by two processes, from the first start of both to the last one."""
    queue = f"two-{os.getpid()}"
    async with Client(url) as client:
        await client.push_bulk(
            Job("bench", [number, "hello"], queue=queue) for number in range(jobs)
        )
    uvloop = type(asyncio.get_running_loop()).__module__.startswith("uvloop")
    shares: list[_Share] = []

    async def one_process() -> None:
        drain = partial(_drain, url, queue, concurrency, uvloop=uvloop)
        shares.append(await anyio.to_process.run_sync(drain))

    async with anyio.create_task_group() as group:
        group.start_soon(one_process)
        group.start_soon(one_process)
    counts, firsts, lasts, cpus = zip(*(share for share in shares if share[0]), strict=True)
    done, seconds = sum(counts), max(lasts) - min(firsts)
    cpu = sum(cpus) / done * 1e6
    return Rate("faktory-async", "work-two", concurrency, done, seconds, done / seconds, cpu)


# What one of several processes did: jobs, when it began the first and the last one on the machine's
# one clock, and the seconds of CPU between them.
_Share = tuple[int, float, float, float]


def _drain(url: str, queue: str, concurrency: int, *, uvloop: bool) -> _Share:
    """Work until the queue is empty."""
    worker = Worker(url=url, queues=[queue], concurrency=concurrency, burst=True)
    jobs, first, last, before, after = 0, 0.0, 0.0, 0.0, 0.0

    @worker.register("bench")
    async def bench(job: Job) -> None:
        nonlocal jobs, first, last, before, after
        last, after = time.perf_counter(), cpu_seconds()
        if jobs == 0:
            first, before = last, after
        jobs += 1

    anyio.run(worker.run, backend_options={"use_uvloop": uvloop})
    return jobs, first, last, after - before


# -- the floor ------------------------------------------------------------------------------------


class _Bare(asyncio.Protocol):
    """Says HELLO, and then sends the next line as soon as a reply is complete.

    Args:
        first: The first line after the HELLO.
        complete: How a whole reply ends.
        following: Makes the next line from a reply; None when there is none.
    """

    def __init__(
        self, first: bytes, complete: bytes, following: Callable[[bytes], bytes | None]
    ) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self._first = first
        self._complete = complete
        self._following = following
        self._buffer = b""
        self._greeted = self._accepted = False
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._buffer.endswith(self._complete if self._accepted else b"\r\n"):
            return
        reply, self._buffer = self._buffer, b""
        if not self._greeted:
            self._greeted = True
            self._write(_HELLO)
        elif not self._accepted:
            self._accepted = True
            self._write(self._first)
        elif (line := self._following(reply)) is not None:
            self._write(line)
        else:
            self._write(b"END\r\n")
            self.done.set_result(None)

    def _write(self, data: bytes) -> None:
        if self._transport is None:
            raise AssertionError("not connected")
        self._transport.write(data)


async def _run_floor(url: str, connections: int, make: Callable[[], _Bare]) -> None:
    address = Address.parse(url)
    loop = asyncio.get_running_loop()
    protocols = [
        (await loop.create_connection(make, address.host, address.port))[1]
        for _ in range(connections)
    ]
    await asyncio.gather(*(protocol.done for protocol in protocols))


def _push_lines(jobs: int) -> list[bytes]:
    """Return PUSHBs of one job: the very bytes that this library sends."""
    made = (Job("bench", [number, "hello"], queue=_QUEUE) for number in range(jobs))
    return [b"PUSHB [%b]\r\n" % job.to_json() for job in made]


async def floor_push(url: str, jobs: int, clients: int) -> Rate:
    """Send PUSHBs of one job, each by the call that brings the reply to the last one."""
    lines = _push_lines(jobs)

    def following(_reply: bytes) -> bytes | None:
        return lines.pop() if lines else None

    watch = Watch()
    await _run_floor(url, clients, lambda: _Bare(lines.pop(), b"{}\r\n", following))
    return watch.stop("floor", "push", clients, jobs)


class _Asked(asyncio.Protocol):
    """Sends a line, and wakes whoever awaits the reply when it is complete."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reply = self.greeting = self._loop.create_future()
        self._complete = b"\r\n"
        self._buffer = b""
        self.transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._buffer.endswith(self._complete):
            self._reply.set_result(self._buffer)

    async def ask(self, line: bytes, complete: bytes) -> None:
        if self.transport is None:
            raise AssertionError("not connected")
        self._buffer, self._complete = b"", complete
        self._reply = self._loop.create_future()
        self.transport.write(line)
        await self._reply


async def floor_await(url: str, jobs: int, clients: int) -> Rate:
    """Send the same from tasks that await each reply, as whoever pushes does."""
    lines = _push_lines(jobs)
    address = Address.parse(url)

    async def produce() -> None:
        loop = asyncio.get_running_loop()
        transport, bare = await loop.create_connection(_Asked, address.host, address.port)
        await bare.greeting
        await bare.ask(_HELLO, b"\r\n")
        while lines:
            await bare.ask(lines.pop(), b"{}\r\n")
        transport.write(b"END\r\n")

    watch = Watch()
    await asyncio.gather(*(produce() for _ in range(clients)))
    return watch.stop("floor", "await", clients, jobs)


async def floor_bulk(url: str, jobs: int, connections: int) -> Rate:
    """Send PUSHBs of many jobs, all of whose bytes were made beforehand."""
    job = b'"jobtype":"bench","queue":"%b","args":[1,"hello"],"retry":25' % _QUEUE.encode()
    each = [b'{"jid":"%024d",%b}' % (number, job) for number in range(jobs)]
    size = min(_CHUNK, jobs // connections)
    lines = [b"PUSHB [%b]\r\n" % b",".join(each[n : n + size]) for n in range(0, jobs, size)]

    firsts = [lines.pop() for _ in range(connections)]  # each connection has one to begin with

    def following(_reply: bytes) -> bytes | None:
        return lines.pop() if lines else None

    watch = Watch()
    await _run_floor(url, connections, lambda: _Bare(firsts.pop(), b"{}\r\n", following))
    return watch.stop("floor", "bulk", connections, jobs)


async def floor_work(url: str, jobs: int, connections: int) -> Rate:
    """Send each ACK in one packet with the next FETCH: the fewest bytes that a worker can send."""
    queue = f"floor-{os.getpid()}"
    async with Client(url) as client:
        await client.push_bulk(Job("bench", [n, "hello"], queue=queue) for n in range(jobs))
    fetch = b"FETCH %b\r\n" % queue.encode()
    fetches = jobs - connections  # each connection begins with one of its own

    def following(reply: bytes) -> bytes | None:
        nonlocal fetches
        jid = reply.partition(b'"jid":"')[2].partition(b'"')[0]
        if not jid:
            return None
        fetches -= 1
        ack = b'ACK {"jid":"%b"}\r\n' % jid
        # INFO ends as a job does, but it has no jid: its reply is the sign that all is said.
        return ack + (fetch if fetches >= 0 else b"INFO\r\n")

    watch = Watch()
    await _run_floor(url, connections, lambda: _Bare(fetch, b"}\r\n", following))
    return watch.stop("floor", "work", connections, jobs)


# -- the command ----------------------------------------------------------------------------------

CASES: Final[dict[str, Callable[[str, int, int], Awaitable[Rate]]]] = {
    "push": push,
    "bulk": bulk,
    "work": work,
    "work-wide": work_wide,
    "work-two": work_two,
    "typed-push": typed_push,
    "typed-work": typed_work,
    "floor-push": floor_push,
    "floor-await": floor_await,
    "floor-bulk": floor_bulk,
    "floor-work": floor_work,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure one case and print one JSON line.")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    parser.add_argument("case", choices=CASES)
    parser.add_argument("jobs", type=int)
    parser.add_argument("clients", type=int)
    chosen = parser.parse_args()
    url = Address.from_environment().secret_url
    rate = anyio.run(
        CASES[chosen.case],
        url,
        chosen.jobs,
        chosen.clients,
        backend_options={"use_uvloop": chosen.loop == "uvloop"},
    )
    rate.peer = f"{rate.peer} {chosen.loop}"
    print(msgspec.json.encode(rate).decode(), flush=True)


if __name__ == "__main__":
    main()
