"""What a pool has done so far, and who is told when a connection comes or goes."""

import inspect
import logging
from collections.abc import Callable
from typing import Final, TypeAlias

from faktory_async.errors import ConnectionLostError, FaktoryError, UsageError
from faktory_async.net._connection import Connection

_log: Final = logging.getLogger("faktory_async.net")

OnConnect: TypeAlias = Callable[[], None]
"""Called when a connection has shaken hands."""

OnDisconnect: TypeAlias = Callable[[FaktoryError | None], None]
"""Called when a connection has ended, with the reason; None where it was closed in peace."""


class Ledger:
    """Counts connections and calls the hooks.

    The hooks are plain functions, since connections also end where nobody can await anything. What
    they raise is logged: it must not cost a job.

    Args:
        on_connect: Called for every connection that was made.
        on_disconnect: Called once for every one of them, when it has ended.

    Attributes:
        opened: How many connections were made.
        closed: How many of them have ended.
        failed: How many dials failed.
        waits: How often somebody had to wait for a connection.

    Raises:
        UsageError: a hook is no plain function.
    """

    def __init__(
        self, on_connect: OnConnect | None = None, on_disconnect: OnDisconnect | None = None
    ) -> None:
        _check_hook("on_connect", on_connect)
        _check_hook("on_disconnect", on_disconnect)
        self._on_connect = on_connect
        self._on_disconnect = on_disconnect
        self.opened = 0
        self.closed = 0
        self.failed = 0
        self.waits = 0

    def connected(self) -> None:
        """Note that a connection was made."""
        self.opened += 1
        if self._on_connect is not None:
            try:
                self._on_connect()
            except Exception:  # noqa: BLE001 - whatever a hook raises
                _log.exception("on_connect failed")

    def disconnected(self, connection: Connection) -> None:
        """Note that a connection is about to be ended."""
        self.closed += 1
        if self._on_disconnect is not None:
            reason = _why(connection)
            try:
                self._on_disconnect(reason)
            except Exception:  # noqa: BLE001 - whatever a hook raises
                _log.exception("on_disconnect failed")


def _check_hook(name: str, hook: object) -> None:
    if hook is not None and (not callable(hook) or inspect.iscoroutinefunction(hook)):
        raise UsageError(f"{name} is a plain function, written with `def`: nobody could await it")


def _why(connection: Connection) -> FaktoryError | None:
    if connection.error is not None or connection.usable:
        return connection.error
    if connection.idle:
        return ConnectionLostError("the server ended an idle connection", maybe_executed=False)
    return ConnectionLostError("it was given up with a reply still due")
