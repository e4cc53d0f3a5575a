"""Many jobs on their way: a source is read and cut into frames, several of them under way at once.

The task that pushes reads the source. Each frame has a task of its own, which borrows a connection
from the pool for one exchange and gives it back: so pushes that wait for a connection get the next
one that comes free, however long the bulk is.
"""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable
from typing import Final, NamedTuple

import anyio
import anyio.lowlevel

from faktory_async.client._edition import Edition
from faktory_async.client._frames import Cutter, Frame, encoded, meant_for_all
from faktory_async.client._group_commit import GroupCommit
from faktory_async.client._middleware import CallNext
from faktory_async.client._report import PushReport, add_frame, explain
from faktory_async.errors import (
    ConnectError,
    ConnectionLostError,
    FaktoryError,
    InvalidJobError,
    JobRejectedError,
    ServerBusyError,
    ServerError,
    TooManyConnectionsError,
)
from faktory_async.model import Job
from faktory_async.net import Connection, Pool
from faktory_async.protocol import PushBulk, Ticket

# After so many jobs other tasks have their turn, or a long list would hold them up.
_BREATH: Final = 128


class Out(NamedTuple):
    """Jobs of a frame whose reply is due."""

    jids: list[str]
    command: PushBulk
    connection: Connection
    ticket: Ticket


