"""A client, the server it talks to, and pushes whose outcomes are noted."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, Final

import anyio
import anyio.lowlevel
import pytest

from faktory_async import (
    Client,
    FaktoryError,
    Job,
    Limits,
)
from faktory_async.net import Link
from tests.client._bringing import BringingLink
from tests.worker.peer import Line, Peer, bulk, error, jobs_of, peering

DONE: Final = bulk(b"{}")
bringing: Final = ContextVar("bringing", default=False)
"""Whether links bring what arrives by a call, or somebody has to read it."""
ONE: Final = Limits(max_connections=1)
TOO_MANY: Final = error("too many connections: 2001")
BAD: Final = error("invalid JSON: what is this")


class Store:
    """The answer of a server that keeps what it is given.

    Attributes:
        stored: How often each job is there, by its first argument.
        bad: A frame with one of these is refused as a whole.
    """

    def __init__(self) -> None:
        self.stored: Counter[Any] = Counter()
        self.bad: set[Any] = set()
        self.frames: list[list[Any]] = []

    async def __call__(self, line: Line) -> bytes:
        numbers = [job["args"][0] for job in jobs_of(line)]
        self.frames.append(numbers)
        if self.bad.intersection(numbers):
            return BAD
        self.stored.update(numbers)
        return DONE


async def quiet() -> None:
    """Let everybody go on as far as they can, without the time going on."""
    for _ in range(200):
        await anyio.lowlevel.checkpoint()


class Dialler:
    """The way to the peer, on which a test can hold dials up.

    Args:
        readers: Where links are read that bring what arrives; None for links that do not.

    Attributes:
        began: How many dials there were.
        gates: The first dials wait until theirs is opened.
        failing: The dials that fail then.
        error: How they fail.
    """

    def __init__(self, peer: Peer, gates: int, readers: anyio.abc.TaskGroup | None) -> None:
        self._peer = peer
        self._readers = readers
        self.began = 0
        self.gates = [anyio.Event() for _ in range(gates)]
        self.failing: set[int] = set()
        self.error: Exception = ConnectionRefusedError("not now")

    async def __call__(self) -> Link:
        number = self.began
        self.began += 1
        if number < len(self.gates):
            await self.gates[number].wait()
        if number in self.failing:
            raise self.error
        link = await self._peer.dial()
        return link if self._readers is None else BringingLink(link, self._readers)

    async def open(self, number: int, *, failing: bool = False) -> None:
        if failing:
            self.failing.add(number)
        self.gates[number].set()
        await quiet()


class Setting:
    """A client, the server it talks to, and pushes that run by themselves.

    Attributes:
        outcomes: What became of each push, by its number: None, an error, or a word.
        ended_at: When that was.
    """

    def __init__(
        self, peer: Peer, dialler: Dialler, client: Client, group: anyio.abc.TaskGroup
    ) -> None:
        self.peer = peer
        self.dialler = dialler
        self.client = client
        self.store = Store()
        self.outcomes: dict[int, FaktoryError | str | None] = {}
        self.ended_at: dict[int, float] = {}
        self._group = group
        self._began = anyio.current_time()
        self._scopes: dict[int, anyio.CancelScope] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        peer.always("PUSHB", self.store)

    async def start(
        self, *numbers: int, jid: str | None = None, size: int = 0, within: float | None = None
    ) -> None:
        """Start pushes one after the other, and return when all of them wait for something."""
        for number in numbers:
            self._group.start_soon(self._push, number, jid, size, within)
            await anyio.lowlevel.checkpoint()  # trio starts tasks in any order
        await quiet()

    async def _push(self, number: int, jid: str | None, size: int, within: float | None) -> None:
        args = [number, "x" * size]
        job = Job("order", args) if jid is None else Job("order", args, jid=jid)
        if isinstance(_loop(), asyncio.AbstractEventLoop):
            task = asyncio.current_task()
            assert task is not None
            self._tasks[number] = task
        self.outcomes[number] = "under way"
        try:
            with anyio.CancelScope() as self._scopes[number]:
                await self.client.push(job, timeout=within)
                self.outcomes[number] = None
                return
            self.outcomes[number] = "cancelled"
        except FaktoryError as caught:
            self.outcomes[number] = caught
        except ZeroDivisionError:
            self.outcomes[number] = "a mistake"
        except asyncio.CancelledError:
            self.outcomes[number] = "cancelled"  # natively, and the task ends here
        finally:
            self.ended_at[number] = self.now

    async def cancel(self, *numbers: int, how: str = "scope") -> None:
        for number in numbers:
            if how == "scope":
                self._scopes[number].cancel()
            else:
                self._tasks[number].cancel()
        await quiet()

    def kinds(self, numbers: Iterable[int]) -> set[Any]:
        """What kinds of outcomes these pushes had."""
        outcomes = (self.outcomes[number] for number in numbers)
        return {type(each) if isinstance(each, FaktoryError) else each for each in outcomes}

    def failure(self, number: int) -> FaktoryError:
        outcome = self.outcomes[number]
        assert isinstance(outcome, FaktoryError)
        return outcome

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return anyio.current_time() - self._began

    @property
    def links(self) -> int:
        """How many links the client has not ended."""
        ends = (connection.link._incoming for connection in self.peer.connections)
        return sum(not end.broken and not end.ended for end in ends)

    def check_outcomes(self) -> None:
        """Nobody was told a lie."""
        for number, outcome in self.outcomes.items():
            count = self.store.stored[number]
            assert count <= 1, f"{number} is stored {count} times"
            if outcome is None:
                assert count == 1, f"{number} is not stored"
            elif isinstance(outcome, FaktoryError) and not outcome.maybe_executed:
                assert count == 0, f"{number} is stored in spite of {outcome!r}"

    def check_rest(self) -> None:
        """When nobody pushes any more, nothing is left of it."""
        pushes, pool = self.client._pushes, self.client._pool
        assert (
            pushes._traffic.callers
            == pushes._traffic.leading
            == len(pushes._dialling)
            == len(pushes._line)
            == 0
        )
        assert not pushes._line
        assert pushes._line.size == 0
        assert not pushes._line.lenient
        assert not pushes._frames
        assert pool.slots == len(pool._idle) == self.links
        assert all(connection.idle for connection, _ in pool._idle)


def _loop() -> object:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


@asynccontextmanager
async def setting(
    *, room: int = 1 << 22, gates: int = 0, worth: int | None = 24, **options: Any
) -> AsyncGenerator[Setting]:
    """Run a setting; at its end everything must be as if nobody had pushed.

    Args:
        room: How many bytes may be on their way to the peer.
        gates: How many dials are held up.
        worth: How many waiting jobs are worth a further connection; None for the client's own
            measure.
    """
    async with peering(room=room) as peer, anyio.create_task_group() as readers:
        dialler = Dialler(peer, gates, readers if bringing.get() else None)
        async with Client(dial=dialler, **options) as client, anyio.create_task_group() as group:
            it = Setting(peer, dialler, client, group)
            if worth is not None:
                client._pushes._traffic.each = worth
            yield it
            await client._pushes.settled()
            await quiet()
            it.check_outcomes()
            it.check_rest()
            await client.aclose()
            await quiet()
            assert it.links == 0


async def ignore(line: Line) -> bytes | None:
    await anyio.sleep_forever()
    return None


def after(seconds: float, answer: Callable[[Line], Awaitable[bytes | None]]) -> Any:
    async def late(line: Line) -> bytes | None:
        await anyio.sleep(seconds)
        return await answer(line)

    return late


def stop_reading(it: Setting, number: int) -> Callable[[], None]:
    """Let the peer read nothing more from a connection after its next command, until called."""
    link = it.peer.connections[number].link
    receive, goes_on = link.receive, anyio.Event()

    async def later() -> bytes:
        await goes_on.wait()
        return await receive()

    link.receive = later  # type: ignore[method-assign]
    return goes_on.set


async def stalled_leader(
    it: Setting, *others: int, within: float | None = None
) -> Callable[[], None]:
    """Let 1 lead a frame, with others, whose bytes do not leave until the return is called.

    Args:
        within: How much time 1 has.
    """
    gate = it.peer.hold("PUSHB", it.store)
    await it.start(0)
    go_on = stop_reading(it, 0)
    await it.start(1, size=200, within=within)
    await it.start(*others, size=200)
    gate.open()
    await quiet()
    assert it.client._pushes._frames
    return go_on


HOW: Final = ["scope", "task"]


def skip_native_on_trio(how: str, backend: tuple[str, Any]) -> None:
    if how == "task" and backend[0] == "trio":
        pytest.skip("only asyncio has cancellations of its own")
