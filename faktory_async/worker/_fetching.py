"""FETCH with a free slot in hand, and never give one up that is in flight.

A FETCH that is cancelled goes on in the server, which would reserve a job for nobody. So whatever a
fetcher waits for besides it may be cut short, the FETCH itself is awaited.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

from faktory_async.errors import FaktoryError, InvalidJobError, ServerError
from faktory_async.model import Envelope
from faktory_async.net import Connection, Native
from faktory_async.protocol import BulkReply, Command, Fetch, OversizedReply, Reply, Ticket
from faktory_async.worker._gate import Gate
from faktory_async.worker._lifecycle import Phase
from faktory_async.worker._line import Line
from faktory_async.worker._phases import Phases
from faktory_async.worker._queues import Commands
from faktory_async.worker._reservation import Moment
from faktory_async.worker._riders import Riders
from faktory_async.worker._run import Run, clock

_log: Final = logging.getLogger("faktory_async.worker")

# An empty FETCH answers after 2.1 s, one in a stalled server after up to 12 s.
_PATIENCE: Final = 15.0
# How long a fetcher is kept that gets no slot; an empty FETCH takes as long.
_IDLE: Final = 2.0


class _OnNothing(Protocol):
    def __call__(self, *, asked: bool) -> object: ...


class Fetchers:
    """All fetchers of one run: one while there is little to do, and more under load.

    One is added when a FETCH has found a job waiting and slots are free. One leaves when it finds
    nothing, or no slot, or no server, and is not the last one.

    Args:
        line: Makes a line that says HELLO with the worker's wid.
        gate: Where a FETCH gets its slot and its queues.
        phases: When to stop.
        riders: What goes in front of a FETCH.
        most: How many fetchers there may be.

    Attributes:
        at_work: Fetchers that have not said goodbye; each has at most one connection.
        fetching: How many FETCHes are unanswered.
        sent: How many FETCHes were sent.
        last_fetch: When one was last sent, on the clock of `time.time`; None before the first.
        on_first: Called once, when the first one was sent or `tell_first` was called.
        on_nothing: Called when one that named every queue has found nothing, and no other is out;
            or when there is no queue to name.
    """

    def __init__(
        self, line: Callable[[], Line], gate: Gate, phases: Phases, *, riders: Riders, most: int
    ) -> None:
        self.at_work = 0
        self.fetching = 0
        self.sent = 0
        self.last_fetch: float | None = None
        self.on_first: Callable[[], object] | None = None
        self.on_nothing: _OnNothing | None = None
        self.gate = gate
        self.phases = phases
        self.riders = riders
        self.commands = Commands()
        self._line = line
        self._most = most
        self._staying = 0
        gate.on_room = self._add

    def begin(
        self,
        enlist: Callable[[Callable[[], Awaitable[None]]], object],
        start: Callable[[Run], None],
    ) -> None:
        """Begin with one fetcher.

        Args:
            enlist: Runs a fetcher until the worker is quiet, or it is needed no more. It raises
                `AuthenticationError` where the server no longer takes the password.
            start: Takes over a run, and with it the slot.
        """
        self._enlist = enlist
        self.start = start
        self._add()

    def grow(self) -> None:
        """Add a fetcher if there is a slot for it besides the caller's own."""
        if self.gate.slots.free > 1 and self.at_work < self._most:
            self._add()

    def note_sent(self) -> None:
        """Note that a FETCH was sent."""
        self.sent += 1
        if self.last_fetch is None:
            self.tell_first()
        self.last_fetch = time.time()

    def tell_first(self) -> None:
        """Let nobody wait for the first FETCH any longer."""
        tell, self.on_first = self.on_first, None
        if tell is not None:
            tell()

    def found_nothing(self, *, asked: bool) -> None:
        """Note that nothing was found: by a FETCH which named every queue, or for want of any."""
        if self.on_nothing is not None and not self.fetching:
            self.on_nothing(asked=asked)

    def spare(self) -> bool:
        """Tell a fetcher whether it may leave; the last one may not."""
        if self._staying > 1:
            self._staying -= 1
            return True
        return False

    def _add(self) -> None:
        if self.at_work < self._most and self.phases.fetching:
            self.at_work += 1
            self._staying += 1
            self._enlist(Fetcher(self._line(), self).run)


