"""Why a worker stopped, and what it left behind."""

from typing import Final

from msgspec import Struct

_CUT: Final = 6


class StopDetails(Struct, frozen=True, kw_only=True):
    """Why a worker stopped and what it left behind.

    Attributes:
        reason: What made it stop, such as `SIGTERM` or `the server said terminate`.
        acked: How many jobs it has ended with an ACK.
        failed: How many jobs it has ended with a FAIL.
        retried: How many jobs run again at a time of the handler's choosing.
        requeued: How many jobs were interrupted and run again.
        discarded: How many jobs were given up without being a failure.
        interrupted: The jids of jobs that were cut short, or not begun; they were FAILed or
            requeued.
        unreported: The jids whose outcome the server could not be told: they run again when
            their reservation ends.
        unknown: How many reports may not have been recorded: unanswered for too long, or answered
            by an error that says nothing about the job. Each is in the log.
        rescued: How many failed jobs were pushed again, since the server would have lost them.
        late: How many jobs were done after their reservation had ended: they run again.
        lost: How many failed jobs the server may have lost for good. Each is in the log.
        fetches_out: How many FETCHes were unanswered at the end; each may have reserved a job
            that runs again when its reservation ends.
    """

    reason: str
    acked: int = 0
    failed: int = 0
    retried: int = 0
    requeued: int = 0
    discarded: int = 0
    interrupted: tuple[str, ...] = ()
    unreported: tuple[str, ...] = ()
    unknown: int = 0
    rescued: int = 0
    late: int = 0
    lost: int = 0
    fetches_out: int = 0

    @property
    def processed(self) -> int:
        """How many runs came to an end of their own, whichever."""
        return self.acked + self.failed + self.retried + self.discarded + self.rescued + self.late

    @property
    def exit_code(self) -> int:
        """What a process may exit with: 0, or 6 where something had to be left unfinished.

        sys.exit(asyncio.run(worker.run()).exit_code)
        """
        left = self.interrupted or self.unreported or self.fetches_out or self.unknown or self.lost
        return _CUT if left else 0
