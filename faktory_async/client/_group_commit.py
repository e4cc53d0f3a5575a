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
from collections.abc import Iterable
from typing import Final

import anyio

from faktory_async.client._frames import MAX_BYTES, MAX_JOBS, meant_for_all
from faktory_async.client._line import Line
from faktory_async.client._waiter import Frame, Waiter
from faktory_async.errors import (
    ClientStateError,
    CommandTimeoutError,
    ConnectionLostError,
    FaktoryError,
    JobRejectedError,
    PoolTimeoutError,
    TooManyConnectionsError,
)
from faktory_async.net import Connection, Native, Pool, Right
from faktory_async.protocol import PushBulk, Ticket

# A further connection is used where so much waits for it. With fewer jobs the frames' own costs
# outweigh what the server gains by working on several at the same time.
_WORTH_JOBS: Final = 5
_WORTH_BYTES: Final = 64 * 1024
# ... or the frames under way take this many times what the last one took, and at least this long.
_SLOW: Final = 4.0
_SLOW_LEAST: Final = 0.05
# After a further connection could not be had, the next one is tried this many seconds later.
_NO_FURTHER: Final = 1.0
_LATE: Final = "the server did not answer in time"


class GroupCommit:
    """Pushes jobs over the connections of a pool.

    Args:
        pool: Lends the slots.
        patience: Seconds that a frame may take, unless one of its pushes asked for more.
        worth: How many waiting jobs are worth a further connection.

    Attributes:
        pushes: How many jobs were to be pushed so far, in bulk too.
        frames: How many frames were sent, in bulk too.
        resends: How many jobs were sent again, since a dead connection had not taken them.
    """

    def __init__(self, pool: Pool, patience: float, *, worth: int = _WORTH_JOBS) -> None:
        self._pool = pool
        self._patience = patience
        self._native = Native()
        self._worth = worth
        self._line = Line()
        self._leading = 0  # waiters that hold a slot
        self._dialling = 0  # those of them who hold the right to dial
        self._frames: dict[Frame, None] = {}  # the oldest one first
        self.pushes = 0
        self.frames = 0
        self.resends = 0
        self._round_trip = 0.0
        self._no_further_until = -math.inf
        self._queued = False  # for a slot of the pool
        self._stalled = False  # and that because of a stall
        self._callers = 0
        self._nobody: anyio.Event | None = None

    def __repr__(self) -> str:
        return f"<GroupCommit {len(self._line)} waiting, {len(self._frames)} frames under way>"

    async def push(self, jid: str, data: bytes, seconds: float, *, strictly: bool = False) -> None:
        """Return when the server has stored the job.

        Args:
            jid: The job's id.
            data: The encoded job.
            seconds: How long to wait for a connection. Those who do not ask strictly are expected
                to give the same number: the one in front keeps the time for all of them.
            strictly: Whether that is the time for everything: for what has limits of its own too,
                dialling, writing and the reply.

        Raises:
            FaktoryError: what became of this job; see `maybe_executed`.

        Cancelled before its bytes left, the job leaves with its caller; after that nobody knows.
        """
        self.pushes += 1
        self._callers += 1
        deadline = self._native.now() + seconds
        waiter = Waiter(jid, data, self.pushes, seconds, deadline, strictly)
        free = self._free_at_once()
        if free is None:
            self._line.append(waiter)
        try:
            if free is None:
                self._kick()
            elif self._callers > 1:
                await self._gather(waiter, free)
            else:
                self._send(waiter, [waiter], free)
            if strictly:
                with anyio.CancelScope(deadline=deadline):
                    await self._carry(waiter)
            else:
                await self._carry(waiter)
        finally:
            self._leave(waiter)
            if self._pool.closed and not self._callers:  # who closed it did not wait for us
                await self._pool.bury()
        if not waiter.done:
            waiter.error = _out_of_time(waiter)
        waiter.frame = None  # which knows the waiter: a circle would be left to the collector
        if waiter.error is not None:
            raise waiter.error

    def open(self) -> None:
        """Note that this is the event loop in which all pushes will be made."""
        self._native = Native()

    async def settled(self) -> None:
        """Return when nobody waits for an outcome any more."""
        while self._callers:
            if self._nobody is None:
                self._nobody = anyio.Event()
            await self._nobody.wait()

    def cut(self) -> None:
        """Let no push wait any longer.

        Those that were not written end with a `ClientStateError`. The others' connections are
        aborted: they end as those of a connection that was lost.
        """
        for waiter in self._line.came_before(self.pushes):
            waiter.settle(ClientStateError("the client was closed before the job was sent"))
        for frame in list(self._frames):
            frame.connection.abort()
            if frame.ticket is not None:
                self._settle(
                    [each for each in frame.waiters if each.is_there],
                    frame.connection.failure(frame.ticket),
                )

    # -- the waiter's task --------------------------------------------------------------------

    async def _carry(self, waiter: Waiter) -> None:
        while not waiter.done:
            if waiter.duty is not None:
                await self._read(waiter, waiter.duty)
            elif waiter.slot is None:
                await self._wait(waiter)
            elif isinstance(waiter.slot, Right):
                await self._dial(waiter)
            else:
                self._lead(waiter, waiter.slot)

    async def _gather(self, leader: Waiter, slot: Connection) -> None:
        """Lead, but not before those who have just got their outcomes had a chance to push again.

        Nobody else is in line: most of them will do so before this turn of the event loop is over.
        """
        self._line.append(leader)
        self._hand(slot, leader)
        await self._native.others_first()

    async def _wait(self, waiter: Waiter) -> None:
        """Wait for an outcome or a baton, and keep the time where that is its turn."""
        alarm = self._alarm(waiter)
        await waiter.woken(self._native.event, alarm)
        if alarm <= self._native.now():
            self._look_at_the_clock(waiter)

    def _alarm(self, waiter: Waiter) -> float:
        """When it has to look at the clock: only those in front do, for all behind them."""
        if waiter.group is not None:
            return waiter.deadline
        if waiter.frame in self._frames and waiter.frame.early is not None:
            return waiter.frame.early
        alarm = waiter.deadline if waiter is self._line.timekeeper else math.inf
        if self._frames and waiter is self._line.first:
            alarm = min(alarm, self._native.now() + self._slow)
        return alarm

    def _look_at_the_clock(self, waiter: Waiter) -> None:
        now = self._native.now()
        if waiter.group is not None and waiter.is_free and waiter.deadline <= now:
            self._line.remove(waiter)
            waiter.settle(_out_of_time(waiter))
        frame = waiter.frame
        if frame in self._frames and frame.early is not None and frame.early <= now:
            self._too_late_for_some(frame)
        for each in self._line.expired(now):
            each.settle(_out_of_time(each))
        if waiter is self._line.first:
            self._kick(slow=True)

    async def _dial(self, waiter: Waiter) -> None:
        """Use the right to dial. Whoever was there when a failed dial began shares its failure."""
        last = self.pushes
        try:
            with anyio.CancelScope() as waiter.dialling:
                waiter.slot = await self._pool.dial()
                self._dialling -= 1
        except FaktoryError as error:
            self._dial_failed(waiter, error, last)
        finally:
            waiter.dialling = None

    def _dial_failed(self, waiter: Waiter, error: FaktoryError, last: int) -> None:
        if self._live_beside(waiter):
            self._no_further_until = self._native.now() + _NO_FURTHER
        else:
            for each in self._line.came_before(last):
                each.settle(copy.copy(error))
        self._give_up_slot(waiter)

    def _lead(self, waiter: Waiter, connection: Connection) -> None:
        if waiter not in self._line:  # another leader was faster
            self._give_up_slot(waiter)
            return
        waiter.slot = None
        self._leading -= 1
        self._send(waiter, self._line.take(waiter, self._share(self._leading + 1)), connection)

    def _share(self, leaders: int) -> int:
        """Return how many jobs a frame takes, so that there are some for other connections too.

        The server works through the frames of one connection one after the other, through those of
        several at the same time, and we through the reply of one while it works on the next.

        Args:
            leaders: How many hold a slot and have not taken their frame.
        """
        slots = leaders + self._pool.idle
        if self._native.now() >= self._no_further_until:
            slots += self._pool.room
        if slots <= 1:
            return MAX_JOBS
        return min(max(self._worth, math.ceil(len(self._line) / slots)), MAX_JOBS)

    def _send(self, leader: Waiter, waiters: list[Waiter], connection: Connection) -> None:
        """Send them as one frame, whose reply it is the leader's duty to read."""
        now = self._native.now()
        command = PushBulk([waiter.data for waiter in waiters])
        frame = Frame(waiters, connection, command, now, now + self._patience)
        longest = 0.0  # that anybody asked for
        for each in waiters:
            each.frame = frame
            if each.strict and each.seconds > longest:
                longest = each.seconds
        leader.duty = frame
        self._frames[frame] = None
        self.frames += 1
        try:
            patience = None if longest <= self._patience else self._more_patience(frame, longest)
            frame.ticket = connection.post([command], timeout=patience)
        except FaktoryError as error:
            leader.duty = None
            self._failed(frame, error)
            return
        if self._line:
            self._kick()  # what is left may be worth a further connection

    async def _hand_over(self, waiter: Waiter, frame: Frame, ticket: Ticket) -> None:
        """Hand over what the link could not take at once.

        With the bytes of others nobody leaves before they have left. So who has the most time does
        it, and nobody else is held beyond a deadline of its own.
        """
        there = [each for each in frame.waiters if each is not waiter and each.is_there]
        patient = max(there, key=frame.ends_for, default=waiter)
        if frame.ends_for(patient) > frame.ends_for(waiter):
            waiter.duty = None
            patient.read(frame)
            return
        if frame.early is not None:  # which cannot be looked after here
            for each in there:
                each.wake()
        ticket.deadline = min(ticket.deadline, frame.ends_for(waiter))
        await frame.connection.hand_over(ticket, shield=bool(there))

    async def _read(self, waiter: Waiter, frame: Frame) -> None:
        if waiter.slot is not None:
            self._give_up_slot(waiter)  # it was dialling: somebody else can do that
        ticket = frame.ticket
        if ticket is None:
            raise AssertionError("a frame without a ticket has no reply")
        try:
            if (frame.connection.unposted or frame.early is not None) and (
                await self._let_go(waiter, frame, ticket)
            ):
                return
            await frame.connection.receive(ticket)
            errors = frame.command.decode(ticket.replies[0])
        except FaktoryError as error:
            waiter.duty = None
            self._failed(frame, error)
        else:
            waiter.duty = None
            self._answered(frame, errors)

    async def _let_go(self, waiter: Waiter, frame: Frame, ticket: Ticket) -> bool:
        """See to what comes before the reply; return whether the waiter need not wait for that."""
        if frame.connection.unposted:
            await self._hand_over(waiter, frame, ticket)
            if waiter.duty is None:
                return True
        if frame.early is not None:
            with anyio.move_on_after(frame.early - self._native.now()):
                await frame.connection.receive(ticket)
            if not ticket.done:
                self._too_late_for_some(frame)
        return waiter.done

    # -- frames -------------------------------------------------------------------------------

    def _more_patience(self, frame: Frame, longest: float) -> float:
        """Let a frame take as long as the most patient of its pushes asked for."""
        if not all(waiter.strict for waiter in frame.waiters):
            frame.early = frame.usual_end
        return longest

    def _too_late_for_some(self, frame: Frame) -> None:
        """Tell those who did not ask for more time than a frame usually has."""
        frame.early = None
        for waiter in frame.waiters:
            if not waiter.strict and waiter.is_there:
                waiter.settle(_out_of_time(waiter))

    def _answered(self, frame: Frame, errors: dict[str, FaktoryError]) -> None:
        self._round_trip = self._native.now() - frame.sent_at
        if errors:
            self._answered_in_part(frame, errors)
        else:
            for waiter in frame.waiters:
                waiter.settle(None)
        self._end(frame)

    def _answered_in_part(self, frame: Frame, errors: dict[str, FaktoryError]) -> None:
        rest = meant_for_all((waiter.jid for waiter in frame.waiters), errors)
        for waiter in frame.waiters:
            waiter.settle(errors.get(waiter.jid) or copy.copy(rest))

    def _failed(self, frame: Frame, error: FaktoryError) -> None:
        waiters = [waiter for waiter in frame.waiters if waiter.is_there]
        if isinstance(error, JobRejectedError) and len(frame.waiters) > 1:
            # Nothing of the frame is stored, because of one job: halves find out which.
            self._try_apart(waiters)
        elif isinstance(error, TooManyConnectionsError):
            frame.connection.abort()  # the server is about to do so
            self._turned_away(frame, waiters, error)
        elif isinstance(error, ConnectionLostError) and not error.maybe_executed:
            self._settle([waiter for waiter in waiters if waiter.resent], error)
            self._resend([waiter for waiter in waiters if not waiter.resent])
        else:
            self._settle(waiters, error)
        self._end(frame)

    def _settle(self, waiters: Iterable[Waiter], error: FaktoryError) -> None:
        for waiter in waiters:
            waiter.settle(copy.copy(error))

    def _try_apart(self, waiters: list[Waiter]) -> None:
        now = self._native.now()
        for waiter in waiters:
            if not waiter.strict:
                waiter.deadline = now + waiter.seconds
        self._line.put_apart(waiters)

    def _turned_away(self, frame: Frame, waiters: list[Waiter], error: FaktoryError) -> None:
        """The server has its limit of connections: wait for another one, where there is one."""
        self._frames.pop(frame, None)
        if self._live_beside(None):
            self._no_further_until = self._native.now() + _NO_FURTHER
            self._line.put_back(waiters)
        else:
            self._settle(waiters, error)

    def _resend(self, waiters: list[Waiter]) -> None:
        self.resends += len(waiters)
        for waiter in waiters:
            waiter.resent = True
        self._line.put_back(waiters)

    def _end(self, frame: Frame) -> None:
        self._frames.pop(frame, None)
        self._pool.put_back(frame.connection)
        if self._line:
            self._kick()

    # -- batons -------------------------------------------------------------------------------

    def _free_at_once(self) -> Connection | None:
        """Take the connection of a push that is alone, past the line."""
        if self._frames or self._leading or self._line:
            return None
        return self._pool.take_idle()

    def _live_beside(self, dialler: Waiter | None) -> bool:
        """Whether there is another connection, or a dial, that what waits can hope for."""
        holds_slot = dialler is not None and dialler.slot is not None
        return bool(self._frames) or self._leading > holds_slot or self._pool.has_usable

    def _kick(self, *, slow: bool = False) -> None:
        """Hand slots to those who wait, as long as that is worth it."""
        while self._is_worth_a_connection() or slow:
            leader = self._line.next_leader()
            if leader is None:
                return
            slot = self._pool.take_now(may_dial=self._is_worth_a_dial(slow=slow))
            if slot is None:
                self._queue_for_slot(stalled=slow)
                return
            self._hand(slot, leader)
            slow = False

    @property
    def _at_work(self) -> int:
        """How many connections are used, or about to be."""
        return len(self._frames) + self._leading - self._dialling

    def _is_worth_a_connection(self) -> bool:
        """Whether an idle connection is to be used."""
        if not self._line:
            return False
        return (
            not self._at_work
            or self._is_much(self._leading - self._dialling)
            or (self._pool.has_idle and self._is_stalled())
        )

    def _is_worth_a_dial(self, *, slow: bool = False) -> bool:
        if not (slow or self._at_work):  # whether the server is there, one finds out for all
            return not self._dialling
        return (slow or self._is_much(self._leading)) and (
            self._native.now() >= self._no_further_until
        )

    @property
    def _slow(self) -> float:
        """How many seconds are long for a frame."""
        return max(_SLOW * self._round_trip, _SLOW_LEAST)

    def _is_stalled(self) -> bool:
        oldest = next(iter(self._frames), None)
        return oldest is not None and self._native.now() - oldest.sent_at >= self._slow

    def _is_much(self, leaders: int) -> bool:
        """Whether enough waits for one more, when those leaders have taken all they can."""
        waiting = len(self._line)
        if waiting >= self._worth and waiting - self._share(leaders) * leaders >= self._worth:
            return True
        return self._line.size - MAX_BYTES * leaders >= _WORTH_BYTES

    def _hand(self, slot: Connection | Right, leader: Waiter) -> None:
        self._leading += 1
        leader.lead(slot)
        if isinstance(slot, Right):
            self._dialling += 1
            self._line.wake_first()  # while it dials, others keep the time

    def _queue_for_slot(self, *, stalled: bool) -> None:
        self._stalled = self._stalled or stalled
        if not self._queued:
            self._queued = True
            self._pool.claim(self._granted)

    def _granted(self, slot: Connection | Right) -> None:
        """Take a slot that came free, where that is still worth it."""
        stalled = self._stalled or self._is_stalled()
        self._queued = self._stalled = False
        leader = self._line.next_leader()
        right = isinstance(slot, Right)
        worth = self._is_worth_a_dial() if right else self._is_worth_a_connection()
        if leader is not None and (worth or stalled):
            self._hand(slot, leader)
        else:
            self._pool.put_back(slot)
        self._kick()

    def _leave(self, waiter: Waiter) -> None:
        """Pass on what the waiter holds. Without an await, whatever ended its task."""
        waiter.gone = True
        self._callers -= 1
        if not self._callers and self._nobody is not None:
            self._nobody.set()
            self._nobody = None
        if not waiter.done and waiter in self._line:
            self._line.remove(waiter)
        if waiter.slot is not None:
            self._give_up_slot(waiter)
        frame, waiter.duty = waiter.duty, None
        if frame is not None:
            self._pass_on(frame)

    def _give_up_slot(self, waiter: Waiter) -> None:
        slot, waiter.slot = waiter.slot, None
        if slot is not None:
            self._leading -= 1
            self._dialling -= isinstance(slot, Right)
            self._pool.put_back(slot)
            self._kick()

    def _pass_on(self, frame: Frame) -> None:
        """Let the next of a frame's waiters read its reply; rather one without another baton."""
        left = [waiter for waiter in frame.waiters if waiter.is_there]
        if left:
            next((waiter for waiter in left if waiter.is_free), left[0]).read(frame)
        else:
            self._end(frame)  # the pool ends a connection that owes a reply


def _out_of_time(waiter: Waiter) -> FaktoryError:
    frame = waiter.frame
    if frame is None or frame.ticket is None:
        return PoolTimeoutError(
            f"no connection came free within {waiter.seconds:.3g} s: all of them are in use"
        )
    if not frame.connection.closed:  # what did not leave yet still may
        return CommandTimeoutError(_LATE)
    error = frame.connection.failure(frame.ticket)
    return CommandTimeoutError(_LATE, maybe_executed=error.maybe_executed)
