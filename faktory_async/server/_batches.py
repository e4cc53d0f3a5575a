"""Batches: jobs that belong together, and the callbacks that follow them."""

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Final

from msgspec import Struct

from faktory_async.server._custom import amend
from faktory_async.server._document import Document
from faktory_async.server._gotime import NANOSECONDS
from faktory_async.server._timed_set import TimedSet, score_of

_OPEN_FOR: Final = 30 * 60 * NANOSECONDS
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_CHARS: Final = 11


class CallbackState(Enum):
    """How far a callback is, as STATUS says it."""

    PENDING = ""
    ENQUEUED = "1"
    SUCCEEDED = "2"


class Callback(Struct, eq=False):
    """A job that follows a batch.

    Attributes:
        document: The job.
        state: How far it is.
    """

    document: Document
    state: CallbackState = CallbackState.PENDING

    @property
    def is_over(self) -> bool:
        """Whether its job succeeded."""
        return self.state is CallbackState.SUCCEEDED


class Plan(Struct, frozen=True, kw_only=True):
    """What BATCH NEW says.

    Attributes:
        parent_bid: The batch that it is a part of, "" for none.
        description: Words for people.
        success: The job to run once every job succeeded.
        complete: The job to run once every job ran.
    """

    parent_bid: str = ""
    description: str = ""
    success: Document | None = None
    complete: Document | None = None


