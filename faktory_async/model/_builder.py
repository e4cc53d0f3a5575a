"""Jobs built step by step."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, Self

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

    __slots__ = ("_custom", "_jobtype", "_steps", "_values")

    def __init__(self, jobtype: str) -> None:
        self._jobtype = jobtype
        self._values: dict[str, Any] = {}
        self._custom: Mapping[str, Any] = {}
        self._steps: list[Callable[[Job], Job]] = []

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

    # -- Enterprise ---------------------------------------------------------------------------

    def unique_for(
        self, duration: float | str | timedelta, *, until: Literal["success", "start"] = "success"
    ) -> Self:
        """Let a job be refused while an equal one is there; see `Job.unique_for`."""
        return self._then(lambda job: job.unique_for(duration, until=until))

    def expires_at(self, when: datetime) -> Self:
        """Let a job be dropped where it was not fetched by then; see `Job.expires_at`."""
        return self._then(lambda job: job.expires_at(when))

    def expires_in(self, duration: float | str | timedelta) -> Self:
        """Let a job be dropped where it was not fetched in time after it was built."""
        return self._then(lambda job: job.expires_in(duration))

    def tracked(self) -> Self:
        """Let a job's state and progress be asked for; see `Job.tracked`."""
        return self._then(Job.tracked)

    def build(self) -> Job:
        """Return a new job.

        Raises:
            InvalidJobError: for what `Job(...)` refuses.
            UsageError: for an option of Enterprise that makes no sense.
        """
        job = Job(self._jobtype, custom=self._custom, **self._values)
        for step in self._steps:
            job = step(job)
        return detached_job(job)

    def _then(self, step: Callable[[Job], Job]) -> Self:
        self._steps.append(step)
        return self

    def _set(self, field: str, value: Any) -> Self:
        self._values[field] = value
        return self
