"""The worker: what a process runs."""

import os
import re
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from datetime import timedelta
from typing import Final, Literal, Unpack, get_args, overload

import anyio
from anyio.abc import TaskStatus

from faktory_async.client import Client
from faktory_async.errors import UsageError
from faktory_async.model import world
from faktory_async.net import TLS, Address, Connector, Dial, Home, Limits, Timeouts
from faktory_async.protocol import PRODUCER, Identity
from faktory_async.worker._beat import Heart, LoopHeart, Pulse
from faktory_async.worker._beat_thread import ThreadHeart
from faktory_async.worker._connected import Target
from faktory_async.worker._crew import SPREAD, Crew
from faktory_async.worker._delivery import Interrupted
from faktory_async.worker._dispatch import Dispatch
from faktory_async.worker._events import LAST, Events, Listeners, check_listeners
from faktory_async.worker._fetching import Fetchers
from faktory_async.worker._gate import Gate
from faktory_async.worker._handlers import (
    H,
    Handler,
    Handlers,
    HandlerSource,
    RunIn,
    check_jobtype,
    registered,
)
from faktory_async.worker._kinds import Kinds
from faktory_async.worker._lag import Lag
from faktory_async.worker._lifecycle import Phase
from faktory_async.worker._line import Line, Outage
from faktory_async.worker._middleware import Middleware
from faktory_async.worker._phases import Phases
from faktory_async.worker._queues import Queues, check_limits, choice
from faktory_async.worker._reports import Reports
from faktory_async.worker._roster import Roster
from faktory_async.worker._site import Site
from faktory_async.worker._slots import Slots
from faktory_async.worker._stats import WorkerStats
from faktory_async.worker._stop import StopDetails

_WID: Final = re.compile(r"[!-~]+")
_WID_BYTES: Final = 8


