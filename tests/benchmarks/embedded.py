"""The embedded server beside the real one: rates, memory, and what waiting clients cost.

    python -m tests.benchmarks.embedded load [--rounds 3] [--size 30000]
    python -m tests.benchmarks.embedded pushb [--rounds 5] [--size 100000]
    python -m tests.benchmarks.embedded memory [--size 1000000]
    python -m tests.benchmarks.embedded idle [--size 500] [--seconds 20]

`load` is the real server's own load generator with ten threads; `pushb` sends jobs by the thousand
over one connection; `memory` is what jobs in a queue and in the set of scheduled ones take; `idle`
is the part of a core that clients cost who wait in FETCH for nothing. Machines change their speed
within minutes, so the servers take turns, and what counts is the ratio within one round.
"""

import argparse
import contextlib
import os
import re
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

import anyio
from msgspec import Struct

from faktory_async import EmbeddedServer
from faktory_async.net import Address
from tests.real import RealServer, load_generator_binary

REAL: Final = "real"
LOOPS: Final = ("asyncio", "uvloop")
_BATCH: Final = 1_000
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PATIENCE: Final = 60.0  # seconds
_RATE: Final = re.compile(r"rate: ([\d.]+) jobs/s")


# -- the servers ----------------------------------------------------------------------------------


class Server(Struct, frozen=True):
    """A running server.

    Attributes:
        kind: The real one, or the event loop of the embedded one.
        address: Where it listens.
        pids: Its processes.
    """

    kind: str
    address: Address
    pids: tuple[int, ...]

    def cpu(self) -> float:
        """Return the seconds that it has computed so far."""
        return sum(_cpu_seconds(pid) for pid in self.pids)

    def memory(self) -> float:
        """Return what it takes of the memory, in MB."""
        return sum(_resident_kb(pid) for pid in self.pids) / 1024


@contextlib.contextmanager
def running(kind: str) -> Generator[Server]:
    """Start a fresh server, and stop it at the end."""
    if kind == REAL:
        with RealServer() as real:
            yield Server(kind, Address.parse(real.url), (real.pid, real.redis_pid))
        return
    command = [sys.executable, "-m", "tests.benchmarks.embedded", "serve", "--loop", kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own command
        try:
            assert process.stdout is not None
            address = Address.parse(process.stdout.readline().strip())
            yield Server(kind, address, (process.pid,))
        finally:
            process.send_signal(signal.SIGTERM)


async def serve() -> None:
    """Run an embedded server until SIGTERM, and say where it listens."""
    with anyio.open_signal_receiver(signal.SIGTERM) as signals:
        async with EmbeddedServer() as server:
            print(server.url, flush=True)
            await anext(signals)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _resident_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1])


# -- one connection -------------------------------------------------------------------------------