class Batch(Struct, eq=False, kw_only=True):
    """One batch.

    A job that failed stays pending until it succeeds: then the batch is complete, and not
    successful.

    Attributes:
        bid: Its id.
        parent: The batch that it is a part of.
        description: Words for people.
        created_at: When it was made, in nanoseconds since 1970.
        success: What follows once every job succeeded.
        complete: What follows once every job ran.
        committed: Whether every job is said to be there; OPEN takes that back.
        expires_at: When it is forgotten if it is not committed until then; None once it was.
        total: How many jobs it was given.
        pending: The jids of those that have not succeeded.
        failed: The jids of those of them that failed.
        unsettled: How many batches in it are not over, callbacks included.
        unsuccessful: How many batches in it have not succeeded, callbacks included.
        settled: Whether it counts as over in its parent.
        successful: Whether it counts as succeeded in its parent.
    """

    bid: str
    parent: "Batch | None"
    description: str
    created_at: int
    success: Callback | None
    complete: Callback | None
    committed: bool = False
    expires_at: int | None
    total: int = 0
    pending: set[str]
    failed: set[str]
    unsettled: int = 0
    unsuccessful: int = 0
    settled: bool = False
    successful: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether every job ran, and every batch in it is over."""
        return len(self.pending) == len(self.failed) and not self.unsettled

    @property
    def has_succeeded(self) -> bool:
        """Whether every job succeeded, and every batch in it did."""
        return not self.pending and not self.unsuccessful


class Batches:
    """Every batch.

    Args:
        rand: Returns a random integer from 0 to one below its argument.

    Attributes:
        due: The callbacks that are to be enqueued now, the first one first.
    """

    def __init__(self, rand: Callable[[int], int]) -> None:
        self.due: deque[Document] = deque()
        self._rand = rand
        self._made = 0
        self._batches: dict[str, Batch] = {}
        self._members: dict[str, Batch] = {}
        self._callbacks: dict[str, tuple[Batch, Callback]] = {}
        self._ends = TimedSet()

    def get(self, bid: str, now: int) -> Batch | None:
        """Return a batch if it is known."""
        batch = self._batches.get(bid)
        if batch is None or (batch.expires_at is not None and batch.expires_at <= now):
            return None
        return batch

    def all(self) -> list[Batch]:
        """Return every batch, the oldest first."""
        return list(self._batches.values())

    # -- what clients do to them --------------------------------------------------------------

    def create(self, plan: Plan, parent: Batch | None, now: int) -> Batch:
        """Make a batch, which is open."""
        batch = Batch(
            bid=f"b-{self._new_id()}",
            parent=parent,
            description=plan.description,
            created_at=now,
            success=None if plan.success is None else Callback(plan.success),
            complete=None if plan.complete is None else Callback(plan.complete),
            expires_at=now + _OPEN_FOR,
            pending=set(),
            failed=set(),
        )
        self._batches[batch.bid] = batch
        self._ends.add(batch.bid.encode(), score_of(now + _OPEN_FOR))
        if parent is not None:
            parent.unsettled += 1
            parent.unsuccessful += 1
            self._review(parent)
        return batch

    def reopen(self, batch: Batch) -> None:
        """Let more come; no callback is enqueued until the next commit."""
        batch.committed = False
        self._review(batch)

    def commit(self, batch: Batch) -> None:
        """Note that everything is there, until the batch is opened again."""
        batch.committed = True
        batch.expires_at = None
        self._ends.discard(batch.bid.encode())
        self._review(batch)

    # -- what becomes of their jobs -----------------------------------------------------------

    def add(self, batch: Batch, jid: str) -> None:
        """Count a job in."""
        batch.total += 1
        batch.pending.add(jid)
        self._members[jid] = batch
        self._review(batch)

    def succeeded(self, jid: str) -> None:
        """Note that a job succeeded, be it in a batch, a callback, or neither."""
        batch = self._members.pop(jid, None)
        if batch is not None:
            batch.pending.discard(jid)
            batch.failed.discard(jid)
            self._review(batch)
        batch, callback = self._callbacks.pop(jid, (None, None))
        if batch is not None and callback is not None:
            callback.state = CallbackState.SUCCEEDED
            self._review(batch)

    def failed(self, jid: str) -> None:
        """Note that a job failed; whether it is tried again does not matter."""
        batch = self._members.get(jid)
        if batch is not None:
            batch.failed.add(jid)
            self._review(batch)

    # -- the end ------------------------------------------------------------------------------

    def first_end(self) -> float | None:
        """Return the score of the first batch to expire; None without open ones."""
        return self._ends.first_score()

    def expire(self, now: int) -> None:
        """Forget the batches that were never committed, and let their parents go on."""
        while (bid := self._ends.pop_due(score_of(now))) is not None:
            batch = self._batches.pop(bid.decode())
            for jid in batch.pending:
                self._members.pop(jid, None)
            if batch.parent is not None:
                batch.parent.unsettled -= not batch.settled
                batch.parent.unsuccessful -= not batch.successful
                self._review(batch.parent)

    def flush(self) -> None:
        """Forget every batch."""
        self._batches.clear()
        self._members.clear()
        self._callbacks.clear()
        self._ends.clear()
        self.due.clear()

    # -- callbacks ----------------------------------------------------------------------------

    def _review(self, changed: Batch) -> None:
        """Enqueue the callbacks that are due, in a batch and in those around it."""
        batch: Batch | None = changed
        while batch is not None:
            if batch.committed:
                self._follow(batch)
            _tell_parent(batch)
            batch = batch.parent

    def _follow(self, batch: Batch) -> None:
        complete, success = batch.complete, batch.success
        if complete is not None and batch.is_complete:
            self._enqueue(batch, complete)
        ready = complete is None or complete.is_over
        if success is not None and ready and batch.has_succeeded:
            self._enqueue(batch, success)

    def _enqueue(self, batch: Batch, callback: Callback) -> None:
        if callback.state is not CallbackState.PENDING:
            return
        callback.state = CallbackState.ENQUEUED
        document = callback.document
        document.jid = document.jid or self._new_id()
        parent = {} if batch.parent is None else {"_pbid": batch.parent.bid}
        amend(document, _bid=batch.bid, **parent)
        self._callbacks[document.jid] = (batch, callback)
        self.due.append(document)

    def _new_id(self) -> str:
        """Return a new id: hard to guess, and never given twice whatever the luck."""
        self._made += 1
        size = len(_ALPHABET)
        return "".join(_ALPHABET[self._rand(size)] for _ in range(_RANDOM_CHARS)) + str(self._made)


def _tell_parent(batch: Batch) -> None:
    settled = _is_settled(batch)
    successful = settled and batch.has_succeeded
    if batch.parent is not None:
        batch.parent.unsettled += batch.settled - settled
        batch.parent.unsuccessful += batch.successful - successful
    batch.settled, batch.successful = settled, successful


def _is_settled(batch: Batch) -> bool:
    """Whether it is over, with every callback that comes as things are."""
    if not (batch.committed and batch.is_complete):
        return False
    awaited = (batch.complete, batch.success if batch.has_succeeded else None)
    return all(callback is None or callback.is_over for callback in awaited)
