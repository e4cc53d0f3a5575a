"""One run of a worker: everyone who takes part, and how they come to an end."""

import logging
from collections.abc import Awaitable, Callable
from typing import Final

import anyio
from anyio.abc import TaskGroup
from msgspec import Struct

from faktory_async.worker._beat import Heart
from faktory_async.worker._fetching import Fetchers
from faktory_async.worker._gate import Gate
from faktory_async.worker._handlers import HandlerSource
from faktory_async.worker._lifecycle import Phase
from faktory_async.worker._outcome import INTERRUPTED, Fail, Outcome
from faktory_async.worker._perform import perform
from faktory_async.worker._phases import Phases
from faktory_async.worker._reports import Reports
from faktory_async.worker._run import Run
from faktory_async.worker._signals import can_receive_signals, obey_signals

_log: Final = logging.getLogger("faktory_async.worker")

# After the cut: for the handlers' `finally` blocks and a FETCH that is out, then for the reports.
# Orchestrators kill 30 s after the first signal, 5 s after the default grace.
_FINALLY: Final = 2.2
_LAST: Final = 1.3


class StopDetails(Struct, frozen=True, kw_only=True):
    """Why a worker stopped and what it left behind.

    Attributes:
        reason: What made it stop, such as `SIGTERM` or `the server said terminate`.
        acked: How many jobs it has ended with an ACK.
        failed: How many jobs it has ended with a FAIL.
        interrupted: The jids of jobs that were cut short, or not begun; they were FAILed or
            requeued.
        unreported: The jids whose outcome the server could not be told: they run again when
            their reservation ends.
        unknown: How many reports may not have been recorded: unanswered for too long, or answered
            by an error that says nothing about the job. Each is in the log.
        fetches_out: How many FETCHes were unanswered at the end; each may have reserved a job
            that runs again when its reservation ends.
    """

    reason: str
    acked: int = 0
    failed: int = 0
    interrupted: tuple[str, ...] = ()
    unreported: tuple[str, ...] = ()
    unknown: int = 0
    fetches_out: int = 0


class Crew:
    """Fetchers, handlers, reports and the heart of one run.

    Args:
        handlers: What works the jobs.
        phases: How the run is ended.
        fetchers: Who brings jobs in.
        gate: Where the slot of a job is given back.
        heart: Who beats.
        reports: Who tells the server how jobs ended.
        grace: Seconds that handlers may take to finish once the worker is told to stop.
        signals: Whether SIGTERM and SIGINT are obeyed.
    """

    def __init__(
        self,
        handlers: HandlerSource,
        *,
        phases: Phases,
        fetchers: Fetchers,
        gate: Gate,
        heart: Heart,
        reports: Reports,
        grace: float,
        signals: bool,
    ) -> None:
        self._handlers = handlers
        self._phases = phases
        self._fetchers = fetchers
        self._gate = gate
        self._heart = heart
        self._reports = reports
        self._grace = grace
        self._signals = signals and can_receive_signals()
        self._runs: set[Run] = set()
        self._interrupted: list[str] = []
        self._fetches_out = 0
        self._idle = anyio.Event()
        self._error: Exception | None = None

    async def work(self) -> StopDetails:
        """Work until told to stop.

        Raises:
            AuthenticationError: the server does not take the password.
            UsageError: there is no connecting with these options.

        Not to be cancelled: `phases` is how it is ended.
        """
        if self._phases.lifecycle.phase < Phase.TERMINATING:
            with self._phases.before(Phase.TERMINATING) as starting:
                async with self._handlers.running():
                    self._phases.spare(starting)
                    if not starting.cancel_called:
                        await self._work_in_order()
        self._phases.lifecycle.advance(Phase.STOPPED, "")
        if self._error is not None:
            raise self._error
        return self._details()

    async def _work_in_order(self) -> None:
        # A handler that does not heed its cancellation is waited for when all else is over.
        async with anyio.create_task_group() as jobs, anyio.create_task_group() as crew:
            self._begin(crew, jobs)
            await self._phases.reached(Phase.TERMINATING)
            await self._end()
            crew.cancel_scope.cancel()

    # -- beginning ----------------------------------------------------------------------------

    def _begin(self, crew: TaskGroup, jobs: TaskGroup) -> None:
        if self._signals:
            crew.start_soon(obey_signals, self._phases.lifecycle)
        crew.start_soon(self._member, self._heart.run)
        crew.start_soon(self._member, self._reports.run)
        self._fetchers.begin(
            lambda fetch: crew.start_soon(self._fetch, fetch), lambda run: self._start(run, jobs)
        )

    async def _member(self, run: Callable[[], Awaitable[None]]) -> None:
        """Whatever a member dies of, jobs and reports still come to their end in order."""
        try:
            await run()
        except Exception as error:  # noqa: BLE001 - raised by `work` in the end
            if self._error is None:
                self._error = error
            self._phases.lifecycle.advance(Phase.TERMINATING, f"{type(error).__name__}: {error}")

    async def _fetch(self, fetch: Callable[[], Awaitable[None]]) -> None:
        try:
            await self._member(fetch)
        finally:
            self._notice_idle()

    # -- jobs ---------------------------------------------------------------------------------

    def _start(self, run: Run, jobs: TaskGroup) -> None:
        if self._phases.lifecycle.phase >= Phase.CUT:
            self._finish(run, INTERRUPTED)
        else:
            self._runs.add(run)
            jobs.start_soon(self._work, run, name=str(run))

    async def _work(self, run: Run) -> None:
        if self._phases.lifecycle.phase >= Phase.CUT:
            run.cut()  # between its arrival and this first step of its task
        outcome = await perform(run, self._handlers)
        self._runs.discard(run)
        self._finish(run, outcome)
        self._notice_idle()

    def _finish(self, run: Run, outcome: Outcome) -> None:
        if isinstance(outcome, Fail):
            _log.warning("%s failed: %s", run, _in_short(outcome))
        if outcome is INTERRUPTED and not run.reported:
            self._interrupted.append(run.jid)
        self._reports.add(run, outcome)
        self._gate.release(run.envelope.queue)

    def _notice_idle(self) -> None:
        if not self._runs and not self._fetchers.at_work:
            self._idle.set()

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

    def _details(self) -> StopDetails:
        return StopDetails(
            reason=self._phases.lifecycle.reason,
            acked=self._reports.counts.acked,
            failed=self._reports.counts.failed,
            interrupted=tuple(self._interrupted),
            unreported=self._reports.undelivered(),
            unknown=self._reports.counts.unknown,
            fetches_out=self._fetches_out,
        )

    async def _cut(self) -> None:
        """Cancel what still runs, wait for it a little, and report it whatever it does."""
        self._phases.lifecycle.advance(Phase.CUT, "")
        for run in self._runs:
            run.cut()
        with anyio.move_on_after(_FINALLY):
            await self._idle.wait()
        for run in self._runs:
            run.cut_for_good()
            _log.error("%s does not heed its cancellation: it is reported as interrupted", run)
            self._interrupted.append(run.jid)
            self._reports.add(run, INTERRUPTED)


def _in_short(failed: Fail) -> str:
    """What went wrong and, where that is known, on which line: the rest is on the server."""
    where = f" ({failed.backtrace[0]})" if failed.backtrace else ""
    return f"{failed.errtype}: {failed.message}{where}"
