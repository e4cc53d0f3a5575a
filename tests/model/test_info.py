"""`ServerInfo`: the reply to INFO, typed and tolerant of additions."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faktory_async.errors import ProtocolError
from faktory_async.model import ServerDetails, ServerInfo, SetSizes, TaskInfo

TASK = {"cycles": 3, "enqueued": 2, "size": 1, "wall_time_sec": 0.000072458}
REPLY: dict[str, Any] = {
    "now": "2026-11-23T22:43:31.123456789Z",
    "server_utc_time": "22:43:31 UTC",
    "faktory": {
        "queues": {"bulk": 0, "default": 7},
        "sets": {"dead": 1, "retries": 2, "scheduled": 3, "working": 4},
        "tasks": {
            "Busy": {"reaped": 5, "size": 6},
            "Dead": TASK,
            "Retries": TASK,
            "Scheduled": TASK | {"wall_time_sec": 0},
            "Workers": {"reaped": 0, "size": 1},
        },
        "total_failures": 8,
        "total_processed": 9,
        "total_enqueued": 7,
        "total_queues": 2,
    },
    "server": {
        "description": "Faktory",
        "faktory_version": "1.10.0",
        "uptime": 10,
        "connections": 11,
        "command_count": 12,
        "used_memory_mb": 13,
    },
}


def decode(reply: Any) -> ServerInfo:
    return ServerInfo.decode(json.dumps(reply).encode())


def test_every_number_has_its_name() -> None:
    info = decode(REPLY)
    assert info.now == datetime(2026, 11, 23, 22, 43, 31, 123456, tzinfo=UTC)
    assert info.queues == {"bulk": 0, "default": 7}
    assert info.sets == SetSizes(dead=1, retries=2, scheduled=3, working=4)
    assert info.tasks["Busy"] == TaskInfo(reaped=5, size=6)
    assert info.tasks["Dead"] == TaskInfo(cycles=3, enqueued=2, size=1, wall_time_sec=0.000072458)
    assert info.tasks["Scheduled"].wall_time_sec == 0
    assert info.tasks["Workers"].size == 1
    assert (info.total_failures, info.total_processed) == (8, 9)
    assert (info.total_enqueued, info.total_queues) == (7, 2)
    assert info.server == ServerDetails(
        description="Faktory",
        faktory_version="1.10.0",
        uptime=10,
        connections=11,
        command_count=12,
        used_memory_mb=13,
    )


def typed(info: ServerInfo) -> ServerInfo:
    return msgspec.structs.replace(info, raw={})


def test_additions_are_kept_as_they_came() -> None:
    richer: dict[str, Any] = json.loads(json.dumps(REPLY))
    richer["new"] = richer["faktory"]["new"] = richer["server"]["new"] = {"x": [1]}
    richer["faktory"]["sets"]["new"] = 1
    richer["faktory"]["tasks"]["Busy"]["new"] = "x"
    info = decode(richer)
    assert typed(info) == typed(decode(REPLY))
    assert info.raw == richer


def test_a_new_task_is_there_by_its_name() -> None:
    assert decode({"faktory": {"tasks": {"New": {"size": 1}}}}).tasks == {"New": TaskInfo(size=1)}


def test_what_is_missing_is_nothing() -> None:
    assert typed(decode({"faktory": {}})) == ServerInfo()
    nothing = {"faktory": {"queues": None, "sets": None, "tasks": None}}
    assert typed(decode(nothing)) == ServerInfo()


@pytest.mark.parametrize("now", [None, 5, "junk"])
def test_an_unreadable_clock_is_none(now: Any) -> None:
    assert decode(REPLY | {"now": now}).now is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"OK",
        b"null",
        b"[]",
        b"5",
        b"{}",
        b'{"faktory":null}',
        b'{"faktory":[]}',
        b"\xff",
        b'{"faktory":{"queues":[]}}',
        b'{"faktory":{"queues":{"a":"b"}}}',
        b"[" * 200000,
        b'{"faktory":{"total_processed":"9"}}',
        b'{"faktory":{},"server":5}',
        b'{"faktory":"\xff"}',
    ],
)
def test_nonsense_is_a_protocol_error(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="INFO"):
        ServerInfo.decode(data)


@given(st.binary())
def test_garbage_raises_nothing_but_a_protocol_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        ServerInfo.decode(data)
