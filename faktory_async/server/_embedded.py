"""The embedded Faktory: broker and answers behind TCP, or in process without a socket."""

import random
import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Final, Self, TypeVar

import anyio

from faktory_async.errors import ClientStateError
from faktory_async.net import Address, Link, memory_links
from faktory_async.server._answers import Answers
from faktory_async.server._broker import Broker
from faktory_async.server._clock import ServerClock
from faktory_async.server._conversation import HANDSHAKE_SECONDS
from faktory_async.server._core import Core
from faktory_async.server._door import Door
from faktory_async.server._edition import edition_of
from faktory_async.server._faults import Fault, Faults
from faktory_async.server._gotree import MAX_DEPTH
from faktory_async.server._host import Host, open_host
from faktory_async.server._listener import listen
from faktory_async.server._panel import Panel
from faktory_async.server._tls_link import File, TLSLink, server_context
from faktory_async.server._waiting import FETCH_SECONDS

R = TypeVar("R")

# Python takes seconds over megabytes of odd JSON, and everybody else waits meanwhile. But a job of
# 64 MiB is known to work on the real server, and the line around it is a little longer.
MAX_LINE: Final = 65 * 1024 * 1024

_NEW, _OPEN, _CLOSED = "not open", "open", "closed"


class EmbeddedServer(Panel):
    """A Faktory in memory, which answers as the real one does.

        async with EmbeddedServer() as server:
            client = Client(server.url)

    It may be opened by one task and closed by another one of the same event loop. Everything else
    may be used from any thread.

    Args:
        host: Where to listen.
        port: The port; 0 chooses a free one.
        password: What clients must prove to know; None lets everybody in.
        edition: Which Faktory it is: "oss", which refuses what only Enterprise has, or
            "enterprise".
        tls_cert: A PEM file with a certificate, and its key unless `tls_key` is given: whoever
            comes by the network must speak TLS.
        tls_key: A PEM file with the certificate's key.
        tls_client_ca: A PEM file of certificates: clients must have one that is issued by one of
            these.
        max_connections: How many clients are served at the same time; the real limit is 2,000.
        max_line: The longest command accepted, in bytes; the real server knows no limit.
        max_depth: How deep a pushed document may be nested; the real limit is 10,000.
        handshake_wait: Seconds that a client has for its HELLO.
        fetch_wait: Seconds that a FETCH waits for a job before it answers nil.
        grace: Seconds for which clients that are connected at the end are told that the server
            is about to end, before their connections do.

    Attributes:
        host: Where it listens.
        faults: Outages on demand, see `Faults`.

    Raises:
        AddressError: a file for TLS is missing or unusable.
        UsageError: files for TLS without a certificate, or no such edition.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        password: str | None = None,
        edition: str = "oss",
        tls_cert: File | None = None,
        tls_key: File | None = None,
        tls_client_ca: File | None = None,
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
        self._tls = server_context(tls_cert, tls_key, tls_client_ca)
        self._grace = grace
        self._clock = ServerClock(time.time_ns)
        self._broker = Broker(self._clock, random.randrange, edition_of(edition))
        self._answers = Answers(
            self._broker,
            password=password or "",
            max_connections=max_connections,
            max_depth=max_depth,
        )
        self._door = Door()
        self._core = Core(
            self._broker,
            self._answers,
            self._clock,
            self._door.call,
            fetch_wait=fetch_wait,
            handshake_wait=handshake_wait,
            max_line=max_line,
        )
        self.faults = Faults(self._core.armed, self._refusing, self._outage)
        self._tasks: Host | None = None
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
            serve = partial(self._serve, tasks)
            self._core.listener = listener = await listen(self.host, self._port, serve, tasks)
            self._port = listener.port
            tasks.start_soon(self._keep_time)
            self._door.open()
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
        self._door.close()
        self._answers.stopping = True
        listener, self._core.listener = self._core.listener, None
        try:
            if listener is not None:
                await listener.stop()
            await self._see_off()
        finally:
            left = list(self._core.conversations.values())
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
            await self._core.wait_until_deserted()
        for conversation in list(self._core.conversations.values()):
            conversation.dismiss()
        with anyio.move_on_after(self._grace):
            await self._core.wait_until_deserted()

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
        tls = self._tls is not None
        return Address(host=self.host, port=self.port, tls=tls, password=self._password)

    @property
    def url(self) -> str:
        """Its URL, password included: what `Client` and `FAKTORY_URL` take."""
        return self.address.secret_url

    async def dial(self) -> Link:
        """Return a new link to this server, in process, without a socket.

        For `Client(dial=server.dial)` and `Worker(dial=server.dial)`, on the server's event loop
        or on any other one, on another thread. There is no TLS; the password is still asked for,
        and comes from their URL.

        Raises:
            ConnectionRefusedError: the server is not open.
        """
        tasks = self._tasks
        if tasks is None or self._phase != _OPEN:
            raise ConnectionRefusedError(f"the embedded server is {self._phase}")
        if self._core.refusing:
            raise ConnectionRefusedError("the embedded server takes nobody now")
        ours, theirs = memory_links()
        self._door.hand_over(partial(self._core.serve, tasks, theirs), otherwise=theirs.abort)
        return ours

    # -- faults -------------------------------------------------------------------------------

    def _refusing(self) -> Fault:
        return Fault(self._door.call, self._core.refuse, self._core.resume)

    def _outage(self, keep_state: bool) -> Fault:  # noqa: FBT001 - `Faults` names it
        revive = partial(self._core.revive, keep_state=keep_state)
        return Fault(self._door.call, self._core.die, revive)

    # -- its thread ---------------------------------------------------------------------------

    def _ask(self, question: Callable[[Core], R]) -> R:
        # While no loop runs it, nobody else is at it.
        if not self._door.is_open:
            return question(self._core)
        return self._door.call(partial(question, self._core))

    def _do(self, action: Callable[[Core], R]) -> R:
        return self._door.call(partial(action, self._core))

    def _serve(self, tasks: Host, link: Link) -> None:
        """Take a client who came by the network."""
        self._core.serve(tasks, link if self._tls is None else TLSLink(link, self._tls))

    async def _keep_time(self) -> None:
        await self._core.keep_time()
