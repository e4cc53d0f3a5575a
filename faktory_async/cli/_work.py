"""Run the worker of an app: the whole life of a process, down to its exit code."""

from functools import partial
from typing import Final

import anyio

from faktory_async.app import App
from faktory_async.cli._ahead import import_ahead
from faktory_async.cli._banner import queues_of, say_hello
from faktory_async.cli._errors import (
    FAILED,
    INTERRUPTED,
    NO_APP,
    NO_SERVER,
    REFUSED,
    USAGE,
    CommandError,
)
from faktory_async.cli._even_blocked import EvenBlocked
from faktory_async.cli._last_resort import LastResort
from faktory_async.cli._lines import Lines
from faktory_async.cli._load import load_app
from faktory_async.cli._logs import COMMAND, WORKER
from faktory_async.cli._loop import Backend, backend_of
from faktory_async.cli._settings import Queues, Settings
from faktory_async.cli._traces import traceback_of
from faktory_async.errors import AuthenticationError, ConnectError, TLSError, UsageError
from faktory_async.model import Job
from faktory_async.worker import StopDetails, Worker

_OTHER_DIALS: Final = 0.02  # seconds
_HINT: Final = "for development without a Faktory: faktory-async dev %s"


def work(settings: Settings) -> int:
    """Run a worker until it ends.

    Returns:
        The exit code.

    Raises:
        CommandError: it could not be started, or the server does not want it.
        SystemExit: a handler wants the process to end.
    """
    backend = backend_of(settings.loop)
    try:
        import_ahead(backend)
        app = load_app(settings.app)
        return _Run(app, settings).run(backend)
    except KeyboardInterrupt:
        return INTERRUPTED  # while the app was imported: the worker takes care of any later one
    except UsageError as error:
        raise CommandError(USAGE, str(error)) from error


class _Run:
    """One run of a worker, and what is to be known of it beside its jobs."""

    def __init__(self, app: App, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._queues = queues_of(app, settings)
        self._lines = Lines(app)
        self._last_resort = LastResort(settings.grace, self._running)
        self._even_blocked = EvenBlocked(partial(self._last_resort.on_state_change, "terminating"))
        self._started = False
        self._connected = False
        self._refused: TLSError | None = None
        self._worker = self._make_worker()

    def run(self, backend: Backend) -> int:
        say_hello(self._app, self._queues, self._settings, backend)
        WORKER.addFilter(self._lines.untold)
        try:
            with self._last_resort, self._even_blocked:
                details = self._until_its_end(backend)
        finally:
            WORKER.removeFilter(self._lines.untold)
        return self._exit_code(details)

    def _make_worker(self) -> Worker:
        # The one place where options of the command become options of the worker.
        settings = self._settings
        return Worker(
            self._app,
            queues=_as_the_worker_has_them(self._queues),
            concurrency=settings.concurrency,
            threads=settings.threads,
            grace=settings.grace,
            burst=settings.burst,
            max_jobs=settings.max_jobs,
            cron=settings.cron,
            connect_timeout=settings.connect_timeout or None,
            on_start=self._on_start,
            on_connect=self._on_connect,
            on_disconnect=self._on_disconnect,
            on_state_change=self._last_resort.on_state_change,
            on_job_start=self._on_job_start,
            on_job_end=self._lines.on_job_end,
        )

    def _until_its_end(self, backend: Backend) -> StopDetails:
        try:
            run = partial(anyio.run, backend=backend.backend, backend_options=backend.options)
            details: StopDetails = run(self._worker.run)
        except (AuthenticationError, ConnectError) as error:
            raise _no_server(error) from error
        except UsageError:
            raise
        except Exception as error:
            text = f"{traceback_of(error)}\nthe app could not be {self._what()}"
            raise CommandError(FAILED if self._started else NO_APP, text) from error
        if self._refused is not None:
            raise _no_server(self._refused)
        return details

    def _what(self) -> str:
        return "closed" if self._started else "started"

    def _exit_code(self, details: StopDetails) -> int:
        text = f"stopped by {details.reason}: {details.processed} jobs ended"
        if details.interrupted:
            text += f", {len(details.interrupted)} were interrupted"
        COMMAND.info("%s", text, extra={"event": "stopped", "reason": details.reason})
        if details.exit_code:
            COMMAND.warning("left unfinished: %s", _left(details), extra={"event": "unfinished"})
            return details.exit_code
        return FAILED if self._settings.burst and (self._lines.failures or details.failed) else 0

    # -- listeners ----------------------------------------------------------------------------

    def _on_start(self) -> None:
        self._started = True

    def _on_job_start(self, job: Job) -> None:
        self._even_blocked.listen()  # only a handler can block; by now the worker heeds signals
        self._lines.on_job_start(job)

    def _on_connect(self) -> None:
        if not self._connected:
            self._connected = True
            COMMAND.info("the worker is ready", extra={"event": "ready"})

    async def _on_disconnect(self, error: Exception) -> None:
        if self._connected:
            return
        if isinstance(error, TLSError):  # to wait would not change what the two disagree on
            self._refused = error
            # Handshakes that end this moment are to say so to their own tasks: of those that are
            # cancelled then, event loops log a traceback.
            await anyio.sleep(_OTHER_DIALS)
            self._worker.stop()
        elif isinstance(error, ConnectError):
            COMMAND.info(_HINT, self._settings.app)

    def _running(self) -> str:
        jobs = self._worker.stats.in_flight
        return ", ".join(f"{job.jobtype} {job.jid}" for job in jobs) or "what the app opened"


def _as_the_worker_has_them(queues: Queues) -> list[str] | dict[str, float]:
    """Return a strict order where no weight was given; else weights, 1 where none was given."""
    if all(weight is None for _, weight in queues):
        return [name for name, _ in queues]
    return {name: 1.0 if weight is None else weight for name, weight in queues}


def _no_server(error: AuthenticationError | ConnectError) -> CommandError:
    refused = isinstance(error, AuthenticationError | TLSError) or isinstance(
        error.__cause__, TLSError
    )
    return CommandError(REFUSED if refused else NO_SERVER, str(error))


def _left(details: StopDetails) -> str:
    counts = {
        "interrupted": len(details.interrupted),
        "unreported": len(details.unreported),
        "unknown": details.unknown,
        "lost": details.lost,
        "fetches without an answer": details.fetches_out,
    }
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count)
