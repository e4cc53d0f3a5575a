"""INFO: the server's counters as JSON, in the server's order."""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import Raw

from faktory_async.server._broker import Broker
from faktory_async.server._edition import Edition
from faktory_async.server._gotime import NANOSECONDS, format_time
from faktory_async.server._gowrite import format_float

VERSION: Final = "1.10.0"
_DESCRIPTIONS: Final = {Edition.OSS: "Faktory", Edition.ENTERPRISE: "Faktory Enterprise"}


def info(broker: Broker, *, commands: int, memory_mb: int) -> bytes:
    """Return what INFO answers.

    Args:
        broker: Whose state it is.
        commands: How many commands were understood so far.
        memory_mb: How much memory is in use, in MB.
    """
    now = broker.clock()
    return msgspec.json.encode(
        {
            "now": format_time(now),
            "server_utc_time": datetime.fromtimestamp(now // NANOSECONDS, UTC).strftime(
                "%H:%M:%S UTC"
            ),
            "faktory": _faktory(broker),
            "server": {
                "description": _DESCRIPTIONS[broker.edition],
                "faktory_version": VERSION,
                "uptime": (now - broker.started_at) // NANOSECONDS,
                "connections": len(broker.connections),
                "command_count": commands,
                "used_memory_mb": memory_mb,
            },
        }
    )


def _faktory(broker: Broker) -> dict[str, Any]:
    queues = {queue.name: len(queue.jobs) for queue in broker.queues}
    sets = {
        "dead": len(broker.dead),
        "retries": len(broker.retries),
        "scheduled": len(broker.scheduled),
        "working": broker.working.stored,
    }
    return {
        "queues": dict(sorted(queues.items())),
        "sets": sets,
        "tasks": {
            "Busy": {"reaped": broker.working.reaped, "size": len(broker.working)},
            "Dead": _task(broker, "Dead", sets["dead"]),
            "Retries": _task(broker, "Retries", sets["retries"]),
            "Scheduled": _task(broker, "Scheduled", sets["scheduled"]),
            "Workers": {"reaped": broker.workers.reaped, "size": len(broker.workers)},
        },
        "total_failures": broker.failures,
        "total_processed": broker.processed,
        "total_enqueued": sum(queues.values()),
        "total_queues": len(queues),
    }


def _task(broker: Broker, name: str, size: int) -> dict[str, Any]:
    counters = broker.tasks[name]
    seconds = format_float(counters.wall_time / NANOSECONDS)
    return {
        "cycles": counters.cycles,
        "enqueued": counters.enqueued,
        "size": size,
        "wall_time_sec": Raw(seconds.encode()),
    }
