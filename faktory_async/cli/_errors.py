"""What ends the command, and with which exit code."""

from typing import Final

FAILED: Final = 1
USAGE: Final = 2
NO_APP: Final = 3
NO_SERVER: Final = 4
REFUSED: Final = 5
UNFINISHED: Final = 6
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells have it


class CommandError(Exception):
    """Ends the command.

    Args:
        code: The exit code.
        text: What to say, to people.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code: Final = code
