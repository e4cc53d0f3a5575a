"""What a client has done so far, for metrics."""

from msgspec import Struct


class ClientStats(Struct, frozen=True, kw_only=True):
    """The numbers of one moment; those that only grow count from the client's making.

    Attributes:
        connections: Open connections.
        idle: Those of them that nobody uses.
        waiting: Commands, and leaders of frames, that wait for a connection now.
        opened: Connections that were made.
        closed: Connections that have ended.
        failed_dials: Dials that failed.
        waits: How often somebody had to wait for a connection.
        pushes: Jobs that were to be pushed, one by one or in bulk.
        frames: PUSHBs that were sent; pushes that come together share one.
        resends: Jobs that were sent again, since a dead connection had not taken them.
    """

    connections: int = 0
    idle: int = 0
    waiting: int = 0
    opened: int = 0
    closed: int = 0
    failed_dials: int = 0
    waits: int = 0
    pushes: int = 0
    frames: int = 0
    resends: int = 0
