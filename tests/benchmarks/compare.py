"""Run commands in turn, several rounds, and hold each against the first one.

    python -m tests.benchmarks.compare ROUNDS COMMAND COMMAND...

A command prints one JSON line with `rate` and `cpu_us`. `FAKTORY_URL` names the server, which is
flushed before each. Machines change their speed within minutes, so what counts is the ratio of two
neighbours: the first command's rate to the other's, per round.
"""

import os
import shlex
import statistics
import sys

import anyio
import msgspec

from faktory_async import Address, Client
from tests.benchmarks.rates import Rate


async def measure(command: str, url: str) -> Rate:
    """Run the command on an empty server, and return what its last line says."""
    return msgspec.json.decode(await run(command, url), type=Rate)


async def run(command: str, url: str) -> bytes:
    """Flush the server, run the command, show its last line, and return it."""
    async with Client(url) as client:
        await client.flush()
    others = {name: value for name, value in os.environ.items() if name != "FAKTORY_PROVIDER"}
    environment = others | {"FAKTORY_URL": url}
    result = await anyio.run_process(shlex.split(command), env=environment, stderr=None)
    line = result.stdout.splitlines()[-1]
    print(line.decode(), flush=True)
    return line


async def main(rounds: int, commands: list[str]) -> None:
    url = Address.from_environment().secret_url
    rates = [[await measure(command, url) for command in commands] for _ in range(rounds)]
    for place, command in enumerate(commands[1:], start=1):
        ratios = sorted(each[0].rate / each[place].rate for each in rates)
        cpu = sorted(each[0].cpu_us / each[place].cpu_us for each in rates)
        print(
            f"{commands[0]!r} to {command!r}: "
            f"rate {' '.join(f'{ratio:.2f}' for ratio in ratios)} "
            f"(median {statistics.median(ratios):.2f}), "
            f"cpu per job {statistics.median(cpu):.2f}"
        )


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]), sys.argv[2:])
