"""The one table of scripted exchanges."""

from tests.conformance._script import Row
from tests.conformance.rows import _framing

__all__ = ["TABLE"]

TABLE: tuple[Row, ...] = (*_framing.ROWS,)
