"""What goes in the same packet as a FETCH: the seam between fetching and reporting."""

from collections.abc import Sequence
from typing import Any, Protocol

from faktory_async.errors import FaktoryError
from faktory_async.protocol import Command, Reply
from faktory_async.worker._reservation import Moment


class Riders(Protocol):
    """Commands that ride in front of a FETCH.

    `Gate.leaving` tells whether a FETCH is about to leave: what is ready by then rides along. None
    of these methods waits, and none may raise.
    """

    def board(self, now: Moment) -> Sequence[Command[Any]]:
        """Return what is to go in front of the FETCH that leaves now."""
        ...

    def land(
        self,
        commands: Sequence[Command[Any]],
        replies: Sequence[Reply],
        error: FaktoryError | None,
    ) -> None:
        """Take the replies to what has boarded: called once, as soon as the last one is there.

        Args:
            commands: What has boarded; never empty.
            replies: Those that came, in order.
            error: Why the other replies never come; its `maybe_executed` is that of the first
                command without one. None where all came, and where the worker's end cut the wait.
        """
        ...

    def missed(self) -> None:
        """Take another way: a FETCH that was about to leave does not."""
        ...
