"""One line for the start of every job, one for its end."""

import logging
import time
from typing import Any, Final

from faktory_async.app import App
from faktory_async.cli._logs import COMMAND, JOBS
from faktory_async.model import Job
from faktory_async.worker import Ack, Dead, Discard, Fail, Outcome, Retry, exhausted

_MOST: Final = 200  # characters of arguments, or of what went wrong


class Lines:
    """Logs how jobs begin and end; its methods are a worker's listeners.

    Args:
        app: Knows which arguments nobody is to see.

    Attributes:
        failures: How many jobs ended badly.
    """

    def __init__(self, app: App) -> None:
        self.failures = 0
        self._functions = {binding.jobtype: binding.function for binding in app.bindings()}
        self._begun: dict[int, float] = {}
        self._running: dict[str, int] = {}

    def on_job_start(self, job: Job) -> None:
        """Note that a handler is about to be called."""
        self._begun[id(job)] = time.perf_counter()
        self._running[job.jid] = self._running.get(job.jid, 0) + 1
        if JOBS.isEnabledFor(logging.INFO):
            call = f"{_name(job)}({self._arguments(job)})"
            JOBS.info("%s", call, extra=_fields("job_start", job))

    def on_job_end(self, job: Job, outcome: Outcome) -> None:
        """Note how that ended."""
        failed = isinstance(outcome, Fail | Dead) or (
            isinstance(outcome, Retry) and not outcome.free
        )
        self.failures += failed
        fields: dict[str, Any] = {
            **_fields("job_end", job),
            "outcome": type(outcome).__name__.lower(),
            **self._ended(job),
            **_why(outcome),
        }
        if isinstance(outcome, Retry) and failed and exhausted(job):
            said = f" has failed for the last time: {_cause(outcome)}"
            fields["outcome"] = "fail"  # which the server is told, since there is no retry left
        else:
            said = _in_short(outcome)
        level = logging.WARNING if failed else logging.INFO
        JOBS.log(level, "%s%s", _name(job), said, extra=fields)
        if frames := fields.get("backtrace"):
            COMMAND.debug("%s", "\n".join(f"    {frame}" for frame in frames))

    def untold(self, record: logging.LogRecord) -> bool:
        """Tell whether a record of the worker says what no line will say: a filter for its logger.

        A handler's failure is in the line of the job's end.
        """
        failed = getattr(record, "event", None) == "job_failed"
        return not failed or getattr(record, "jid", None) not in self._running

    def _ended(self, job: Job) -> dict[str, float]:
        left = self._running.pop(job.jid, 1) - 1
        if left:
            self._running[job.jid] = left
        begun = self._begun.pop(id(job), None)
        return (
            {} if begun is None else {"duration_ms": round((time.perf_counter() - begun) * 1e3, 3)}
        )

    def _arguments(self, job: Job) -> str:
        function = self._functions.get(job.jobtype)
        # Of an unknown job, nobody knows what is a secret.
        return "…" if function is None else _short(function.describe(job.args))


def _fields(event: str, job: Job) -> dict[str, Any]:
    failure = job.failure
    return {
        "event": event,
        "jid": job.jid,
        "jobtype": job.jobtype,
        "queue": job.queue,
        "attempt": 0 if failure is None else (failure.retry_count or 0) + 1,
    }


def _why(outcome: Outcome) -> dict[str, Any]:
    match outcome:
        case Fail() | Dead() | Retry():
            return {
                "errtype": outcome.errtype,
                "error": outcome.message,
                "backtrace": outcome.backtrace,
            }
        case Discard():
            return {"reason": outcome.reason}
        case Ack():
            return {}


def _in_short(outcome: Outcome) -> str:
    match outcome:
        case Ack():
            return ""
        case Discard():
            return f" is discarded: {_line(outcome.reason)}"
        case Retry():
            return f" runs again {_when(outcome)}: {_cause(outcome)}"
        case Dead():
            return f" is dead: {_cause(outcome)}"
        case Fail():
            return f" failed: {_cause(outcome)}"


def _when(retry: Retry) -> str:
    if retry.at is None:
        return f"in {retry.seconds:g} s"
    # It may be on any day, and in a zone that is not the one of the line's own time.
    return f"at {retry.at.isoformat(' ', 'seconds')}"


def _cause(outcome: Fail | Dead | Retry) -> str:
    where = f" ({outcome.backtrace[0]})" if outcome.backtrace else ""
    return f"{outcome.errtype}: {_line(outcome.message)}{where}"


def _name(job: Job) -> str:
    """Return the job's type, which anybody may have written, without anything but characters."""
    return _short(job.jobtype if job.jobtype.isprintable() else repr(job.jobtype))


def _line(text: str) -> str:
    first, _, rest = text.partition("\n")
    shown = first if first.isprintable() else repr(first)[1:-1]
    return _short(shown) + (" …" if rest else "")


def _short(text: str) -> str:
    return text if len(text) <= _MOST else f"{text[:_MOST]}…"
