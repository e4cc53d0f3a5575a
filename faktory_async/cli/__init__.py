"""The command `faktory-async`: run an app's worker, for production or while you write it."""

import sys
from collections.abc import Sequence
from typing import NoReturn

__all__ = ["main"]

_PARTS = ("click", "rich", "rich_click", "watchfiles")
_INSTALL = 'the command line needs: pip install "faktory-async[standard]"'


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command, and end the process with its exit code.

    Args:
        arguments: What follows the command's name; by default what the process was started with.

    Raises:
        SystemExit: always. 0 fine, 1 a job failed in burst mode, 2 a mistake in the call, or the
            extra `standard` is not installed, 3 the app could not be loaded, 4 no server, 5 the
            server refuses us, 6 something was left unfinished.
    """
    try:
        from faktory_async.cli import _commands  # noqa: PLC0415 - it needs the extra

        _commands.command.main(arguments, prog_name="faktory-async")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _PARTS:
            raise
        print(_INSTALL, file=sys.stderr)  # noqa: T201 - a command
        sys.exit(2)
    except KeyboardInterrupt:  # so early that nothing has begun
        sys.exit(130)
    raise AssertionError("click ends the process")
