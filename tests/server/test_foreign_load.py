"""A client of another language, which knows nothing of this project, under load."""

import os
import re
from pathlib import Path

import anyio
import pytest

from faktory_async.server import EmbeddedServer
from tests.net._loops import on_every_loop
from tests.real import load_generator_binary

_DONE = re.compile(
    r"Running loadtest with 2000 jobs and 8 threads\n"
    r"Processed (\d+) pushes and (\d+) pops in [\d.]+ seconds, rate: [\d.]+ jobs/s\n"
)


@pytest.fixture(scope="module")
def load_generator(real_server_executable: None) -> Path:
    """Give the load generator that comes with the real server, written in Go."""
    return load_generator_binary()


@on_every_loop
async def test_the_load_generator_of_the_real_server_is_served(load_generator: Path) -> None:
    """Half of its threads push; the others fetch, and acknowledge or fail what they got."""
    async with EmbeddedServer() as server:
        ended = await anyio.run_process(
            [str(load_generator), "2000", "8"], env=os.environ | {"FAKTORY_URL": server.url}
        )
        said = _DONE.fullmatch(ended.stdout.decode())
        assert said, ended.stdout
        pushes, pops = int(said[1]), int(said[2])
        assert pushes >= 2000
        assert pops >= 2000
        counters = server.counters
        # Its count of pops includes FETCHes that got nothing, on a machine that is too busy.
        assert pops - 8 <= counters.processed <= pops
        assert counters.processed + counters.enqueued == pushes
        assert 0 < counters.failures == len(server.retries) < 200
        assert not server.working
        assert not server.dead