class Fetcher:
    """One loop of FETCHes on one line.

    Args:
        line: The connection.
        fetchers: All of them.
    """

    def __init__(self, line: Line, fetchers: Fetchers) -> None:
        self._line = line
        self._fetchers = fetchers
        self._gate = fetchers.gate
        self._riders = fetchers.riders
        self._phases = fetchers.phases
        self._leaving = False
        native = Native()
        self._now = native.now
        self._others_first = native.others_first
        self._clock = clock()
        # Of the FETCH that is out, or was last.
        self._sent_at = self._clock()
        self._aboard: Sequence[Command[Any]] = ()  # the riders whose replies have not come
        self._ticket: Ticket | None = None
        self._run: Run | None = None

    async def run(self) -> None:
        """Fetch until the worker is quiet or this fetcher is one too many, and say goodbye.

        Raises:
            AuthenticationError: the server no longer takes the password.
        """
        needed = True
        try:
            while needed and self._phases.fetching:
                if (connection := self._line.at_hand) is None:
                    self._stay()
                    needed = await self._dial()
                elif names := self._gate.enter():
                    needed = await self._fetch(connection, names)
                else:
                    self._stay()
                    needed = await self._wait()
        finally:
            self._stay()
            await self._line.hang_up()
            self._fetchers.at_work -= 1

    async def _dial(self) -> bool:
        with self._phases.before(Phase.QUIET):
            if await self._line.attempt() is None:
                if self._fetchers.spare():
                    return False
                await self._line.pause()
        return True

    async def _wait(self) -> bool:
        with self._phases.before(Phase.QUIET):
            self._leaving = await self._gate.room(_IDLE)
            if not (self._leaving or self._gate.asked):
                self._fetchers.found_nothing(asked=False)
        return self._leaving or not self._fetchers.spare()

    def _stay(self) -> None:
        """No FETCH leaves now, though it was said so."""
        if self._leaving:
            self._leaving = False
            self._gate.stayed()

    # -- one FETCH ------------------------------------------------------------------------------

    async def _fetch(self, connection: Connection, names: Sequence[str]) -> bool:
        """Send a FETCH and start what it brings; False where the fetcher is to leave.

        One coroutine from the FETCH to its reply: every wake-up goes through all there are.
        """
        problem: FaktoryError | None = None
        complete = self._gate.complete
        sent_at = self._sent_at = self._clock()
        self._aboard = self._riders.board(sent_at)
        self._ticket = self._run = None
        self._leave()
        try:
            command = self._fetchers.commands.fetch(names)
            ticket = connection.post((*self._aboard, command), timeout=_PATIENCE, renewed=True)
            self._ticket = ticket
            ticket.heed = self._heed
            self._fetchers.note_sent()
            if connection.unposted:
                await connection.hand_over(ticket, shield=True)
            await connection.receive(ticket)
            if self._run is None:
                _refused(command, ticket.replies[-1])
            self._line.worked()
        except FaktoryError as error:
            problem = error
        finally:
            self._fetchers.fetching -= 1
            self._land(problem)
            if self._run is None:
                self._gate.give_back(names)
            else:
                self._gate.fill(names, self._run.queue)
        if self._run is None:
            return await self._brought_nothing(problem, complete=complete)
        at_once = self._now() - sent_at.monotonic <= self._line.at_once
        if self._run.begun_at is None:
            await self._others_first()  # it may end at once, and its report ride along
        if at_once:
            self._fetchers.grow()
        return True

    def _leave(self) -> None:
        self._fetchers.fetching += 1
        if self._leaving:
            self._leaving = False
            self._gate.left()

    def _heed(self) -> None:
        """Take what has come before this fetcher wakes: neither reports nor a job wait for it."""
        ticket = self._ticket
        if ticket is None:
            raise AssertionError("replies without a ticket")
        if len(ticket.replies) >= len(self._aboard):
            self._land(None)
        if ticket.done and (run := _run(ticket.replies[-1], self._sent_at)) is not None:
            self._run = run
            self._gate.leave_soon()
            self._leaving = True
            self._fetchers.start(run)

    def _land(self, problem: FaktoryError | None) -> None:
        """Hand the replies over to those who rode along, once."""
        if riders := self._aboard:
            self._aboard = ()
            replies = () if self._ticket is None else self._ticket.replies
            self._riders.land(riders, replies[: len(riders)], problem)

    async def _brought_nothing(self, problem: FaktoryError | None, *, complete: bool) -> bool:
        if isinstance(problem, ServerError):
            # In a stall the server may have lost a job by this; it does not say which.
            _log.warning("a FETCH was answered by an error: %s", problem)
        if problem is None and complete:
            self._fetchers.found_nothing(asked=True)
        if self._fetchers.spare():
            return False
        if problem is not None:
            await self._recover(problem)
        return True

    async def _recover(self, error: FaktoryError) -> None:
        with self._phases.before(Phase.QUIET):
            if isinstance(error, ServerError):
                await self._line.pause()
            else:
                await self._line.broke(error)


def _refused(command: Fetch, reply: Reply) -> None:
    """Raise what a reply says that brought no job."""
    if not isinstance(reply, OversizedReply):
        command.decode(reply)


def _run(reply: Reply, sent_at: Moment) -> Run | None:
    """Return the run of the job that a reply brings; None where there is none."""
    try:
        if isinstance(reply, BulkReply) and reply.data:
            envelope = Envelope.decode(reply.data)
        elif isinstance(reply, OversizedReply):
            envelope = Envelope.outlined(reply.outline, reply.size)
        else:
            return None
    except InvalidJobError as error:
        problem = str(error)
    else:
        if envelope.jid:
            return Run.of(envelope, sent_at)
        problem = "it is a JSON document without a jid"
    # Without a jid nothing can be reported: the server retries it after its reservation.
    _log.error("a fetched job cannot be read and has no jid to report it by: %s", problem)
    return None
