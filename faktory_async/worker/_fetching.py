"""FETCH with a free slot in hand, and never give one up that is in flight.

A FETCH that is cancelled goes on in the server, which would reserve a job for nobody. So whatever a
fetcher waits for besides it may be cut short, the FETCH itself is awaited.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Final

import anyio

from faktory_async.errors import FaktoryError, InvalidJobError, ServerError
from faktory_async.model import Envelope
from faktory_async.net import Connection
from faktory_async.protocol import Fetch
from faktory_async.worker._lifecycle import Phase
from faktory_async.worker._line import Line
from faktory_async.worker._phases import Phases
from faktory_async.worker._reservation import Moment
from faktory_async.worker._run import Run, present

_log: Final = logging.getLogger("faktory_async.worker")

# An empty FETCH answers after 2.1 s, one in a stalled server after up to 12 s.
_PATIENCE: Final = 15.0


class Fetcher:
    """One loop of FETCHes on one line.

    Args:
        line: The connection, which says HELLO with the worker's wid.
        queues: Where to look, in this order.
        slots: One for every job that may be worked at the same time.
        phases: When to stop.

    Attributes:
        fetching: Whether a FETCH is unanswered.
    """

    def __init__(
        self,
        line: Line,
        queues: Sequence[str],
        slots: anyio.Semaphore,
        phases: Phases,
    ) -> None:
        self.fetching = False
        self._line = line
        self._command = Fetch(tuple(queues))
        self._slots = slots
        self._phases = phases

    async def run(self, start: Callable[[Run], None]) -> None:
        """Fetch until the worker is quiet, then say goodbye.

        Args:
            start: Takes over a run, and with it the slot.

        Raises:
            AuthenticationError: the server no longer takes the password.
        """
        try:
            while self._phases.lifecycle.phase is Phase.RUNNING:
                await self._round(start)
        finally:
            await self._line.hang_up()

    async def _round(self, start: Callable[[Run], None]) -> None:
        connection = self._at_hand() or await self._get_ready()
        if connection is None:
            return
        run: Run | None = None
        try:
            if self._phases.lifecycle.phase is Phase.RUNNING:
                run = await self._fetch(connection)
        finally:
            if run is None:
                self._slots.release()
        if run is not None:
            start(run)

    def _at_hand(self) -> Connection | None:
        """Take a slot if there is nothing to wait for: by far the most frequent case."""
        connection = self._line.at_hand
        if connection is not None:
            try:
                self._slots.acquire_nowait()
            except anyio.WouldBlock:
                return None
        return connection

    async def _get_ready(self) -> Connection | None:
        """Take a slot as soon as there are one and a connection; None once the worker is quiet."""
        connection: Connection | None = None
        with self._phases.before(Phase.QUIET):
            await self._slots.acquire()
            try:
                connection = await self._line.connection()
            finally:
                if connection is None:
                    self._slots.release()
        return connection

    async def _fetch(self, connection: Connection) -> Run | None:
        sent_at = present()
        self.fetching = True
        try:
            ticket = connection.post([self._command], timeout=_PATIENCE, renewed=True)
            if connection.unposted:
                await connection.hand_over(ticket, shield=True)
            await connection.receive(ticket)
            data = self._command.decode(ticket.replies[0])
        except ServerError as error:
            # In a stall the server may have lost a job by this; it does not say which.
            _log.warning("a FETCH was answered by an error: %s", error)
            with self._phases.before(Phase.QUIET):
                await self._line.pause()
            return None
        except FaktoryError as error:
            with self._phases.before(Phase.QUIET):
                await self._line.broke(error)
            return None
        finally:
            self.fetching = False
        self._line.worked()
        return None if data is None else _run(data, sent_at)


def _run(data: bytes, sent_at: Moment) -> Run | None:
    try:
        envelope = Envelope.decode(data)
    except InvalidJobError as error:
        problem = str(error)
    else:
        if envelope.jid:
            return Run(envelope, sent_at)
        problem = "it is a JSON document without a jid"
    # Without a jid nothing can be reported: the server retries it after its reservation.
    _log.error("a fetched job cannot be read and has no jid to report it by: %s", problem)
    return None
