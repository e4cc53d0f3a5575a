"""One warning where a job asks for what only Enterprise does: others ignore it silently."""

import logging
import warnings
from typing import Final

import anyio

from faktory_async.client._ask import Ask
from faktory_async.errors import FaktoryError
from faktory_async.model import Job
from faktory_async.protocol import Info

_OPTIONS: Final = frozenset({"unique_for", "unique_until", "expires_at", "expires_in", "track"})
# INFO's description holds this word there (wire: the suites of other clients tell editions so).
_ENTERPRISE: Final = "Enterprise"
_PATIENCE: Final = 1.0  # seconds: it is only a hint
_IGNORED: Final = (
    "a job was pushed with unique_for, expires_at or track, which this server ignores: "
    "it is no Faktory Enterprise"
)

_log: Final = logging.getLogger("faktory_async.client")


class Edition:
    """Asks once which edition the server is of, when that first matters.

    It does so when the jobs are stored: INFO beside jobs that bring new queue names can crash the
    real server, and nothing that comes of it may look as if they were not.

    Args:
        ask: Sends a command over a connection of the client.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._asked = False

    def matters_to(self, job: Job) -> bool:
        """Tell whether a job, once it is pushed, makes it worth asking."""
        return not self._asked and not _OPTIONS.isdisjoint(job.custom)

    async def check(self) -> None:
        """Warn where the server is of the free edition; where it does not say, say nothing."""
        self._asked = True
        with anyio.move_on_after(_PATIENCE):
            try:
                info = await self._ask(Info())
            except FaktoryError:
                return  # the job is stored all the same
            if _ENTERPRISE not in info.server.description:
                self._warn()

    def _warn(self) -> None:
        try:
            warnings.warn(_IGNORED, UserWarning, stacklevel=4)
        except UserWarning:  # made an error: it must not look as if the job were not stored
            _log.warning(_IGNORED)
