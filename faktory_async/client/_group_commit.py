"""Group commit: pushes that come together leave together.

There is no timer and no background task. Who pushes appends a *waiter*; whoever holds a *baton*
does the work for everybody, in the waiter's own task:

* a **slot** (a connection, or the right to dial one) makes its holder the leader of the next frame:
  it takes what is pending, sends it as one PUSHB and reads the reply;
* a **frame** is the duty to read the reply of a frame that is on its way.

On any way out a `finally` without an await passes the baton on: a slot to the next pending waiter
that holds none, a frame to the next of its waiters that is still there; without one its connection
is closed. So nobody's cancellation delays, loses or leaks what belongs to others.
"""

import copy
import math
from collections import deque
from collections.abc import Iterable
from typing import Final

import anyio

from faktory_async.errors import (
    CommandTimeoutError,
    ConnectionLostError,
    FaktoryError,
    JobRejectedError,
    PoolTimeoutError,
    TooManyConnectionsError,
)
from faktory_async.net import Connection, Pool, Right
from faktory_async.protocol import PushBulk, Ticket

MAX_JOBS: Final = 1_000
MAX_BYTES: Final = 1024 * 1024

# A further connection costs more than it brings until about so much waits for it.
_WORTH_JOBS: Final = 64
_WORTH_BYTES: Final = 64 * 1024
# ... or the frames under way take this many times what the last one took, and at least this long.
_SLOW: Final = 4.0
_SLOW_LEAST: Final = 0.05
# After a further connection could not be had, the next one is tried this many seconds later.
_NO_FURTHER: Final = 1.0


class _Waiter:
    """One push: a job, what became of it, and what its task has to do meanwhile."""

    __slots__ = (
        "_event",
        "data",
        "deadline",
        "dialling",
        "done",
        "duty",
        "error",
        "frame",
        "gone",
        "jid",
        "number",
        "resent",
        "seconds",
        "slot",
        "strict",
    )

    def __init__(self, jid: str, data: bytes, number: int, deadline: float) -> None:
        self.jid = jid
        self.data = data
        self.number = number
        self.deadline = deadline
        self.seconds = 0.0
        self.strict = False
        self.slot: Connection | Right | None = None
        self.duty: _Frame | None = None
        self.frame: _Frame | None = None
        self.done = False
        self.error: FaktoryError | None = None
        self.resent = False
        self.gone = False
        self.dialling: anyio.CancelScope | None = None
        self._event: anyio.Event | None = None

    def settle(self, error: FaktoryError | None) -> None:
        self.done = True
        self.error = error
        if self.dialling is not None:
            self.dialling.cancel()  # somebody else's connection was faster
        self.wake()

    @property
    def is_free(self) -> bool:
        """Whether it holds no baton."""
        return self.slot is None and self.duty is None

    def lead(self, slot: "Connection | Right") -> None:
        self.slot = slot
        self.wake()

    def read(self, frame: "_Frame") -> None:
        self.duty = frame
        if self.dialling is not None:
            self.dialling.cancel()  # the reply is worth more; the right stays with it
        self.wake()

    def wake(self) -> None:
        if self._event is not None:
            self._event.set()

    async def woken(self) -> None:
        """Return when it is done or holds a baton."""
        self._event = anyio.Event()
        try:
            await self._event.wait()
        finally:
            self._event = None


class _Frame:
    """Jobs that were sent together, jids distinct, and the reply that is due."""

    __slots__ = ("command", "connection", "sent_at", "ticket", "waiters")

    def __init__(self, waiters: "list[_Waiter]", connection: Connection) -> None:
        self.waiters = waiters
        self.connection = connection
        self.command = PushBulk([waiter.data for waiter in waiters])
        self.ticket: Ticket | None = None
        self.sent_at = 0.0


