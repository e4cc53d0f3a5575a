"""Who has to know that a reservation was prolonged."""

from collections.abc import Callable
from contextvars import ContextVar
from datetime import datetime
from typing import Final


def _nobody(_jid: str, _until: datetime) -> None:
    """Stand in for a worker."""


when_prolonged: Final[ContextVar[Callable[[str, datetime], object]]] = ContextVar(
    "faktory_async_when_prolonged", default=_nobody
)
"""Called with the jid and the new end of a reservation, once the server has moved it: a worker has
what it runs tell it, so that the handler's deadline moves too."""
