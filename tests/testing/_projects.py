"""Small projects like those of our users, and how they are run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

WATCH: Final = Path(__file__).parent / "_watch.py"

# What every project checks of its server, whoever runs its event loop.
FACTS: Final = """
import os

from faktory_async import Client, Job, Worker

async def pushes_and_works(server):
    assert os.environ["FAKTORY_URL"] == server.url
    assert server.counters.processed == 0, "the server was used by another test"
    async with Client() as client:
        job = await client.push(Job("order", [1]))
        assert [found.jid for found in server.queues["default"].jobs] == [job.jid]
        worker = Worker(handle_signals=False)
        seen = []

        @worker.register("order")
        async def order(job):
            seen.extend(found.job.jid for found in server.working)
            worker.stop()

        details = await worker.run()
        assert (seen, details.acked, server.counters.processed) == ([job.jid], 1, 1)
        assert server.working == ()
"""

PLAIN: Final = """
import asyncio

import facts

def test_one(faktory_server):
    asyncio.run(facts.pushes_and_works(faktory_server))

def test_two(faktory_server):
    asyncio.run(facts.pushes_and_works(faktory_server))
"""

STRICT: Final = """
import facts
import pytest

pytestmark = pytest.mark.asyncio

async def test_one(faktory_server):
    await facts.pushes_and_works(faktory_server)

async def test_two(faktory_server):
    await facts.pushes_and_works(faktory_server)
"""

AUTO: Final = STRICT.replace("pytestmark = pytest.mark.asyncio", "")

ANYIO: Final = """
import facts
import pytest

pytestmark = pytest.mark.anyio

@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param

async def test_one(faktory_server):
    await facts.pushes_and_works(faktory_server)

async def test_two(faktory_server, anyio_backend_name):
    await facts.pushes_and_works(faktory_server)
"""


class Project:
    """A project in a directory of its own, run by a pytest of its own.

    Warnings are errors, and whatever a test leaves behind ends the run.
    """

    def __init__(self, pytester: pytest.Pytester) -> None:
        self._pytester = pytester
        self.write("watch.py", WATCH.read_text(encoding="utf-8"))
        self.write("facts.py", FACTS)

    def write(self, name: str, text: str) -> None:
        """Write a file."""
        (self._pytester.path / name).write_text(text, encoding="utf-8")

    def run(self, *options: str, without: Sequence[str] = ("randomly",)) -> pytest.RunResult:
        """Run its tests; plugins of this environment may be left out."""
        arguments = ["-W", "error", "-p", "watch", "--strict-markers"]
        for name in without:
            arguments += ["-p", f"no:{name}"]
        if "asyncio" not in without:  # it wants to be told
            arguments += ["-o", "asyncio_default_fixture_loop_scope=function"]
        return self._pytester.runpytest_subprocess(*arguments, *options, timeout=300)
