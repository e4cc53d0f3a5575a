"""The tables of how fast this library is, beside others, on one fresh real server.

    python -m tests.benchmarks.table client [--rounds 3] [--go COMMAND] [--node COMMAND] ...
    python -m tests.benchmarks.table worker [--rounds 3] [--go COMMAND] [--node COMMAND] ...
    python -m tests.benchmarks.table typed [--rounds 3]

A peer's command is completed with `push JOBS CLIENTS CONNECTIONS` or `work JOBS CONCURRENCY`, reads
`FAKTORY_URL`, and prints what `tests.benchmarks.rates` does. Peers that are not given are left out.
The cases of a group take turns (A B C A B C ...), with a FLUSH before each; every ratio is that of
two neighbours of one round, since machines change their speed within minutes.
"""

import argparse
import shlex
import statistics
import sys
from collections.abc import Sequence
from typing import Final

import anyio
import anyio.to_thread
from msgspec import Struct

from tests.benchmarks.compare import measure, run
from tests.benchmarks.rates import Rate
from tests.real import RealServer

_RATES: Final = f"{shlex.quote(sys.executable)} -m tests.benchmarks.rates"
_WAITS: Final = f"{shlex.quote(sys.executable)} -m tests.benchmarks.waits"
_LOOPS: Final = ("uvloop", "asyncio")


class Case(Struct, frozen=True):
    """One row: a name and the command that measures it."""

    name: str
    command: str


class Group(Struct, frozen=True):
    """Rows that are compared: each of `ours` with each of `others`."""

    title: str
    ours: Sequence[Case]
    others: Sequence[Case]


class Peers(Struct, frozen=True):
    """The commands of other clients; None for those that are not there."""

    go: str | None
    node: str | None
    pyfaktory: str | None


def _our(name: str, arguments: str) -> list[Case]:
    return [Case(f"{name} {loop}", f"{_RATES} --loop {loop} {arguments}") for loop in _LOOPS]


def _peer(name: str, command: str | None, *arguments: str) -> list[Case]:
    """One row for each setting of a peer, which is what makes it the best of several."""
    if command is None:
        return []
    return [Case(f"{name} {setting}", f"{command} {setting}") for setting in arguments]


def client_groups(peers: Peers, scale: float) -> list[Group]:
    """Return what producers do; `scale` multiplies the numbers of jobs."""
    few, many, bulk = (round(jobs * scale) for jobs in (10_000, 50_000, 200_000))
    one = Group(
        "push, one after the other",
        _our("ours", f"push {few} 1"),
        [
            *_our("bare protocol", f"floor-push {few} 1"),
            *_our("bare protocol, awaited", f"floor-await {few} 1"),
            *_peer("go", peers.go, f"push {few} 1 1"),
            *_peer("node", peers.node, f"push {few} 1 1"),
            *_peer("pyfaktory", peers.pyfaktory, f"push {few}"),
        ],
    )
    crowds = [
        Group(
            f"push, {crowd} at the same time, ours on at most 4 connections",
            _our("ours", f"push {many} {crowd}"),
            [
                *_peer("go", peers.go, f"push {many} {crowd} 4", f"push {many} {crowd} 64"),
                *_peer("node", peers.node, f"push {many} {crowd} 4", f"push {many} {crowd} 64"),
            ],
        )
        for crowd in (10, 100, 1000)
    ]
    bulks = Group(
        "push_bulk, 4 connections",
        _our("ours", f"bulk {bulk} 4"),
        _our("bare PUSHB of 1000", f"floor-bulk {bulk} 4"),
    )
    return [one, *crowds, bulks]


def worker_groups(peers: Peers, scale: float) -> list[Group]:
    """Return what workers do with jobs that need no time."""
    jobs, slow = round(20_000 * scale), round(2_000 * scale)
    settings = (f"work {jobs} 20", f"work {jobs} 100")
    return [
        Group(
            "no-op jobs",
            [
                *(case for one in settings for case in _our(f"ours {one}", one)),
                *_our("ours, 24 fetchers", f"work-wide {jobs} 100"),
                *_our("ours, two processes", f"work-two {jobs} 20"),
            ],
            [
                *(case for n in (8, 16) for case in _our(f"bare {n}", f"floor-work {jobs} {n}")),
                *_peer("go", peers.go, *settings),
                *_peer("node", peers.node, *settings),
                *_peer("pyfaktory", peers.pyfaktory, f"work {slow} 20"),
            ],
        )
    ]