class Worker:
    """Fetches jobs and runs the function that is registered for their type.

        worker = Worker(queues=["critical", "default"], concurrency=100)

        @worker.register("order")
        async def order(job: Job) -> None: ...

        details = await worker.run()

    A handler's return ACKs the job, whatever it returns; an exception FAILs it. A job whose type is
    not registered is FAILed too. Coroutine functions run on the event loop, `def` functions in
    threads.

    Args:
        handlers: The handlers by jobtype, or a `HandlerSource`; more can be added by `register`.
        url: `tcp://` or `tcp+tls://`; by default what the environment says, see `Client`, or what
            the source of the handlers says: an `App` knows its server, its dial, tls and timeouts.
        dial: Opens links in place of TCP, such as `EmbeddedServer.dial`.
        tls: How a `tcp+tls://` URL is trusted.
        queues: Where to fetch. A sequence is a strict order: as long as the first queue holds jobs,
            the second one waits. A mapping from queue to weight, such as `{"critical": 5,
            "default": 1}`, is drawn anew for every FETCH. A function that returns a sequence is
            asked before every FETCH; while it returns none, nothing is fetched. See `set_queues`.
        queue_limits: How many jobs of a queue are worked at the same time, where that is less than
            `concurrency`; other queues have the slots meanwhile.
        concurrency: How many jobs are worked at the same time. Connections are few, whatever this
            is.
        max_fetchers: How many connections fetch at most. There is one while there is little to do,
            and more while every FETCH finds a job waiting and slots are free.
        default_handler: Works jobs of types that have no handler; without one they fail.
        middleware: What runs around every handler, the first one outermost: `async (job,
            call_next)`.
        threads: How many `def` handlers run at the same time; by default `concurrency`, at most
            100. A job that finds no thread waits for one in this process.
        processes: How many handlers run in processes at the same time; by default `concurrency`, at
            most one per processor.
        grace: How long handlers may go on once the worker is told to stop, in seconds or as a
            `timedelta`. After that they are cancelled.
        interrupted: What becomes of a job that was cut short, or not begun: `fail`, and the server
            retries it as its `retry` says, or `requeue`: it is pushed again for 10 s later, under a
            jid of its own and with `custom.retry_of`, which is no failed attempt. A job with
            `retry: 0` is always requeued: a FAIL would drop it.
        labels: Words that the server's web page shows beside the worker.
        wid: The worker's id; by default a fresh one, as every process should have.
        handle_signals: Whether signals are obeyed; only in the main thread of a process. SIGTERM
            and SIGINT stop the worker, SIGTSTP makes it quiet, SIGTTIN logs what runs and where.
        burst: Whether the run ends when there is nothing left to do: when a FETCH from every queue
            found nothing while no job was being worked.
        max_jobs: After how many jobs the run ends.
        beat: Where BEAT runs: in a `thread` of its own, which a blocked event loop does not stop,
            or on the `loop`. By default in a thread, and on the loop where `dial` is given, which
            only works there.
        timeouts: How long dialling and commands may take.
        max_reply: How many bytes of a job are accepted; a larger one is failed unread. By default
            what the URL says, else 64 MiB.
        connect_timeout: Within how many seconds, a number or a `timedelta`, the run must have its
            first connection, in as many tries as fit in; else it ends with a `ConnectError`. By
            default it waits for its server for ever.
        client: What `job_client` returns to handlers; opened and closed by whoever made it. By
            default the worker has one of its own, which dials nothing before it is used.
        cron: Whether the timetable of an `App` is run, where it has one: any number of workers may
            do so. A run that ends by itself, by `burst` or `max_jobs`, never does.
        listeners: `on_start`, `on_stop`, `on_state_change`, `on_job_start`, `on_job_end`,
            `on_connect`, `on_disconnect`, `on_exhausted`: functions or coroutine functions that
            are told of these; see `Listeners`. What they raise is logged, and nothing else.

    Raises:
        UsageError: options that make no sense.
        AddressError: the URL, the environment or the TLS options make no address.
    """

    def __init__(
        self,
        handlers: Mapping[str, Handler] | HandlerSource | None = None,
        *,
        url: str | Address | None = None,
        dial: Dial | None = None,
        tls: TLS | ssl.SSLContext | None = None,
        queues: Queues = ("default",),
        queue_limits: Mapping[str, int] | None = None,
        concurrency: int = 20,
        max_fetchers: int = 8,
        default_handler: Handler | None = None,
        middleware: Sequence[Middleware] = (),
        threads: int | None = None,
        processes: int | None = None,
        grace: float | timedelta = 25,
        interrupted: Interrupted = "fail",
        labels: Sequence[str] = (),
        wid: str | None = None,
        handle_signals: bool = True,
        burst: bool = False,
        max_jobs: int | None = None,
        beat: Literal["thread", "loop"] | None = None,
        timeouts: Timeouts | None = None,
        max_reply: int | None = None,
        connect_timeout: float | timedelta | None = None,
        client: Client | None = None,
        cron: bool = True,
        **listeners: Unpack[Listeners],
    ) -> None:
        _check_counts(concurrency=concurrency, max_fetchers=max_fetchers, max_jobs=max_jobs)
        _check_counts(threads=threads, processes=processes)
        target = Target(url, dial, tls, timeouts).completed(handlers)
        dial, tls, timeouts = target.dial, target.tls, target.timeouts
        _check_words(beat, interrupted, has_dial=dial is not None)
        seconds = _seconds("grace", grace)
        patience = None if connect_timeout is None else _seconds("connect_timeout", connect_timeout)
        self.wid: Final = world().token(_WID_BYTES) if wid is None else wid
        if not _WID.fullmatch(self.wid):
            raise UsageError("a wid is printable ASCII without spaces")
        kinds = Kinds(concurrency, threads=threads, processes=processes)
        self._handlers: HandlerSource
        if isinstance(handlers, Mapping) or handlers is None:
            self._handlers = Handlers(kinds.runner, handlers)
        elif isinstance(handlers, HandlerSource):  # pyright: ignore[reportUnnecessaryIsInstance]  # programs without types
            self._handlers = handlers
        else:
            raise UsageError(
                "a worker works an App, a dict of functions by jobtype, or a HandlerSource, not "
                f"{handlers!r}"
            )
        default = default_handler and kinds.runner(registered("unknown types", default_handler))
        address = Address.resolve(target.url)
        identity = Identity(
            wid=self.wid, hostname=socket.gethostname(), pid=os.getpid(), labels=_words(labels)
        )
        self._started = False
        self._phases = Phases()
        self._home: Home | None = None
        self._crew: Crew | None = None
        self._queues = choice(queues)
        limits = check_limits(queue_limits)

        bounds = None if max_reply is None else Limits(max_reply=max_reply)

        def connector(who: Identity) -> Connector:
            return Connector(
                address,
                tls=tls,
                dial=dial,
                identity=who,
                limits=bounds,
                timeouts=timeouts,
                skip=True,
            )

        def producer() -> Client:
            return Client(address, dial=dial, tls=tls, timeouts=timeouts)

        check_listeners(listeners)
        dispatch = Dispatch(self._handlers, middleware, default)

        def crew(home: Home, *, burst: bool, max_jobs: int | None, signals: bool) -> Crew:
            phases, outage = self._phases, Outage(address.url)
            events = Events(listeners)
            reports = Reports(Line(connector(PRODUCER), outage), interrupted=interrupted)
            gate = Gate(Slots(concurrency, limits), self._choose, reports, most=max_jobs)
            reports.fetch_leaves = lambda: gate.leaving > 0
            roster = Roster()
            pulse = Pulse(self.wid, phases.lifecycle, self._advance)
            heart: Heart
            if beat == "loop" or dial is not None:
                heart = LoopHeart(Line(connector(identity), outage), pulse)
            else:
                lag = Lag(home, roster.names)
                heart = ThreadHeart(connector(identity), outage, pulse, lag, home)
            return Crew(
                self._handlers,
                dispatch=dispatch,
                phases=phases,
                fetchers=Fetchers(
                    lambda: Line(connector(identity), outage),
                    gate,
                    phases,
                    riders=reports,
                    most=max_fetchers,
                ),
                gate=gate,
                heart=heart,
                outage=outage,
                reports=reports,
                roster=roster,
                connect_timeout=patience,
                grace=seconds,
                signals=signals and handle_signals,
                burst=burst,
                home=home,
                events=events,
                client=producer() if client is None else nullcontext(client),
                site=Site(kinds, phases.lifecycle, events, target),
                cron=cron and not burst and max_jobs is None,
                spread=0.0 if burst else SPREAD,
            )

        connector(identity)  # whatever makes no sense is told now
        self._make_crew = crew
        self._burst = burst
        self._max_jobs = max_jobs

    def __repr__(self) -> str:
        phase = self._phases.lifecycle.phase.name.lower() if self._started else "not started"
        return f"<Worker {self.wid} {phase}>"

    # -- handlers -----------------------------------------------------------------------------

    @overload
    def register(
        self,
        jobtype: str,
        *,
        timeout: float | timedelta | None = None,
        run_in: RunIn | None = None,
    ) -> Callable[[H], H]: ...

    @overload
    def register(
        self,
        jobtype: str,
        handler: H,
        *,
        timeout: float | timedelta | None = None,
        run_in: RunIn | None = None,
    ) -> H: ...

    def register(
        self,
        jobtype: str,
        handler: H | None = None,
        *,
        timeout: float | timedelta | None = None,
        run_in: RunIn | None = None,
    ) -> H | Callable[[H], H]:
        """Let a function work jobs of one type; also as a decorator.

        A coroutine function runs on the event loop, any other one in a thread; what it calls may
        use `anyio.from_thread` to come back to the loop.

        Args:
            jobtype: The job's type, exactly.
            handler: Takes the `Job`.
            timeout: How long the handler may take, in seconds or as a `timedelta`, before it is
                cancelled and its job failed with `JobTimeoutError`. However long that is, it is
                cancelled 5 s before the job's reservation ends.
            run_in: `"process"` runs a `def` handler in a process of its own, for work that would
                keep the interpreter busy. The function must be importable; neither contextvars nor
                `job_client` reach it.

        Returns:
            The handler, or without one a decorator that returns it.

        Raises:
            DuplicateJobTypeError: the type has a handler; both places are named.
            UsageError: it is no function that takes a job, it cannot run there, or the worker was
                given a `HandlerSource`.
        """
        handlers = self._handlers
        if not isinstance(handlers, Handlers):
            raise UsageError("this worker was given a HandlerSource: register there")
        check_jobtype(jobtype)

        def add(handler: H) -> H:
            handlers.add(jobtype, handler, timeout=timeout, run_in=run_in)
            return handler

        return add if handler is None else add(handler)

    # -- the run ------------------------------------------------------------------------------

    async def run(
        self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> StopDetails:
        """Work until a signal, the server, `stop` or a cancellation ends it.

        The server need not be there yet, and may go away and come back: handlers go on meanwhile.

        The first SIGTERM, SIGINT or `stop()` lets handlers finish within the grace; then, or at the
        second one, they are cancelled, given 2 s, and their jobs FAILed, so that the server retries
        them. The third signal ends the process.

        Args:
            task_status: For `await group.start(worker.run)`, which returns when the server knows
                the worker and the first FETCH was sent.

        Returns:
            Why it stopped, and what could not be brought to its end.

        Raises:
            AuthenticationError: the server does not take the password.
            ConnectError: there was no connection within the `connect_timeout`.
            UsageError: it has run already.
            BaseException: what a handler raised to end the program, such as `SystemExit`, once its
                job is reported as failed and the worker has stopped.

        Cancelled, handlers are cut short at once; every job in hand is reported, within 4 s, before
        the cancellation goes on.
        """
        if self._started or self._home is not None:  # or `run_one` is under way
            raise UsageError("a worker runs once: make another one")
        self._started = True
        home = self._home = Home.of_this_task()
        crew = self._make_crew(home, burst=self._burst, max_jobs=self._max_jobs, signals=True)
        return await self._run(crew, task_status)

    async def run_one(self) -> bool:
        """Work one job, and return whether there was one; signals are not obeyed.

        For scripts and tests: each call makes connections of its own, says goodbye on them, and
        takes 2 s where there is no job. It may be called again, and also before `run`.

        Raises and cancelled: as `run`.
        """
        if self._home is not None:
            raise UsageError("a worker runs once: make another one")
        self._home = Home.of_this_task()
        try:
            crew = self._make_crew(self._home, burst=True, max_jobs=1, signals=False)
            details = await self._run(crew, anyio.TASK_STATUS_IGNORED)
        finally:
            self._home = None
            self._phases = Phases()
        return details.processed > 0

    async def _run(self, crew: Crew, task_status: TaskStatus[None]) -> StopDetails:
        self._crew = crew
        ended = anyio.Event()
        results: list[StopDetails | BaseException] = []
        async with anyio.create_task_group() as group:
            # The crew is shielded, and this task only waits: so neither a cancelled scope nor a
            # native Task.cancel can reach a FETCH or a report.
            group.start_soon(self._work_shielded, crew, task_status, ended, results)
            try:
                await ended.wait()
            except BaseException:  # a cancellation, or a KeyboardInterrupt
                self._phases.lifecycle.advance(Phase.CUT, "cancelled")
                raise
        if isinstance(results[0], BaseException):
            raise results[0]
        return results[0]

    def quiet(self) -> None:
        """Fetch nothing any more; what runs goes on, and the worker stays until it is stopped.

        From any task and any thread.
        """
        self._advance(Phase.QUIET, "quiet()")

    def stop(self) -> None:
        """Let handlers finish within the grace and end the run; called again, cut them short.

        From any task and any thread. Before `run`, it makes the run end at once.
        """
        self._on_loop(lambda: self._phases.lifecycle.interrupt("stop()"))

    @property
    def stats(self) -> WorkerStats:
        """What the worker is doing at this moment; from any thread."""
        if self._crew is None:
            return WorkerStats(state="not started")
        return self._crew.stats()

    def set_queues(self, queues: Queues) -> None:
        """Fetch from other queues from now on; from any thread.

        A FETCH that is out, for up to 2 s, may still bring a job of the old ones. Limits stay.

        Args:
            queues: As the worker's option of that name.

        Raises:
            UsageError: a name that is none, a weight that is not above 0, or no queue at all.
        """
        self._queues = choice(queues)

    async def _work_shielded(
        self,
        crew: Crew,
        task_status: TaskStatus[None],
        ended: anyio.Event,
        results: list[StopDetails | BaseException],
    ) -> None:
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as group:
                group.start_soon(crew.events.run)
                try:
                    with crew.obeying(group):  # also while what the handlers need comes and goes
                        results.append(await crew.work(task_status.started))
                except BaseException as error:  # noqa: BLE001 - raised by `run`, bare instead of in a group
                    results.append(error)
                crew.events.end()
                group.cancel_scope.deadline = anyio.current_time() + LAST
            ended.set()

    def _choose(self) -> Sequence[str]:
        return self._queues()

    def _advance(self, phase: Phase, reason: str) -> None:
        """Drive the lifecycle, from any thread; no FETCH leaves from this moment on."""
        self._phases.hushed = True
        self._on_loop(lambda: self._phases.lifecycle.advance(phase, reason))

    def _on_loop(self, call: Callable[[], object]) -> None:
        """Make the call where the worker runs; here and now where it does not run yet."""
        if self._home is None:
            call()
        else:
            self._home.tell(call)


def _seconds(name: str, value: float | timedelta) -> float:
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if not seconds >= 0:
        raise UsageError(f"a {name} is not negative")
    return seconds


def _check_words(beat: str | None, interrupted: str, *, has_dial: bool) -> None:
    if beat not in (None, "thread", "loop") or (beat == "thread" and has_dial):
        raise UsageError("beat is 'thread' or 'loop', and with a dial of your own 'loop'")
    if interrupted not in get_args(Interrupted):
        raise UsageError("interrupted is 'fail' or 'requeue'")


def _words(labels: Sequence[str]) -> tuple[str, ...]:
    if isinstance(labels, str) or not all(isinstance(label, str) for label in labels):  # pyright: ignore[reportUnnecessaryIsInstance]  # programs without types
        raise UsageError(f"labels is a sequence of words, not {labels!r}")
    return tuple(labels)


def _check_counts(**counts: int | None) -> None:
    for name, count in counts.items():
        if count is not None and (type(count) is not int or count < 1):
            raise UsageError(f"{name} is a whole number and at least 1, not {count!r}")
