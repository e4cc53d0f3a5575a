"""The embedded server answers as the table says, and so as the real one does."""

import asyncio

import pytest

from faktory_async.server import EmbeddedServer
from tests.conformance._embedded import Clocked, as_target
from tests.conformance._runner import run_row, run_together
from tests.conformance._script import Restart, Row
from tests.conformance._table import PASSWORD, PLAIN, PRIVATE, SLOW, TABLE, TIMERS

IN_MEMORY = "its jobs live in memory, so there is nothing to start again with"
# The rows that the embedded server cannot play, each with the reason.
DIFFERENCES = {
    "3.3-a-command-that-was-refused-was-not-executed": IN_MEMORY,
    "7.4-queues,-sets,-counters,-pauses-and-reservations-survive-a-restart": IN_MEMORY,
    "7.4-workers,-the-count-of-commands-and-the-default-of-retry-do-not": IN_MEMORY,
}


def test_only_what_outlives_a_restart_differs() -> None:
    restarting = {row.id for row in TABLE if any(isinstance(s, Restart) for s in row.steps)}
    assert DIFFERENCES.keys() == restarting


@pytest.mark.asyncio
@pytest.mark.parametrize("row", PLAIN, ids=lambda row: row.id)
async def test_answers(row: Row) -> None:
    async with EmbeddedServer() as server:
        await run_row(row, as_target(server))


@pytest.mark.asyncio
async def test_answers_after_seconds() -> None:
    """These rows wait; they do it together."""
    async with EmbeddedServer() as server:
        differences = await run_together(SLOW, as_target(server))
    assert not differences, "\n\n".join(differences)


@pytest.mark.asyncio
@pytest.mark.parametrize("row", PASSWORD, ids=lambda row: row.id)
async def test_asks_for_the_password(row: Row) -> None:
    async with EmbeddedServer(password="sekrit") as server:
        await run_row(row, as_target(server))


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "row", [row for row in PRIVATE if row.id not in DIFFERENCES], ids=lambda row: row.id
)
async def test_answers_alone(row: Row, many_files: None) -> None:
    async with EmbeddedServer() as server:
        await run_row(row, as_target(server))


@pytest.mark.asyncio
async def test_acts_by_its_clock() -> None:
    """Each row has a server and a clock of its own; some wait for a FETCH, all together."""

    async def play(row: Row) -> list[str]:
        clocked = Clocked()
        async with clocked.server:
            return await run_together([row], clocked.target())

    differences = await asyncio.gather(*(play(row) for row in TIMERS))
    assert not any(differences), "\n\n".join(text for texts in differences for text in texts)
