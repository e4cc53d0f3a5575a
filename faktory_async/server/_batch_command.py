"""BATCH: jobs that belong together, and what follows them (Enterprise)."""

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from faktory_async.server._batches import Batch, Callback, CallbackState, Plan
from faktory_async.server._broker import Broker
from faktory_async.server._custom import OptionError, options_of
from faktory_async.server._document import (
    DEFAULT_QUEUE,
    QUEUE_NAME_RULE,
    Document,
    due_time,
    is_queue_name,
    refusal,
)
from faktory_async.server._enterprise import Enterprise, no_such_batch
from faktory_async.server._gojson import read
from faktory_async.server._gotime import TimestampError, format_time
from faktory_async.server._gotree import InvalidJSONError, quote
from faktory_async.server._gotypes import Fields, Record, Text, decode
from faktory_async.server._gowrite import write_flat
from faktory_async.server._queue_command import OK, upper
from faktory_async.server._thorough import NESTED_JOB, document_from

_PLAN: Final = Record(
    "client.Batch",
    "Batch",
    {
        "parent_bid": Text(),
        "description": Text(),
        "success": NESTED_JOB,
        "complete": NESTED_JOB,
    },
)
# A callback need not bring a jid; it is judged as if it had one.
_SOME_JID: Final = "callback"


class _Status(Struct, frozen=True, kw_only=True, omit_defaults=True):
    bid: str
    parent_bid: str = ""
    description: str = ""
    created_at: str
    complete_st: str
    success_st: str
    total: int
    pending: int
    failed: int


class RefusedBatchError(Exception):
    """A BATCH that is refused.

    Args:
        text: Why.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def answer_batch(broker: Broker, enterprise: Enterprise, rest: bytes) -> bytes:
    """Return the reply to BATCH; `rest` is what follows the verb."""
    raw, _, argument = rest.partition(b" ")
    subcommand = upper(raw)
    answer = _ANSWERS.get(subcommand)
    if answer is None:
        return f"-ERR no such BATCH subcommand: {subcommand}\r\n".encode()
    try:
        return answer(broker, enterprise, argument)
    except RefusedBatchError as error:
        return f"-ERR {error.text}\r\n".encode()


def _open(broker: Broker, enterprise: Enterprise, argument: bytes) -> bytes:
    batch = _find(broker, enterprise, _bid(argument))
    enterprise.batches.reopen(batch)
    return _bulk(batch.bid.encode())


def _commit(broker: Broker, enterprise: Enterprise, argument: bytes) -> bytes:
    enterprise.batches.commit(_find(broker, enterprise, _bid(argument)))
    broker.push_callbacks(broker.clock())
    return OK


def _status(broker: Broker, enterprise: Enterprise, argument: bytes) -> bytes:
    return _bulk(write_flat(_report(_find(broker, enterprise, _bid(argument)))))


def _bid(argument: bytes) -> str:
    return argument.decode("utf-8", "replace")


def _find(broker: Broker, enterprise: Enterprise, bid: str) -> Batch:
    batch = enterprise.batches.get(bid, broker.clock())
    if batch is None:
        raise RefusedBatchError(no_such_batch(bid))
    return batch


def _create(broker: Broker, enterprise: Enterprise, payload: bytes) -> bytes:
    try:
        fields, complaint = decode(_PLAN, read(payload))
    except InvalidJSONError as error:
        raise RefusedBatchError(f"invalid JSON: {error.text}") from error
    if complaint is not None:
        raise RefusedBatchError(f"invalid JSON: {complaint}")
    plan = Plan(
        parent_bid=fields.text("parent_bid"),
        description=fields.text("description"),
        success=_callback(fields, "success"),
        complete=_callback(fields, "complete"),
    )
    if plan.success is None and plan.complete is None:
        raise RefusedBatchError("batch must have a success or a complete callback")
    parent = _find(broker, enterprise, plan.parent_bid) if plan.parent_bid else None
    batch = enterprise.batches.create(plan, parent, broker.clock())
    return _bulk(batch.bid.encode())


def _callback(fields: Fields, name: str) -> Document | None:
    job = fields.record(name)
    if job is None:
        return None
    document = document_from(job)
    text = _refusal(document)
    if text is not None:
        raise RefusedBatchError(f"{name} callback: {text}")
    return document


def _refusal(document: Document) -> str | None:
    """Return why a callback could not be pushed one day, if it could not."""
    jid, document.jid = document.jid, document.jid or _SOME_JID
    text = refusal(document)
    document.jid = jid
    if text is not None:
        return text
    if not is_queue_name(document.queue or DEFAULT_QUEUE):
        return f"cannot get {quote(document.queue)} queue: {QUEUE_NAME_RULE}"
    try:
        options_of(document)
        if document.at:
            due_time(document.at)
    except (OptionError, TimestampError) as error:
        return error.text
    return None


def _report(batch: Batch) -> _Status:
    return _Status(
        bid=batch.bid,
        parent_bid="" if batch.parent is None else batch.parent.bid,
        description=batch.description,
        created_at=format_time(batch.created_at),
        complete_st=_state(batch.complete),
        success_st=_state(batch.success),
        total=batch.total,
        pending=len(batch.pending),
        failed=len(batch.failed),
    )


def _state(callback: Callback | None) -> str:
    return (CallbackState.PENDING if callback is None else callback.state).value


def _bulk(data: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(data), data)


_ANSWERS: Final[dict[str, Callable[[Broker, Enterprise, bytes], bytes]]] = {
    "COMMIT": _commit,
    "NEW": _create,
    "OPEN": _open,
    "STATUS": _status,
}
