"""Faults on demand: which ones hold, which commands they meet, and how users name them."""

from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import timedelta
from types import TracebackType
from typing import Final, Self, TypedDict, Unpack

from faktory_async.errors import ClientStateError, UsageError
from faktory_async.server._effects import (
    GARBAGE,
    GREETING,
    Cut,
    DeadlineExceeded,
    Effect,
    Garbage,
    Lateness,
    Refusal,
    Silence,
)

VERBS: Final = (
    "ACK",
    "BATCH",
    "BEAT",
    "END",
    "FAIL",
    "FETCH",
    "FLUSH",
    "INFO",
    "MUTATE",
    "PUSH",
    "PUSHB",
    "QUEUE",
    "TRACK",
)
_HANDSHAKE: Final = (GREETING, "HELLO")
Run = Callable[[Callable[[], None]], None]
_REDIS: Final = frozenset(VERBS) - {"BEAT", "END"}

On = str | Collection[str] | None


class Which(TypedDict, total=False):
    """By what the commands are chosen that a fault strikes, see `Faults`."""

    on: On
    wid: str | None
    times: int | None
    skip: int


class Fault:
    """A fault, which holds within its `with` block.

        with server.faults.error("ERR out of luck", on="PUSHB", times=1) as fault:
            ...
        assert fault.hits == 1

    Blocks may be nested in any way: where several faults meet one command, each does its part. It
    may be entered from any thread, and again after it was left.

    Attributes:
        hits: How often it has struck since it was entered.
    """

    def __init__(self, run: Run, begin: Callable[[], None], end: Callable[[], None]) -> None:
        self.hits = 0
        self._run = run
        self._begin = begin
        self._end = end
        self._holds = False

    @property
    def holds(self) -> bool:
        """Whether its block was entered and not left."""
        return self._holds

    def __enter__(self) -> Self:
        """Let it hold, for every command that comes from now on.

        Raises:
            UsageError: it holds already.
            ClientStateError: the server is not open.
        """
        if self._holds:
            raise UsageError("this fault holds already: make another one")
        self._run(self._start)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(ClientStateError):  # the server ended, and with it all its faults
            self._run(self._stop)
        self._holds = False

    def _start(self) -> None:
        self.hits = 0
        self._begin()
        self._holds = True

    def _stop(self) -> None:
        if self._holds:
            self._holds = False
            self._end()


class CommandFault(Fault):
    """A fault that meets commands.

    Args:
        effect: What it does to them.
        verbs: Which ones it meets.
        wid: Of which worker; None for anybody's.
        times: How often it strikes; None for every time.
        skip: How often it lets pass what it could strike before it does.
    """

    def __init__(
        self,
        armed: "Armed",
        effect: Effect,
        verbs: Collection[str],
        *,
        wid: str | None,
        times: int | None,
        skip: int,
    ) -> None:
        super().__init__(armed.run, lambda: armed.add(self), lambda: armed.remove(self))
        self.effect: Final = effect
        self._verbs = verbs
        self._wid = wid
        self._times = times
        self._skip = skip
        self._met = 0

    def strikes(self, verb: str, wid: str) -> bool:
        """Tell whether it strikes a command that came, and count it."""
        if verb not in self._verbs or (self._wid is not None and wid != self._wid):
            return False
        self._met += 1
        if self._met <= self._skip or (self._times is not None and self.hits >= self._times):
            return False
        self.hits += 1
        return True

    def _start(self) -> None:
        self._met = 0
        super()._start()


class Armed:
    """The faults that hold.

    Args:
        run: Runs a function on the server's thread.
        released: Called when one does not hold any more.

    Attributes:
        faults: Those that meet commands, in the order of their blocks.
    """

    def __init__(self, run: Run, released: Callable[[], None]) -> None:
        self.run: Final = run
        self._released = released
        self.faults: Final[list[CommandFault]] = []

    def add(self, fault: CommandFault) -> None:
        """Let a fault hold."""
        self.faults.append(fault)

    def remove(self, fault: CommandFault) -> None:
        """Let it not hold any more."""
        self.faults.remove(fault)
        self._released()

    def struck_by(self, verb: str, wid: str) -> list[CommandFault]:
        """Return the faults that strike a command, in the order of their blocks."""
        return [fault for fault in self.faults if fault.strikes(verb, wid)]


