"""How much and how long: the limits and timeouts of a client or worker."""

from msgspec import Struct

from faktory_async.errors import UsageError


class Limits(Struct, frozen=True, kw_only=True):
    """How much is used at most.

    Attributes:
        max_connections: Connections that exist at the same time.
        max_reply: Bytes of one reply; a larger one ends its connection with a `ProtocolError`.
    """

    max_connections: int = 4
    max_reply: int = 64 * 1024 * 1024

    def __post_init__(self) -> None:
        if self.max_connections < 1 or self.max_reply < 1:
            raise UsageError("every limit is at least 1")


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
