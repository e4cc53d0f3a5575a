"""What time it is for the server, whose clock decides when a scheduled job runs. Pure."""

from datetime import datetime

from faktory_async.model import read_time
from faktory_async.worker._reservation import Moment


class ServerClock:
    """The server's clock, as far ahead as it can be: early is what would do harm.

    Attributes:
        known: Whether the server was asked.
    """

    def __init__(self) -> None:
        self.known = False
        self._told = 0.0
        self._told_at: Moment | None = None

    def set(self, told: datetime | None, asked_at: Moment) -> None:
        """Take what the server said.

        Args:
            told: Its time; None where it does not tell, which leaves our own.
            asked_at: When it was asked: what the answer took on its way counts as passed since.
        """
        self._told = asked_at.wall if told is None else told.timestamp()
        self._told_at = asked_at
        self.known = True

    def now(self, moment: Moment) -> float:
        """Return the server's Unix time at a moment of ours; to be called once it is known."""
        assert self._told_at is not None, "the server was not asked"  # noqa: S101 - a mistake of ours
        return self._told + moment.since(self._told_at)

    def saw(self, enqueued_at: str | None, moment: Moment) -> None:
        """Move the clock up to a time that the server has written already."""
        if not self.known or (written := read_time(enqueued_at)) is None:
            return
        if written.timestamp() > self.now(moment):
            self.set(written, moment)
