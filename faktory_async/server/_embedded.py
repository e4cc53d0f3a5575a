"""The embedded Faktory: broker and answers behind TCP, or in process without a socket."""

import logging
import random
import time
from functools import partial
from types import TracebackType
from typing import Final, Self

import anyio

from faktory_async.errors import ClientStateError
from faktory_async.net import Address, Link, memory_links
from faktory_async.server import _snapshots
from faktory_async.server._answers import Answers
from faktory_async.server._broker import Broker
from faktory_async.server._connection import Connection
from faktory_async.server._conversation import HANDSHAKE_SECONDS, Conversation
from faktory_async.server._edition import edition_of
from faktory_async.server._gotree import MAX_DEPTH
from faktory_async.server._host import Host, open_host
from faktory_async.server._listener import Listener, listen
from faktory_async.server._snapshots import (
    CountersSnapshot,
    QueueSnapshot,
    TimedSnapshot,
    WorkerSnapshot,
    WorkingSnapshot,
)
from faktory_async.server._waiting import FETCH_SECONDS

# Python takes seconds over megabytes of odd JSON, and everybody else waits meanwhile. But a job of
# 64 MiB is known to work on the real server, and the line around it is a little longer.
MAX_LINE: Final = 65 * 1024 * 1024

_log: Final = logging.getLogger("faktory_async.server")
_NANOSECONDS: Final = 1_000_000_000
_NEW, _OPEN, _CLOSED = "not open", "open", "closed"


class EmbeddedServer:
    """A Faktory in memory, which answers as the real one does.

        async with EmbeddedServer() as server:
            client = Client(server.url)

    It may be opened by one task and closed by another one of the same event loop, and is not
    safe for threads.

    Args:
        host: Where to listen.
        port: The port; 0 chooses a free one.
        password: What clients must prove to know; None lets everybody in.
        edition: Which Faktory it is: "oss", which refuses what only Enterprise has, or
            "enterprise".
        max_connections: How many clients are served at the same time; the real limit is 2,000.
        max_line: The longest command accepted, in bytes; the real server knows no limit.
        max_depth: How deep a pushed document may be nested; the real limit is 10,000.
        handshake_wait: Seconds that a client has for its HELLO.
        fetch_wait: Seconds that a FETCH waits for a job before it answers nil.
        grace: Seconds for which clients that are connected at the end are told that the server
            is about to end, before their connections do.

    Raises:
        UsageError: there is no such edition.

    Attributes:
        host: Where it listens.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        password: str | None = None,
        edition: str = "oss",
        max_connections: int = 2_000,
        max_line: int = MAX_LINE,
        max_depth: int = MAX_DEPTH,
        handshake_wait: float = HANDSHAKE_SECONDS,
        fetch_wait: float = FETCH_SECONDS,
        grace: float = 0.1,
    ) -> None:
        self.host: Final = host
        self._port = port
        self._password = password
        self._max_line = max_line
        self._handshake_wait = handshake_wait
        self._fetch_wait = fetch_wait
        self._grace = grace
        self._broker = Broker(time.time_ns, random.randrange, edition_of(edition))
        self._answers = Answers(
            self._broker,
            password=password or "",
            max_connections=max_connections,
            max_depth=max_depth,
        )
        self._tasks: Host | None = None
        self._conversations: dict[Connection, Conversation] = {}
        self._deserted: anyio.Event | None = None
        self._listener: Listener | None = None
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
        try:
            self._tasks = tasks = await open_host()
            self._listener = await listen(self.host, self._port, partial(self._serve, tasks), tasks)
            self._port = self._listener.port
            tasks.start_soon(self._keep_time)
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Take no more clients, see off those that are there, and forget everything.

        As on the real server, for a moment a command is answered by an error and not carried out,
        and a FETCH that waits gets an error too. May be called again. Cancelled, the server ends
        all the same, at once.
        """
        self._phase = _CLOSED
        self._answers.stopping = True
        listener, self._listener = self._listener, None
        try:
            if listener is not None:
                await listener.stop()
            await self._see_off()
        finally:
            left = list(self._conversations.values())
            for conversation in left:
                conversation.hang_up()
            if self._tasks is not None:
                await self._tasks.close()
            for conversation in left:
                # Where the task was cancelled before it began, nobody else does it.
                await conversation.end()
        if listener is not None:
            await listener.wait_closed()

    async def _see_off(self) -> None:
        with anyio.move_on_after(self._grace):
            await self._wait_until_deserted()
        for conversation in list(self._conversations.values()):
            conversation.dismiss()
        with anyio.move_on_after(self._grace):
            await self._wait_until_deserted()

    async def _wait_until_deserted(self) -> None:
        if self._conversations:
            self._deserted = anyio.Event()
            await self._deserted.wait()

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
        if self._tasks is None or self._phase != _OPEN:
            raise ConnectionRefusedError(f"the embedded server is {self._phase}")
        ours, theirs = memory_links()
        self._serve(self._tasks, theirs)
        return ours

    # -- what it knows ------------------------------------------------------------------------

    @property
    def queues(self) -> dict[str, QueueSnapshot]:
        """Every known queue by its name."""
        return _snapshots.queues(self._broker)

    @property
    def scheduled(self) -> tuple[TimedSnapshot, ...]:
        """The jobs that were pushed for later, the first one due first."""
        return _snapshots.timed(self._broker.scheduled)

    @property
    def retries(self) -> tuple[TimedSnapshot, ...]:
        """The jobs that failed and will be tried again, the first one due first."""
        return _snapshots.timed(self._broker.retries)

    @property
    def dead(self) -> tuple[TimedSnapshot, ...]:
        """The jobs that failed for the last time, the oldest first."""
        return _snapshots.timed(self._broker.dead)

    @property
    def working(self) -> tuple[WorkingSnapshot, ...]:
        """The jobs that were fetched and not reported, the first one to expire first."""
        return _snapshots.working(self._broker)

    @property
    def workers(self) -> dict[str, WorkerSnapshot]:
        """Every connected worker by its wid."""
        return _snapshots.workers(self._broker)

    @property
    def counters(self) -> CountersSnapshot:
        """How many jobs were processed, failed and wait, and how many connections there are."""
        return _snapshots.counters(self._broker)

    # -- serving ------------------------------------------------------------------------------

    def _serve(self, tasks: Host, link: Link) -> None:
        conversation = Conversation(
            link,
            self._answers,
            max_line=self._max_line,
            handshake_wait=self._handshake_wait,
            fetch_wait=self._fetch_wait,
        )
        self._conversations[conversation.connection] = conversation
        tasks.start_soon(partial(self._run, conversation))

    async def _run(self, conversation: Conversation) -> None:
        try:
            await conversation.run()
        finally:
            self._conversations.pop(conversation.connection)
            if self._deserted is not None and not self._conversations:
                self._deserted.set()

    async def _keep_time(self) -> None:
        """Do what the scheduler has to do, at its ticks."""
        while True:
            due = self._broker.next_tick() - time.time_ns()
            await anyio.sleep(max(due, 0) / _NANOSECONDS)
            self._catch_up()

    def _catch_up(self) -> None:
        try:
            closing = self._broker.run_due()
        except Exception:  # noqa: BLE001 - whatever it is, the server goes on
            _log.exception("the embedded server failed at its scheduler's work")
            return
        for connection in closing:
            conversation = self._conversations.get(connection)
            if conversation is not None:
                conversation.hang_up()