class Faults:
    """Outages of every kind, each of them a `Fault` that holds within its `with` block.

    They are the same over TCP, TLS and `dial`, and may be used from any thread. Most meet commands
    and take the same options, by which they can be chosen:

        on: A verb such as `"PUSHB"`, or several; `"HI"` stands for the greeting, and `"HELLO"` for
            what it is answered by. By default every command after those two.
        wid: Only commands of connections whose HELLO had this worker's id. Our own worker reports
            by one that has none.
        times: How often the fault strikes; by default every time.
        skip: How often it lets pass what it could strike, before it begins to.

    Raises:
        UsageError: no such verb, or a number below 0.
    """

    def __init__(
        self, armed: Armed, refuse: Callable[[], Fault], down: Callable[[bool], Fault]
    ) -> None:
        self._armed = armed
        self._refuse = refuse
        self._down = down

    # -- the way to the server ----------------------------------------------------------------

    def refuse_connections(self) -> Fault:
        """Nothing listens: whoever dials is refused. Connections that are there stay."""
        return self._refuse()

    def half_open(self, *, times: int | None = None, skip: int = 0) -> Fault:
        """Connections are accepted, and then nothing is ever said, not even a greeting.

        At the end of the block they are cut.
        """
        greeting: Which = {"on": GREETING, "times": times, "skip": skip}
        return self._fault(Silence(executed=False), greeting)

    def outage(self, *, keep_state: bool = True) -> Fault:
        """The server is killed, as by SIGKILL, and at the end of the block it starts again.

        Clients see their connections end, and then that nothing listens; the port stays the same.

        Args:
            keep_state: Whether queues, sets, reservations and counters are there again, as what
                the real server has in Redis is. Workers, connections and the retry of jobs that
                name none are forgotten in any case.
        """
        return self._down(keep_state)

    # -- commands -----------------------------------------------------------------------------

    def stall(
        self,
        *,
        executed: bool = False,
        **which: Unpack[Which],
    ) -> Fault:
        """The command is never answered, and its connection is silent from then on.

        At the end of the block the connection is cut.

        Args:
            executed: Whether the command is carried out nevertheless.
            which: Which commands are met, and how often: `on`, `wid`, `times`, `skip`.
        """
        return self._fault(Silence(executed=executed), which)

    def error(
        self,
        text: str,
        *,
        executed: bool = False,
        **which: Unpack[Which],
    ) -> Fault:
        """The command is answered by an error.

        Args:
            text: The error line, such as `"ERR shutdown in progress"`.
            executed: Whether the command is carried out nevertheless.
            which: Which commands are met, and how often: `on`, `wid`, `times`, `skip`.
        """
        if "\n" in text or "\r" in text:
            raise UsageError("an error is one line")
        return self._fault(Refusal(text, executed=executed), which)

    def deadline_exceeded(
        self,
        *,
        stored: bool,
        **which: Unpack[Which],
    ) -> Fault:
        """The command is answered `context deadline exceeded`, as while the server's Redis stalls.

        * PUSHB says so of each of its jobs, in its map; what validation refuses is said as ever.
        * FAIL and ACK end the reservation either way. Where they are not stored, no outcome of the
          job is: a second FAIL is answered `Job not found`, and the job is in no set.
        * FETCH takes nothing. Where it was stored, it has taken a job that is now in no set: the
          answer is `cannot add element in the working set: …`.
        * BEAT and the handshake need no Redis, and are not met.

        The answer comes at once; on the real server it takes 5 s (`delay(5)` does both).

        Args:
            stored: Whether the command got to Redis all the same; the answer does not tell.
            which: Which commands are met, and how often: `on`, `wid`, `times`, `skip`.
        """
        effect = DeadlineExceeded(stored=stored)
        return self._fault(effect, {"on": _REDIS, **which})

    def delay(
        self,
        by: float | timedelta,
        **which: Unpack[Which],
    ) -> Fault:
        """The command is carried out at once, and its reply comes late.

        Args:
            by: How late, in seconds on the server's clock: `advance` brings it nearer. What is
                still held back at the end of the block is sent then.
            which: Which commands are met, and how often: `on`, `wid`, `times`, `skip`.
        """
        seconds = by.total_seconds() if isinstance(by, timedelta) else float(by)
        if not seconds >= 0:
            raise UsageError("a delay is at least 0 seconds")
        return self._fault(Lateness(seconds), which)

    # -- replies ------------------------------------------------------------------------------

    def close_after(
        self,
        size: int,
        **which: Unpack[Which],
    ) -> Fault:
        """The command is carried out, and the connection ends after some bytes of its reply.

        Args:
            size: How many bytes; 0 for none.
            which: Which commands are met, and how often: `on`, `wid`, `times`, `skip`.
        """
        return self._fault(Cut(_size(size), closes=True), which)

    def truncate(
        self,
        size: int,
        **which: Unpack[Which],
    ) -> Fault:
        """The command is carried out, and the rest of its reply is missing; what follows is not.

        Args:
            size: How many bytes come; 0 for none.
            which: Which commands are met, and how often: `on`, `wid`, `times`, `skip`.
        """
        return self._fault(Cut(_size(size), closes=False), which)

    def garbage(
        self,
        data: bytes = GARBAGE,
        **which: Unpack[Which],
    ) -> Fault:
        """The command is carried out, and other bytes come in place of its reply.

        Args:
            data: Those bytes; by default some that no Faktory sends.
            which: Which commands are met, and how often: `on`, `wid`, `times`, `skip`.
        """
        return self._fault(Garbage(data), which)

    def _fault(self, effect: Effect, which: Which) -> Fault:
        skip, times = which.get("skip", 0), which.get("times")
        if skip < 0 or (times is not None and times < 0):
            raise UsageError("times and skip are at least 0")
        verbs = _verbs(which.get("on"))
        wid = which.get("wid")
        return CommandFault(self._armed, effect, verbs, wid=wid, times=times, skip=skip)


def _verbs(on: On) -> Collection[str]:
    if on is None:
        return VERBS
    chosen = {on} if isinstance(on, str) else set(on)
    unknown = chosen.difference(VERBS, _HANDSHAKE)
    if unknown:
        raise UsageError(
            f"no command is called {', '.join(sorted(unknown))}; there are "
            f"{', '.join((*_HANDSHAKE, *VERBS))}"
        )
    return chosen


def _size(size: int) -> int:
    if size < 0:
        raise UsageError("a size is at least 0 bytes")
    return size
