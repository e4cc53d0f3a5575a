"""Typed jobs: functions that are pushed with their own signature, and run by a worker."""

from faktory_async.app._app import App
from faktory_async.app._box import Box
from faktory_async.app._context import JobContext, current_context
from faktory_async.app._control import Dead, Discard, Retry
from faktory_async.app._drain import Drainable, DrainOptions, Ran, drain
from faktory_async.app._options import SERVER_DEFAULT
from faktory_async.app._policy import Backoff, Retries
from faktory_async.app._router import Router
from faktory_async.app._running import CallNext, RunMiddleware
from faktory_async.app._typed import ContextJob, JobType, TypedJob

__all__ = [
    "SERVER_DEFAULT",
    "App",
    "Backoff",
    "Box",
    "CallNext",
    "ContextJob",
    "Dead",
    "Discard",
    "DrainOptions",
    "Drainable",
    "JobContext",
    "JobType",
    "Ran",
    "Retries",
    "Retry",
    "Router",
    "RunMiddleware",
    "TypedJob",
    "current_context",
    "drain",
]
