"""What a worker says of itself when it starts, and what looks like a mistake."""

import platform
from importlib.metadata import version
from typing import Final

from faktory_async.app import App
from faktory_async.cli._logs import COMMAND
from faktory_async.cli._loop import Backend
from faktory_async.cli._settings import Queues, Settings, queue_text
from faktory_async.net import Address

_MOST: Final = 20  # that are named
_DEFAULT: Final = "default"


def queues_of(app: App, settings: Settings) -> Queues:
    """Return the queues to fetch from: those of the command line, else those of the app's jobs."""
    if settings.queues:
        return settings.queues
    names = sorted(set(_homes(app).values())) or [_DEFAULT]
    return tuple((name, None if len(names) == 1 else 1.0) for name in names)


def say_hello(app: App, queues: Queues, settings: Settings, backend: Backend) -> None:
    """Say what starts here, and warn of jobs that nobody will work."""
    where = "the app's own dial" if app.dial is not None else Address.resolve(app.url).url
    listed = ", ".join(queue_text(*queue) for queue in queues)
    types = sorted(app.jobtypes())
    about = f"faktory-async {version('faktory-async')} · Python {platform.python_version()}"
    slots = f"{settings.concurrency} at a time"
    said = [
        f"{about} · {backend.name}",
        f"server {where} · queues {listed} · {slots}",
        f"job types: {_some(types)}",
    ]
    if timetable := _timetable(app, settings):
        said.append(f"cron: {_some(timetable)}")
    known = {
        "event": "starting",
        "version": version("faktory-async"),
        "server": where,
        "queues": [queue_text(*queue) for queue in queues],
        "jobtypes": types,
        "cron": timetable,
        "loop": backend.name,
        "concurrency": settings.concurrency,
    }
    COMMAND.info("%s", "\n".join(said), extra=known)
    _warn(app, [name for name, _ in queues])


def _warn(app: App, listened: list[str]) -> None:
    homes = _homes(app)
    if not homes:
        COMMAND.warning("warning: the app has no jobs, so every job that comes will fail")
        return
    for jobtype, queue in homes.items():
        if queue not in listened:
            COMMAND.warning(
                "warning: job type %s goes to queue %s, this worker listens to %s",
                jobtype,
                queue,
                ", ".join(listened),
            )
    for queue in listened:
        if queue not in homes.values():
            COMMAND.warning("warning: no job type of the app goes to queue %s", queue)


def _homes(app: App) -> dict[str, str]:
    """Return the queue of each type that is worked here."""
    return {
        binding.jobtype: binding.options.queue or _DEFAULT
        for binding in app.bindings()
        if not binding.stub
    }


def _timetable(app: App, settings: Settings) -> list[str]:
    """Return what this worker runs of it."""
    if not settings.cron or settings.burst or settings.max_jobs is not None:
        return []
    return [
        f"{binding.jobtype} ({cron.expression} {cron.tz})"
        for binding in app.bindings()
        for cron in binding.crons
    ]


def _some(names: list[str]) -> str:
    more = len(names) - _MOST
    return (", ".join(names[:_MOST]) or "none") + (f" and {more} more" if more > 0 else "")
