"""The real server answers as the table says; where it does not, the table is wrong."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.conformance._real import run_alone, shared
from tests.conformance._runner import run_row, run_together
from tests.conformance._script import Row
from tests.conformance._table import PASSWORD, PLAIN, PRIVATE, SLOW
from tests.real import RealServer

AT_ONCE = 3  # more servers that start beside each other only wait for a processor


@pytest.fixture(scope="module")
def guarded_server(real_server_executable: None) -> Iterator[RealServer]:
    with RealServer(password="sekrit") as server:
        yield server


@pytest.mark.asyncio
@pytest.mark.parametrize("row", PLAIN, ids=lambda row: row.id)
async def test_answers(row: Row, real_server: RealServer) -> None:
    await run_row(row, shared(real_server))


@pytest.mark.asyncio
async def test_answers_after_seconds(real_server: RealServer) -> None:
    """These rows wait; they do it together."""
    differences = await run_together(SLOW, shared(real_server))
    assert not differences, "\n\n".join(differences)


@pytest.mark.asyncio
@pytest.mark.parametrize("row", PASSWORD, ids=lambda row: row.id)
async def test_asks_for_the_password(row: Row, guarded_server: RealServer) -> None:
    await run_row(row, shared(guarded_server))


@pytest.mark.asyncio
async def test_answers_alone(real_server_executable: None, many_files: None) -> None:
    """These rows count everything on their server, or stop it."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def take_turn(row: Row) -> None:
        async with turns:
            await run_alone(row)

    async with asyncio.TaskGroup() as group:
        for row in PRIVATE:
            group.create_task(take_turn(row))
