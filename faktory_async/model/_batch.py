"""What Enterprise says of a batch and of a job's progress."""

from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final

import msgspec
from msgspec import Struct

from faktory_async.errors import ProtocolError, UsageError
from faktory_async.model._document import UNREADABLE
from faktory_async.model._times import read_time
from faktory_async.model._world import world

_ALL: Final = 100


class CallbackState(Enum):
    """How far a batch's callback is."""

    PENDING = ""
    ENQUEUED = "1"
    SUCCEEDED = "2"


class BatchStatus(Struct, frozen=True, kw_only=True):
    """The reply to BATCH STATUS.

    Attributes:
        bid: The batch's id.
        parent_bid: The batch that it belongs to; None where there is none.
        description: What its maker called it; None where nothing was said.
        created_at: When it was made, in UTC; None where that cannot be read.
        total: Its jobs, those of its child batches aside.
        pending: Those of them that have not succeeded yet.
        failed: Those of them that have failed.
        complete: How far the callback is that follows when every job has run.
        success: How far the callback is that follows when every job has succeeded.
    """

    bid: str
    parent_bid: str | None = None
    description: str | None = None
    created_at: datetime | None = None
    total: int = 0
    pending: int = 0
    failed: int = 0
    complete: CallbackState = CallbackState.PENDING
    success: CallbackState = CallbackState.PENDING

    @staticmethod
    def decode(data: bytes) -> "BatchStatus":
        """Read the reply to BATCH STATUS.

        Raises:
            ProtocolError: for bytes that are no such reply.
        """
        try:
            reply = _decode_batch(data)
        except UNREADABLE as error:
            raise ProtocolError(f"the reply to BATCH STATUS is not readable: {error}") from None
        return BatchStatus(
            bid=reply.bid,
            parent_bid=reply.parent_bid or None,
            description=reply.description or None,
            created_at=read_time(reply.created_at),
            total=reply.total,
            pending=reply.pending,
            failed=reply.failed,
            complete=reply.complete_st,
            success=reply.success_st,
        )


class JobState(Enum):
    """What Enterprise knows of a tracked job."""

    UNKNOWN = "unknown"
    ENQUEUED = "enqueued"
    WORKING = "working"
    SUCCESS = "success"
    FAILED = "failed"
    DEAD = "dead"


class Progress(Struct, frozen=True, kw_only=True):
    """The reply to TRACK GET.

    Attributes:
        jid: The job's id.
        state: What became of it; UNKNOWN for a job without `track` and for one that is over for
            half an hour.
        updated_at: When that was last changed, in UTC; None where it is not known.
        percent: How far the handler says it is, 0 to 100; None where it said nothing.
        desc: What the handler says of it; None where it said nothing.
    """

    jid: str
    state: JobState = JobState.UNKNOWN
    updated_at: datetime | None = None
    percent: int | None = None
    desc: str | None = None

    @staticmethod
    def decode(data: bytes) -> "Progress":
        """Read the reply to TRACK GET.

        Raises:
            ProtocolError: for bytes that are no such reply.
        """
        try:
            reply = _decode_progress(data)
        except UNREADABLE as error:
            raise ProtocolError(f"the reply to TRACK GET is not readable: {error}") from None
        return Progress(
            jid=reply.jid,
            state=reply.state,
            updated_at=read_time(reply.updated_at),
            percent=reply.percent,
            desc=reply.desc,
        )


def check_progress(percent: int | None, reserve_until: datetime | None) -> None:
    """Refuse what no server should be told.

    Raises:
        UsageError: a percent outside of 0 to 100; a time that is naive, over, or more than 24 hours
            away.
    """
    if percent is not None and not 0 <= percent <= _ALL:
        raise UsageError("a percent is 0 to 100")
    if reserve_until is not None:
        if reserve_until.utcoffset() is None:
            raise UsageError("reserve_until is an aware datetime")
        if not timedelta(0) < reserve_until - world().utcnow() <= timedelta(days=1):
            raise UsageError("reserve_until is a time within the next 24 hours")


class _BatchReply(Struct):
    bid: str
    parent_bid: str | None = None
    description: str | None = None
    created_at: Any = None
    total: int = 0
    pending: int = 0
    failed: int = 0
    complete_st: CallbackState = CallbackState.PENDING
    success_st: CallbackState = CallbackState.PENDING


class _ProgressReply(Struct):
    jid: str
    state: JobState
    updated_at: Any = None
    percent: int | None = None
    desc: str | None = None


_decode_batch: Final = msgspec.json.Decoder(_BatchReply).decode
_decode_progress: Final = msgspec.json.Decoder(_ProgressReply).decode