def typed_groups(scale: float) -> list[Group]:
    """Return what typed jobs cost beside those of the level below."""
    few, many, noop = (round(jobs * scale) for jobs in (10_000, 50_000, 20_000))
    cases = (f"push {few} 1", f"push {many} 1000", f"work {noop} 100")
    return [
        Group(f"typed {case}", _our("typed", f"typed-{case}"), _our("untyped", case))
        for case in cases
    ]


def waiting_commands(scale: float) -> list[str]:
    """Return what workers do while they wait, each of which is a line of its own."""
    jobs, crowd = round(10_000 * scale), round(1_000 * scale)
    cases = (f"sleep {jobs} {crowd}", f"latency {round(1_000 * scale)}", f"idle {20 * scale}")
    return [f"{_WAITS} --loop {loop} {case}" for case in cases for loop in _LOOPS]


def summary(group: Group, rounds: Sequence[Sequence[Rate]]) -> list[str]:
    """Return the lines of a group's table: what was measured, then the ratios."""
    rows = [*group.ours, *group.others]
    width = max(len(row.name) for row in rows)
    lines = [f"## {group.title}", ""]
    for place, row in enumerate(rows):
        rates = [each[place].rate for each in rounds]
        cpu = [each[place].cpu_us for each in rounds]
        lines.append(f"{row.name:{width}}  {_spread(rates, '8.0f')} /s  {_spread(cpu, '6.1f')} us")
    lines.append("")
    for mine, our in enumerate(group.ours):
        for place, other in enumerate(group.others, start=len(group.ours)):
            rates = [each[mine].rate / each[place].rate for each in rounds]
            cpu = [each[mine].cpu_us / each[place].cpu_us for each in rounds]
            ratios = f"rate {_spread(rates, '.2f')}  cpu {_spread(cpu, '.2f')}"
            lines.append(f"{our.name} : {other.name}  {ratios}")
    return [*lines, ""]


def _spread(values: Sequence[float], form: str) -> str:
    """Show the median, the least and the most."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} - {max(values):{form}})"


async def measure_group(group: Group, rounds: int, url: str) -> list[str]:
    """Measure each row once per round, in turn."""
    rows = [*group.ours, *group.others]
    rates = [[await measure(row.command, url) for row in rows] for _ in range(rounds)]
    return summary(group, rates)


async def main(groups: Sequence[Group], alone: Sequence[str], rounds: int) -> None:
    """Print every group's table, and after them the lines of what is compared with nothing."""
    lines: list[str] = []
    server = RealServer()
    await anyio.to_thread.run_sync(server.__enter__)
    try:
        for group in groups:
            lines += await measure_group(group, rounds, server.url)
        for command in alone:
            for _ in range(rounds):
                lines.append((await run(command, server.url)).decode())
    finally:
        await anyio.to_thread.run_sync(server.__exit__, None, None, None)
        print("\n".join(["", *lines]), flush=True)


def _chosen() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure this library beside others.")
    parser.add_argument("table", choices=["client", "worker", "typed"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of jobs")
    parser.add_argument("--only", default="", help="groups whose title has these words")
    for peer in ("go", "node", "pyfaktory"):
        parser.add_argument(f"--{peer}", metavar="COMMAND")
    return parser.parse_args()


if __name__ == "__main__":
    chosen = _chosen()
    others = Peers(chosen.go, chosen.node, chosen.pyfaktory)
    tables = {
        "client": lambda: client_groups(others, chosen.scale),
        "worker": lambda: worker_groups(others, chosen.scale),
        "typed": lambda: typed_groups(chosen.scale),
    }
    wanted = [group for group in tables[chosen.table]() if chosen.only in group.title]
    waiting = waiting_commands(chosen.scale) if chosen.table == "worker" else []
    anyio.run(main, wanted, [one for one in waiting if chosen.only in one], chosen.rounds)
