"""How much and how long: the limits and timeouts of a client or worker."""

from msgspec import Struct

from faktory_async.errors import UsageError


class Limits(Struct, frozen=True, kw_only=True):
    """How much is used at most.

    Attributes:
        max_connections: Connections that exist at the same time.
        max_idle: Connections that are kept open though nobody uses them; all of them by default.
        idle_expiry: Seconds after which an idle connection is not used again but replaced; None
            for never. Whatever stands in between, such as a load balancer, may have forgotten it.
        max_reply: Bytes of one reply; a larger one ends its connection with a `ProtocolError`. A
            worker fails a job that is larger, and goes on.
        max_job: Bytes of an encoded job that is pushed; a larger one is refused with an
            `InvalidJobError`. The server has no limit; what workers accept in one reply is one.
    """

    max_connections: int = 4
    max_idle: int | None = None
    idle_expiry: float | None = 300.0
    max_reply: int = 64 * 1024 * 1024
    max_job: int = 32 * 1024 * 1024

    def __post_init__(self) -> None:
        if self.max_connections < 1 or self.max_reply < 1 or self.max_job < 1:
            raise UsageError("max_connections, max_reply and max_job are at least 1")
        if self.max_idle is not None and self.max_idle < 0:
            raise UsageError("max_idle is not negative")
        if self.idle_expiry is not None and not self.idle_expiry > 0:
            raise UsageError("idle_expiry is more than 0 seconds, or None")


class Timeouts(Struct, frozen=True, kw_only=True):
    """How long is waited, in seconds.

    Attributes:
        connect: For dialling and the handshake together.
        pool: For a connection to come free.
        command: For writing a command and reading its reply. The server gives itself 5 s and may
            use them to the end, so less than that turns answers into unknowns.
    """

    connect: float = 3.0
    pool: float = 5.0
    command: float = 7.0

    def __post_init__(self) -> None:
        if not all(seconds > 0 for seconds in (self.connect, self.pool, self.command)):
            raise UsageError("every timeout is more than 0 seconds")
