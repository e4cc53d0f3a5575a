"""The values that travel: jobs and what the server says about them and about itself.

`Job` is strict: what programs build arrives as it was. `Envelope` is tolerant: what the server
sends is taken as it comes, and `Envelope.job` makes the `Job` of it that a handler gets.
"""

from faktory_async.model._batch import (
    BatchStatus,
    CallbackState,
    JobState,
    Progress,
    check_progress,
)
from faktory_async.model._builder import JobBuilder
from faktory_async.model._duration import seconds
from faktory_async.model._envelope import Envelope
from faktory_async.model._failure import Failure
from faktory_async.model._filter import filter_of, literally, pattern_of
from faktory_async.model._glob import Glob
from faktory_async.model._info import ServerDetails, ServerInfo, SetSizes, TaskInfo
from faktory_async.model._job import Job, new_jid
from faktory_async.model._times import read_time
from faktory_async.model._world import World, use_world, world

__all__ = [
    "BatchStatus",
    "CallbackState",
    "Envelope",
    "Failure",
    "Glob",
    "Job",
    "JobBuilder",
    "JobState",
    "Progress",
    "ServerDetails",
    "ServerInfo",
    "SetSizes",
    "TaskInfo",
    "World",
    "check_progress",
    "filter_of",
    "literally",
    "new_jid",
    "pattern_of",
    "read_time",
    "seconds",
    "use_world",
    "world",
]
