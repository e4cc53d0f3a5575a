"""MUTATE: what an operator does to whole sets."""

import re
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from faktory_async.model import Glob
from faktory_async.server._broker import Broker
from faktory_async.server._document import QUEUE_NAME_RULE, is_queue_name
from faktory_async.server._gojson import read
from faktory_async.server._gotree import quote
from faktory_async.server._gotypes import Fields, ListOf, Record, Text, decode
from faktory_async.server._thorough import stored_document
from faktory_async.server._timed_set import TimedSet

# The real server gives up after 5 s; so many steps of matching take longer than that.
_MAX_STEPS: Final = 5_000_000_000

# Wherever a text stands behind a key that ends so: nested ones count too.
_JIDS: Final = re.compile(rb'"jid":("(?:[^"\\]|\\.)*+")')

_FILTER: Final = Record(
    "client.JobFilter",
    "JobFilter",
    {"jids": ListOf(Text(), "[]string", ""), "regexp": Text(), "jobtype": Text()},
    nullable=True,
)
_OPERATION: Final = Record(
    "client.Operation",
    "Operation",
    {"cmd": Text(), "target": Text("client.Structure"), "filter": _FILTER},
)


class MutationError(Exception):
    """A MUTATE that is refused.

    Args:
        text: Why, in the server's words.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class JobFilter(Struct, frozen=True, kw_only=True):
    """Which entries of a set are meant; every one where nothing is said.

    Attributes:
        jids: Ids of jobs; where there are any, the others do not count.
        regexp: A glob over a job's whole JSON.
        jobtype: A jobtype; alone it is a glob as well.
    """

    jids: tuple[str, ...] = ()
    regexp: str = ""
    jobtype: str = ""


Test = Callable[[bytes], bool]


def mutate(broker: Broker, payload: bytes) -> None:
    """Carry out a MUTATE.

    Raises:
        InvalidJSONError: for what is no JSON.
        MutationError: for what is refused.
    """
    operation, complaint = decode(_OPERATION, read(payload))
    if complaint is not None:
        raise MutationError(complaint)
    command, target = operation.text("cmd"), operation.text("target")
    if command not in _COMMANDS:
        raise MutationError("unknown mutate operation")
    if target not in _targets(broker):
        raise MutationError("invalid target for mutation command")
    chosen = operation.record("filter") or Fields(None)
    job_filter = JobFilter(
        jids=tuple(chosen.texts("jids")),
        regexp=chosen.text("regexp"),
        jobtype=chosen.text("jobtype"),
    )
    apply(broker, command, target, job_filter)


def apply(broker: Broker, command: str, target: str, job_filter: JobFilter) -> int:
    """Carry out a mutation of a set; return how many jobs it was about.

    Raises:
        MutationError: when a job cannot be requeued, or the matching would take too long.
    """
    entries = _targets(broker)[target]
    if command == "clear":
        count = len(entries)
        entries.clear()
        return count
    chosen = select(entries, job_filter)
    _COMMANDS[command](broker, entries, chosen)
    return len(chosen)


def select(entries: TimedSet, job_filter: JobFilter) -> list[bytes]:
    """Return the payloads that a filter means, in order.

    Raises:
        MutationError: when the matching would take longer than the server gives itself.
    """
    payloads = list(entries)
    test = _test(job_filter, payloads)
    return payloads if test is None else [payload for payload in payloads if test(payload)]


def _test(job_filter: JobFilter, payloads: Sequence[bytes]) -> Test | None:
    if job_filter.jids:
        wanted = {quote(jid).encode() for jid in job_filter.jids}
        return lambda payload: not wanted.isdisjoint(_JIDS.findall(payload))
    jobtype = f'"jobtype":{quote(job_filter.jobtype)}'.encode() if job_filter.jobtype else b""
    if not job_filter.regexp:
        return _matcher(b"*" + jobtype + b"*", payloads) if jobtype else None
    matches = _matcher(job_filter.regexp.encode(), payloads)
    return lambda payload: jobtype in payload and matches(payload)


def _matcher(pattern: bytes, payloads: Sequence[bytes]) -> Test:
    glob = Glob(pattern)
    if glob.weight * sum(map(len, payloads)) > _MAX_STEPS:
        raise MutationError("context deadline exceeded")
    return glob.matches


def _targets(broker: Broker) -> dict[str, TimedSet]:
    return {"scheduled": broker.scheduled, "retries": broker.retries, "dead": broker.dead}


def _discard(broker: Broker, entries: TimedSet, payloads: list[bytes]) -> None:
    del broker
    for payload in payloads:
        entries.discard(payload)


def _kill(broker: Broker, entries: TimedSet, payloads: list[bytes]) -> None:
    now = broker.clock()
    for payload in payloads:
        entries.discard(payload)
        broker.bury(payload, now)


def _requeue(broker: Broker, entries: TimedSet, payloads: list[bytes]) -> None:
    """Put payloads into their queues as they are: they do not say since when they are there."""
    now = broker.clock()
    for payload in payloads:
        name = stored_document(payload).queue
        if not is_queue_name(name):
            raise MutationError(QUEUE_NAME_RULE)
        entries.discard(payload)
        broker.requeue(name, payload, now)


_COMMANDS: Final[dict[str, Callable[[Broker, TimedSet, list[bytes]], None]]] = {
    "clear": _discard,
    "discard": _discard,
    "kill": _kill,
    "requeue": _requeue,
}
