"""What the command line asks for."""

from typing import Literal, TypeAlias

from msgspec import Struct

LogFormat: TypeAlias = Literal["auto", "rich", "plain", "json"]
Queues: TypeAlias = tuple[tuple[str, float | None], ...]
"""Names and weights, in order; None where no weight was given."""

Loop: TypeAlias = Literal["auto", "asyncio", "uvloop", "trio"]


class Settings(Struct, frozen=True, kw_only=True):
    """How a worker is to be run.

    Attributes:
        app: Where the app is: `module:name`.
        queues: Where to fetch; empty for the queues that the app's jobs go to.
        concurrency: How many jobs are worked at the same time.
        threads: How many `def` handlers; None for as many as suit that.
        grace: How long handlers may go on once the worker is told to stop, in seconds.
        burst: Whether to end when there is nothing left to do.
        max_jobs: After how many jobs to end; None for never.
        cron: Whether the app's timetable is run.
        connect_timeout: Within how many seconds the server must answer for the first time; 0 for
            ever.
        log_level: What is logged, from `debug` to `error`.
        log_format: How.
        loop: Which event loop.
    """

    app: str
    queues: Queues = ()
    concurrency: int = 20
    threads: int | None = None
    grace: float = 25
    burst: bool = False
    max_jobs: int | None = None
    cron: bool = True
    connect_timeout: float = 30
    log_level: str = "info"
    log_format: LogFormat = "auto"
    loop: Loop = "auto"

    def arguments(self) -> list[str]:
        """Return the arguments of the command that runs the same worker, without reload."""
        options: list[tuple[str, object]] = [
            *(("--queue", queue_text(name, weight)) for name, weight in self.queues),
            ("--concurrency", self.concurrency),
            ("--threads", self.threads),
            ("--grace", self.grace),
            ("--max-jobs", self.max_jobs),
            ("--connect-timeout", self.connect_timeout),
            ("--log-level", self.log_level),
            ("--log-format", self.log_format),
            ("--loop", self.loop),
        ]
        given = [f"{name}={value}" for name, value in options if value is not None]
        flags = [*(["--burst"] if self.burst else []), *([] if self.cron else ["--no-cron"])]
        return ["worker", *given, *flags, "--", self.app]


def queue_text(name: str, weight: float | None) -> str:
    """Return a queue as the command line has it."""
    return name if weight is None else f"{name}={weight:g}"
