"""The one table of scripted exchanges."""

from tests.conformance._script import Row
from tests.conformance.rows import (
    _admin,
    _connections,
    _consuming,
    _documents,
    _framing,
    _handshake,
    _mutating,
    _producing,
)

__all__ = ["TABLE"]

TABLE: tuple[Row, ...] = (
    *_framing.ROWS,
    *_handshake.ROWS,
    *_connections.ROWS,
    *_producing.ROWS,
    *_consuming.ROWS,
    *_admin.ROWS,
    *_mutating.ROWS,
    *_documents.ROWS,
)
