"""Group commit: pushes that come together leave together.

There is no background task. Who pushes appends a *waiter*; whoever holds a *baton* does the work
for everybody, in the waiter's own task:

* a **slot** (a connection, or the right to dial one) makes its holder the leader of the next frame:
  it takes what is pending and sends it as one PUSHB;
* a **frame** is the duty to see to the reply of a frame that is on its way: to read it, unless the
  link brings it, and to find out why it does not come.

What needs no waiting does not wait for a task to wake: everybody's outcome is told by the call that
brings the reply, and a whole frame is sent for its leader by the push that completes it, or by the
reply to another one.

On any way out a `finally` without an await passes the baton on: a slot to the next pending waiter
that holds none, a frame to the next of its waiters that is still there; without one its connection
is closed. So nobody's cancellation delays, loses or leaks what belongs to others.
"""

import copy
import math
from collections.abc import Iterable
from functools import partial
from typing import Final

import anyio

from faktory_async.client._frames import meant_for_all
from faktory_async.client._line import Line
from faktory_async.client._traffic import Traffic
from faktory_async.client._waiter import Frame, Waiter
from faktory_async.errors import (
    ClientStateError,
    CommandTimeoutError,
    ConnectError,
    ConnectionLostError,
    FaktoryError,
    JobRejectedError,
    PoolTimeoutError,
    TooManyConnectionsError,
)
from faktory_async.net import Connection, Native, Pool, Right
from faktory_async.protocol import PushBulk, Ticket

_LATE: Final = "the server did not answer in time"


