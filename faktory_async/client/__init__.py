"""The producer's side: push jobs, ask the server."""

from faktory_async.client._client import Client
from faktory_async.client._middleware import CallNext, PushMiddleware
from faktory_async.client._report import PushReport

__all__ = ["CallNext", "Client", "PushMiddleware", "PushReport"]
