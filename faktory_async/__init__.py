"""The asyncio-native client and worker for the Faktory job server.

    from faktory_async import Client, Job

    async with Client() as client:
        await client.push(Job("send_welcome", ["a@b.c"]))

Names are loaded when they are first used (PEP 562), so that importing the package costs nothing:
pytest loads the plugin of every installed package, whether or not it is needed.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faktory_async.app import SERVER_DEFAULT as SERVER_DEFAULT
    from faktory_async.app import App as App
    from faktory_async.app import Backoff as Backoff
    from faktory_async.app import ContextJob as ContextJob
    from faktory_async.app import Dead as Dead
    from faktory_async.app import Discard as Discard
    from faktory_async.app import JobContext as JobContext
    from faktory_async.app import JobType as JobType
    from faktory_async.app import Retries as Retries
    from faktory_async.app import Retry as Retry
    from faktory_async.app import Router as Router
    from faktory_async.app import TypedJob as TypedJob
    from faktory_async.app import current_context as current_context
    from faktory_async.client import Batch as Batch
    from faktory_async.client import CallNext as CallNext
    from faktory_async.client import Client as Client
    from faktory_async.client import ClientStats as ClientStats
    from faktory_async.client import Consumer as Consumer
    from faktory_async.client import JobSet as JobSet
    from faktory_async.client import PushMiddleware as PushMiddleware
    from faktory_async.client import PushReport as PushReport
    from faktory_async.client import Queues as Queues
    from faktory_async.errors import AddressError as AddressError
    from faktory_async.errors import ArgumentsError as ArgumentsError
    from faktory_async.errors import AuthenticationError as AuthenticationError
    from faktory_async.errors import ClientStateError as ClientStateError
    from faktory_async.errors import CommandTimeoutError as CommandTimeoutError
    from faktory_async.errors import ConnectError as ConnectError
    from faktory_async.errors import ConnectionLostError as ConnectionLostError
    from faktory_async.errors import DuplicateJobTypeError as DuplicateJobTypeError
    from faktory_async.errors import EnterpriseRequiredError as EnterpriseRequiredError
    from faktory_async.errors import FaktoryError as FaktoryError
    from faktory_async.errors import InvalidJobError as InvalidJobError
    from faktory_async.errors import JobNotFoundError as JobNotFoundError
    from faktory_async.errors import JobRejectedError as JobRejectedError
    from faktory_async.errors import JobTimeoutError as JobTimeoutError
    from faktory_async.errors import NotUniqueError as NotUniqueError
    from faktory_async.errors import PoolTimeoutError as PoolTimeoutError
    from faktory_async.errors import ProtocolError as ProtocolError
    from faktory_async.errors import ServerBusyError as ServerBusyError
    from faktory_async.errors import ServerError as ServerError
    from faktory_async.errors import TLSError as TLSError
    from faktory_async.errors import TooManyConnectionsError as TooManyConnectionsError
    from faktory_async.errors import UnavailableError as UnavailableError
    from faktory_async.errors import UnknownWorkerError as UnknownWorkerError
    from faktory_async.errors import UsageError as UsageError
    from faktory_async.model import BatchStatus as BatchStatus
    from faktory_async.model import CallbackState as CallbackState
    from faktory_async.model import Failure as Failure
    from faktory_async.model import Job as Job
    from faktory_async.model import JobBuilder as JobBuilder
    from faktory_async.model import JobState as JobState
    from faktory_async.model import Progress as Progress
    from faktory_async.model import ServerInfo as ServerInfo
    from faktory_async.model import new_jid as new_jid
    from faktory_async.net import TLS as TLS
    from faktory_async.net import Address as Address
    from faktory_async.net import Limits as Limits
    from faktory_async.net import Link as Link
    from faktory_async.net import Timeouts as Timeouts
    from faktory_async.server import EmbeddedServer as EmbeddedServer
    from faktory_async.worker import HandlerSource as HandlerSource
    from faktory_async.worker import JobInFlight as JobInFlight
    from faktory_async.worker import StopDetails as StopDetails
    from faktory_async.worker import Worker as Worker
    from faktory_async.worker import WorkerStats as WorkerStats
    from faktory_async.worker import current_job as current_job
    from faktory_async.worker import job_client as job_client

_HOMES = {
    "app": (
        "App",
        "Backoff",
        "ContextJob",
        "Dead",
        "Discard",
        "JobContext",
        "JobType",
        "Retries",
        "Retry",
        "Router",
        "SERVER_DEFAULT",
        "TypedJob",
        "current_context",
    ),
    "client": (
        "Batch",
        "CallNext",
        "Client",
        "ClientStats",
        "Consumer",
        "JobSet",
        "PushMiddleware",
        "PushReport",
        "Queues",
    ),
    "errors": (
        "AddressError",
        "ArgumentsError",
        "AuthenticationError",
        "ClientStateError",
        "CommandTimeoutError",
        "ConnectError",
        "ConnectionLostError",
        "DuplicateJobTypeError",
        "EnterpriseRequiredError",
        "FaktoryError",
        "InvalidJobError",
        "JobNotFoundError",
        "JobRejectedError",
        "JobTimeoutError",
        "NotUniqueError",
        "PoolTimeoutError",
        "ProtocolError",
        "ServerBusyError",
        "ServerError",
        "TLSError",
        "TooManyConnectionsError",
        "UnavailableError",
        "UnknownWorkerError",
        "UsageError",
    ),
    "model": (
        "BatchStatus",
        "CallbackState",
        "Failure",
        "Job",
        "JobBuilder",
        "JobState",
        "Progress",
        "ServerInfo",
        "new_jid",
    ),
    "net": ("TLS", "Address", "Limits", "Link", "Timeouts"),
    "server": ("EmbeddedServer",),
    "worker": (
        "HandlerSource",
        "JobInFlight",
        "StopDetails",
        "Worker",
        "WorkerStats",
        "current_job",
        "job_client",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "SERVER_DEFAULT",
    "TLS",
    "Address",
    "AddressError",
    "App",
    "ArgumentsError",
    "AuthenticationError",
    "Backoff",
    "Batch",
    "BatchStatus",
    "CallNext",
    "CallbackState",
    "Client",
    "ClientStateError",
    "ClientStats",
    "CommandTimeoutError",
    "ConnectError",
    "ConnectionLostError",
    "Consumer",
    "ContextJob",
    "Dead",
    "Discard",
    "DuplicateJobTypeError",
    "EmbeddedServer",
    "EnterpriseRequiredError",
    "Failure",
    "FaktoryError",
    "HandlerSource",
    "InvalidJobError",
    "Job",
    "JobBuilder",
    "JobContext",
    "JobInFlight",
    "JobNotFoundError",
    "JobRejectedError",
    "JobSet",
    "JobState",
    "JobTimeoutError",
    "JobType",
    "Limits",
    "Link",
    "NotUniqueError",
    "PoolTimeoutError",
    "Progress",
    "ProtocolError",
    "PushMiddleware",
    "PushReport",
    "Queues",
    "Retries",
    "Retry",
    "Router",
    "ServerBusyError",
    "ServerError",
    "ServerInfo",
    "StopDetails",
    "TLSError",
    "Timeouts",
    "TooManyConnectionsError",
    "TypedJob",
    "UnavailableError",
    "UnknownWorkerError",
    "UsageError",
    "Worker",
    "WorkerStats",
    "current_context",
    "current_job",
    "job_client",
    "new_jid",
]


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value  # the next use finds it without a call
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
