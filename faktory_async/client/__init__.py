"""The producer's side: push jobs, ask the server."""

from faktory_async.client._client import Client
from faktory_async.client._middleware import CallNext, PushMiddleware
from faktory_async.client._report import PushReport
from faktory_async.client._stats import ClientStats

__all__ = ["CallNext", "Client", "ClientStats", "PushMiddleware", "PushReport"]
