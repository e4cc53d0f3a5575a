"""The producer's side: what a web handler holds in its hands."""

import os
import ssl
from collections.abc import AsyncIterable, Iterable
from contextlib import aclosing
from types import TracebackType
from typing import Final, Self, TypeVar

from anyio.lowlevel import EventLoopToken, current_token

from faktory_async.client._frames import encoded, frames
from faktory_async.client._group_commit import GroupCommit
from faktory_async.client._report import PushReport, Tally
from faktory_async.errors import ClientStateError, UsageError
from faktory_async.model import Job, ServerInfo
from faktory_async.net import (
    TLS,
    Address,
    Connector,
    Dial,
    Ledger,
    Limits,
    OnConnect,
    OnDisconnect,
    Pool,
    Timeouts,
)
from faktory_async.protocol import Command, Flush, Info, PushBulk

R = TypeVar("R")

_HOW_TO_OPEN: Final = "write `async with Client() as client:` around its use"


class Client:
    """Pushes jobs to a Faktory and asks it questions.

        async with Client() as client:
            await client.push(Job("send_welcome", ["a@b.c"]))

    Opening does no I/O: connections are dialled when they are needed, at most
    `limits.max_connections` of them, and kept for the next use. There is no background task, so one
    task may open a client and another one close it.

    Args:
        url: `tcp://`, `tcp+tls://` or `unix://`; by default what the environment says: the variable
            that `FAKTORY_PROVIDER` names, else `FAKTORY_URL`, else `tcp://localhost:7419`. It may
            carry options, such as `?max_connections=8&command_timeout=2s`: see `UrlOptions`. What
            is given below goes before them.
        dial: Opens links in place of TCP, such as `EmbeddedServer.dial`.
        tls: How a `tcp+tls://` URL is trusted, or a context of your own.
        password: Goes before the URL's own.
        limits: How many connections, and how large a reply may be.
        timeouts: How long anything may take; on by default.
        on_connect: Called without arguments for every connection that was made.
        on_disconnect: Called once for each of them when it has ended, with the `FaktoryError` that
            says why, or None where it was closed in peace. Both are plain functions, which must
            not take long; what they raise is logged.

    Raises:
        AddressError: the URL, the environment or the TLS options make no address.
    """

    def __init__(
        self,
        url: str | Address | None = None,
        *,
        dial: Dial | None = None,
        tls: TLS | ssl.SSLContext | None = None,
        password: str | None = None,
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
        on_connect: OnConnect | None = None,
        on_disconnect: OnDisconnect | None = None,
    ) -> None:
        self._address = Address.resolve(url, password)
        connector = Connector(self._address, tls=tls, dial=dial, limits=limits, timeouts=timeouts)
        limits, timeouts = connector.limits, connector.timeouts
        self._pool = Pool(
            connector,
            max_connections=limits.max_connections,
            max_idle=limits.max_idle,
            idle_expiry=limits.idle_expiry,
            timeout=timeouts.pool,
            ledger=Ledger(on_connect, on_disconnect),
        )
        self._pushes = GroupCommit(self._pool, timeouts.command)
        self._patience = timeouts.pool
        self._home: tuple[EventLoopToken, int] | None = None
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open" if self._home else "not open"
        return f"<Client {self._address} {state}: {self._pool!r}>"

    # -- open and close -----------------------------------------------------------------------

    async def open(self) -> None:
        """Make the client usable in this event loop. Does no I/O.

        Raises:
            ClientStateError: it is open already, or was closed.
        """
        if self._closed or self._home is not None:
            raise ClientStateError(f"the client is {'closed' if self._closed else 'open'} already")
        self._home = (current_token(), os.getpid())

    async def aclose(self, *, force: bool = False) -> None:
        """Refuse new pushes, wait for those under way, and close the connections.

        The wait is bounded, since every push is. May be called again, with force too. Cancelled, it
        waits no longer, and the connections are ended without a goodbye. After a fork the
        connections are left to the process that opened the client.

        Args:
            force: Wait for nobody. Pushes that were not written yet end with a `ClientStateError`,
                the others, and other commands, with a `ConnectionLostError`.

        Raises:
            ClientStateError: the client belongs to another event loop.
        """
        forked = self._home is not None and self._home[1] != os.getpid()
        if self._home is not None and not self._closed and not forked:
            self._check_home()
        self._closed = True
        if forked:
            return
        if force:
            self._pushes.cut()
            self._pool.cut()
        try:
            await self._pushes.settled()
        finally:
            await self._pool.aclose()

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

    # -- jobs ---------------------------------------------------------------------------------

    async def push(self, job: Job, *, timeout: float | None = None) -> Job:  # noqa: ASYNC109 - bounds more than one await, and says so in its error
        """Store one job on the server.

        It goes out as PUSHB, since a PUSH may be stored with another job's `retry`. A lone push
        leaves at once; pushes that come while another one is under way leave together, each with an
        outcome of its own.

        Args:
            job: What to push.
            timeout: Seconds for everything: waiting for a connection, dialling, writing, and the
                reply. By default each has its own, see `Timeouts`.

        Returns:
            The job, once the server has it.

        Raises:
            InvalidJobError: the job cannot be sent intact; nothing was sent.
            JobRejectedError: the server's validation refused it.
            NotUniqueError: an equal job is there already (Enterprise).
            ServerBusyError: the server could not say whether it has the job.
            UnavailableError: no answer. Its `maybe_executed` is False where the job is certainly
                not stored.
            ClientStateError: the client is not open, or is used in another event loop or process.

        Cancelled before its bytes left, the job is not stored; after that, nobody knows.
        """
        data = encoded(job)
        self._check_home()
        if timeout is None:
            await self._pushes.push(job.jid, data, self._patience)
        elif timeout > 0:
            await self._pushes.push(job.jid, data, timeout, strictly=True)
        else:
            raise UsageError("a timeout is more than 0 seconds")
        return job

    async def push_bulk(self, jobs: Iterable[Job] | AsyncIterable[Job]) -> PushReport:
        """Store many jobs, in frames of at most 1,000 jobs or 1 MiB, one after the other.

        Args:
            jobs: Any iterable or async iterable; it is read as it is sent, so a generator of
                millions needs no more memory than one frame.

        Returns:
            What became of the jobs.

        Raises:
            InvalidJobError: a job cannot be sent intact; the frames before it are stored.
            UnavailableError: no answer; `maybe_executed` speaks of the frame that failed.
            ClientStateError: the client is not open, or is used in another event loop or process.

        A note of the exception says what became of the jobs before, whatever was raised, by the
        source of the jobs too. Cancelled, the frames that were answered are stored, the one under
        way perhaps.
        """
        self._check_home()
        tally = Tally()
        try:
            async with aclosing(frames(jobs)) as cut:
                async for frame in cut:
                    errors = await self._execute(PushBulk(list(frame.jobs.values())))
                    tally.add(len(frame.jobs), errors)
        except Exception as error:
            tally.explain(error)
            raise
        return tally.report()

    # -- the server ---------------------------------------------------------------------------

    async def info(self) -> ServerInfo:
        """Ask for queues, sets and counters.

        Beside jobs that create new queue names, INFO can crash Faktory 1.10: ask gently.

        Raises:
            UnavailableError: no answer.
            ServerError: the server refused.
        """
        return await self._execute(Info())

    async def flush(self) -> None:
        """Erase every queue, set and counter of the server.

        Raises:
            UnavailableError: no answer; perhaps it was done.
            ServerError: the server refused.
        """
        await self._execute(Flush())

    # -- inside -------------------------------------------------------------------------------

    async def _execute(self, command: Command[R]) -> R:
        self._check_home()
        async with self._pool.lease() as connection:
            return await connection.execute(command)

    def _check_home(self) -> None:
        if self._closed:
            raise ClientStateError("the client is closed")
        if self._home is None:
            raise ClientStateError(f"the client is not open: {_HOW_TO_OPEN}")
        token, pid = self._home
        if pid != os.getpid():
            raise ClientStateError("the client was opened before a fork: open one in each process")
        if token != current_token():
            raise ClientStateError("the client belongs to another event loop: open one in each")
