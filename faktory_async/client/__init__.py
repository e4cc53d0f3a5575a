"""The producer's side: push jobs, ask the server."""

from faktory_async.client._batch import Batch
from faktory_async.client._client import Client
from faktory_async.client._consumer import Consumer
from faktory_async.client._middleware import CallNext, PushMiddleware
from faktory_async.client._queues import Queues
from faktory_async.client._report import PushReport
from faktory_async.client._sets import JobSet
from faktory_async.client._stats import ClientStats
from faktory_async.client._tracking import when_prolonged

__all__ = [
    "Batch",
    "CallNext",
    "Client",
    "ClientStats",
    "Consumer",
    "JobSet",
    "PushMiddleware",
    "PushReport",
    "Queues",
    "when_prolonged",
]
