"""The producer's side: what a web handler holds in its hands."""

import os
import socket
import ssl
from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from faktory_async.client._batch import Batch, new_batch
from faktory_async.client._bulk import Bulk
from faktory_async.client._consumer import Consumer, consuming
from faktory_async.client._edition import Edition
from faktory_async.client._frames import MAX_JOBS, encoded
from faktory_async.client._group_commit import GroupCommit
from faktory_async.client._middleware import PushMiddleware, chain
from faktory_async.client._ordered_bulk import OrderedBulk
from faktory_async.client._queues import Queues
from faktory_async.client._report import PushReport
from faktory_async.client._sets import JobSet
from faktory_async.client._stats import ClientStats
from faktory_async.client._tracking import when_prolonged
from faktory_async.errors import ClientStateError, UsageError
from faktory_async.model import BatchStatus, Job, Progress, ServerInfo, check_progress
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
    here,
)
from faktory_async.protocol import (
    PRODUCER,
    BatchOpen,
    BatchState,
    Command,
    Flush,
    Identity,
    Info,
    Push,
    Raw,
    TrackGet,
    TrackSet,
)

R = TypeVar("R")

# They change what a connection is, or lose jobs when they are given up.
_NOT_SHARED: Final = (b"FETCH", b"HELLO", b"END")
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
        middleware: `async (job, call_next) -> Job`, around every job of `push` and `push_bulk`
            before it is encoded, the first one outermost. What it returns is pushed; what it raises
            touches that job alone.

    Attributes:
        queues: Pauses, resumes and removes queues, and tells their latency.
        scheduled: The jobs whose time has not come: requeues, kills and discards them.
        retries: The failed jobs that will be tried again, likewise.
        dead: The jobs that are not tried again, likewise.

    Raises:
        AddressError: the URL, the environment or the TLS options make no address.
        UsageError: a hook is no plain function.
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
        middleware: Sequence[PushMiddleware] = (),
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
        self._max_job = limits.max_job
        self._through = chain(middleware)
        self._home: tuple[object, int] | None = None
        self._closed = False
        self._connector = connector
        self._edition = Edition(self._ask)
        self.queues: Final = Queues(self._ask)
        self.scheduled: Final = JobSet(self._ask, "scheduled")
        self.retries: Final = JobSet(self._ask, "retries")
        self.dead: Final = JobSet(self._ask, "dead")

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open" if self._home else "not open"
        return f"<Client {self._address} {state}: {self._pool!r}>"

    @property
    def stats(self) -> ClientStats:
        """The client's numbers at this moment. It may be read at any time, from any thread."""
        ledger, pushes = self._pool.ledger, self._pushes
        return ClientStats(
            connections=ledger.opened - ledger.closed,
            idle=self._pool.idle,
            waiting=self._pool.waiting,
            opened=ledger.opened,
            closed=ledger.closed,
            failed_dials=ledger.failed,
            waits=ledger.waits,
            pushes=pushes.pushes,
            frames=pushes.frames,
            resends=pushes.resends,
        )

    # -- open and close -----------------------------------------------------------------------

    async def open(self) -> None:
        """Make the client usable in this event loop. Does no I/O.

        Raises:
            ClientStateError: it is open already, or was closed.
        """
        if self._closed or self._home is not None:
            raise ClientStateError(f"the client is {'closed' if self._closed else 'open'} already")
        self._home = (here(), os.getpid())
        self._pushes.open()

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
            job: What to push. Where its `at` is more than a day ago, it draws a `UserWarning`.
            timeout: Seconds for everything but the middleware: waiting for a connection, dialling,
                writing, and the reply. By default each has its own, see `Timeouts`.

        Returns:
            The job, as the middleware made it, once the server has it.

        Warns:
            UserWarning: once per client, that the server ignores `unique_for`, `expires_at` or
                `track`, since it is no Enterprise. The first push with one of them asks for that
                once it is stored, for at most a second, unless it has a timeout. Where warnings
                are errors, this one is logged: the job is stored.

        Raises:
            InvalidJobError: the job cannot be sent intact, or is too big; nothing was sent.
            JobRejectedError: the server's validation refused it.
            NotUniqueError: an equal job is there already (Enterprise). The reply of PUSHB has it as
                a text that begins with `NOTUNIQUE` or says "not unique"; that is how other clients
                have it, and was never seen on a real Enterprise server by this one.
            ServerBusyError: the server could not say whether it has the job.
            UnavailableError: no answer. Its `maybe_executed` is False where the job is certainly
                not stored.
            ClientStateError: the client is not open, or is used in another event loop or process.
            Exception: whatever a middleware raises; nothing was sent.

        Cancelled before its bytes left, the job is not stored; after that, nobody knows.
        """
        if self._through is not None:
            self._check_home()
            job = await self._through(job)
        data = encoded(job, self._max_job)
        self._check_home()
        if timeout is None:
            await self._pushes.push(job.jid, data, self._patience)
        elif timeout > 0:
            await self._pushes.push(job.jid, data, timeout, strictly=True)
        else:
            raise UsageError("a timeout is more than 0 seconds")
        if timeout is None and job.custom and self._edition.matters_to(job):
            await self._edition.check()
        return job

    async def push_alone(self, job: Job) -> Job:
        """Store one job by a PUSH of its own instead of in a PUSHB, for unique jobs (Enterprise).

        The documented refusal of a job that is not unique is an answer to PUSH. Beside other PUSHes
        at the same time the real server may store this job with the `retry` of another one, and the
        `retry` of this one becomes the default of jobs that name none (Faktory 1.10): use it only
        where that does no harm.

        Args:
            job: What to push.

        Returns:
            The job, as the middleware made it, once the server has it.

        Raises:
            NotUniqueError: an equal job is there already; nothing was stored.
            FaktoryError: as `push`.

        Cancelled, nobody knows whether it is stored.
        """
        if self._through is not None:
            self._check_home()
            job = await self._through(job)
        data = encoded(job, self._max_job)
        await self._ask(Push(data))
        if job.custom and self._edition.matters_to(job):
            await self._edition.check()
        return job

    async def push_bulk(
        self,
        jobs: Iterable[Job] | AsyncIterable[Job],
        *,
        report: PushReport | None = None,
        chunk: int = MAX_JOBS,
        in_flight: int = 4,
        progress: Callable[[PushReport], None] | None = None,
        ordered: bool = False,
    ) -> PushReport:
        """Store many jobs, in frames of at most `chunk` jobs or 1 MiB, several at the same time.

        Args:
            jobs: Any iterable or async iterable; it is read as it is sent, so a generator of
                millions needs no more memory than the frames under way and two more. A frame
                leaves when it is full, the last one when the source ends. An async generator is
                closed when the bulk ends before it does.
            report: A fresh one to fill, for whoever wants to look at it meanwhile, or after an
                exception. By default one is made.
            chunk: How many jobs a frame has at most, 1 to 1,000.
            in_flight: How many frames are under way at the same time. Each takes a connection for
                one exchange; other pushes have their turn between them.
            progress: Called with the report when a frame is done. What it raises ends the bulk as
                an exception of the source does.
            ordered: Whether jobs are stored in the order of the source: all frames go over one
                connection, pipelined. Where the server refuses a frame as a whole, all its jobs
                are rejected then, while otherwise the bad one among them is found.

        Returns:
            What became of the jobs. A job that cannot be sent, that a middleware raised for, or
            that the server refused is one of `rejected`. On trouble with the server, the report
            comes back with `error` set, see `PushReport.raise_for_error`.

        Warns:
            UserWarning: as `push`, when all frames are done.

        Raises:
            InvalidJobError: the source gave something that is no `Job`.
            UsageError: a report that is not fresh, a chunk or a number of frames out of range.
            ClientStateError: the client is not open, or is used in another event loop or process.
            Exception: whatever the source raises.

        When an exception passes through, frames under way are awaited first, the jobs read since
        are not sent, and a note of the exception says what was stored. Cancelled, the frames
        under way are `unknown`. Either way the report given is exact.
        """
        self._check_home()
        if report is None:
            report = PushReport()
        elif report != PushReport():
            raise UsageError("push_bulk needs a fresh PushReport")
        if chunk not in range(1, MAX_JOBS + 1) or in_flight < 1:
            raise UsageError(
                f"push_bulk needs a chunk of 1 to {MAX_JOBS} and in_flight of 1 or more"
            )
        bulk = (OrderedBulk if ordered else Bulk)(
            self._pool,
            self._pushes,
            report,
            through=self._through,
            max_job=self._max_job,
            chunk=chunk,
            in_flight=in_flight,
            progress=progress,
            edition=self._edition,
        )
        await bulk.run(jobs)
        if bulk.asks_for_enterprise and report.accepted and report.error is None:
            await self._edition.check()
        return report

    # -- the server ---------------------------------------------------------------------------

    async def info(self) -> ServerInfo:
        """Ask for queues, sets and counters.

        Beside jobs that create new queue names, INFO can crash Faktory 1.10: ask gently.

        Raises:
            UnavailableError: no answer.
            ServerError: the server refused.
        """
        return await self._ask(Info())

    async def flush(self) -> None:
        """Erase every queue, set and counter of the server.

        Raises:
            UnavailableError: no answer; perhaps it was done.
            ServerError: the server refused.
        """
        await self._ask(Flush())

    async def execute(self, command: str | Command[R]) -> R | bytes | str | None:
        """Send any command, for what this client has no method for.

        Args:
            command: A line, such as `"QUEUE LATENCY bulk"`, or a command of the protocol package.

        Returns:
            What the command's reply means. Of a line: a text, such as `"OK"`, bytes, or None for
            nil.

        Raises:
            UsageError: more than one line; or FETCH, HELLO and END, which a shared connection
                cannot have: a FETCH that is given up loses jobs, see `consumer`.
            UnavailableError: no answer; perhaps it was done.
            ServerError: the server refused.
        """
        sent: Command[Any] = Raw(command) if isinstance(command, str) else command
        if sent.verb in _NOT_SHARED:
            raise UsageError(
                f"{sent.verb.decode()} cannot be sent over a shared connection: "
                "client.consumer() fetches"
            )
        result: R | bytes | str | None = await self._ask(sent)
        return result

    # -- by hand ------------------------------------------------------------------------------

    def consumer(
        self, *, wid: str | None = None, labels: Sequence[str] = ()
    ) -> AbstractAsyncContextManager[Consumer]:
        """Lend a connection of its own that fetches and reports jobs, for a worker of your own.

            async with client.consumer() as consumer:
                if (job := await consumer.fetch("default")) is not None:
                    await consumer.ack(job)

        The end of the block awaits a FETCH that is out, for up to 15 s, and FAILs the job that
        nobody took, whatever is cancelled meanwhile.

        Args:
            wid: Makes it known to the server as a worker, which must then BEAT.
            labels: Words that the server's page shows beside it.

        Raises:
            ClientStateError: the client is not open, or is used in another event loop or process.
            FaktoryError: when the block begins, whatever dialling raises.
        """
        self._check_home()
        identity = PRODUCER
        if wid is not None:
            identity = Identity(
                wid=wid, hostname=socket.gethostname(), pid=os.getpid(), labels=tuple(labels)
            )
        return consuming(self._connector.speaking_as(identity), wid)

    # -- Enterprise ---------------------------------------------------------------------------

    def batch(
        self,
        description: str | None = None,
        *,
        success: Job | None = None,
        complete: Job | None = None,
    ) -> Batch:
        """Return a new batch (Enterprise): begun and committed by `async with`.

            async with client.batch("import", success=Job("imported")) as batch:
                await batch.push(Job("import_row", [1]))

        Args:
            description: What people call it, on the server's page.
            success: The job that follows when every job of the batch has succeeded.
            complete: The job that follows when every job has run, whatever came of it.

        Raises:
            UsageError: there is no callback.
            EnterpriseRequiredError: when the block begins, on a server of the free edition.
        """
        return Batch(self._ask, self, new_batch(description, success=success, complete=complete))

    def reopen_batch(self, bid: str) -> Batch:
        """Return a batch that is there already, to add jobs to it by `async with` (Enterprise).

        Args:
            bid: Its id; a job of the batch has it in `custom["bid"]`.

        Raises:
            UsageError: that can be no id.
            ServerError: when the block begins: the server does not know it.
            EnterpriseRequiredError: likewise, on a server of the free edition.
        """
        return Batch(self._ask, self, BatchOpen(bid))

    async def batch_status(self, bid: str) -> BatchStatus:
        """Return how far a batch is (Enterprise).

        Raises:
            ServerError: the server does not know it, or not any more.
            EnterpriseRequiredError: the server is of the free edition.
            UnavailableError: no answer.
        """
        return await self._ask(BatchState(bid))

    async def track_get(self, jid: str) -> Progress:
        """Return what became of a job that was pushed with `track` (Enterprise).

        Raises:
            UsageError: that can be no jid.
            EnterpriseRequiredError: the server is of the free edition.
            UnavailableError: no answer.
        """
        return await self._ask(TrackGet(jid))

    async def track_set(
        self,
        jid: str,
        *,
        percent: int | None = None,
        desc: str | None = None,
        reserve_until: datetime | None = None,
    ) -> None:
        """Say how far a job is, and prolong its reservation (Enterprise).

        Args:
            jid: The job, pushed with `track`.
            percent: How far it is, 0 to 100.
            desc: What to say of it.
            reserve_until: Until when its worker may take: an aware datetime in the next 24 hours.
                The server never shortens a reservation. Inside of the job's own handler, the
                handler's deadline moves with it.

        Raises:
            UsageError: a percent or time out of range.
            EnterpriseRequiredError: the server is of the free edition.
            UnavailableError: no answer.
        """
        check_progress(percent, reserve_until)
        await self._ask(TrackSet(jid, percent, desc, reserve_until))
        if reserve_until is not None:
            when_prolonged.get()(jid, reserve_until)

    # -- inside -------------------------------------------------------------------------------

    async def _ask(self, command: Command[R]) -> R:
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
        if token != here():
            raise ClientStateError("the client belongs to another event loop: open one in each")
