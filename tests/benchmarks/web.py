"""The web example under load, on a real server: python -m tests.benchmarks.web [REQUESTS [CLIENTS]]

Needs `ab`, of Debian's apache2-utils. Prints the lines of its report that matter, and how many of
the jobs the server has.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from faktory_async import Client
from tests.docs._snippets import ROOT
from tests.real import RealServer
from tests.real._process import _free_port

_WANTED: Final = ("Complete", "Failed", "Non-2xx", "Requests per second", "  50%", "  99%", " 100%")


@contextmanager
def serving(url: str, port: int) -> Generator[None]:
    """Run the web example as its docstring says, without a line for each request."""
    command = [sys.executable, "-m", "uvicorn", "web:web", "--port", str(port)]
    with subprocess.Popen(  # noqa: S603 - our own example
        [*command, "--log-level", "warning"],
        cwd=ROOT / "examples",
        env={**os.environ, "FAKTORY_URL": url},
    ) as process:
        try:
            _await_answer(f"http://127.0.0.1:{port}/")
            yield
        finally:
            process.terminate()


def _await_answer(address: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(address, timeout=1)  # noqa: S310 - our own example
        except urllib.error.HTTPError:
            return  # it answers, and knows no such page
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the web application did not start")


async def stored(url: str) -> int:
    """Return how many jobs the server has."""
    async with Client(url) as client:
        return (await client.info()).total_enqueued


def main(requests: int = 20_000, clients: int = 200) -> None:
    ab = shutil.which("ab")
    if ab is None:
        sys.exit("ab is not here: apt-get install apache2-utils")
    port = _free_port()
    with RealServer() as server, serving(server.url, port):
        report = subprocess.run(  # noqa: S603 - a tool of our own choice
            [
                *(ab, "-q", "-k", "-n", str(requests), "-c", str(clients), "-m", "POST"),
                f"http://127.0.0.1:{port}/sign-up?email=ada@example.org",
            ],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        for line in report.stdout.splitlines():
            if line.startswith(_WANTED):
                print(line)
        print(f"jobs on the server: {asyncio.run(stored(server.url))} of {requests}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
