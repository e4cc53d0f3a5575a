"""What Enterprise does beside the broker: it is told what becomes of jobs, and answers.

There is no Enterprise server to compare with. Where what is known of it comes from stands in
`docs/enterprise.md`, and in the tests row by row.
"""

from collections.abc import Callable, Iterator
from typing import Final

from faktory_async.server._batches import Batch, Batches
from faktory_async.server._custom import OptionError, Options, is_expired, options_of, set_expiry
from faktory_async.server._document import Document
from faktory_async.server._failure import Verdict
from faktory_async.server._thorough import claim_of
from faktory_async.server._timed_set import moment_of
from faktory_async.server._tracking import JobState, Tracks
from faktory_async.server._unique import NOT_UNIQUE, Lock, Locks, lock_key


class Enterprise:
    """Locks, tracks and batches, and what becomes of them when something happens to a job.

    Times are in nanoseconds since 1970.

    Args:
        rand: Returns a random integer from 0 to one below its argument.

    Attributes:
        locks: What unique jobs have locked.
        tracks: The tracked jobs.
        batches: The batches.
    """

    def __init__(self, rand: Callable[[int], int]) -> None:
        self.locks: Final = Locks()
        self.tracks: Final = Tracks()
        self.batches: Final = Batches(rand)

    # -- what happens to a job ----------------------------------------------------------------

    def admit(self, document: Document, due: int, now: int) -> str | None:
        """Take note of a job that is pushed; return why not if it is refused.

        Args:
            document: The job, complete; an `expires_in` puts an `expires_at` into it.
            due: When it is to be worked on at the earliest.
            now: The time.
        """
        try:
            options = options_of(document)
        except OptionError as error:
            return error.text
        batch = self.batches.get(options.bid, now)
        if options.bid and batch is None:
            return no_such_batch(options.bid)
        if options.unique_for:
            lock = Lock(
                key=lock_key(document),
                jid=document.jid,
                until_start=options.until_start,
                expires_at=due + options.unique_for,
            )
            if not self.locks.take(lock, now):
                return NOT_UNIQUE
        self._follow(document, options, batch, due, now)
        return None

    def admit_callback(self, document: Document, due: int, now: int) -> None:
        """Take note of a callback; it was checked with its batch, and no lock keeps it out."""
        options = options_of(document)
        self._follow(document, options, self.batches.get(options.bid, now), due, now)

    def _follow(
        self, document: Document, options: Options, batch: Batch | None, due: int, now: int
    ) -> None:
        if options.expires_in is not None:
            set_expiry(document, due + options.expires_in)
        if options.track:
            self.tracks.begin(document.jid, now)
        if batch is not None:
            self.batches.add(batch, document.jid)

    def enqueued(self, payload: bytes, now: int) -> None:
        """Note that a job comes into its queue, for the first time or again."""
        if self.tracks:
            self.tracks.note(claim_of(payload).jid, JobState.ENQUEUED, now)

    def is_expired(self, payload: bytes, now: int) -> bool:
        """Whether a job whose turn has come is not worth working on any more."""
        return is_expired(payload, now)

    def fetched(self, jid: str, now: int) -> None:
        """Note that somebody works on a job."""
        self.locks.started(jid)
        self.tracks.note(jid, JobState.WORKING, now)

    def succeeded(self, jid: str, now: int) -> None:
        """Note that a job was ACKed."""
        self.locks.succeeded(jid)
        self.tracks.note(jid, JobState.SUCCESS, now, finished=True)
        self.batches.succeeded(jid)

    def failed(self, jid: str, verdict: Verdict, now: int) -> None:
        """Note that a job failed; its lock stays until it succeeds or its time is over."""
        self.tracks.note(jid, JobState.FAILED, now, finished=verdict is Verdict.DISCARD)
        self.batches.failed(jid)

    def buried(self, payload: bytes, now: int) -> None:
        """Note that a job is dead."""
        if self.tracks:
            self.tracks.note(claim_of(payload).jid, JobState.DEAD, now, finished=True)

    def flush(self) -> None:
        """Forget everything."""
        self.locks.flush()
        self.tracks.flush()
        self.batches.flush()

    # -- what follows -------------------------------------------------------------------------

    def take_callbacks(self) -> Iterator[Document]:
        """Yield the callbacks that are due, the first one first."""
        while self.batches.due:
            yield self.batches.due.popleft()

    def first_deadline(self) -> int | None:
        """Return when `expire` will first find something to do; None while nothing ends."""
        ends = (self.locks.first_end(), self.tracks.first_end(), self.batches.first_end())
        return min((moment_of(end) for end in ends if end is not None), default=None)

    def expire(self, now: int) -> None:
        """Forget what is over by now: nobody sees it any more, but it takes memory."""
        self.locks.expire(now)
        self.tracks.expire(now)
        self.batches.expire(now)


def no_such_batch(bid: str) -> str:
    """Return the server's words for a batch that it does not know."""
    return f"no such batch {bid}"
