"""Tell the server how each run ended, never twice wrongly: in front of a FETCH, or pipelined.

Where a FETCH is about to leave, a first ACK or FAIL rides in front of it in the same packet. All
else goes by a line of its own, which says HELLO without a wid, so that an eviction of the worker
cannot close it. What each report sends, and when it may do so once more, is decided by its steps;
here it is carried.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import anyio
from msgspec import Struct

from faktory_async.errors import FaktoryError, ProtocolError, ServerBusyError, UnavailableError
from faktory_async.model import ServerInfo
from faktory_async.net import Connection
from faktory_async.protocol import Command, Info, Reply
from faktory_async.worker._delivery import Interrupted, Report, first_step
from faktory_async.worker._line import Line
from faktory_async.worker._outcome import Outcome
from faktory_async.worker._reservation import Moment
from faktory_async.worker._riders import Riders
from faktory_async.worker._run import Run, clock
from faktory_async.worker._server_clock import ServerClock
from faktory_async.worker._steps import Case, End, Verdict

_log: Final = logging.getLogger("faktory_async.worker")

# In a stall the server answers one command per 5 s and connection.
_PATIENCE: Final = 15.0
_MOST: Final = 1_000  # reports in one packet
_LEVELS: Final = {
    Verdict.ACKED: logging.DEBUG,
    Verdict.FAILED: logging.DEBUG,
    Verdict.RETRIED: logging.INFO,
    Verdict.REQUEUED: logging.INFO,
    Verdict.DISCARDED: logging.INFO,
    Verdict.RESCUED: logging.WARNING,
    Verdict.LATE: logging.WARNING,
    Verdict.UNKNOWN: logging.ERROR,
    Verdict.LOST: logging.ERROR,
}


class Counts(Struct):
    """How the reports of a worker ended: each counts once.

    Attributes:
        acked: Jobs that are done.
        failed: Jobs that failed, and the server knows.
        retried: Jobs that run again at a time of the handler's choosing.
        requeued: Jobs that were interrupted and run again.
        discarded: Jobs that were given up without being a failure.
        rescued: Failed jobs that the server would have lost: they were pushed again.
        late: Jobs whose reservation ended before the server could be told: they run again.
        unknown: Reports of which nobody can say whether the server took them.
        lost: Failed jobs that the server may have lost, and that could not be pushed again.
    """

    acked: int = 0
    failed: int = 0
    retried: int = 0
    requeued: int = 0
    discarded: int = 0
    rescued: int = 0
    late: int = 0
    unknown: int = 0
    lost: int = 0


class _Packet(Struct, eq=False):
    """Commands that leave together, and whose they are.

    Attributes:
        sent_at: When they leave.
        commands: What leaves, in order.
        reports: Whose each of them is; None for the question for the server's time.
        onward: Whose command was answered, and who has another one to send, or the same again.
        taken: How many replies were looked at.
    """

    sent_at: Moment
    commands: list[Command[Any]] = []
    reports: list[Report | None] = []
    onward: list[Report] = []
    taken: int = 0

    def add(self, command: Command[Any], report: Report | None) -> None:
        """Add a command."""
        self.commands.append(command)
        self.reports.append(report)


class Reports(Riders):
    """Takes outcomes and delivers them.

    Args:
        line: The connection to deliver on what does not ride.
        interrupted: What becomes of jobs that were cut short.

    Attributes:
        counts: How they ended.
        fetch_leaves: Tells whether a FETCH is about to leave.
    """

    def __init__(self, line: Line, *, interrupted: Interrupted = "fail") -> None:
        self.counts = Counts()
        self.fetch_leaves: Callable[[], bool] = _never
        self._line = line
        self._interrupted: Interrupted = interrupted
        self._clock = ServerClock()
        self._open: dict[Report, None] = {}  # what has not come to its end, wherever it is
        self._fresh: deque[Report] = deque()  # may ride in front of a FETCH
        self._again: deque[Report] = deque()  # may not
        self._timeless: list[Report] = []  # wait for the server's time
        self._riding: dict[int, _Packet] = {}  # by the identity of their commands
        self._news = anyio.Event()
        self._settled: anyio.Event | None = None  # made by whoever waits
        self._over = False
        self._now = clock()

    def add(self, run: Run, outcome: Outcome) -> None:
        """Take the outcome of a run; the first one counts."""
        if run.reported:
            return
        run.reported = True
        if self._clock.known:
            self._clock.saw(run.envelope.enqueued_at, self._now())
        case = Case(run.envelope, run.reservation, self._clock)
        report = Report(run, run.jid, first_step(case, outcome, self._interrupted))
        self._open[report] = None
        if report.step.rides:
            self._fresh.append(report)
            if self.fetch_leaves():
                return  # it takes it along, or says that it does not
        else:
            self._again.append(report)
        self._news.set()

    async def run(self) -> None:
        """Deliver for ever.

        Raises:
            AuthenticationError: the server no longer takes the password.

        Cancelled, what is not delivered can be asked for by `undelivered`.
        """
        try:
            while True:
                await self._news.wait()
                self._news = anyio.Event()
                while self._fresh or self._again or self._timeless:
                    await self._deliver(await self._line.connection())
        finally:
            self._over = True
            self._say_settled()
            await self._line.hang_up()

    async def settled(self) -> None:
        """Return when every outcome has come to its end, or nobody delivers any more."""
        while self._open and not self._over:
            if self._settled is None:
                self._settled = anyio.Event()
            await self._settled.wait()

    def _say_settled(self) -> None:
        if self._settled is not None:
            self._settled.set()
            self._settled = None

    def hurry(self) -> None:
        """Let what waits for its next try be tried soon, and again soon after."""
        self._line.hurry()
        self._news.set()  # in a pause it may wait for either

    def undelivered(self) -> tuple[str, ...]:
        """Return the jids whose outcome the server was not told, or did not confirm."""
        return tuple(report.jid for report in self._open)

    # -- in front of a FETCH ------------------------------------------------------------------

    def board(self, now: Moment) -> Sequence[Command[Any]]:
        """Return the first reports of runs, to go in front of the FETCH that leaves now."""
        if not self._fresh:
            return ()
        packet = _Packet(now)
        while self._fresh and len(packet.commands) < _MOST:
            report = self._fresh.popleft()
            if (command := self._command(report, now)) is not None:
                packet.add(command, report)
        self._tell_of_rest()
        if packet.commands:
            self._riding[id(packet.commands)] = packet
        return packet.commands

    def land(
        self,
        commands: Sequence[Command[Any]],
        replies: Sequence[Reply],
        error: FaktoryError | None,
    ) -> None:
        """Take the replies; what has none goes on by the line, as far as it may be repeated."""
        packet = self._riding.pop(id(commands))
        self._take(packet, replies)
        # Cut by the worker's end, without an error, they may be executed too.
        if self._return(packet, executed=error is None or error.maybe_executed):
            self._tell_of_rest()

    def missed(self) -> None:
        """Send by the line what counted on a FETCH that does not leave."""
        self._tell_of_rest()

    def _tell_of_rest(self) -> None:
        if self._fresh or self._again or self._timeless:
            self._news.set()

    # -- one packet ---------------------------------------------------------------------------

    async def _deliver(self, connection: Connection) -> None:
        if self._news.is_set():
            self._news = anyio.Event()
        packet = self._pack()
        if not packet.commands:
            return
        try:
            ticket = connection.post(packet.commands, timeout=_PATIENCE, renewed=True)
        except FaktoryError as error:
            self._return(packet, executed=error.maybe_executed)
            await self._line.broke(error)
            return
        try:
            if connection.unposted:
                await connection.hand_over(ticket, shield=False)
            await connection.receive(ticket)
        except FaktoryError as error:
            self._take(packet, ticket.replies)
            self._return(packet, executed=error.maybe_executed)
            await self._line.broke(error)
            return
        again = self._take(packet, ticket.replies)
        self._return(packet, executed=False)
        if again:
            await self._line.pause(self._news)  # what is new does not wait for what is repeated
        else:
            self._line.worked()

    def _pack(self) -> _Packet:
        """Take what is to go now."""
        packet = _Packet(self._now())
        kill: tuple[Command[Any], Report] | None = None
        later: list[Report] = []
        while (self._again or self._fresh) and len(packet.commands) < _MOST:
            report = (self._again or self._fresh).popleft()
            if report.kills and kill is not None:
                later.append(report)
            elif (command := self._command(report, packet.sent_at)) is None:
                continue
            elif report.kills:
                kill = command, report
            else:
                packet.add(command, report)
        self._again.extendleft(reversed(later))
        if kill is not None:
            packet.add(*kill)  # one at a time, and behind what is quick
        if self._timeless:
            packet.add(Info(), None)
        return packet

    def _command(self, report: Report, now: Moment) -> Command[Any] | None:
        """Return what a report sends now; None where it has ended, or waits for the time."""
        command = report.next(now)
        if isinstance(command, End):
            self._finish(report, command)
            return None
        if command is None:
            self._timeless.append(report)
        return command

    def _take(self, packet: _Packet, replies: Sequence[Reply]) -> bool:
        """Take the replies that are new; return whether anything must be sent once more."""
        first, packet.taken = packet.taken, len(replies)
        now = self._now()
        again = False
        for number in range(first, len(replies)):
            report = packet.reports[number]
            answer = _meaning(packet.commands[number], replies[number])
            if report is None:
                again |= not self._told_time(answer, packet.sent_at)
                continue
            result = report.answered(answer, now)
            if isinstance(result, End):
                self._finish(report, result)
            else:
                again |= result
                packet.onward.append(report)
        return again

    def _told_time(self, answer: ServerInfo | FaktoryError, asked_at: Moment) -> bool:
        if isinstance(answer, UnavailableError | ServerBusyError | ProtocolError):
            return False
        # A server that knows no INFO leaves us our own clock.
        self._clock.set(answer.now if isinstance(answer, ServerInfo) else None, asked_at)
        self._again.extend(self._timeless)
        self._timeless.clear()
        return True

    def _return(self, packet: _Packet, *, executed: bool) -> bool:
        """Take back, in its order, what goes on, and what was not answered and never will be.

        Returns:
            Whether there is any.
        """
        if packet.taken == len(packet.commands) and not packet.onward:
            return False  # as nearly always
        rest = [report for report in packet.reports[packet.taken :] if report is not None]
        if executed:
            for report in rest:
                report.unanswered(packet.sent_at)
        self._again.extendleft(reversed(packet.onward + rest))
        return True

    def _finish(self, report: Report, end: End) -> None:
        verdict = end.verdict
        setattr(self.counts, verdict, getattr(self.counts, verdict) + 1)
        level = _LEVELS[verdict]
        if end.why:
            text, level = f": {end.why}", max(level, logging.INFO)
        else:
            text = ""
        if _log.isEnabledFor(level):
            known = {"event": "job_reported"}
            _log.log(level, "%s: %s%s", report.name, verdict, text, extra=known)
        del self._open[report]
        if not self._open:
            self._say_settled()


def _meaning(command: Command[Any], reply: Reply) -> Any:
    try:
        return command.decode(reply)
    except FaktoryError as error:
        return error


def _never() -> bool:
    return False
