"""When cron jobs are due, and the jobs of their ticks. Pure."""

import hashlib
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from faktory_async.app._cron import Cron
from faktory_async.app._options import Stamp
from faktory_async.app._typed import Binding
from faktory_async.model import Job


class Tick(Struct, frozen=True):
    """One time that a cron job is due.

    Attributes:
        at: When.
        jobtype: What.
        data: The job: the same bytes in every process that makes them.
    """

    at: datetime
    jid: str
    jobtype: str
    data: bytes


class Schedule:
    """The timetable of an app.

    Args:
        bindings: The app's jobs, those without cron among them.

    Raises:
        ArgumentsError: arguments that do not fit their job.
        TypeError: arguments are missing, or too many.
        UsageError: an annotation means nothing.
    """

    def __init__(self, bindings: Collection[Binding]) -> None:
        self._lines = [(binding, cron) for binding in bindings for cron in binding.crons]
        for binding in bindings:
            binding.check_times()

    def __bool__(self) -> bool:
        return bool(self._lines)

    def __len__(self) -> int:
        return len(self._lines)

    def between(self, after: datetime, until: datetime) -> list[Tick]:
        """Return what is due after a moment and until another one, in order."""
        ticks = [
            tick_of(binding, cron, at)
            for binding, cron in self._lines
            for at in _until(cron.after(after), until)
        ]
        return sorted(ticks, key=lambda tick: (tick.at, tick.jid))

    def next_after(self, moment: datetime) -> datetime | None:
        """Return when anything is due next; None for never again."""
        soonest = [next(cron.after(moment), None) for _, cron in self._lines]
        return min((at for at in soonest if at is not None), default=None)


def tick_of(binding: Binding, cron: Cron, at: datetime) -> Tick:
    """Return the job of a tick.

    Nothing in it depends on who makes it or when: the server keeps one of equal jobs in its
    scheduled set.
    """
    args = _in_order(binding.function.arguments.encode(cron.args, {}))
    jid = _jid([binding.jobtype, args, at])
    stamp = binding.stamp
    for options in cron.used:
        stamp = stamp.using(options)
    job = _job(stamp, binding.jobtype, args, jid, at)
    if cron.used:  # with other options it is another job than that of another line
        jid = _jid([jid, job.queue, job.retry, job.reserve_for, job.custom])
        job = _job(stamp, binding.jobtype, args, jid, at)
    return Tick(at, jid, binding.jobtype, job.to_json())


def _job(stamp: Stamp, jobtype: str, args: list[Any], jid: str, at: datetime) -> Job:
    fields = {**stamp.fields, "jid": jid, "at": at, "created_at": at}
    if "custom" in fields:
        fields["custom"] = _in_order(fields["custom"])
    return replace(stamp, fields=fields).job(jobtype, args)


def _in_order(value: Any) -> Any:
    """Return it with the keys of its dicts in order: each process may have made them in another."""
    return msgspec.json.decode(msgspec.json.encode(value, order="deterministic"))


def _jid(parts: list[Any]) -> str:
    name = msgspec.json.encode(parts, order="deterministic")
    return hashlib.sha256(name).hexdigest()[:24]


def _until(ticks: Iterator[datetime], until: datetime) -> Iterator[datetime]:
    for at in ticks:
        if at > until:
            return
        yield at
