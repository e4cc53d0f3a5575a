"""Jobs that somebody works on."""

from typing import Final

from msgspec import Struct

from faktory_async.server._gotime import NANOSECONDS
from faktory_async.server._thorough import claim_of

_DEFAULT_SECONDS: Final = 1800
_SHORTEST_SECONDS: Final = 60


class Reservation(Struct, eq=False, gc=False):
    """One job in work.

    Attributes:
        jid: Its id.
        payload: The job as it was handed out.
        wid: The worker that has it, "" for none.
        reserved_at: Since when, in nanoseconds since 1970.
        expires_at: Until when, likewise.
    """

    jid: str
    payload: bytes
    wid: str
    reserved_at: int
    expires_at: int


class Reservations:
    """Who works on what: a record per jid, and an entry per job handed out.

    The two differ only where a jid is in work twice, or after a FLUSH, which empties the entries
    alone.

    Attributes:
        reaped: How many have expired.
    """

    def __init__(self) -> None:
        self.reaped = 0
        self._records: dict[str, Reservation] = {}
        self._entries: dict[Reservation, None] = {}

    def __len__(self) -> int:
        """The number of records."""
        return len(self._records)

    @property
    def stored(self) -> int:
        """The number of entries."""
        return len(self._entries)

    def entries(self) -> list[Reservation]:
        """Return the entries, the first to expire first."""
        return sorted(self._entries, key=_expiry)

    def reserve(self, payload: bytes, wid: str, now: int) -> Reservation:
        """Note that a job was handed out, and return its record."""
        claim = claim_of(payload)
        jid = claim.jid
        seconds = max(claim.reserve_for or _DEFAULT_SECONDS, _SHORTEST_SECONDS)
        reservation = Reservation(jid, payload, wid, now, now + seconds * NANOSECONDS)
        self._records[jid] = reservation
        self._entries[reservation] = None
        return reservation

    def extend(self, jid: str, until: int) -> None:
        """Let a reservation end later; it is never made shorter."""
        reservation = self._records.get(jid)
        if reservation is not None:
            reservation.expires_at = max(reservation.expires_at, until)

    def has(self, jid: str) -> bool:
        """Tell whether there is a record of a jid."""
        return jid in self._records

    def release(self, jid: str) -> Reservation | None:
        """Forget the record of a jid and return it; its entry stays until `remove`."""
        return self._records.pop(jid, None)

    def remove(self, reservation: Reservation) -> bool:
        """Take an entry out; return whether it was there."""
        if reservation in self._entries:
            del self._entries[reservation]
            return True
        return False

    def flush(self) -> None:
        """Take out every entry; the records stay."""
        self._entries.clear()

    def clear(self) -> None:
        """Forget entries, records and count."""
        self._entries.clear()
        self._records.clear()
        self.reaped = 0

    def extend_all(self, nanoseconds: int) -> None:
        """Let every entry expire so much later."""
        for entry in self._entries:
            entry.expires_at += nanoseconds

    def first_deadline(self) -> int | None:
        """Return when the first entry expires; None without entries."""
        return min(map(_expiry, self._entries), default=None)

    def take_expired(self, now: int) -> list[Reservation]:
        """Take out the entries that have expired, the first to expire first."""
        expired = sorted((entry for entry in self._entries if entry.expires_at <= now), key=_expiry)
        for entry in expired:
            del self._entries[entry]
        return expired


def _expiry(reservation: Reservation) -> int:
    return reservation.expires_at
