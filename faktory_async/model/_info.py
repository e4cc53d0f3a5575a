"""What the server says about itself."""

from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from faktory_async.errors import ProtocolError
from faktory_async.model._document import UNREADABLE
from faktory_async.model._times import read_time


class SetSizes(Struct, frozen=True, kw_only=True):
    """How many jobs there are outside of the queues.

    Attributes:
        scheduled: Jobs whose time has not come.
        retries: Failed jobs that wait for their next try.
        dead: Failed jobs that are not tried again.
        working: Jobs that workers have fetched and not yet reported.
    """

    scheduled: int = 0
    retries: int = 0
    dead: int = 0
    working: int = 0


class TaskInfo(Struct, frozen=True, kw_only=True):
    """One of the server's periodic tasks; it has some of these numbers, the others are None.

    Attributes:
        size: How many entries it watches over.
        reaped: How many it has cleared away since the server started.
        cycles: How often it has run.
        enqueued: How many jobs it has put into queues.
        wall_time_sec: How long it has run altogether, in seconds.
    """

    size: int | None = None
    reaped: int | None = None
    cycles: int | None = None
    enqueued: int | None = None
    wall_time_sec: float | None = None


class ServerDetails(Struct, frozen=True, kw_only=True):
    """The server process.

    Attributes:
        description: What it calls itself.
        faktory_version: Its version, such as `1.10.0`.
        uptime: Seconds since it started.
        connections: Open connections, this one included.
        command_count: Commands it has executed, this one included.
        used_memory_mb: Memory its storage uses, in megabytes.
    """

    description: str = ""
    faktory_version: str = ""
    uptime: int = 0
    connections: int = 0
    command_count: int = 0
    used_memory_mb: int = 0


class ServerInfo(Struct, frozen=True, kw_only=True):
    """The reply to INFO. What a newer server adds stands in `raw`, what an older one lacks is 0.

    Attributes:
        now: The server's clock, in UTC and cut to microseconds; None where it does not tell it.
        queues: The size of every queue the server knows, empty ones included.
        sets: How many jobs are scheduled, wait for a retry, are dead or in work.
        tasks: The server's periodic tasks by name: `Busy`, `Dead`, `Retries`, `Scheduled`,
            `Workers`. The size of `Workers` is the number of registered worker processes.
        total_processed: Jobs that ended, well or not, since the last FLUSH.
        total_failures: Jobs that failed, reservations that expired included.
        total_enqueued: Jobs that are in queues now.
        total_queues: The number of queues.
        server: The server process.
        raw: The whole reply as it came.
    """

    now: datetime | None = None
    queues: dict[str, int] = {}
    sets: SetSizes = SetSizes()
    tasks: dict[str, TaskInfo] = {}
    total_processed: int = 0
    total_failures: int = 0
    total_enqueued: int = 0
    total_queues: int = 0
    server: ServerDetails = ServerDetails()
    raw: dict[str, Any] = {}

    @staticmethod
    def decode(data: bytes) -> "ServerInfo":
        """Read the reply to INFO.

        Raises:
            ProtocolError: for bytes that are no such reply.
        """
        try:
            reply = _decode(data)
        except UNREADABLE as error:
            raise ProtocolError(f"the server's reply to INFO is not readable: {error}") from None
        faktory = reply.faktory
        return ServerInfo(
            now=read_time(reply.now),
            queues=faktory.queues or {},
            sets=faktory.sets or SetSizes(),
            tasks=faktory.tasks or {},
            total_processed=faktory.total_processed,
            total_failures=faktory.total_failures,
            total_enqueued=faktory.total_enqueued,
            total_queues=faktory.total_queues,
            server=reply.server,
            raw=msgspec.json.decode(data),
        )


class _Faktory(Struct):
    queues: dict[str, int] | None = None
    sets: SetSizes | None = None
    tasks: dict[str, TaskInfo] | None = None
    total_processed: int = 0
    total_failures: int = 0
    total_enqueued: int = 0
    total_queues: int = 0


class _Reply(Struct):
    faktory: _Faktory
    server: ServerDetails = ServerDetails()
    now: Any = None


_decode: Final = msgspec.json.Decoder(_Reply).decode
