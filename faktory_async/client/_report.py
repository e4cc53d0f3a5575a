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
