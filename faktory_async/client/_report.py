"""What became of the jobs of one `push_bulk`."""

from typing import Final

from msgspec import Struct

from faktory_async.client._frames import Frame
from faktory_async.errors import FaktoryError

MAX_REJECTED: Final = 10_000


class PushReport(Struct, kw_only=True):
    """The outcome of a `push_bulk`, exact at every moment.

    Every job before the index `not_sent` is counted once: as accepted, rejected or unknown.

    Attributes:
        accepted: How many jobs the server stored.
        rejected: Jobs that are certainly not stored while later ones may be, by jid, each with the
            reason: what the server said, what a middleware raised, or why the job cannot be
            encoded. The first 10,000.
        rejected_count: How many those are in all.
        unknown: Jobs that may or may not be stored, by jid, each with the reason: those under way
            when the bulk ended.
        unknown_count: How many those are in all; more than `unknown` names where a jid came twice.
        not_sent: The index in the source from which on nothing was sent, although some of those
            jobs may have been read; None where the source was sent to its end.
        error: The trouble with the server that ended the bulk early.
    """

    accepted: int = 0
    rejected: dict[str, Exception] = {}
    rejected_count: int = 0
    unknown: dict[str, Exception] = {}
    unknown_count: int = 0
    not_sent: int | None = None
    error: FaktoryError | None = None

    @property
    def complete(self) -> bool:
        """Whether every job of the source was accepted."""
        return (
            self.not_sent is None
            and self.error is None
            and not self.rejected_count
            and not self.unknown_count
        )

    def raise_for_error(self) -> None:
        """Raise the trouble that ended the bulk early, if there was any.

        Raises:
            FaktoryError: what `error` says. Rejected jobs alone raise nothing.
        """
        if self.error is not None:
            raise self.error


def add_frame(report: PushReport, frame: Frame) -> None:
    """Count the jobs of a frame of which everything is known that ever will be."""
    report.accepted += frame.accepted
    report.unknown.update(frame.unknown)
    report.unknown_count += len(frame.unknown)
    for jid, error in frame.errors.items():
        report.rejected_count += 1
        if len(report.rejected) < MAX_REJECTED:
            report.rejected[jid] = error


def explain(report: PushReport, error: BaseException) -> None:
    """Note on an exception what became of the jobs before it, where there were any."""
    parts = [f"stored {report.accepted} jobs"]
    if report.rejected_count:
        parts.append(f"refused {report.rejected_count}")
    if report.unknown_count:
        parts.append(f"and of {report.unknown_count} nobody can say")
    if report.accepted or len(parts) > 1:
        error.add_note(f"push_bulk: before this the server had {', '.join(parts)}")
