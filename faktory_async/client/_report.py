"""What became of the jobs of one `push_bulk`."""

from collections.abc import Mapping

from msgspec import Struct

from faktory_async.errors import FaktoryError


class PushReport(Struct, frozen=True, kw_only=True):
    """The outcome of a `push_bulk`.

    Attributes:
        accepted: How many jobs the server stored.
        rejected: Jobs that are certainly not stored, by jid, each with the reason.
        unknown: Jobs of which the server could not say whether they are stored, by jid.
    """

    accepted: int
    rejected: Mapping[str, FaktoryError]
    unknown: Mapping[str, FaktoryError]

    @property
    def complete(self) -> bool:
        """Whether every job was accepted."""
        return not self.rejected and not self.unknown


class Tally:
    """Counts what becomes of the frames of a `push_bulk`, one after the other."""

    def __init__(self) -> None:
        self._accepted = 0
        self._rejected: dict[str, FaktoryError] = {}
        self._unknown: dict[str, FaktoryError] = {}

    def add(self, jobs: int, errors: Mapping[str, FaktoryError]) -> None:
        """Count a frame of so many jobs by what the server said of them."""
        self._accepted += jobs - len(errors)
        for jid, error in errors.items():
            (self._unknown if error.maybe_executed else self._rejected)[jid] = error

    def report(self) -> PushReport:
        """Return what was counted."""
        return PushReport(accepted=self._accepted, rejected=self._rejected, unknown=self._unknown)

    def explain(self, error: Exception) -> None:
        """Note on an exception what became of the jobs before it, where there were any."""
        parts = [f"stored {self._accepted} jobs"]
        if self._rejected:
            parts.append(f"refused {len(self._rejected)}")
        if self._unknown:
            parts.append(f"and of {len(self._unknown)} nobody can say")
        if self._accepted or len(parts) > 1:
            error.add_note(f"push_bulk: before this the server had {', '.join(parts)}")
