"""One run of a worker: everyone who takes part, and how they come to an end."""

import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from functools import partial
from typing import Final

import anyio
from anyio.abc import TaskGroup
from msgspec.structs import asdict

from faktory_async.client import Client
from faktory_async.model import Job, world
from faktory_async.net import Home
from faktory_async.worker._beat import Heart
from faktory_async.worker._clients import serving
from faktory_async.worker._deadlines import Deadlines
from faktory_async.worker._dispatch import Dispatch
from faktory_async.worker._events import Events, exhausted
from faktory_async.worker._failure import failure
from faktory_async.worker._fetching import Fetchers
from faktory_async.worker._gate import Gate
from faktory_async.worker._handlers import HandlerSource
from faktory_async.worker._lifecycle import Phase
from faktory_async.worker._line import Outage
from faktory_async.worker._outcome import INTERRUPTED, Dead, Fail, Outcome, Retry
from faktory_async.worker._perform import is_closed_by, perform, too_late
from faktory_async.worker._phases import Phases
from faktory_async.worker._reports import Reports
from faktory_async.worker._roster import Roster
from faktory_async.worker._run import Run, clock
from faktory_async.worker._signals import Signals, can_receive_signals
from faktory_async.worker._site import Site
from faktory_async.worker._stats import WorkerStats
from faktory_async.worker._stop import StopDetails
from faktory_async.worker._tasks import Start, task_owner

_log: Final = logging.getLogger("faktory_async.worker")

# After the cut: for the handlers' `finally` blocks and a FETCH that is out, then for the reports.
# Orchestrators kill 30 s after the first signal, 5 s after the default grace.
_FINALLY: Final = 2.2
_LAST: Final = 1.3
# Workers that start together dial within so many seconds, not at the same moment.
SPREAD: Final = 0.1
# A handler that heeds no cancellation is named this often, in seconds.
_NAMED: Final = 5.0
# It is cancelled anew as often as this.
_AGAIN: Final = 0.1


