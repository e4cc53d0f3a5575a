"""Tell the server how each run ended: pipelined, on a line of its own, and never twice wrongly.

The line says HELLO without a wid, so that an eviction of the worker cannot close it.
"""

import logging
from collections import deque
from typing import Any, Final

import anyio
from msgspec import Struct

from faktory_async.errors import FaktoryError, ProtocolError, ServerBusyError, UnavailableError
from faktory_async.net import Connection
from faktory_async.protocol import Ack as AckCommand
from faktory_async.protocol import Command, Ticket
from faktory_async.protocol import Fail as FailCommand
from faktory_async.worker._line import Line
from faktory_async.worker._outcome import Ack, Outcome
from faktory_async.worker._reservation import Moment
from faktory_async.worker._run import Run, present

_log: Final = logging.getLogger("faktory_async.worker")

# In a stall the server answers one command per 5 s and connection.
_PATIENCE: Final = 15.0
# The earliest that a failed job can run again is 15 s after its FAIL: until well before that a
# repeated FAIL cannot hit a later run.
_REPEAT_FAIL: Final = 10.0
_MOST: Final = 1_000  # reports in one packet
# Errors that may be others, or none, at the next try.
_PASSING: Final = (UnavailableError, ServerBusyError, ProtocolError)


class Counts(Struct):
    """How the reports of a worker ended.

    Attributes:
        acked: Jobs that are done.
        failed: Jobs that failed, and the server knows.
        unknown: Reports of which nobody can say whether the server took them.
    """

    acked: int = 0
    failed: int = 0
    unknown: int = 0


class _Report:
    """An outcome on its way."""

    def __init__(self, run: Run, outcome: Outcome) -> None:
        self.run = run
        self.done = isinstance(outcome, Ack)
        self.command: Command[None] = (
            AckCommand(run.jid)
            if isinstance(outcome, Ack)
            else FailCommand(run.jid, outcome.errtype, outcome.message, outcome.backtrace)
        )
        self.written_at: Moment | None = None

    def may_go(self, now: Moment) -> bool:
        """Whether sending it, perhaps once more, can do no harm to a later run of the job."""
        if self.run.reservation.left(now) <= 0:
            return False
        if self.done or self.written_at is None:
            return True
        return now.since(self.written_at) < _REPEAT_FAIL


class Reports:
    """Takes outcomes and delivers them in the order they come.

    Args:
        line: The connection to deliver on.

    Attributes:
        counts: How they ended.
    """

    def __init__(self, line: Line) -> None:
        self.counts = Counts()
        self._line = line
        self._waiting: deque[_Report] = deque()
        self._under_way: list[_Report] = []
        self._news = anyio.Event()
        self._settled = anyio.Event()
        self._over = False

    def add(self, run: Run, outcome: Outcome) -> None:
        """Take the outcome of a run; the first one counts."""
        if run.reported:
            return
        run.reported = True
        self._waiting.append(_Report(run, outcome))
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
                while self._waiting:
                    await self._deliver()
                self._settled.set()
                self._settled = anyio.Event()
        finally:
            self._over = True
            self._settled.set()
            await self._line.hang_up()

    async def settled(self) -> None:
        """Return when nothing is waiting or under way, or nobody delivers any more."""
        while (self._waiting or self._under_way) and not self._over:
            await self._settled.wait()

    def hurry(self) -> None:
        """Let what waits for its next try be tried soon, and again soon after."""
        self._line.hurry()

    def undelivered(self) -> tuple[str, ...]:
        """Return the jids whose outcome the server was not told, or did not confirm."""
        return tuple(report.run.jid for report in (*self._under_way, *self._waiting))

    # -- one packet ---------------------------------------------------------------------------

    async def _deliver(self) -> None:
        connection = await self._line.connection()
        now = present()
        while self._waiting and len(self._under_way) < _MOST:
            report = self._waiting.popleft()
            if report.may_go(now):
                self._under_way.append(report)
            else:
                self._give_up(report)
        if self._under_way:
            await self._exchange(connection)

    async def _exchange(self, connection: Connection) -> None:
        commands = [report.command for report in self._under_way]
        sent_at = present()
        try:
            ticket = await connection.send(commands, timeout=_PATIENCE, renewed=True)
        except FaktoryError as error:
            self._return([], written_at=sent_at if error.maybe_executed else None)
            await self._line.broke(error)
            return
        try:
            await connection.receive(ticket)
        except FaktoryError as error:
            self._return(self._replies(ticket), written_at=sent_at)
            await self._line.broke(error)
            return
        if self._return(self._replies(ticket), written_at=sent_at):
            self._line.worked()
        else:
            await self._line.pause()

    def _replies(self, ticket: Ticket) -> list[FaktoryError | None]:
        return [
            _error_of(command, reply)
            for command, reply in zip(ticket.commands, ticket.replies, strict=False)
        ]

    def _return(self, answers: list[FaktoryError | None], *, written_at: Moment | None) -> bool:
        """Settle what was answered; put the rest back in front, in its order: True if none."""
        reports, self._under_way = self._under_way, []
        again = [
            report
            for report, answer in zip(reports, answers, strict=False)
            if not self._settle(report, answer)
        ]
        for report in reports[len(answers) :]:
            # From its first write on, not from when it was given up: the server may have
            # executed it at once.
            if report.written_at is None:
                report.written_at = written_at
            again.append(report)
        self._waiting.extendleft(reversed(again))
        return not again

    def _settle(self, report: _Report, answer: FaktoryError | None) -> bool:
        """Take the server's answer to one report; False means that it must be sent again."""
        if answer is None:
            if report.done:
                self.counts.acked += 1
            else:
                self.counts.failed += 1
        elif isinstance(answer, _PASSING) and (report.done or not answer.maybe_executed):
            # Certainly not executed, by a server that shuts down; or an ACK, which harms nobody
            # when it is repeated.
            return False
        else:
            # `Job not found` says nothing about how the job ended; any other error of a FAIL may
            # come from a server that has lost the job already; and what the server does not
            # understand today, it will not understand tomorrow.
            self.counts.unknown += 1
            _log.error("how %s ended may not be recorded: %s", report.run, answer)
        return True

    def _give_up(self, report: _Report) -> None:
        self.counts.unknown += 1
        _log.error(
            "the server could not be told in time how %s ended: it may run again", report.run
        )


def _error_of(command: Command[Any], reply: Any) -> FaktoryError | None:
    try:
        command.decode(reply)
    except FaktoryError as error:
        return error
    return None