class GroupCommit:
    """Pushes jobs over the connections of a pool.

    Args:
        pool: Lends the slots.
        patience: Seconds that a frame may take, unless one of its pushes asked for more.
    """

    def __init__(self, pool: Pool, patience: float) -> None:
        self._pool = pool
        self._patience = patience
        self._pending: dict[_Waiter, None] = {}  # in order; members leave from anywhere
        self._bytes = 0
        self._sealed: deque[list[_Waiter]] = deque()
        self._leading = 0  # waiters that hold a slot
        self._frames: set[_Frame] = set()
        self._number = 0
        self._round_trip = 0.0
        self._no_further_until = -math.inf
        self._queued = False
        self._callers = 0
        self._nobody: anyio.Event | None = None

    def __repr__(self) -> str:
        waiting = len(self._pending) + sum(map(len, self._sealed))
        return f"<GroupCommit {waiting} waiting, {len(self._frames)} frames under way>"

    async def push(self, jid: str, data: bytes, deadline: float, *, strictly: bool = False) -> None:
        """Return when the server has stored the job.

        Args:
            jid: The job's id.
            data: The encoded job.
            deadline: Until when to wait for a connection, on anyio's clock.
            strictly: Whether it also bounds what has limits of its own: dialling, writing and the
                reply.

        Raises:
            FaktoryError: what became of this job; see `maybe_executed`.

        Cancelled before its bytes left, the job leaves with its caller; after that nobody knows.
        """
        self._number += 1
        self._callers += 1
        waiter = _Waiter(jid, data, self._number, deadline)
        waiter.seconds = deadline - anyio.current_time()
        waiter.strict = strictly
        self._pending[waiter] = None
        self._bytes += len(data)
        self._kick()
        try:
            if strictly:
                with anyio.CancelScope(deadline=deadline):
                    await self._carry(waiter)
            else:
                await self._carry(waiter)
        finally:
            self._leave(waiter)
        if not waiter.done:
            waiter.error = _out_of_time(waiter)
        if waiter.error is not None:
            raise waiter.error

    async def settled(self) -> None:
        """Return when nobody waits for an outcome any more."""
        while self._callers:
            if self._nobody is None:
                self._nobody = anyio.Event()
            await self._nobody.wait()

    # -- the waiter's task --------------------------------------------------------------------

    async def _carry(self, waiter: _Waiter) -> None:
        while not waiter.done:
            if waiter.duty is not None:
                await self._read(waiter, waiter.duty)
            elif waiter.slot is None:
                await self._wait(waiter)
            elif isinstance(waiter.slot, Right):
                await self._dial(waiter, waiter.slot)
            else:
                await self._lead(waiter, waiter.slot)

    async def _wait(self, waiter: _Waiter) -> None:
        """Wait for an outcome or a baton.

        Only the first in the line keeps the time, for itself and for those behind it: their turn to
        do so comes when it leaves.
        """
        if not self._is_first(waiter):
            await waiter.woken()
            return
        now = anyio.current_time()
        slow = max(_SLOW * self._round_trip, _SLOW_LEAST) if self._frames else math.inf
        with anyio.CancelScope(deadline=min(waiter.deadline, now + slow)):
            await waiter.woken()
            return
        if anyio.current_time() >= waiter.deadline:
            self._expire()
        elif self._is_first(waiter) and waiter.is_free:
            self._kick(slow=True)
            if waiter.is_free:
                with anyio.CancelScope(deadline=waiter.deadline):
                    await waiter.woken()

    def _is_first(self, waiter: _Waiter) -> bool:
        return next(iter(self._pending), None) is waiter

    def _expire(self) -> None:
        """Tell those whose time is over."""
        now = anyio.current_time()
        for waiter in [each for each in self._pending if each.deadline <= now]:
            self._remove(waiter)
            waiter.settle(_out_of_time(waiter))
        self._appoint_timekeeper()

    def _appoint_timekeeper(self) -> None:
        first = next(iter(self._pending), None)
        if first is not None:
            first.wake()

    def _remove(self, waiter: _Waiter) -> None:
        del self._pending[waiter]
        self._bytes -= len(waiter.data)

    async def _dial(self, waiter: _Waiter, right: Right) -> None:
        """Use the right to dial. Whoever was there when a failed dial began shares its failure."""
        last = self._number
        try:
            with anyio.CancelScope() as waiter.dialling:
                waiter.slot = await self._pool.dial(right)
        except FaktoryError as error:
            self._give_up_slot(waiter)
            if self._lives_beside(None):
                self._no_further_until = anyio.current_time() + _NO_FURTHER
            else:
                self._fail_pending(error, last)
            self._kick()
        finally:
            waiter.dialling = None

    async def _lead(self, waiter: _Waiter, connection: Connection) -> None:
        frame = self._next_frame(connection)
        if frame is None:  # another leader was faster
            self._give_up_slot(waiter)
            return
        waiter.slot = None
        self._leading -= 1
        waiter.duty = frame
        self._frames.add(frame)
        frame.sent_at = anyio.current_time()
        try:
            frame.ticket = connection.post([frame.command], timeout=self._patience_for(frame))
            self._kick()  # what is left may be worth a further connection
            if connection.unposted:
                shared = any(each is not waiter and not each.gone for each in frame.waiters)
                await connection.hand_over(frame.ticket, shield=shared)
        except FaktoryError as error:
            waiter.duty = None
            self._failed(frame, error)

    async def _read(self, waiter: _Waiter, frame: _Frame) -> None:
        try:
            if frame.ticket is None:
                raise AssertionError("a frame without a ticket has no reply")
            await frame.connection.receive(frame.ticket)
            errors = frame.command.decode(frame.ticket.replies[0])
        except FaktoryError as error:
            waiter.duty = None
            self._failed(frame, error)
        else:
            waiter.duty = None
            self._answered(frame, errors)

    # -- frames -------------------------------------------------------------------------------

    def _next_frame(self, connection: Connection) -> _Frame | None:
        taken: list[_Waiter] = []
        while self._sealed and not taken:
            taken = [waiter for waiter in self._sealed.popleft() if not waiter.gone]
        taken = taken or self._take_pending()
        if not taken:
            return None
        frame = _Frame(taken, connection)
        for waiter in taken:
            waiter.frame = frame
        return frame

    def _take_pending(self) -> list[_Waiter]:
        """The first of those who wait: at most 1,000 jobs or 1 MiB, no jid twice."""
        taken: list[_Waiter] = []
        jids: set[str] = set()
        size = 0
        for waiter in self._pending:
            if (
                len(taken) == MAX_JOBS
                or waiter.jid in jids
                or (taken and size + len(waiter.data) > MAX_BYTES)
            ):
                break
            taken.append(waiter)
            jids.add(waiter.jid)
            size += len(waiter.data)
        for waiter in taken:
            del self._pending[waiter]
        self._bytes -= size
        self._appoint_timekeeper()
        return taken

    def _answered(self, frame: _Frame, errors: dict[str, FaktoryError]) -> None:
        self._round_trip = anyio.current_time() - frame.sent_at
        for waiter in frame.waiters:
            waiter.settle(errors.get(waiter.jid) if errors else None)
        if errors and not errors.keys() & {waiter.jid for waiter in frame.waiters}:
            # The server names a job that nobody sent: whose refusal it is cannot be known.
            for waiter in frame.waiters:
                waiter.error = next(iter(errors.values()))
        self._end(frame)

    def _failed(self, frame: _Frame, error: FaktoryError) -> None:
        waiters = frame.waiters
        if isinstance(error, JobRejectedError) and len(waiters) > 1:
            # Nothing of the frame is stored, because of one job: halves find out which.
            middle = len(waiters) // 2
            self._sealed.extendleft((waiters[middle:], waiters[:middle]))
        elif isinstance(error, TooManyConnectionsError) and self._lives_beside(frame):
            self._no_further_until = anyio.current_time() + _NO_FURTHER
            self._put_back(waiters)
        elif (
            not error.maybe_executed
            and not waiters[0].resent
            and isinstance(error, ConnectionLostError)
        ):
            for waiter in waiters:
                waiter.resent = True
            self._put_back(waiters)
        else:
            for waiter in waiters:
                waiter.settle(copy.copy(error))
        self._end(frame)

    def _patience_for(self, frame: _Frame) -> float | None:
        """The connection's own patience, or more where somebody asked for it."""
        longest = max(waiter.seconds if waiter.strict else 0.0 for waiter in frame.waiters)
        return longest if longest > self._patience else None

    def _fail_pending(self, error: FaktoryError, last: int) -> None:
        """Tell those who were there when a dial began that it failed."""
        for waiter in [each for each in self._pending if each.number <= last]:
            self._remove(waiter)
            waiter.settle(copy.copy(error))
        self._appoint_timekeeper()
        while self._sealed:
            for waiter in self._sealed.popleft():
                waiter.settle(copy.copy(error))

    def _put_back(self, waiters: Iterable[_Waiter]) -> None:
        """To the head of the line, in their order, but for those that have gone."""
        back = [waiter for waiter in waiters if not waiter.gone]
        for waiter in back:
            waiter.frame = None
        self._pending = dict.fromkeys(back) | self._pending
        self._bytes += sum(len(waiter.data) for waiter in back)

    def _end(self, frame: _Frame) -> None:
        self._frames.discard(frame)
        self._pool.put_back(frame.connection)
        self._kick()

    def _lives_beside(self, frame: _Frame | None) -> bool:
        """Whether there is another connection that what is pending can wait for."""
        others = len(self._frames) - (frame in self._frames)
        return others > 0 or self._leading > 0 or self._pool.has_idle

    # -- batons -------------------------------------------------------------------------------

    def _kick(self, *, slow: bool = False) -> None:
        """Hand slots to those who wait, as long as that is worth it."""
        while self._is_worth_a_slot(slow=slow):
            leader = self._next_leader()
            if leader is None:
                return
            slot = self._pool.take_now(may_dial=anyio.current_time() >= self._no_further_until)
            if slot is None:
                self._queue_for_slot()
                return
            self._leading += 1
            leader.lead(slot)
            slow = False

    def _is_worth_a_slot(self, *, slow: bool) -> bool:
        if not self._pending and not self._sealed:
            return False
        if slow or not (self._frames or self._leading):
            return True
        # Each leader that has not sent yet will take its share.
        jobs = len(self._pending) + sum(map(len, self._sealed)) - _WORTH_JOBS * self._leading
        return jobs >= _WORTH_JOBS or self._bytes - _WORTH_BYTES * self._leading >= _WORTH_BYTES

    def _next_leader(self) -> _Waiter | None:
        for waiter in self._pending:
            if waiter.is_free:
                return waiter
        sealed = (waiter for frame in self._sealed for waiter in frame)
        return next((each for each in sealed if each.is_free and not each.gone), None)

    def _queue_for_slot(self) -> None:
        if not self._queued:
            self._queued = True
            self._pool.claim(self._granted)

    def _granted(self, slot: Connection | Right) -> None:
        """Take a slot that came free."""
        self._queued = False
        leader = self._next_leader()
        if leader is None:  # whoever wanted it has gone
            self._pool.put_back(slot)
            return
        self._leading += 1
        leader.lead(slot)
        self._kick()

    def _leave(self, waiter: _Waiter) -> None:
        """Pass on what the waiter holds. Without an await, whatever ended its task."""
        waiter.gone = True
        self._callers -= 1
        if not self._callers and self._nobody is not None:
            self._nobody.set()
            self._nobody = None
        if waiter in self._pending:
            first = self._is_first(waiter)
            self._remove(waiter)
            if first:
                self._appoint_timekeeper()
        if waiter.slot is not None:
            self._give_up_slot(waiter)
            self._kick()
        frame, waiter.duty = waiter.duty, None
        if frame is not None:
            self._pass_on(frame)

    def _give_up_slot(self, waiter: _Waiter) -> None:
        slot, waiter.slot = waiter.slot, None
        if slot is not None:
            self._leading -= 1
            self._pool.put_back(slot)

    def _pass_on(self, frame: _Frame) -> None:
        """Let the next of a frame's waiters read its reply; rather one without another baton."""
        left = [waiter for waiter in frame.waiters if not waiter.gone and not waiter.done]
        if left:
            next((waiter for waiter in left if waiter.is_free), left[0]).read(frame)
            return
        # Nobody is left to read the reply, and it must not be taken for another one's.
        frame.connection.abort()
        self._end(frame)


def _out_of_time(waiter: _Waiter) -> FaktoryError:
    frame = waiter.frame
    if frame is None:
        return PoolTimeoutError(
            f"no connection came free within {waiter.seconds:.3g} s: all of them are in use"
        )
    if frame.ticket is None or frame.connection.idle:
        return CommandTimeoutError("the server did not answer in time")
    error = frame.connection.failure(frame.ticket)
    return CommandTimeoutError(
        "the server did not answer in time", maybe_executed=error.maybe_executed
    )
