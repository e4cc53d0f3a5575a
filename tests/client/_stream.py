"""A stream as anyio's own are, over a link in memory."""

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream

from faktory_async.net import Link


class Stream(ByteStream):
    """It takes the bytes of one task at a time, and has no socket to ask."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._guard = anyio.ResourceGuard("writing to")

    async def send(self, item: bytes) -> None:
        with self._guard:
            await anyio.lowlevel.checkpoint()
            await self._link.send(item)

    async def receive(self, max_bytes: int = 65_536) -> bytes:
        if data := await self._link.receive():
            return data
        raise anyio.EndOfStream

    async def send_eof(self) -> None:
        raise AssertionError("nobody half-closes")

    async def aclose(self) -> None:
        await self._link.aclose()
