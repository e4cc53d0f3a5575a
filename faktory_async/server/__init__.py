"""A Faktory in memory, which answers as the real server does."""

from faktory_async.server._answers import MAX_CONNECTIONS, Answer, Answers, Close
from faktory_async.server._broker import Broker
from faktory_async.server._connection import Connection
from faktory_async.server._core import Core
from faktory_async.server._edition import EDITIONS, Edition
from faktory_async.server._embedded import EmbeddedServer
from faktory_async.server._faults import Fault, Faults
from faktory_async.server._panel import Panel
from faktory_async.server._snapshots import (
    Backlog,
    CountersSnapshot,
    QueueSnapshot,
    TimedSnapshot,
    WorkerSnapshot,
    WorkingSnapshot,
)
from faktory_async.server._waiting import FETCH_SECONDS, Waiting
from faktory_async.server._workers import WorkerState

__all__ = [
    "EDITIONS",
    "FETCH_SECONDS",
    "MAX_CONNECTIONS",
    "Answer",
    "Answers",
    "Backlog",
    "Broker",
    "Close",
    "Connection",
    "Core",
    "CountersSnapshot",
    "Edition",
    "EmbeddedServer",
    "Fault",
    "Faults",
    "Panel",
    "QueueSnapshot",
    "TimedSnapshot",
    "Waiting",
    "WorkerSnapshot",
    "WorkerState",
    "WorkingSnapshot",
]