class Crew:
    """Fetchers, handlers, reports and the heart of one run.

    Args:
        handlers: Where the handlers come from.
        dispatch: Finds what works a job.
        phases: How the run is ended.
        fetchers: Who brings jobs in.
        gate: Where the slot of a job is given back.
        heart: Who beats.
        outage: Whether the server is away.
        reports: Who tells the server how jobs ended.
        connect_timeout: Seconds within which the first connection must be made; None for ever.
        grace: Seconds that handlers may take to finish once the worker is told to stop.
        signals: Whether signals are obeyed.
        burst: Whether the run ends when there is nothing left to do.
        home: The event loop.
        events: Who is told of what happens.
        client: What handlers push with.
        roster: Which jobs are being worked.
        site: What the source of the handlers may use.
        cron: Whether its schedules are run.
        spread: Seconds at most before the first dials, by chance.
    """

    def __init__(
        self,
        handlers: HandlerSource,
        *,
        dispatch: Dispatch,
        phases: Phases,
        fetchers: Fetchers,
        gate: Gate,
        heart: Heart,
        outage: Outage,
        reports: Reports,
        connect_timeout: float | None,
        grace: float,
        signals: bool,
        burst: bool,
        home: Home,
        roster: Roster,
        events: Events,
        client: AbstractAsyncContextManager[Client],
        site: Site,
        cron: bool,
        spread: float,
    ) -> None:
        self._handlers = handlers
        self._dispatch = dispatch
        self._phases = phases
        self._fetchers = fetchers
        self._gate = gate
        self._heart = heart
        self._outage = outage
        self._reports = reports
        self._connect_timeout = connect_timeout
        self._grace = grace
        self._obeys = signals and can_receive_signals()
        self._home = home
        self._roster = roster
        self.events = events
        self._client = client
        self._site = site
        self._cron = cron
        self._spread = spread
        self._dial_at = 0.0
        self._listen()
        gate.on_spent = self._spent
        if burst:
            fetchers.on_nothing = self._found_nothing
        self._start_task: Start
        self._clock = clock()
        self._runs = roster.runs
        self._deadlines = Deadlines(self._runs, self._overdue)
        self._on_deadline = self._deadlines.watch
        self._on_job_start: Callable[[Job], None] | None = None
        self._somebody_listens = False
        self._sent_before_last_end = 0  # FETCHes
        self._interrupted: list[str] = []
        self._fetches_out = 0
        self._idle = anyio.Event()
        self._error: BaseException | None = None

    def obeying(self, group: TaskGroup) -> AbstractContextManager[None]:
        """Obey signals in the block, if they are to be; by a task of the group."""
        if not self._obeys:
            return nullcontext()
        return Signals(self._phases.lifecycle, self._roster.stacks).obeyed(group, self._home)

    async def work(self, ready: Callable[[], object]) -> StopDetails:
        """Work until told to stop.

        Args:
            ready: Called when the server knows the worker and the first FETCH was sent, or when it
                is quiet or ends before that.

        Raises:
            AuthenticationError: the server does not take the password.
            ConnectError: no connection was made within the `connect_timeout`.
            UsageError: there is no connecting with these options.
            BaseException: what a handler raised to end the whole program.

        Not to be cancelled: `phases` is how it is ended.
        """
        self._fetchers.on_first = ready
        if self._phases.lifecycle.phase < Phase.TERMINATING:
            async with serving(self._client):
                with self._site.current():
                    await self._run()
        self._phases.lifecycle.advance(Phase.STOPPED, "")
        self.events.emit("on_stop", self._details())
        if self._error is not None:
            raise self._error
        self._fetchers.tell_first()  # whoever waits for the beginning need not wait for ever
        return self._details()

    async def _run(self) -> None:
        with self._phases.before(Phase.TERMINATING), anyio.CancelScope() as begun:
            async with self._handlers.running():
                begun.shield = True  # what is open now is closed in order
                with self._phases.before(Phase.TERMINATING):
                    await self.events.tell("on_start")
                if self._phases.lifecycle.phase < Phase.TERMINATING:
                    await self._work_in_order()

    async def _work_in_order(self) -> None:
        async with task_owner() as start_task:
            self._start_task = start_task
            async with anyio.create_task_group() as crew:
                self._begin(crew)
                await self._phases.reached(Phase.TERMINATING)
                await self._end()
                crew.cancel_scope.cancel()
            # A handler that does not heed its cancellation is waited for when all else is over.
            async with anyio.create_task_group() as last:
                last.start_soon(self._name_the_deaf)
                await self._insist()
                last.cancel_scope.cancel()

    def _listen(self) -> None:
        """Have listeners told of what others notice; nothing costs anything without them."""
        if "on_state_change" in self.events:
            self._phases.on_change = lambda phase: self.events.emit(
                "on_state_change", phase.name.lower()
            )
        if "on_connect" in self.events or "on_disconnect" in self.events:
            self._outage.on_change = lambda error: self._home.tell(lambda: self._connected(error))

    def _connected(self, error: Exception | None) -> None:
        if error is None:
            self.events.emit("on_connect")
        else:
            self.events.emit("on_disconnect", error)

    # -- beginning ----------------------------------------------------------------------------

    def _begin(self, crew: TaskGroup) -> None:
        self._somebody_listens = bool(self.events)
        if "on_job_start" in self.events:
            self._on_job_start = partial(self.events.emit, "on_job_start")
        if self._spread:
            self._dial_at = anyio.current_time() + self._spread * world().uniform()
        crew.start_soon(self._member, self._beat)
        crew.start_soon(self._member, self._reports.run)
        crew.start_soon(self._member, self._deadlines.run)
        for schedule in self._site.schedules if self._cron else ():
            crew.start_soon(self._member, schedule)
        if self._connect_timeout is not None:
            crew.start_soon(self._member, partial(self._outage.expect, self._connect_timeout))
        self._fetchers.begin(lambda fetch: crew.start_soon(self._fetch, fetch), self._start)
        self._notice_idle()  # where it is quiet already, nobody fetches

    async def _member(self, run: Callable[[], Awaitable[None]]) -> None:
        """Whatever a member dies of, jobs and reports still come to their end in order."""
        try:
            await run()
        except Exception as error:  # noqa: BLE001 - raised by `work` in the end
            self._dies_of(error)

    def _dies_of(self, error: Exception) -> None:
        if self._error is None:
            self._error = error
        self._phases.lifecycle.advance(Phase.TERMINATING, f"{type(error).__name__}: {error}")

    async def _spread_out(self) -> None:
        """Let nobody dial before a moment of chance, at the start."""
        if anyio.current_time() < self._dial_at:
            with self._phases.before(Phase.QUIET):
                await anyio.sleep_until(self._dial_at)

    async def _beat(self) -> None:
        await self._spread_out()
        await self._heart.run()

    async def _fetch(self, fetch: Callable[[], Awaitable[None]]) -> None:
        """A member too, without a coroutine more for its wake-ups to pass through."""
        try:
            await self._spread_out()
            await fetch()
        except Exception as error:  # noqa: BLE001 - raised by `work` in the end
            self._dies_of(error)
        except (KeyboardInterrupt, SystemExit) as error:  # of a function that names queues
            self._stop_for(error, "the choice of queues")
        finally:
            self._notice_idle()

    # -- jobs ---------------------------------------------------------------------------------

    def _start(self, run: Run) -> None:
        if self._phases.lifecycle.phase >= Phase.CUT:
            self._finish(run, INTERRUPTED)
            return
        self._runs[run] = None
        work = run.work = self._work(run)
        self._start_task(work, name=run.jid)

    async def _work(self, run: Run) -> None:
        """Work a job in a task of its own. A mistake of ours ends the worker, not the others."""
        try:
            if self._phases.lifecycle.phase >= Phase.CUT:
                run.cut()  # between its arrival and this first step of its task
            run.begun_at = time.monotonic()
            run.on_deadline = self._on_deadline
            run.on_begin = self._on_job_start
            try:
                outcome = await perform(run, self._dispatch, self._clock)
            except GeneratorExit as error:
                if is_closed_by(error, run):
                    raise
                # It came by a future: then Python closes whatever awaits that.
                outcome = failure(error, run.job)
            del self._runs[run]
            self._sent_before_last_end = self._fetchers.sent
            self._finish(run, outcome)
            if run.fatal is not None:
                self._stop_for(run.fatal, "a handler")
        except Exception as error:  # noqa: BLE001 - raised by `work` in the end
            self._runs.pop(run, None)
            self._dies_of(error)
        if not self._runs:
            self._notice_idle()

    def _finish(self, run: Run, outcome: Outcome | None) -> None:
        # First of all: with the slot a FETCH may leave, and take the report along.
        self._gate.release(run.queue)
        if outcome is None:
            _log.error("%s came too late to be begun: the server will retry it", run)
        elif run.reported:
            _log.warning("%s has ended, after it was reported", run)
        else:
            self._report(run, outcome)

    def _report(self, run: Run, outcome: Outcome) -> None:
        if isinstance(outcome, Fail):
            known = {"event": "job_failed", "jid": run.jid}
            _log.warning("%s failed: %s", run, _in_short(outcome), extra=known)
        if outcome is INTERRUPTED:
            self._interrupted.append(run.jid)
        self._reports.add(run, outcome)
        if self._somebody_listens and run.job is not None:
            self._tell_end(run.job, outcome)

    def _tell_end(self, job: Job, outcome: Outcome) -> None:
        self.events.emit("on_job_end", job, outcome)
        # A Retry that counts is a FAIL where none is left.
        failed = isinstance(outcome, Fail) or (isinstance(outcome, Retry) and not outcome.free)
        # One that was interrupted may be requeued instead.
        failed_for_good = failed and exhausted(job) and outcome is not INTERRUPTED
        if isinstance(outcome, Dead) or failed_for_good:
            self.events.emit("on_exhausted", job, outcome)

    def _overdue(self, run: Run) -> None:
        _log.error("%s goes on beyond its deadline and keeps its slot: it is failed now", run)
        error = run.timeout_error()
        job = run.job
        self._report(run, failure(error) if job is None else too_late(run, error, job))

    def _stop_for(self, error: BaseException, who: str) -> None:
        if self._error is None:
            self._error = error
        self._phases.lifecycle.interrupt(f"{who} raised {type(error).__name__}")

    def _notice_idle(self) -> None:
        if not self._runs and not self._fetchers.at_work:
            self._idle.set()
            if self._error is None:
                self._fetchers.tell_first()
            if self._gate.spent:
                self._phases.lifecycle.advance(Phase.TERMINATING, "max_jobs")

    def _spent(self) -> None:
        self._phases.lifecycle.advance(Phase.QUIET, "max_jobs")

    def _found_nothing(self, *, asked: bool) -> None:
        # What the last handler pushed, a FETCH that left before its end may have missed.
        missed = asked and self._fetchers.sent <= self._sent_before_last_end
        if not self._runs and not missed:
            self._phases.lifecycle.advance(Phase.TERMINATING, "burst: there is nothing left to do")

    # -- the end ------------------------------------------------------------------------------

    async def _end(self) -> None:
        with self._phases.before(Phase.CUT), anyio.move_on_after(self._grace):
            await self._idle.wait()
            await self._reports.settled()  # a stalled server may use the grace too
        if not self._idle.is_set():
            await self._cut()
        self._reports.hurry()
        with anyio.move_on_after(_LAST):
            await self._reports.settled()
        self._fetches_out = self._fetchers.fetching

    def stats(self) -> WorkerStats:
        """Return the numbers of this moment; from any thread."""
        return WorkerStats(
            state=self._phases.lifecycle.phase.name.lower(),
            in_flight=self._roster.jobs(),
            reconnects=self._outage.number,
            fetchers=self._fetchers.at_work,
            last_fetch=self._fetchers.last_fetch,
            last_beat=self._heart.last_beat,
            lag=self._heart.lag,
            **asdict(self._reports.counts),
        )

    def _details(self) -> StopDetails:
        return StopDetails(
            reason=self._phases.lifecycle.reason,
            interrupted=tuple(self._interrupted),
            unreported=self._reports.undelivered(),
            fetches_out=self._fetches_out,
            **asdict(self._reports.counts),
        )

    async def _insist(self) -> None:
        """Wait for the last handlers, and cut short whatever they await since they were cut."""
        while self._runs:
            for run in self._runs:
                run.cut()
            with anyio.move_on_after(_AGAIN):
                await self._idle.wait()

    async def _name_the_deaf(self) -> None:
        """Say where the handlers are that are waited for in vain."""
        while True:
            await anyio.sleep(_NAMED)
            _log.error(
                "waiting for what does not heed its cancellation:\n%s", self._roster.stacks()
            )

    async def _cut(self) -> None:
        """Cancel what still runs, wait for it a little, and report it whatever it does."""
        self._phases.lifecycle.advance(Phase.CUT, "")
        for run in self._runs:
            run.cut()
        with anyio.move_on_after(_FINALLY):
            await self._idle.wait()
        for run in self._runs:
            if not run.reported:
                _log.error("%s does not heed its cancellation: it is reported as interrupted", run)
                self._report(run, INTERRUPTED)


def _in_short(failed: Fail) -> str:
    """What went wrong and, where that is known, on which line: the rest is on the server."""
    where = f" ({failed.backtrace[0]})" if failed.backtrace else ""
    return f"{failed.errtype}: {failed.message}{where}"