class Bulk:
    """One `push_bulk`.

    Args:
        pool: Lends the connections.
        counters: Where jobs, frames and resends are counted.
        report: What is filled.
        through: The middleware.
        max_job: The most bytes that a job may have.
        chunk: The most jobs of a frame.
        in_flight: The most frames under way.
        progress: Called with the report when a frame is done.
        edition: Knows which jobs it matters to.

    Attributes:
        asks_for_enterprise: Whether one of the jobs does what only Enterprise knows.
    """

    def __init__(
        self,
        pool: Pool,
        counters: GroupCommit,
        report: PushReport,
        *,
        through: CallNext | None,
        max_job: int,
        chunk: int,
        in_flight: int,
        progress: Callable[[PushReport], None] | None,
        edition: Edition,
    ) -> None:
        self.asks_for_enterprise = False
        self._edition = edition
        self._pool = pool
        self._counters = counters
        self._report = report
        self._through = through
        self._max_job = max_job
        self._in_flight = in_flight
        self._progress = progress
        self._cutter = Cutter(chunk)
        self._open: dict[int, Frame] = {}  # frames that are not done, by where they start
        self._last_sent = -1
        self._under_way = 0
        self._ready: Frame | None = None  # the next one
        self._waiting = 0  # those of them that wait until another one ends
        self._fewer = anyio.Event()
        self._out: dict[Frame, Out] = {}
        self._raised: BaseException | None = None  # by the source, a dial, or `progress`
        self._stopped = False  # by that, or by trouble with the server
        self._listening: anyio.CancelScope | None = None  # while nothing but the source is awaited
        self._exhausted = False

    async def run(self, jobs: Iterable[Job] | AsyncIterable[Job]) -> None:
        """Push the jobs, and fill the report.

        Raises:
            Exception: what the source or `progress` raised, once all frames under way are done.
            KeyboardInterrupt, SystemExit: what the source raised; then nothing is awaited.

        Cancelled, what was under way is unknown, and the report says so.
        """
        try:
            async with anyio.create_task_group() as self._group:
                try:
                    await self._read(jobs)
                except Exception as error:  # noqa: BLE001 - anything that a source may raise
                    self._raised = self._raised or error
                except (KeyboardInterrupt, SystemExit) as error:
                    self._raised = error
                    self._group.cancel_scope.cancel()
        finally:
            self._conclude()
            if self._pool.closed:  # who closed it did not wait for us
                await self._pool.bury()
        # The error knows this call: in a circle it would be left to the collector.
        raised, self._raised = self._raised, None
        if raised is not None:
            try:
                explain(self._report, raised)
                raise raised
            finally:
                del raised

    def _raise_at_the_end(self, error: Exception) -> None:
        """Send nothing any more, and raise it where everything has ended."""
        self._raised = self._raised or error
        self._send_no_more()

    def _send_no_more(self) -> None:
        self._stopped = True
        if self._listening is not None:
            self._listening.cancel()

    # -- the source ---------------------------------------------------------------------------

    async def _read(self, jobs: Iterable[Job] | AsyncIterable[Job]) -> None:
        # Two loops, since one generator more would cost as much as the rest.
        if isinstance(jobs, AsyncIterable):
            await self._read_async(jobs)
        else:
            for job in jobs:
                frame = self._cut(job, job) if self._through is None else await self._prepared(job)
                if frame is not None or not self._cutter.read % _BREATH:
                    await self._pause(frame)
                if self._stopped:
                    return
        if not self._stopped:
            self._exhausted = True
            if (frame := self._cutter.rest()) is not None:
                await self._dispatch(frame)

    async def _read_async(self, jobs: AsyncIterable[Job]) -> None:
        source = aiter(jobs)
        try:
            # A source may be silent for long after what it gave has met with trouble.
            with anyio.CancelScope() as until_trouble:
                await self._read_until(source, until_trouble)
        finally:
            self._listening = None
            if isinstance(source, AsyncGenerator):  # nobody else may hold it
                await source.aclose()

    async def _read_until(self, source: AsyncIterator[Job], trouble: anyio.CancelScope) -> None:
        self._listening = trouble
        async for job in source:
            self._listening = None
            frame = self._cut(job, job) if self._through is None else await self._prepared(job)
            if frame is not None or not self._cutter.read % _BREATH:
                await self._pause(frame)
            if self._stopped:
                return
            self._listening = trouble

    async def _pause(self, frame: Frame | None) -> None:
        """Dispatch a frame that is complete, else let the others have their turn."""
        if frame is not None:
            await self._dispatch(frame)
        else:
            await anyio.lowlevel.checkpoint()

    async def _prepared(self, job: Job) -> Frame | None:
        if self._through is None:
            raise AssertionError("there is no middleware")
        _check_is_job(job)
        try:
            ready = await self._through(job)
        except Exception as error:  # noqa: BLE001 - whatever a middleware raises, it is this job's
            return self._cutter.refuse(job.jid, error)
        return self._cut(ready, job)

    def _cut(self, job: Job, source: Job) -> Frame | None:
        """Take a job in: one of the source, or what the middleware made of it."""
        try:
            data = encoded(job, self._max_job)
        except (InvalidJobError, UserWarning) as error:  # a warning that is made an error
            _check_is_job(source)
            return self._cutter.refuse(source.jid, error)
        if job.custom and self._edition.matters_to(job):
            self.asks_for_enterprise = True
        return self._cutter.add(job.jid, data)

    @property
    def _active(self) -> int:
        return self._under_way - self._waiting

    # -- frames -------------------------------------------------------------------------------

    async def _dispatch(self, frame: Frame) -> None:
        """Let the frame leave, once few enough are under way.

        One may stand ready meanwhile, and the next one be made: a connection that comes free waits
        for no encoding.
        """
        self._note(frame)
        while self._ready is not None:
            await self._one_ends()
        if not self._stopped:
            self._ready = frame
            self._start_ready()

    def _note(self, frame: Frame) -> None:
        self._open[frame.start] = frame
        self._counters.pushes += len(frame.jobs)

    def _start_ready(self) -> None:
        """Let the frame that stands ready leave, where few enough are under way."""
        frame = self._ready
        # Frames without a connection would only wait for those of others.
        if frame is not None and self._under_way < min(self._in_flight, self._pool.limit):
            self._ready = None
            if not self._stopped:
                self._under_way += 1
                self._group.start_soon(self._deliver, frame)

    async def _deliver(self, frame: Frame) -> None:
        try:
            await self._send(frame)
        except Exception as error:  # noqa: BLE001 - whatever a dial of the program's own raises
            self._raise_at_the_end(error)
        finally:
            self._end(frame)
        self._start_ready()
        self._tell()

    async def _send(self, frame: Frame) -> None:
        """Send the frame, in as many parts as it takes."""
        parts = [list(frame.jobs)] if frame.jobs else []
        resent = False
        while parts and not self._stopped:
            part = parts.pop()
            try:
                await self._exchange(frame, part)
            except JobRejectedError as error:
                if len(part) == 1:
                    frame.settle(part, told(error))
                else:  # because of one job nothing is stored: halves find out which
                    middle = len(part) // 2
                    parts += [part[middle:], part[:middle]]
            except FaktoryError as error:
                if resent or not await self._may_go_again(error):
                    self._fail(frame, part, error)
                    return
                if isinstance(error, ConnectionLostError):
                    resent = True
                    self._counters.resends += len(part)
                parts.append(part)

    async def _may_go_again(self, error: FaktoryError) -> bool:
        """Tell whether a part goes again: at once, or when one of the others is done.

        What cannot have a connection of its own waits for theirs, and so do those behind it.
        """
        if error.maybe_executed:
            return False
        if isinstance(error, ConnectError | TooManyConnectionsError):
            if self._active == 1:
                return self._pool.has_usable
            self._in_flight = self._active - 1
            self._waiting += 1
            try:
                while self._active >= self._in_flight:
                    await self._one_ends()
            finally:
                self._waiting -= 1
            return True
        return isinstance(error, ConnectionLostError)

    async def _exchange(self, frame: Frame, jids: list[str]) -> None:
        """Send these jobs of the frame and settle them by what the server says."""
        async with self._pool.lease() as connection:
            if self._stopped:
                return
            self._post(frame, jids, connection)
            await self._reply(frame)

    def _post(self, frame: Frame, jids: list[str], connection: Connection) -> None:
        self._counters.frames += 1
        command = PushBulk(list(map(frame.jobs.__getitem__, jids)))
        self._out[frame] = Out(jids, command, connection, connection.post([command]))

    async def _hand_over(self, frame: Frame) -> None:
        """Hand over what the link could not take at once."""
        out = self._out[frame]
        try:
            if out.connection.unposted:
                await out.connection.hand_over(out.ticket, shield=False)
        except FaktoryError:
            del self._out[frame]
            raise

    async def _reply(self, frame: Frame) -> None:
        await self._hand_over(frame)
        out = self._out[frame]
        try:
            await out.connection.receive(out.ticket)
            errors = out.command.decode(out.ticket.replies[0])
        except FaktoryError:
            del self._out[frame]
            raise
        del self._out[frame]
        self._answered(frame, out.jids, errors)

    def _answered(self, frame: Frame, jids: list[str], errors: dict[str, FaktoryError]) -> None:
        if not errors:
            frame.settle(jids, None)
            return
        rest = meant_for_all(jids, errors)
        for jid in jids:
            if (error := errors.get(jid)) is not None:
                frame.settle([jid], error)
        for trouble in (*errors.values(), rest):
            if trouble is not None and not _is_the_jobs_own(trouble):
                self._stop(trouble)
        frame.settle([jid for jid in jids if jid in frame.jobs], rest)

    def _fail(self, frame: Frame, jids: list[str], error: FaktoryError) -> None:
        error = frame.error = told(error)
        if error.maybe_executed:
            frame.settle(jids, error)
        self._stop(error)

    def _stop(self, error: FaktoryError) -> None:
        self._send_no_more()
        if self._report.error is None:
            self._report.error = error

    def _end(self, frame: Frame) -> None:
        """Count the frame, unless none of it was sent: at the very end that is known for all."""
        self._under_way -= 1
        self._let_go(frame)
        if frame.sent or not frame.jobs:
            self._count(frame)
        self._fewer.set()
        self._fewer = anyio.Event()

    def _let_go(self, frame: Frame) -> None:
        """Note what nobody knows of a frame whose task was cancelled."""
        out = self._out.pop(frame, None)
        if out is not None:
            out.connection.abort()
            error = out.connection.failure(out.ticket)
            if error.maybe_executed:
                frame.settle(out.jids, error)

    def _count(self, frame: Frame) -> None:
        del self._open[frame.start]
        self._last_sent = max(self._last_sent, frame.start)
        if frame.jobs:
            frame.settle(list(frame.jobs), _harmless(frame.error))
        add_frame(self._report, frame)

    def _tell(self) -> None:
        if self._progress is None:
            return
        try:
            self._progress(self._report)
        except Exception as error:  # noqa: BLE001 - it is raised again where everything has ended
            self._raise_at_the_end(error)

    def _conclude(self) -> None:
        """Nothing is under way any more: tell what was not sent."""
        for frame in [each for each in self._open.values() if each.start < self._last_sent]:
            self._count(frame)
        starts = [*self._open] if self._exhausted else [*self._open, self._cutter.frame.start]
        self._report.not_sent = min(starts, default=None)
        # An exception that has passed through here may be kept, and with it this call.
        self._cutter = Cutter(1)
        for frame in self._open.values():
            frame.jobs.clear()
        self._open.clear()
        self._out.clear()

    async def _one_ends(self) -> None:
        await self._fewer.wait()


def _check_is_job(value: object) -> None:
    if not isinstance(value, Job):
        raise InvalidJobError(f"must be a Job, not {type(value).__name__}") from None


def _is_the_jobs_own(error: FaktoryError) -> bool:
    """Whether an error says something about a job, and nothing about the server."""
    return isinstance(error, ServerError) and not isinstance(error, ServerBusyError)


def told(error: FaktoryError) -> FaktoryError:
    """Return an error as it is kept in a report: its traceback knows all that was under way."""
    return error.with_traceback(None)


def _harmless(error: FaktoryError | None) -> FaktoryError:
    """Return the reason of jobs that were not sent, although later ones were."""
    if error is not None and not error.maybe_executed:
        return error
    return ConnectionLostError("the bulk ended before the job was sent", maybe_executed=False)
