"""Tracking: what has become of a job, and what it says of its progress."""

from enum import Enum
from typing import Final

from msgspec import Struct

from faktory_async.server._gotime import NANOSECONDS
from faktory_async.server._timed_set import TimedSet, score_of

_RETENTION: Final = 30 * 60 * NANOSECONDS


class JobState(Enum):
    """Where a tracked job is."""

    ENQUEUED = "enqueued"
    WORKING = "working"
    SUCCESS = "success"
    FAILED = "failed"
    DEAD = "dead"


class Track(Struct, eq=False, kw_only=True):
    """One tracked job.

    Attributes:
        jid: Its id.
        state: Where it is.
        updated_at: Since when this is known, in nanoseconds since 1970.
        percent: How far it says that it is; None where it did not say.
        desc: What it says that it does, likewise.
        ends_at: When it is forgotten; None while it is not finished.
    """

    jid: str
    state: JobState
    updated_at: int
    percent: int | None = None
    desc: str | None = None
    ends_at: int | None = None


class Tracks:
    """Every tracked job; one that is finished is remembered for half an hour."""

    def __init__(self) -> None:
        self._tracks: dict[str, Track] = {}
        self._ends = TimedSet()

    def __len__(self) -> int:
        return len(self._tracks)

    def get(self, jid: str, now: int) -> Track | None:
        """Return what is known of a job, if anything is."""
        track = self._tracks.get(jid)
        if track is None or (track.ends_at is not None and track.ends_at <= now):
            return None
        return track

    def begin(self, jid: str, now: int) -> None:
        """Track a job from now on."""
        self._tracks[jid] = Track(jid=jid, state=JobState.ENQUEUED, updated_at=now)
        self._ends.discard(jid.encode())

    def note(self, jid: str, state: JobState, now: int, *, finished: bool = False) -> None:
        """Note where a job is; one that is not tracked is none of ours."""
        track = self.get(jid, now)
        if track is None:
            return
        track.state = state
        track.updated_at = now
        if finished:
            track.ends_at = now + _RETENTION
            self._ends.add(jid.encode(), score_of(track.ends_at))
        else:
            track.ends_at = None
            self._ends.discard(jid.encode())

    def describe(self, jid: str, percent: int | None, desc: str, now: int) -> bool:
        """Note what a job says of itself, None and "" for nothing; return whether it is tracked."""
        track = self.get(jid, now)
        if track is None:
            return False
        track.percent = track.percent if percent is None else percent
        track.desc = desc or track.desc
        track.updated_at = now
        return True

    def first_end(self) -> float | None:
        """Return the score of the first track to be forgotten; None where there is none."""
        return self._ends.first_score()

    def expire(self, now: int) -> None:
        """Forget the tracks whose time is over."""
        while (jid := self._ends.pop_due(score_of(now))) is not None:
            del self._tracks[jid.decode()]

    def flush(self) -> None:
        """Forget every track."""
        self._tracks.clear()
        self._ends.clear()
