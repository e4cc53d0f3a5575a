"""The web example under load, on a real server: python -m tests.benchmarks.web [REQUESTS [CLIENTS]]

Needs `ab`, of Debian's apache2-utils. Prints the lines of its report that matter, and how many of
the jobs the server has.
"""

import asyncio
import http.client
import shutil
import subprocess
import sys
from typing import Final

from faktory_async import Client
from tests.docs._web import serving
from tests.real import RealServer

_WANTED: Final = ("Complete", "Failed", "Non-2xx", "Requests per second", "  50%", "  99%", " 100%")


def until_it_answers(web: str) -> None:
    """Return when the web application has started: it says that it has no such page."""
    connection = http.client.HTTPConnection(web.removeprefix("http://"), timeout=30)
    connection.request("GET", "/")
    assert connection.getresponse().status == http.client.NOT_FOUND
    connection.close()


async def stored(url: str) -> int:
    """Return how many jobs the server has."""
    async with Client(url) as client:
        return (await client.info()).total_enqueued


def main(requests: int = 20_000, clients: int = 200) -> None:
    ab = shutil.which("ab")
    if ab is None:
        sys.exit("ab is not here: apt-get install apache2-utils")
    with RealServer() as server, serving(server.url) as web:
        until_it_answers(web)
        report = subprocess.run(  # noqa: S603 - a tool of our own choice
            [
                *(ab, "-q", "-k", "-n", str(requests), "-c", str(clients), "-m", "POST"),
                f"{web}/sign-up?email=ada@example.org",
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