class Wire:
    """A blocking connection, which has shaken hands."""

    def __init__(self, address: Address) -> None:
        self.socket = socket.create_connection((address.host, address.port), timeout=_PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._replies: BinaryIO = self.socket.makefile("rb")
        self._expect(b"+HI", self._replies.readline())
        self.socket.sendall(b'HELLO {"v":2}\r\n')
        self._expect(b"+OK\r\n", self._replies.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._replies.close()
        self.socket.close()

    def push_bulk(self, line: bytes) -> None:
        """Send a PUSHB, all of which is to be accepted."""
        self.socket.sendall(line)
        self._expect(b"$2\r\n", self._replies.readline())
        self._expect(b"{}\r\n", self._replies.readline())

    @staticmethod
    def _expect(expected: bytes, reply: bytes) -> None:
        if not reply.startswith(expected):
            raise AssertionError(f"{reply!r} in place of {expected!r}")


def bulk_lines(jobs: int, more: Callable[[int], bytes] = lambda _: b"") -> Iterator[bytes]:
    """Yield the PUSHBs of so many small jobs; `more` are further members of each."""
    job = b'{"jid":"%024d","jobtype":"bench","queue":"default","args":[%d,"hello"],"retry":25%b}'
    for start in range(0, jobs, _BATCH):
        numbers = range(start, min(start + _BATCH, jobs))
        yield b"PUSHB [%b]\r\n" % b",".join(job % (n, n, more(n)) for n in numbers)


# -- the cases ----------------------------------------------------------------------------------


def load(server: Server, jobs: int) -> float:
    """Return the jobs per second that the load generator says it made and took."""
    ended = subprocess.run(  # noqa: S603 - our own command
        [load_generator_binary(), str(jobs), "10"],
        env=os.environ | {"FAKTORY_URL": server.address.secret_url},
        capture_output=True,
        text=True,
        check=True,
    )
    said = _RATE.search(ended.stdout)
    if said is None or len(ended.stdout.splitlines()) != 2:
        raise AssertionError(ended.stdout)
    return float(said[1])


def push_in_bulk(server: Server, jobs: int) -> float:
    """Return the jobs per second that one connection gets rid of."""
    lines = list(bulk_lines(jobs))
    with Wire(server.address) as wire:
        start = time.perf_counter()
        for line in lines:
            wire.push_bulk(line)
        return jobs / (time.perf_counter() - start)


def scheduled_at(number: int) -> bytes:
    """Return an `at` of its own for each job, far in the future."""
    minutes, seconds = divmod(number, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return b',"at":"2099-01-%02dT%02d:%02d:%02dZ"' % (days + 1, hours, minutes, seconds)


def memory(server: Server, jobs: int, *, scheduled: bool) -> float:
    """Return the MB that the server takes with so many jobs."""
    lines = bulk_lines(jobs, scheduled_at) if scheduled else bulk_lines(jobs)
    with Wire(server.address) as wire:
        for line in lines:
            wire.push_bulk(line)
    return server.memory()


def idle(server: Server, clients: int, seconds: float, warm_up: float = 3.0) -> float:
    """Return the part of a core that clients cost who wait in FETCH for nothing.

    What they cost within the seconds of the warm-up does not count.
    """
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        for _ in range(clients):
            wire = stack.enter_context(Wire(server.address))
            wire.socket.sendall(b"FETCH nothing\r\n")
            selector.register(wire.socket, selectors.EVENT_READ)
        _ask_again(selector, warm_up)
        cpu, start = server.cpu(), time.perf_counter()
        _ask_again(selector, seconds)
        return (server.cpu() - cpu) / (time.perf_counter() - start)


def _ask_again(selector: selectors.BaseSelector, seconds: float) -> None:
    """For so long, send the next FETCH wherever one was answered."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        for key, _ in selector.select(left):
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            # Small enough to come in one piece from either server.
            if sock.recv(100) != b"$-1\r\n":
                raise AssertionError("not what an empty FETCH is answered")
            sock.sendall(b"FETCH nothing\r\n")


# -- the command --------------------------------------------------------------------------------


def compare_rates(case: Callable[[Server, int], float], rounds: int, jobs: int) -> None:
    """Print the rates of every server, and each one's ratio to the real one's."""
    ratios: dict[str, list[float]] = {kind: [] for kind in LOOPS}
    for _ in range(rounds):
        rates: dict[str, float] = {}
        for kind in (REAL, *LOOPS):
            with running(kind) as server:
                rates[kind] = case(server, jobs)
        for kind, found in ratios.items():
            found.append(rates[kind] / rates[REAL])
        print("  ".join(f"{kind} {rate:.0f} jobs/s" for kind, rate in rates.items()), flush=True)
    for kind, found in ratios.items():
        shown = " ".join(f"{ratio:.2f}" for ratio in sorted(found))
        print(f"{kind}: {shown} times the real one (median {statistics.median(found):.2f})")


def show_memory(jobs: int) -> None:
    """Print the memory of every server with jobs in a queue, and with scheduled ones."""
    for kind in (REAL, *LOOPS):
        for scheduled in (False, True):
            with running(kind) as server:
                empty = server.memory()
                full = memory(server, jobs, scheduled=scheduled)
            where = "scheduled" if scheduled else "queued"
            print(f"{kind}: {jobs} {where} jobs in {full:.0f} MB, empty {empty:.0f}", flush=True)


def show_idle(clients: int, seconds: float) -> None:
    """Print what waiting clients cost every server."""
    for kind in (REAL, *LOOPS):
        with running(kind) as server:
            part = idle(server, clients, seconds)
        print(f"{kind}: {clients} clients in FETCH take {part:.1%} of a core", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    cases = parser.add_subparsers(dest="case", required=True)
    for name, rounds, size in (("load", 3, 30_000), ("pushb", 5, 100_000)):
        case = cases.add_parser(name)
        case.add_argument("--rounds", type=int, default=rounds)
        case.add_argument("--size", type=int, default=size)
    cases.add_parser("memory").add_argument("--size", type=int, default=1_000_000)
    waiting = cases.add_parser("idle")
    waiting.add_argument("--size", type=int, default=500)
    waiting.add_argument("--seconds", type=float, default=20)
    cases.add_parser("serve").add_argument("--loop", choices=LOOPS, required=True)
    chosen = parser.parse_args()
    if chosen.case == "serve":
        loop: dict[str, Any] = {"use_uvloop": chosen.loop == "uvloop"}
        anyio.run(serve, backend_options=loop)
    elif chosen.case == "memory":
        show_memory(chosen.size)
    elif chosen.case == "idle":
        show_idle(chosen.size, chosen.seconds)
    else:
        case_of = {"load": load, "pushb": push_in_bulk}
        compare_rates(case_of[chosen.case], chosen.rounds, chosen.size)


if __name__ == "__main__":
    main()
