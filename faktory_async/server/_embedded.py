"""The embedded Faktory: broker and answers behind TCP, or in process without a socket."""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

import anyio
from anyio.abc import Listener, SocketAttribute, SocketStream

from faktory_async.errors import ClientStateError
from faktory_async.net import Address, AsyncioLink, Link, StreamLink, memory_links, on_asyncio
from faktory_async.protocol import MAX_COMMAND
from faktory_async.server._answers import Answers
from faktory_async.server._broker import Broker
from faktory_async.server._connection import Connection
from faktory_async.server._conversation import Conversation
from faktory_async.server._host import Host

_NANOSECONDS: Final = 1_000_000_000
_NEW, _OPEN, _CLOSED = "not open", "open", "closed"


class EmbeddedServer:
    """A Faktory in memory, which answers as the real one does.

        async with EmbeddedServer() as server:
            client = Client(server.url)

    It may be opened by one task and closed by another one of the same event loop.

    Args:
        host: Where to listen.
        port: The port; 0 chooses a free one.
        password: What clients must prove to know; None lets everybody in.
        max_connections: How many clients are served at the same time; the real limit is 2,000.
        max_line: The longest command accepted, in bytes.
        fetch_wait: Seconds that a FETCH waits for a job before it answers nil.

    Attributes:
        host: Where it listens.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        password: str | None = None,
        max_connections: int = 2_000,
        max_line: int = MAX_COMMAND,
        fetch_wait: float = 2.0,
    ) -> None:
        self.host: Final = host
        self._port = port
        self._password = password
        self._max_line = max_line
        self._fetch_wait = fetch_wait
        self._broker = Broker(time.time_ns, random.randrange)
        self._answers = Answers(
            self._broker, password=password or "", max_connections=max_connections
        )
        self._tasks = Host()
        self._conversations: dict[Connection, Conversation] = {}
        self._listener: asyncio.Server | Listener[SocketStream] | None = None
        self._phase = _NEW

    def __repr__(self) -> str:
        where = self.address.url if self._phase == _OPEN else self._phase
        return f"<EmbeddedServer {where}>"

    # -- open and close -----------------------------------------------------------------------

    async def open(self) -> None:
        """Listen; from here on clients are served.

        Raises:
            OSError: the address is taken or none of this machine's.
            ClientStateError: it was opened before.

        Cancelled, nothing is left behind.
        """
        if self._phase != _NEW:
            raise ClientStateError(f"the server is {self._phase} already")
        self._phase = _OPEN
        await self._tasks.open()
        try:
            await self._listen()
            self._tasks.start_soon(self._keep_time)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.aclose()
            raise

    async def aclose(self) -> None:
        """Serve nobody any more and forget everything. May be called again.

        Cancelled, the server ends all the same.
        """
        self._phase = _CLOSED
        if isinstance(self._listener, asyncio.Server):
            self._listener.close()
        elif self._listener is not None:
            await self._listener.aclose()
        self._listener = None
        await self._tasks.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    # -- where it is --------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The port it listens on.

        Raises:
            ClientStateError: it has not listened yet.
        """
        if self._port == 0:
            raise ClientStateError("the server is not open: it has no port yet")
        return self._port

    @property
    def address(self) -> Address:
        """Its address, password included."""
        return Address(host=self.host, port=self.port, password=self._password)

    @property
    def url(self) -> str:
        """Its URL, password included: what `Client` and `FAKTORY_URL` take."""
        return self.address.secret_url

    async def dial(self) -> Link:
        """Return a new link to this server, in process, without a socket.

        For `Client(dial=server.dial)` and `Worker(dial=server.dial)` on the server's event loop.
        The password is still asked for, and comes from their URL.

        Raises:
            ConnectionRefusedError: the server is not open.
        """
        if self._phase != _OPEN:
            raise ConnectionRefusedError(f"the embedded server is {self._phase}")
        ours, theirs = memory_links()
        self._serve(theirs)
        return ours

    # -- serving ------------------------------------------------------------------------------

    async def _listen(self) -> None:
        if on_asyncio():
            server = await asyncio.get_running_loop().create_server(
                partial(AsyncioLink, self._serve), self.host, self._port
            )
            self._listener = server
            self._port = server.sockets[0].getsockname()[1]
            return
        listener = await anyio.create_tcp_listener(local_host=self.host, local_port=self._port)
        self._listener = listener
        self._port = listener.extra(SocketAttribute.local_port)
        self._tasks.start_soon(partial(listener.serve, self._serve_stream))

    def _serve(self, link: Link) -> None:
        if self._phase == _OPEN:
            self._tasks.start_soon(self._conversation(link))
        else:
            link.abort()

    async def _serve_stream(self, stream: SocketStream) -> None:
        await self._conversation(StreamLink(stream))()

    def _conversation(self, link: Link) -> Callable[[], Coroutine[Any, Any, None]]:
        conversation = Conversation(
            link, self._answers, max_line=self._max_line, fetch_wait=self._fetch_wait
        )
        self._conversations[conversation.connection] = conversation

        async def run() -> None:
            try:
                await conversation.run()
            finally:
                del self._conversations[conversation.connection]

        return run

    async def _keep_time(self) -> None:
        """Do what the scheduler has to do, at its ticks."""
        while True:
            due = self._broker.next_tick() - time.time_ns()
            await anyio.sleep(max(due, 0) / _NANOSECONDS)
            for connection in self._broker.run_due():
                conversation = self._conversations.get(connection)
                if conversation is not None:
                    conversation.hang_up()
