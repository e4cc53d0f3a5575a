"""Unique jobs: locks on what a job does, so that no other one does the same meanwhile."""

from msgspec import UNSET, Raw, Struct

from faktory_async.server._document import Document
from faktory_async.server._gowrite import write_flat
from faktory_async.server._timed_set import TimedSet, score_of

NOT_UNIQUE = "NOTUNIQUE Job not unique"


class Lock(Struct, eq=False):
    """One lock.

    Attributes:
        key: What is locked.
        jid: The job that locked it.
        until_start: Whether it ends with the job's FETCH.
        expires_at: When it ends at the latest, in nanoseconds since 1970.
    """

    key: bytes
    jid: str
    until_start: bool
    expires_at: int


class Locks:
    """Every lock."""

    def __init__(self) -> None:
        self._by_key: dict[bytes, Lock] = {}
        self._by_jid: dict[str, Lock] = {}
        self._ends = TimedSet()

    def __len__(self) -> int:
        return len(self._by_key)

    def take(self, lock: Lock, now: int) -> bool:
        """Lock; return whether nobody else holds it."""
        held = self._by_key.get(lock.key)
        if held is not None and held.expires_at > now:
            return False
        self._by_key[lock.key] = lock
        self._by_jid[lock.jid] = lock
        self._ends.add(lock.key, score_of(lock.expires_at))
        return True

    def started(self, jid: str) -> None:
        """Free what a job held until it was fetched."""
        lock = self._by_jid.get(jid)
        if lock is not None and lock.until_start:
            self._free(lock)

    def succeeded(self, jid: str) -> None:
        """Free what a job held."""
        lock = self._by_jid.get(jid)
        if lock is not None:
            self._free(lock)

    def first_end(self) -> float | None:
        """Return the score of the first end of a lock by time; None without locks."""
        return self._ends.first_score()

    def expire(self, now: int) -> None:
        """Forget the locks whose time is over."""
        while (key := self._ends.pop_due(score_of(now))) is not None:
            self._free(self._by_key[key])

    def flush(self) -> None:
        """Forget every lock."""
        self._by_key.clear()
        self._by_jid.clear()
        self._ends.clear()

    def _free(self, lock: Lock) -> None:
        if self._by_jid.get(lock.jid) is lock:
            del self._by_jid[lock.jid]
        # Where it has expired, it may be somebody else's by now.
        if self._by_key.get(lock.key) is lock:
            del self._by_key[lock.key]
            self._ends.discard(lock.key)


def lock_key(document: Document) -> bytes:
    """Return what makes two jobs the same: jobtype, args and queue."""
    args = Raw(b"[]") if document.args is UNSET else document.args
    return write_flat([document.jobtype, args, document.queue])
