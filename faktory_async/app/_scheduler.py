"""Push the ticks of cron jobs, ahead of time, on a server that knows nothing of cron.

Any number of processes may do so at once. Each tick is one job whose bytes do not depend on who
pushes it, scheduled for its time: as long as it is in the server's scheduled set, pushing it again
changes nothing (Faktory 1.10). Once its time has come the same bytes would be a second job, so no
tick is pushed that is less than `MARGIN` away by the server's clock.
"""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import anyio

from faktory_async.app._schedule import Schedule, Tick
from faktory_async.errors import AuthenticationError, FaktoryError, UsageError
from faktory_async.net import Connection, Connector
from faktory_async.protocol import Info, PushBulk
from faktory_async.worker import Backoff, Moment, ServerClock, present

_log: Final = logging.getLogger("faktory_async.cron")

HORIZON: Final = 120.0
"""Seconds ahead that ticks are pushed: for so long a server has them without any of us."""
MARGIN: Final = 15.0
"""Seconds that a tick has at least, by the server's clock, when it is pushed."""
_LONGEST: Final = 30.0  # seconds between two looks at the clock
_JUMP: Final = 2.0  # seconds that two of our own clocks may differ before the server is asked again
_PATIENCE: Final = 7.0  # seconds for an answer; a stalled server takes 5
_MOST: Final = 500  # ticks in a frame


class Scheduler:
    """Pushes what an app's timetable says.

    Args:
        schedule: The timetable.
        connect: Makes connections.

    Raises:
        UsageError: the timetable is empty.
    """

    def __init__(self, schedule: Schedule, connect: Connector) -> None:
        if not schedule:
            raise UsageError("the app has no cron job: write `@app.cron(...)` above one")
        self._schedule = schedule
        self._connect = connect
        self._clock = ServerClock()
        self._told_at: Moment | None = None
        self._pushed: dict[str, datetime] = {}
        self._backoff = Backoff()
        self._away = False

    async def run(self) -> None:
        """Push ticks for ever.

        A server that is away is waited for, with a line in the log for its going and its return.

        Raises:
            AuthenticationError: the server does not take the password.

        Cancelled, it ends at once; what was on its way may have been pushed.
        """
        _log.debug("%d lines of cron", len(self._schedule))
        while True:
            try:
                wait = await self.step()
            except AuthenticationError:
                raise
            except (FaktoryError, OSError) as error:
                wait = self._trouble(error)
            else:
                self._fine()
            await anyio.sleep(wait)

    async def step(self) -> float:
        """Push what is to be pushed now, and return after how many seconds to look again.

        Raises:
            FaktoryError: what was sent may have been pushed or not; it is sent again next time.
        """
        unknown = self._is_to_ask()
        if unknown or self._wanted():
            # First the connection, which may take its time, then a look at the clock.
            connection = await self._connect()
            try:
                if unknown:
                    await self._ask(connection)
                await self._push(connection)
            finally:
                await connection.aclose()
        return self._until_next()

    # -- the server ---------------------------------------------------------------------------

    def _is_to_ask(self) -> bool:
        """Whether the server's time is not known, or one of our clocks was set since."""
        if self._told_at is None:
            return True
        now = present()
        passed = now.monotonic - self._told_at.monotonic, now.wall - self._told_at.wall
        return abs(passed[0] - passed[1]) > _JUMP

    async def _ask(self, connection: Connection) -> None:
        asked_at = present()
        info = await connection.execute(Info(), timeout=_PATIENCE)
        self._clock.set(info.now, asked_at)
        self._told_at = asked_at

    async def _push(self, connection: Connection) -> None:
        while ticks := self._wanted()[:_MOST]:
            errors = await connection.execute(
                PushBulk([tick.data for tick in ticks]), timeout=_PATIENCE
            )
            self._note(ticks, errors)

    def _note(self, ticks: Sequence[Tick], errors: dict[str, FaktoryError]) -> None:
        for tick in ticks:
            error = errors.get(tick.jid)
            if error is not None and error.maybe_executed:
                raise error
            self._pushed[tick.jid] = tick.at
            if error is not None:
                _log.error("%s of %s was refused: %s", tick.jobtype, tick.at.isoformat(), error)
            else:
                _log.debug("%s is pushed for %s", tick.jobtype, tick.at.isoformat())

    # -- time ---------------------------------------------------------------------------------

    def _wanted(self) -> list[Tick]:
        """Return the ticks that are far enough away, not too far, and not pushed yet."""
        now = self._now()
        self._pushed = {jid: at for jid, at in self._pushed.items() if at.timestamp() > now}
        ticks = self._schedule.between(_utc(now + MARGIN), _utc(now + HORIZON))
        return [tick for tick in ticks if tick.jid not in self._pushed]

    def _until_next(self) -> float:
        now = self._now()
        following = self._schedule.next_after(_utc(now + HORIZON))
        if following is None:
            return _LONGEST
        return min(max(following.timestamp() - HORIZON - now, 0.01), _LONGEST)

    def _now(self) -> float:
        return self._clock.now(present())

    # -- trouble ------------------------------------------------------------------------------

    def _trouble(self, error: Exception) -> float:
        if not self._away:
            self._away = True
            _log.warning("the ticks of cron jobs cannot be pushed: %s", error)
        return self._backoff.wait()

    def _fine(self) -> None:
        self._backoff.reset()
        if self._away:
            self._away = False
            _log.warning("the ticks of cron jobs are pushed again")


def _utc(unix: float) -> datetime:
    return datetime.fromtimestamp(unix, UTC)
