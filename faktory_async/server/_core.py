"""What a server consists of besides its sockets. All of it lives on the server's own thread."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from faktory_async.net import Link
from faktory_async.server._answers import Answers
from faktory_async.server._broker import Broker
from faktory_async.server._buttons import check_wid
from faktory_async.server._clock import FOREVER, ServerClock
from faktory_async.server._connection import Connection
from faktory_async.server._conversation import Conversation
from faktory_async.server._faults import Armed, Run
from faktory_async.server._gotime import NANOSECONDS
from faktory_async.server._host import Host
from faktory_async.server._listener import Listener
from faktory_async.server._snapshots import Backlog, backlog
from faktory_async.server._time_travel import travel

_log: Final = logging.getLogger("faktory_async.server")


class Core:
    """The state, the clock, the conversations with clients, and the faults that hold.

    Args:
        run: Runs a function on the server's thread.
        handshake_wait: Seconds that a client has for its HELLO.
        max_line: The longest command accepted, in bytes.

    Attributes:
        conversations: Who is connected.
        listener: Where clients come from; None while the server is not open.
        down: How many faults keep the server from running.
        refusing: How many keep it from taking clients.
        fetch_wait: Seconds that a FETCH waits for a job.
        watchers: What to call when nothing is left to do.
    """

    def __init__(
        self,
        broker: Broker,
        answers: Answers,
        clock: ServerClock,
        run: Run,
        *,
        fetch_wait: float,
        handshake_wait: float,
        max_line: int,
    ) -> None:
        self.broker: Final = broker
        self.answers: Final = answers
        self.clock: Final = clock
        self.armed: Final = Armed(run, clock.nudge)
        self.conversations: Final[dict[Connection, Conversation]] = {}
        self.listener: Listener | None = None
        self.down = 0
        self.refusing = 0
        self.fetch_wait = fetch_wait
        self.watchers: Final[list[Callable[[], object]]] = []
        self._handshake_wait = handshake_wait
        self._max_line = max_line

    # -- clients ------------------------------------------------------------------------------

    def serve(self, tasks: Host, link: Link) -> None:
        """Talk with a client in a task of its own."""
        conversation = Conversation(
            link, self, max_line=self._max_line, handshake_wait=self._handshake_wait
        )
        self.conversations[conversation.connection] = conversation
        tasks.start_soon(partial(self._talk, conversation))

    async def _talk(self, conversation: Conversation) -> None:
        try:
            await conversation.run()
        finally:
            del self.conversations[conversation.connection]
            if not self.conversations:
                self.clock.nudge()
            self.look()

    async def wait_until_deserted(self) -> None:
        """Wait for the end of the last conversation."""
        await self.clock.wait_until(FOREVER, unless=lambda: not self.conversations)

    def cut(self, connections: list[Connection]) -> None:
        """End connections from outside."""
        for connection in connections:
            conversation = self.conversations.get(connection)
            if conversation is not None:
                conversation.hang_up()

    def evict(self, wid: str) -> None:
        """Drop a worker, or all, and cut their connections."""
        check_wid(self.broker, wid)
        self.cut(self.broker.workers.evict(wid))

    def unread(self) -> int:
        """Return on how many connections something came that is not answered yet."""
        callers = self.listener is not None and self.listener.has_callers()
        return callers + sum(each.has_unread for each in self.conversations.values())

    def backlog(self) -> Backlog:
        """Return what there is to do still."""
        return backlog(self.broker, self.unread())

    def when_idle(self, tell: Callable[[], object]) -> None:
        """Call something once when there is nothing to do, which may be now."""
        self.watchers.append(tell)
        self.look()

    def look(self) -> None:
        """Tell who wants to know it if nothing is left to do."""
        if self.watchers and self.backlog().is_empty:
            watchers = list(self.watchers)
            self.watchers.clear()
            for tell in watchers:
                tell()

    # -- time ---------------------------------------------------------------------------------

    async def keep_time(self) -> None:
        """Do what the scheduler has to do, at its ticks."""
        while True:
            await self.clock.wait_until(self.broker.next_tick())
            if self.down:
                await self.clock.wait_until(FOREVER, unless=lambda: not self.down)
            else:
                self.catch_up()

    def catch_up(self) -> None:
        """Do what the scheduler has to do until now."""
        try:
            self.cut(self.broker.run_due())
            self.look()
        except Exception:  # noqa: BLE001 - whatever it is, the server goes on
            _log.exception("the embedded server failed at its scheduler's work")

    def advance(self, nanoseconds: int, *, expire_reservations: bool) -> None:
        """Set the clock forward, see `travel`, and let everybody notice who waits for it."""
        if self.down:
            self.clock.move(nanoseconds)
        else:
            move = self.clock.move
            keep = {"expire_reservations": expire_reservations}
            self.cut(travel(self.broker, move, nanoseconds, **keep))
            self.end_fetches()
        self.clock.nudge()
        self.look()

    def set_fetch_wait(self, seconds: float) -> None:
        """Let FETCHes wait for so long, those that wait already too if that is over."""
        self.fetch_wait = seconds
        self.end_fetches()

    def end_fetches(self) -> None:
        """Answer the FETCHes that have waited for long enough by the server's clock."""
        latest = self.clock() - round(self.fetch_wait * NANOSECONDS)
        for waiting in self.broker.waiting():
            if waiting.since <= latest:
                waiting.expire()

    # -- its end and its return ---------------------------------------------------------------

    def refuse(self) -> None:
        """Take no more clients."""
        self.refusing += 1
        if self.refusing == 1 and self.listener is not None:
            self.listener.refuse()

    def resume(self) -> None:
        """Take clients again, unless another fault forbids it."""
        self.refusing -= 1
        if self.refusing == 0 and self.listener is not None:
            self.listener.resume()

    def die(self) -> None:
        """Stop at once, as a process that is killed: whoever is connected sees the end."""
        self.refuse()
        self.down += 1
        waiting = self.broker.waiting()
        self.cut(list(self.conversations))
        for fetch in waiting:
            fetch.expire()

    def revive(self, *, keep_state: bool) -> None:
        """Start again, with what is in the store or without."""
        self.down -= 1
        self.answers.commands = 0
        self.broker.restart(keep_state=keep_state)
        self.resume()
        self.clock.nudge()
