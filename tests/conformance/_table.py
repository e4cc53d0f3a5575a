"""The one table of scripted exchanges."""

from tests.conformance._script import Row
from tests.conformance.rows import (
    _admin,
    _connections,
    _consuming,
    _defects,
    _documents,
    _framing,
    _handshake,
    _lifecycle,
    _mutating,
    _probes,
    _producing,
    _timers,
    _workers,
)

__all__ = ["PASSWORD", "PLAIN", "PRIVATE", "SLOW", "TABLE", "TIMERS"]

TABLE: tuple[Row, ...] = (
    *_framing.ROWS,
    *_handshake.ROWS,
    *_connections.ROWS,
    *_producing.ROWS,
    *_consuming.ROWS,
    *_admin.ROWS,
    *_mutating.ROWS,
    *_documents.ROWS,
    *_lifecycle.ROWS,
    *_workers.ROWS,
    *_defects.ROWS,
    *_probes.ROWS,
    *_timers.ROWS,
)

SLOW = tuple(row for row in TABLE if row.slow)
TIMERS = tuple(row for row in TABLE if row.timer)
PASSWORD = tuple(row for row in TABLE if row.password)
PRIVATE = tuple(row for row in TABLE if row.private and not row.timer)
PLAIN = tuple(row for row in TABLE if not (row.slow or row.timer or row.password or row.private))
