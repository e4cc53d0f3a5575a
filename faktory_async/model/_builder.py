"""Jobs built step by step."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Self

from faktory_async.model._job import Job, detached_job


class JobBuilder:
    """Builds jobs step by step: every setter returns the builder, `build` returns a job.

        job = JobBuilder("order").args([42]).queue("bulk").retry(5).build()

    What is not set has the default of `Job`; each job gets a fresh jid and the time it is built
    at, unless they are set. A builder may be built from many times: its jobs share nothing with it
    or with each other.

    Args:
        jobtype: The name by which a worker finds its handler.
    """

    __slots__ = ("_custom", "_jobtype", "_values")

    def __init__(self, jobtype: str) -> None:
        self._jobtype = jobtype
        self._values: dict[str, Any] = {}
        self._custom: Mapping[str, Any] = {}

    def args(self, args: Sequence[Any]) -> Self:
        """Set the handler's arguments."""
        return self._set("args", args)

    def jid(self, jid: str) -> Self:
        """Set the id; jobs built from here on all have the same one."""
        return self._set("jid", jid)

    def queue(self, queue: str) -> Self:
        """Set the queue."""
        return self._set("queue", queue)

    def created_at(self, created_at: datetime | None) -> Self:
        """Set the time the job was made; None lets the server fill it in."""
        return self._set("created_at", created_at)

    def at(self, at: datetime | None) -> Self:
        """Set the time to run it at; None means at once."""
        return self._set("at", at)

    def reserve_for(self, reserve_for: int | timedelta | None) -> Self:
        """Set the length of the reservation in seconds; None leaves it to the server."""
        return self._set("reserve_for", reserve_for)

    def retry(self, retry: int) -> Self:
        """Set the number of retries."""
        return self._set("retry", retry)

    def priority(self, priority: int) -> Self:
        """Set the priority; servers since 0.9.6 ignore it."""
        return self._set("priority", priority)

    def backtrace(self, backtrace: int) -> Self:
        """Set the number of lines that a FAIL carries at most; 0 means up to 50."""
        return self._set("backtrace", backtrace)

    def custom(self, custom: Mapping[str, Any]) -> Self:
        """Set the custom data, in place of all that was set or added before."""
        self._custom = custom
        return self

    def add_to_custom_data(self, key: str, value: Any) -> Self:
        """Add one entry to the custom data, in place of the one of this key."""
        self._custom = {**self._custom, key: value}
        return self

    def build(self) -> Job:
        """Return a new job.

        Raises:
            InvalidJobError: for what `Job(...)` refuses.
        """
        return detached_job(Job(self._jobtype, custom=self._custom, **self._values))

    def _set(self, field: str, value: Any) -> Self:
        self._values[field] = value
        return self