class GroupCommit:
    """Pushes jobs over the connections of a pool.

    Args:
        pool: Lends the slots.
        patience: Seconds that a frame may take, unless one of its pushes asked for more.

    Attributes:
        pushes: How many jobs were to be pushed so far, in bulk too.
        frames: How many frames were sent, in bulk too.
        resends: How many jobs were sent again, since a dead connection had not taken them.
    """

    def __init__(self, pool: Pool, patience: float) -> None:
        self._pool = pool
        self._patience = patience
        self._native = Native()
        self._line = Line()
        self._traffic = Traffic(pool, self._line)
        self._frames = self._traffic.frames
        self._dialling = self._traffic.dialling
        self.pushes = 0
        self.frames = 0
        self.resends = 0
        self._queued = False  # for a slot of the pool
        self._stalled = False  # and that because of a stall
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
        self._traffic.callers += 1
        now = self._native.now()
        waiter = Waiter(jid, data, self.pushes, seconds, now + seconds, strictly)
        try:
            if self._begin(waiter, now):
                await self._native.others_first()
            if strictly:
                with anyio.CancelScope(deadline=waiter.deadline):
                    await self._carry(waiter)
            else:
                await self._carry(waiter)
        finally:
            self._leave(waiter)
            error = waiter.error if waiter.done else _out_of_time(waiter)
            # The frame knows the waiter, an error whoever raises it: circles would be left to the
            # collector.
            waiter.frame = waiter.error = None
            if self._pool.closed and not self._traffic.callers:  # who closed it did not wait for us
                await self._pool.bury()
        if error is not None:
            try:
                raise error
            finally:
                del error

    def _begin(self, waiter: Waiter, now: float) -> bool:
        """Send the job where nobody else is about, or get in line.

        Returns:
            Whether those who have just got their outcomes are to have a chance to push again before
            it leads: most of them will do so before this turn of the event loop is over.
        """
        is_alone = not (self._frames or self._traffic.leading or self._line)
        if is_alone and (free := self._pool.take_idle()) is not None:
            if self._traffic.callers == 1:
                self._send(waiter, [waiter], free)
                return False
            self._line.append(waiter)
            self._hand(free, waiter)
            return True
        self._line.append(waiter)
        # Nearly always there is nothing to be done but to wait.
        if not self._frames or (self._pool.has_slot and self._traffic.needs_another(now)):
            self._kick()
        return False

    def open(self) -> None:
        """Note that this is the event loop in which all pushes will be made."""
        self._native = Native()

    async def settled(self) -> None:
        """Return when nobody waits for an outcome any more."""
        while self._traffic.callers:
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
        fresh = waiter.is_free  # and last in line
        while not waiter.done:
            duty = waiter.duty
            if duty is not None and (waiter.slot is not None or not duty.connection.watching):
                await self._read(waiter, duty)
            elif waiter.slot is None:
                alarm = self._alarm(waiter, fresh=fresh)
                fresh = False
                event = waiter.event = self._native.event()
                if alarm == math.inf:
                    await event
                else:
                    await self._native.wait_until(event, alarm)
                    if alarm <= self._native.now():
                        self._look_at_the_clock(waiter)
            elif isinstance(waiter.slot, Right):
                await self._dial(waiter)
            else:
                self._lead(waiter, waiter.slot)

    def _alarm(self, waiter: Waiter, *, fresh: bool) -> float:
        """When it has to look at the clock: only those in front do, for all behind them.

        Who has had a baton may be in front of others, though it has never waited before.
        """
        if fresh and len(self._line.lenient) > self._traffic.leading + 1:
            return math.inf  # it came last, and somebody who does that waits in front of it
        if waiter.group is not None:
            return waiter.deadline
        if waiter.frame is not None:
            return math.inf if waiter.frame.early is None else waiter.frame.early
        alarm = waiter.deadline if waiter is self._line.timekeeper else math.inf
        if self._frames and waiter is self._line.first:
            alarm = min(alarm, self._native.now() + self._traffic.slow)
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
        """Use the right to dial. Whoever was there when a failed dial began shares its failure.

        What dials is not carried by other connections: else no dial would come to its end while
        they are faster. So beside one of them it is given up when it takes long.
        """
        last = self.pushes
        began = self._native.now()
        beside = self._traffic.hopes_beside(waiter)
        limit = self._traffic.dial_limit(began) if beside else math.inf
        try:
            with anyio.CancelScope(deadline=limit) as waiter.dialling:
                waiter.slot = await self._pool.dial()
                del self._dialling[waiter]
                self._traffic.dialled(self._native.now() - began)
                return
            if self._native.now() >= waiter.dialling.deadline:
                self._traffic.no_further(self._native.now())
                self._give_up_slot(waiter)
        except FaktoryError as error:
            self._dial_failed(waiter, error, last)
        except Exception as error:  # a mistake in a user's dial, which is to show as what it is
            self._dial_failed(waiter, ConnectError(f"the dial failed: {error!r}"), last)
            raise
        finally:
            waiter.dialling = None

    def _limit_dials(self) -> None:
        """There is a connection, so that no dial may take too long any more."""
        limit = self._traffic.dial_limit(self._native.now())
        for each in self._dialling:
            if each.dialling is not None and each.dialling.deadline > limit:
                each.dialling.deadline = limit

    def _dial_failed(self, waiter: Waiter, error: FaktoryError, last: int) -> None:
        if self._traffic.has_hope(waiter):
            self._traffic.no_further(self._native.now())
        else:
            for each in self._line.came_before(last):
                each.settle(copy.copy(error))
        self._give_up_slot(waiter)

    def _lead(self, waiter: Waiter, connection: Connection) -> None:
        if waiter not in self._line:  # another leader was faster
            self._give_up_slot(waiter)
            return
        waiter.slot = None
        self._traffic.leading -= 1
        whole = self._traffic.share(self._native.now())
        self._send(waiter, self._taken(waiter, whole), connection)
        if self._line:
            self._kick()  # what is left may be worth a further connection

    def _taken(self, leader: Waiter, most: int) -> list[Waiter]:
        """Take out of the line who leaves with the leader, but not who dials."""
        return self._line.take(leader, most, but=self._dialling)

    def _send(self, leader: Waiter, waiters: list[Waiter], connection: Connection) -> None:
        """Send them as one frame, whose reply it is the leader's duty to see to."""
        now = self._native.now()
        command = PushBulk([waiter.data for waiter in waiters])
        frame = Frame(waiters, connection, command, now, now + self._patience)
        longest = 0.0  # that anybody asked for
        for each in waiters:
            each.frame = frame
            if each.strict and each.seconds > longest:
                longest = each.seconds
        leader.duty = frame
        if self._dialling:
            self._limit_dials()
        self._traffic.sent(frame)
        self.frames += 1
        try:
            patience = None if longest <= self._patience else self._more_patience(frame, longest)
            ticket = frame.ticket = connection.post([command], timeout=patience)
            ticket.heed = partial(self._heed, frame, ticket)
            if frame.early is None:
                connection.watch(ticket)
        except FaktoryError as error:
            leader.duty = None
            self._failed(frame, error)

    def _heed(self, frame: Frame, ticket: Ticket) -> None:
        """Take the reply before whoever sees to it wakes: nobody waits for that."""
        if ticket.done:
            try:
                errors = frame.command.decode(ticket.replies[0])
            except FaktoryError:
                pass  # which whoever sees to it finds
            else:
                self._answered(frame, errors)
                return
        if not frame.connection.watching:
            for waiter in frame.waiters:
                if waiter.duty is frame:
                    waiter.wake()

    async def _hand_over(self, waiter: Waiter, frame: Frame, ticket: Ticket) -> None:
        """Hand over what the link could not take at once.

        With the bytes of others nobody leaves before they have left. So who has the most time does
        it, and nobody else is held beyond a deadline of its own.
        """
        there = [each for each in frame.waiters if each is not waiter and each.is_there]
        patient = max(there, key=frame.ends_for, default=waiter)
        if frame.ends_for(patient) > frame.ends_for(waiter):
            waiter.duty = None
            patient.see_to(frame)
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
            if waiter.duty is None:
                return
            errors = frame.command.decode(ticket.replies[0])
        except FaktoryError as error:
            waiter.duty = None
            self._failed(frame, error)
        else:
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
        self._traffic.answered(self._native.now() - frame.sent_at)
        if errors:
            self._answered_in_part(frame, errors)
        else:
            for waiter in frame.waiters:
                waiter.duty = None
                waiter.settle(None)
        self._end(frame)

    def _answered_in_part(self, frame: Frame, errors: dict[str, FaktoryError]) -> None:
        rest = meant_for_all((waiter.jid for waiter in frame.waiters), errors)
        for waiter in frame.waiters:
            waiter.duty = None
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
        self._traffic.ended(frame)
        if self._traffic.has_hope(None):
            self._traffic.no_further(self._native.now())
            self._line.put_back(waiters)
        else:
            self._settle(waiters, error)

    def _resend(self, waiters: list[Waiter]) -> None:
        self.resends += len(waiters)
        for waiter in waiters:
            waiter.resent = True
        self._line.put_back(waiters)

    def _end(self, frame: Frame) -> None:
        self._traffic.ended(frame)
        if frame.ticket is not None:
            frame.ticket.heed = None  # which knows the frame: a circle
        self._pool.put_back(frame.connection)
        if self._line:
            self._kick(at_once=True)

    # -- batons -------------------------------------------------------------------------------

    def _kick(self, *, slow: bool = False, at_once: bool = False) -> None:
        """Hand slots to those who wait, as long as that is worth it.

        A whole frame leaves at once where others are under way. Else its leader's task sends it:
        until that has its turn, some more may come along.

        Args:
            slow: Whether the first of them has waited for too long.
            at_once: Whether a frame has just been answered.
        """
        now = self._native.now()
        while self._line:
            whole = self._traffic.share(now)
            if not slow and not self._traffic.is_worth_a_connection(whole, now):
                return
            leader = self._line.next_leader()
            if leader is None:
                return
            connection = self._pool.take_idle()
            if connection is not None and (at_once or self._frames) and len(self._line) >= whole:
                self._send(leader, self._taken(leader, whole), connection)
                if not connection.watching:
                    leader.wake()
            else:
                slot: Connection | Right | None = connection
                if slot is None and self._traffic.is_worth_a_dial(whole, now, slow=slow):
                    slot = self._pool.take_now()
                if slot is None:
                    self._queue_for_slot(stalled=slow)
                    return
                self._hand(slot, leader)
            slow = False

    def _hand(self, slot: Connection | Right, leader: Waiter) -> None:
        self._traffic.leading += 1
        leader.lead(slot)
        if isinstance(slot, Right):
            self._dialling[leader] = None
            self._line.wake_first()  # while it dials, others keep the time

    def _queue_for_slot(self, *, stalled: bool) -> None:
        if self._frames and not stalled:
            return  # the end of a frame looks again
        self._stalled = self._stalled or stalled
        if not self._queued:
            self._queued = True
            self._pool.claim(self._granted)

    def _granted(self, slot: Connection | Right) -> None:
        """Take a slot that came free, where that is still worth it."""
        now = self._native.now()
        stalled = self._stalled or self._traffic.is_stalled(now)
        self._queued = self._stalled = False
        leader = self._line.next_leader()
        right = isinstance(slot, Right)
        whole = self._traffic.share(now)
        worth = (
            self._traffic.is_worth_a_dial(whole, now, slow=stalled)
            if right
            else stalled or (bool(self._line) and self._traffic.is_worth_a_connection(whole, now))
        )
        if leader is not None and worth:
            self._hand(slot, leader)
        else:
            self._pool.put_back(slot)
        self._kick()

    def _leave(self, waiter: Waiter) -> None:
        """Pass on what the waiter holds. Without an await, whatever ended its task."""
        waiter.gone = True
        self._traffic.callers -= 1
        if not self._traffic.callers and self._nobody is not None:
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
            self._traffic.leading -= 1
            self._dialling.pop(waiter, None)
            self._pool.put_back(slot)
            self._kick()

    def _pass_on(self, frame: Frame) -> None:
        """Let the next of a frame's waiters see to its reply; rather one without another baton."""
        left = [waiter for waiter in frame.waiters if waiter.is_there]
        if left:
            next((waiter for waiter in left if waiter.is_free), left[0]).see_to(frame)
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
