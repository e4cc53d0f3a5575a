"""The real server as a target of rows."""

import asyncio

from tests.conformance._runner import run_row
from tests.conformance._script import Row
from tests.conformance._stream import Target
from tests.real import RealServer

__all__ = ["run_alone", "shared"]


def shared(server: RealServer) -> Target:
    """Name a server that others use too."""
    return Target(server.host, server.port)


async def run_alone(row: Row) -> None:
    """Play a row against a server of its own."""
    server = RealServer()
    await asyncio.to_thread(server.__enter__)
    try:

        async def stop() -> None:
            await asyncio.to_thread(server.stop)

        async def restart() -> None:
            await asyncio.to_thread(server.restart)

        await run_row(row, Target(server.host, server.port, stop=stop, restart=restart))
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)
