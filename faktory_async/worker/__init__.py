"""The consumer's side: a worker runs the functions registered for jobs."""

from faktory_async.worker._backoff import Backoff
from faktory_async.worker._clients import job_client
from faktory_async.worker._connected import Connected, Target
from faktory_async.worker._current import current_job, extend_deadline
from faktory_async.worker._events import Listeners, exhausted
from faktory_async.worker._failure import failure
from faktory_async.worker._handlers import Handler, HandlerSource, RunIn, Runner
from faktory_async.worker._middleware import CallNext, Middleware
from faktory_async.worker._outcome import Ack, Dead, Discard, Fail, Outcome, Retry
from faktory_async.worker._reservation import Moment
from faktory_async.worker._roster import JobInFlight
from faktory_async.worker._run import present
from faktory_async.worker._server_clock import ServerClock
from faktory_async.worker._site import (
    Site,
    current_site,
    due,
    judge_timeout,
    limit_run,
    to_worker_thread,
)
from faktory_async.worker._stats import WorkerStats
from faktory_async.worker._stop import StopDetails
from faktory_async.worker._worker import Worker

__all__ = [
    "Ack",
    "Backoff",
    "CallNext",
    "Connected",
    "Dead",
    "Discard",
    "Fail",
    "Handler",
    "HandlerSource",
    "JobInFlight",
    "Listeners",
    "Middleware",
    "Moment",
    "Outcome",
    "Retry",
    "RunIn",
    "Runner",
    "ServerClock",
    "Site",
    "StopDetails",
    "Target",
    "Worker",
    "WorkerStats",
    "current_job",
    "current_site",
    "due",
    "exhausted",
    "extend_deadline",
    "failure",
    "job_client",
    "judge_timeout",
    "limit_run",
    "present",
    "to_worker_thread",
]
