"""A broker with its answers, a clock that stands still until it is moved, and no luck."""

from msgspec import Struct

from faktory_async.server import Answers, Broker, Close, Connection, Edition, Waiting

SECOND = 1_000_000_000
# 2026-11-23 22:00:00 UTC, a whole hour, and an eighth of a second: ticks fall on :00.125.
START = 1_795_471_200 * SECOND + 125_000_000
NOW = "2026-11-23T22:00:00.125Z"


class Driver:
    """Sends lines to a broker as a client would, one connection by default.

    Attributes:
        now: The time in nanoseconds since 1970.
        luck: What every random number is, as far as its limit allows.
    """

    def __init__(
        self,
        *,
        password: str = "",
        edition: Edition = Edition.OSS,
        max_connections: int = 2000,
        max_depth: int = 10_000,
    ) -> None:
        self.now = START
        self.luck = 0
        self.broker = Broker(lambda: self.now, self._random, edition)
        self.answers = Answers(
            self.broker,
            password=password,
            max_connections=max_connections,
            max_depth=max_depth,
            memory_mb=lambda: 7,
        )
        self._first: Connection | None = None

    def _random(self, limit: int) -> int:
        return min(self.luck, limit - 1)

    @property
    def first(self) -> Connection:
        """The connection of whoever names none."""
        if self._first is None:
            self._first = self.dial()
        return self._first

    def dial(self, wid: str = "") -> Connection:
        connection = self.answers.open_connection()
        hello = b'HELLO {"v":2,"wid":"%b"}' % wid.encode()
        assert self.answers.answer(connection, hello) == b"+OK\r\n"
        return connection

    def send(self, line: bytes, on: Connection | None = None) -> bytes:
        """Return the reply to a line that is answered at once."""
        answer = self.answers.answer(on or self.first, line)
        assert isinstance(answer, bytes), answer
        return answer

    def ask(self, line: str, on: Connection | None = None) -> str:
        return self.send(line.encode(), on).decode()

    def closes(self, line: bytes, on: Connection) -> bytes:
        """Return what a line is answered with before the connection ends."""
        answer = self.answers.answer(on, line)
        assert isinstance(answer, Close), answer
        return answer.data

    def wait(self, line: str, on: Connection | None = None) -> Waiting:
        """Return the FETCH that a line leaves waiting."""
        answer = self.answers.answer(on or self.first, line.encode())
        assert isinstance(answer, Waiting), answer
        return answer

    def fetch(self, queue: str = "default", on: Connection | None = None) -> str:
        """Return the JSON of the next job of a queue; "" when there is none."""
        answer = self.answers.answer(on or self.first, b"FETCH " + queue.encode())
        if isinstance(answer, Waiting):
            answer.expire()
            return ""
        assert isinstance(answer, bytes)
        return body(answer)

    def push(self, jid: str = "job-0001", *, more: str = "", jobtype: str = "a") -> None:
        """Push a job; `more` are further members of its JSON."""
        line = f'PUSH {{"jid":"{jid}","jobtype":"{jobtype}","args":[]{more and ","}{more}}}'
        assert self.ask(line) == "+OK\r\n"

    def advance(self, seconds: float) -> list[Connection]:
        """Move the clock and let the scheduler catch up; return the connections to close."""
        self.now += round(seconds * SECOND)
        return self.broker.run_due()


class Sizes(Struct, frozen=True, kw_only=True):
    """How many entries each set has."""

    scheduled: int = 0
    retries: int = 0
    dead: int = 0
    working: int = 0


def sizes(driver: Driver) -> Sizes:
    broker = driver.broker
    return Sizes(
        scheduled=len(broker.scheduled),
        retries=len(broker.retries),
        dead=len(broker.dead),
        working=broker.working.stored,
    )


def body(reply: bytes) -> str:
    """Return what is in a bulk reply, whose length must be right."""
    header, _, rest = reply.partition(b"\r\n")
    assert header == b"$%d" % (len(rest) - 2)
    assert rest.endswith(b"\r\n")
    return rest[:-2].decode()


def stored(jid: str = "job-0001", **changes: str) -> str:
    """Return the JSON of a job that `Driver.push` sent, with further members where they belong."""
    first = [f'"retry":{changes.get("retry", "25")}']
    first += [f'"{name}":{changes[name]}' for name in ("failure", "custom") if name in changes]
    middle = [f'"jid":"{jid}"', f'"queue":"{changes.get("queue", "default")}"', '"jobtype":"a"']
    last = [f'"created_at":"{changes.get("created_at", NOW)}"']
    last += [f'"{name}":"{changes[name]}"' for name in ("enqueued_at", "at") if changes.get(name)]
    last += ['"args":[]']
    last += [f'"{name}":{changes[name]}' for name in ("reserve_for",) if name in changes]
    return "{" + ",".join(first + middle + last) + "}"
