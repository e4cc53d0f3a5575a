"""The command line: what may be written, and what is called then."""

import os
import sys
from collections.abc import Callable
from typing import Any, Final, NoReturn, TypeVar

import click
from rich_click import RichCommand, RichGroup

from faktory_async.cli._errors import INTERRUPTED, USAGE, CommandError
from faktory_async.cli._logs import COMMAND, set_up_logging
from faktory_async.cli._settings import Queues, Settings
from faktory_async.cli._types import DurationType, QueueType, Switch, each_once
from faktory_async.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

_LEVELS: Final = ("debug", "info", "warning", "error")
_FORMATS: Final = ("auto", "rich", "plain", "json")
_LOOPS: Final = ("auto", "asyncio", "uvloop", "trio")
# \b keeps the lines of a paragraph as they are.
_WORKER: Final = """Run the jobs of APP, which is module:name, until SIGTERM or Ctrl-C.

\b
Examples:
  faktory-async worker hello:app
  faktory-async worker myapp.jobs:app -q critical -q default -c 50
  faktory-async worker myapp.jobs:app -q critical=5 -q default=1
  faktory-async worker myapp.jobs:make_app --burst --log-format json

Every option may also be an environment variable: FAKTORY_ASYNC_WORKER_CONCURRENCY=50.

\b
Exit codes:
  0  fine
  1  a job failed in burst mode
  2  a mistake in this call
  3  the app could not be imported, or not be started
  4  the server cannot be reached
  5  the server refuses us: password or TLS
  6  left unfinished: a job was cut short, or the server not told of one
"""
_DEV: Final = """Run the jobs of APP while you write them.

Uses the server of FAKTORY_URL, or starts one in memory where none is; and starts the worker again
whenever a Python file below this directory changes.

\b
Examples:
  faktory-async dev hello:app
  faktory-async dev myapp.jobs:app -q mail -c 5 --log-level debug

Every option may also be an environment variable: FAKTORY_ASYNC_DEV_CONCURRENCY=5.
"""
_GRACE: Final = 25.0
_RELOAD_GRACE: Final = 3.0


def _common(function: F) -> F:
    """Add what every command has that runs a worker."""
    for decorate in reversed(_OPTIONS):
        function = decorate(function)
    return function


_OPTIONS: Final[tuple[Callable[[Any], Any], ...]] = (
    click.option(
        "-q",
        "--queue",
        multiple=True,
        type=QueueType(),
        callback=each_once,
        help="A queue to fetch from; may be repeated. Without weights the first one that has a job "
        "is next; with weights, such as critical=5, a queue is next in proportion to its weight. "
        "[default: the queues that the app's jobs go to, in equal parts]",
    ),
    click.option(
        "-c",
        "--concurrency",
        type=click.IntRange(min=1),
        metavar="N",
        default=20,
        show_default=True,
        help="How many jobs are worked at the same time.",
    ),
    click.option(
        "--threads",
        type=click.IntRange(min=1),
        metavar="N",
        help="How many `def` handlers run at the same time. [default: the concurrency, at most "
        "100]",
    ),
    click.option(
        "--cron/--no-cron",
        cls=Switch,
        default=True,
        help="Whether the app's timetable is run: any number of workers may do so. [default: cron]",
    ),
    click.option(
        "--log-level",
        type=click.Choice(_LEVELS, case_sensitive=False),
        default="info",
        show_default=True,
        help="What is logged, to stderr.",
    ),
    click.option(
        "--log-format",
        type=click.Choice(_FORMATS),
        default="auto",
        show_default=True,
        help="auto: rich on a terminal, else plain; json: one object per line.",
    ),
    click.option(
        "--loop",
        type=click.Choice(_LOOPS),
        default="auto",
        show_default=True,
        help="The event loop; auto: uvloop where it is installed.",
    ),
)


@click.group(
    cls=RichGroup,
    context_settings={
        "auto_envvar_prefix": "FAKTORY_ASYNC",
        "help_option_names": ["-h", "--help"],
    },
)
@click.version_option(package_name="faktory-async", prog_name="faktory-async")
def command() -> None:
    """Work the jobs of a Faktory server.

    FAKTORY_URL says where the server is, tcp://localhost:7419 by default.
    """


@command.command(cls=RichCommand, help=_WORKER)
@click.argument("app", envvar="FAKTORY_ASYNC_WORKER_APP")
@_common
@click.option(
    "--grace",
    type=DurationType(),
    help="How long handlers may go on once the worker is told to stop. [default: 25s; 3s with "
    "--reload]",
)
@click.option(
    "-b",
    "--burst",
    is_flag=True,
    help="End when there is nothing left to do; no timetable is run.",
)
@click.option(
    "--max-jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="End after so many jobs; no timetable is run.",
)
@click.option(
    "--connect-timeout",
    type=DurationType(),
    default="30s",
    show_default=True,
    help="Give up when the server has not answered within this time; 0 waits for ever.",
)
@click.option(
    "-r",
    "--reload/--no-reload",
    cls=Switch,
    default=False,
    help="Start again, as a new process, when a Python file below this directory changes.",
)
def worker(*, queue: Queues, grace: float | None, reload: bool, **options: Any) -> NoReturn:
    """Run a worker."""
    if grace is None:
        grace = _RELOAD_GRACE if reload else _GRACE
    settings = Settings(queues=queue, grace=grace, **options)
    _end(settings, _reloaded if reload else _worked)


@command.command(cls=RichCommand, help=_DEV)
@click.argument("app", envvar="FAKTORY_ASYNC_DEV_APP")
@_common
@click.option(
    "--grace",
    type=DurationType(),
    default="3s",
    show_default=True,
    help="How long handlers may go on once the worker is told to stop.",
)
def dev(*, queue: Queues, **options: Any) -> NoReturn:
    """Run a worker that is reloaded, with a server if there is none."""
    _end(Settings(queues=queue, **options), _developed)


def _end(settings: Settings, run: Callable[[Settings], int]) -> NoReturn:
    """Run, and end with the exit code of that."""
    set_up_logging(settings.log_level, settings.log_format, sys.stderr)
    try:
        code = run(settings)
    except CommandError as error:
        COMMAND.error("%s", error, extra={"event": "failed", "exit_code": error.code})
        code = error.code
    except UsageError as error:
        COMMAND.error("%s", error, extra={"event": "failed", "exit_code": USAGE})
        code = USAGE
    except KeyboardInterrupt:
        code = INTERRUPTED
    raise SystemExit(code)


# What is not needed for every call is imported when it is: --help is to be there at once.


def _worked(settings: Settings) -> int:
    from faktory_async.cli._work import work  # noqa: PLC0415 - see above

    return work(settings)


def _reloaded(settings: Settings) -> int:
    import anyio  # noqa: PLC0415 - see above

    from faktory_async.cli._reload import run_reloaded  # noqa: PLC0415 - see above

    return anyio.run(run_reloaded, settings, os.environ)


def _developed(settings: Settings) -> int:
    import anyio  # noqa: PLC0415 - see above

    from faktory_async.cli._dev import develop  # noqa: PLC0415 - see above

    return anyio.run(develop, settings)
