"""The pool against every order of events that hypothesis can think of."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from faktory_async.errors import ConnectError, PoolTimeoutError
from faktory_async.net import Connection, Pool, memory_links
from tests.net._faktory import HI, Echo, Server
from tests.net._loops import JumpingLoop

MAX: Final = 3
TIMEOUT: Final = 5.0
INDEX = st.integers(0, 1_000)


class Lease:
    """One task and what it got."""

    def __init__(self, task: asyncio.Task[None]) -> None:
        self.task = task
        self.connection: Connection | None = None
        self.enough = asyncio.Event()


class PoolMachine(RuleBasedStateMachine):
    """Leases, returns, deaths, refused dials, cancellations and time, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = JumpingLoop()
        self.servers: dict[Connection, Server] = {}
        self.leases: list[Lease] = []
        self.arrivals: list[Lease] = []
        self.dialling: list[asyncio.Future[bool]] = []
        self.pool = Pool(self.connect, max_connections=MAX, timeout=TIMEOUT)

    # -- the world ------------------------------------------------------------------------------

    async def connect(self) -> Connection:
        answer: asyncio.Future[bool] = self.loop.create_future()
        self.dialling.append(answer)
        try:
            listens = await answer
        finally:
            self.dialling.remove(answer)
        if not listens:
            raise ConnectError("nobody listens")
        ours, theirs = memory_links()
        server = Server(theirs)
        await theirs.send(HI)
        accept = asyncio.create_task(server.line())
        accept.add_done_callback(lambda _: theirs._outgoing.data.extend(b"+OK\r\n"))
        accept.add_done_callback(lambda _: theirs._outgoing.changed())
        connection = await Connection.open(ours)
        self.servers[connection] = server
        return connection

    async def use(self, lease: Lease) -> None:
        lending: AbstractAsyncContextManager[Connection] = self.pool.lease()
        try:
            async with lending as connection:
                assert connection.usable
                lease.connection = connection
                await lease.enough.wait()
        except (ConnectError, PoolTimeoutError):
            return

    def run(self, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Do something in the loop and let everything come to rest, without time passing."""

        async def settle() -> None:
            await work()
            for _ in range(100):
                await asyncio.sleep(0)

        self.loop.run_until_complete(settle())
        self.leases = [lease for lease in self.leases if not lease.task.done()]

    def holding(self) -> list[Lease]:
        return [lease for lease in self.leases if lease.connection is not None]

    def waiting(self) -> list[Lease]:
        return [lease for lease in self.leases if lease.connection is None]

    # -- what may happen ----------------------------------------------------------------------

    @rule()
    def lease(self) -> None:
        async def begin() -> None:
            ready = asyncio.Event()
            holder: list[Lease] = []

            async def run() -> None:
                await ready.wait()
                await self.use(holder[0])

            holder.append(Lease(asyncio.create_task(run())))
            self.leases.append(holder[0])
            ready.set()

        self.run(begin)

    @precondition(lambda self: self.dialling)
    @rule(which=INDEX, listens=st.booleans())
    def answer_a_dial(self, which: int, *, listens: bool) -> None:
        async def answer() -> None:
            self.dialling[which % len(self.dialling)].set_result(listens)

        self.run(answer)

    @precondition(lambda self: self.holding())
    @rule(which=INDEX, busy=st.booleans())
    def give_back(self, which: int, *, busy: bool) -> None:
        async def give() -> None:
            lease = self.holding()[which % len(self.holding())]
            if busy and lease.connection is not None and lease.connection.usable:
                await lease.connection.send([Echo("whose reply nobody awaits")])
            lease.enough.set()

        self.run(give)

    @precondition(lambda self: self.leases)
    @rule(which=INDEX, and_give_back=st.booleans(), other=INDEX)
    def cancel(self, which: int, other: int, *, and_give_back: bool) -> None:
        """A cancellation, or one that comes together with a connection for the one cancelled."""

        async def strike() -> None:
            victim = self.leases[which % len(self.leases)]
            holding = [lease for lease in self.holding() if lease is not victim]
            if and_give_back and holding:
                holding[other % len(holding)].enough.set()
                await asyncio.sleep(0)
            victim.task.cancel()

        self.run(strike)

    @precondition(lambda self: self.servers)
    @rule(which=INDEX)
    def a_connection_dies(self, which: int) -> None:
        async def die() -> None:
            servers = list(self.servers.values())
            await servers[which % len(servers)].link.aclose()

        self.run(die)

    @rule(seconds=st.sampled_from([0.1, 2.0, TIMEOUT]))
    def time_passes(self, seconds: float) -> None:
        self.run(lambda: asyncio.sleep(seconds))

    # -- what must hold -----------------------------------------------------------------------

    @invariant()
    def never_too_many(self) -> None:
        alive = [connection for connection in self.servers if not connection.closed]
        assert len(alive) + len(self.dialling) <= MAX

    @invariant()
    def every_slot_is_somewhere(self) -> None:
        places = len(self.holding()) + len(self.pool._idle) + len(self.dialling)
        assert self.pool.slots == places

    @invariant()
    def nothing_is_lent_twice(self) -> None:
        lent = [lease.connection for lease in self.holding()]
        assert len({*lent, *(connection for connection, _ in self.pool._idle)}) == len(lent) + len(
            self.pool._idle
        )

    @invariant()
    def no_idle_connection_owes_a_reply(self) -> None:
        assert all(connection.idle for connection, _ in self.pool._idle)

    @invariant()
    def nobody_waits_for_nothing(self) -> None:
        waiting = len(self.waiting()) - len(self.dialling)
        assert waiting == len(self.pool._waiters)
        if waiting:
            assert self.pool.slots == MAX
            assert not self.pool._idle

    def teardown(self) -> None:
        async def end() -> None:
            for lease in self.leases:
                lease.task.cancel()
            await asyncio.sleep(0)
            await self.pool.aclose()

        self.run(end)
        assert not self.leases
        assert self.pool.slots == 0
        assert all(connection.closed for connection in self.servers)
        self.loop.close()


TestPoolStates = PoolMachine.TestCase
TestPoolStates.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
