"""FETCH, ACK, FAIL and BEAT by hand, for people who build a worker of their own."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, TypeVar

import anyio

from faktory_async.errors import (
    ClientStateError,
    FaktoryError,
    InvalidJobError,
    ProtocolError,
    UsageError,
)
from faktory_async.model import Envelope, Job
from faktory_async.net import Connection, Connector
from faktory_async.protocol import (
    MAX_ERRTYPE,
    MAX_MESSAGE,
    Ack,
    Beat,
    Command,
    Fail,
    Fetch,
    Ticket,
    cut,
    errtype_of,
    message_of,
)

_log: Final = logging.getLogger("faktory_async.client")

R = TypeVar("R")

# An empty FETCH answers after 2.1 s, one in a stalled server after up to 12 s.
_PATIENCE: Final = 15.0
_LEFT: Final = "the consumer was left"
_NOT_TAKEN: Final = "the consumer was left before the job was taken"


class Consumer:
    """One connection that fetches and reports jobs; made by `Client.consumer`.

    Commands are answered one after the other: a report that is sent while a FETCH is out waits for
    it, for up to 2 s on empty queues, and longer where the server stalls. Nothing reconnects by
    itself: after an `UnavailableError` make another consumer, whose reports of jobs fetched here
    are as good.

    A report that is cancelled may have left, or not; the connection, and a FETCH that is out, are
    as good as before. Only a native cancellation while a stream of one's own takes bytes costs the
    connection.

    Args:
        connection: The consumer owns it.
        wid: Its id as a worker; None where it is none.
        patience: Seconds that a report may take by itself.
    """

    def __init__(self, connection: Connection, wid: str | None, patience: float) -> None:
        self._connection = connection
        self._wid = wid
        self._patience = patience
        self._sending = anyio.Lock(fast_acquire=True)  # a link takes the bytes of one at a time
        self._ticket: Ticket | None = None
        self._fetching = False
        self._left = False
        self._untaken: str | None = None  # the job that nobody took, at the end
        self._failing: Ticket | None = None  # its FAIL

    def __repr__(self) -> str:
        out = " with a FETCH out" if self._ticket is not None else ""
        return f"<Consumer {self._wid or 'without a wid'}{out}>"

    async def fetch(self, *queues: str) -> Job | None:
        """Return the oldest job of the first of these queues that has one; None after about 2 s.

        The job is reserved for its `reserve_for` seconds. It must be ACKed or FAILed within them.

        Args:
            queues: At least one, in order of priority.

        Raises:
            UsageError: no queue, or a name that no queue can have; or another `fetch` still waits:
                both would get the same job.
            ClientStateError: the consumer's block is over, or ended meanwhile: then the job, if one
                came, was FAILed.
            InvalidJobError: the job cannot be read; it was FAILed.
            ProtocolError: what came is no job, or has no jid to report it by; the server has
                reserved it all the same.
            UnavailableError: no answer within 15 s. With `maybe_executed` True the server may have
                reserved a job, which runs again when that reservation ends.
            ServerBusyError: the server could not answer; in a stall it may have lost a job.

        Cancelled, the FETCH stays out, since it cannot be taken back: the next call, whatever
        queues it names, takes up its answer.
        """
        if self._left:
            raise ClientStateError(_LEFT)
        if self._fetching:
            raise UsageError("a consumer fetches one job at a time: make another one beside it")
        self._fetching = True
        try:
            ticket = self._ticket or await self._hand_over(partial(self._post_fetch, Fetch(queues)))
            await self._connection.receive(ticket)
        except FaktoryError:
            self._ticket = None
            raise
        finally:
            self._fetching = False
        if self._left:  # and the answer is for `_finish`
            raise ClientStateError(_LEFT)
        data = self._take(ticket)
        return None if data is None else await self._job(data)

    async def ack(self, job: Job | str) -> None:
        """Tell that a job is done.

        Args:
            job: The job, or its jid. The server answers likewise for one that it does not know.

        Raises:
            UnavailableError: no answer. An ACK may be repeated, on any connection.
        """
        await self._execute(Ack(_jid(job)))

    async def fail(
        self,
        job: Job | str,
        error: BaseException | None = None,
        *,
        errtype: str = "unknown",
        message: str = "",
    ) -> None:
        """Tell that a job failed; the server retries it as its `retry` says.

        Args:
            job: The job, or its jid.
            error: Gives type and message; its text may raise.
            errtype: The type, where there is no error; the server keeps 100 bytes.
            message: What happened; the server keeps 1,000 bytes. What no UTF-8 can hold becomes a
                question mark, as in the type.

        Raises:
            JobNotFoundError: the reservation is gone. That is never to be repeated.
            UnavailableError: no answer. A FAIL may be repeated within 10 s of its first sending:
                after 15 s the job may run elsewhere.
        """
        if error is not None:
            errtype, message = errtype_of(error), message_of(error)
        await self._execute(Fail(_jid(job), cut(errtype, MAX_ERRTYPE), cut(message, MAX_MESSAGE)))

    async def beat(self, *, rss_kb: int | None = None, state: str | None = None) -> str | None:
        """Tell that the worker lives, every 15 s; after 60 s without, the server forgets it.

        Args:
            rss_kb: The memory that it uses, in KiB.
            state: `quiet` or `terminate` where it is on its way out.

        Returns:
            What the server wants it to be: `quiet`, `terminate`, or None.

        Raises:
            UsageError: the consumer has no wid.
            UnknownWorkerError: the server has forgotten it: make another consumer.
            UnavailableError: no answer.
        """
        if self._wid is None:
            raise UsageError("only a consumer with a wid can BEAT: client.consumer(wid=...)")
        return await self._execute(Beat(self._wid, rss_kb=rss_kb, current_state=state))

    # -- inside -------------------------------------------------------------------------------

    async def _execute(self, command: Command[R]) -> R:
        ticket = await self._hand_over(partial(self._post_report, command))
        await self._connection.receive(ticket)
        return command.decode(ticket.replies[0])

    async def _hand_over(self, post: Callable[[], Ticket]) -> Ticket:
        """Post something once the bytes of others have left, and see its own off.

        Cancelled while it waits for the others, nothing is posted. After that it goes on all the
        same: a connection that was given up in the middle would cost the FETCH that is out. A
        native cancellation gets through, where the link does not see to the rest by itself.
        """
        async with self._sending:
            ticket = post()
            if self._connection.unposted:
                await self._connection.hand_over(ticket, shield=True)
            return ticket

    def _post_fetch(self, fetch: Fetch) -> Ticket:
        if self._left:
            raise ClientStateError(_LEFT)
        self._ticket = self._connection.post([fetch], timeout=_PATIENCE, renewed=True)
        return self._ticket

    def _post_report(self, command: Command[R]) -> Ticket:
        """Post a report, with time for the FETCH before it too: it is answered after that."""
        fetch, patience = self._ticket, self._patience
        if fetch is not None:
            patience += max(fetch.deadline - anyio.current_time(), 0)
        return self._connection.post([command], timeout=patience, renewed=fetch is not None)

    def _take(self, ticket: Ticket) -> bytes | None:
        """Take what a FETCH was answered: from here on it is not out any more."""
        self._ticket = None
        [fetch] = ticket.commands
        data: bytes | None = fetch.decode(ticket.replies[0])
        return data

    async def _job(self, data: bytes) -> Job:
        envelope = _read(data)
        try:
            return envelope.job()
        except InvalidJobError as error:
            await self.fail(envelope.jid, error)
            raise

    async def _finish(self) -> None:
        """Await a FETCH that is out and FAIL the job that nobody took.

        Whoever still waits in `fetch` does not get it. Cancelled, it can be called again, and goes
        on where it was.
        """
        self._left = True
        try:
            if (ticket := self._ticket) is not None:
                await self._connection.receive(ticket)
                data = self._take(ticket)
                if data is not None:
                    self._untaken = _read(data).jid
            if self._untaken is not None:
                await self._fail_untaken(self._untaken)
        except FaktoryError as error:
            self._ticket = None
            _log.warning("a FETCH was still out: %s", error)

    async def _fail_untaken(self, jid: str) -> None:
        try:
            ticket = self._failing or await self._hand_over(partial(self._post_failing, jid))
            await self._connection.receive(ticket)
            ticket.commands[0].decode(ticket.replies[0])
        except FaktoryError as error:
            _log.warning("job %s was fetched, not taken, and not failed: %s", jid, error)
        else:
            _log.warning("job %s was fetched and not taken: it is failed", jid)

    def _post_failing(self, jid: str) -> Ticket:
        self._failing = self._connection.post([Fail(jid, "Interrupted", _NOT_TAKEN)])
        return self._failing


@asynccontextmanager
async def consuming(connector: Connector, wid: str | None) -> AsyncGenerator[Consumer]:
    """Lend a consumer for the length of a block.

    The end of the block awaits a FETCH that is out, for up to 15 s, whatever is cancelled.
    """
    connection = await connector()
    consumer = Consumer(connection, wid, connector.timeouts.command)
    try:
        yield consumer
    finally:
        with anyio.CancelScope(shield=True):
            try:
                await _finished(consumer)
            finally:
                await connection.aclose()


async def _finished(consumer: Consumer) -> None:
    """See the end of a consumer through: a shield does not hold a native cancellation back."""
    cancelled: asyncio.CancelledError | None = None
    while True:
        try:
            await consumer._finish()  # noqa: SLF001 - the other half of it
        except asyncio.CancelledError as error:
            cancelled = error
        else:
            break
    if cancelled is not None:
        raise cancelled


def _read(data: bytes) -> Envelope:
    """Read what a FETCH has brought.

    Raises:
        ProtocolError: it is no job at all, or without a jid nothing could be reported of it; the
            server has reserved it all the same.
    """
    try:
        envelope = Envelope.decode(data)
    except InvalidJobError as error:
        raise ProtocolError(f"what FETCH brought is no job: {error}") from error
    if not envelope.jid:
        raise ProtocolError("what FETCH brought has no jid to report it by")
    return envelope


def _jid(job: Job | str) -> str:
    if isinstance(job, str):
        return job
    if not isinstance(job, Job):  # pyright: ignore[reportUnnecessaryIsInstance]  # programs without types
        raise UsageError(f"a report is of a Job or a jid, not {type(job).__name__}")
    return job.jid
