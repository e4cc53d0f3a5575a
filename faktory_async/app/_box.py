"""An app with a Faktory of its own."""

from typing import TYPE_CHECKING, Final, Unpack

from faktory_async.app._drain import DrainOptions, Ran, drain
from faktory_async.server import EmbeddedServer

if TYPE_CHECKING:
    from faktory_async.app._app import App


class Box:
    """What `App.in_memory` gives: the app's server, and a way to work what is in it.

    Attributes:
        server: The Faktory in memory.
    """

    def __init__(self, app: "App", server: EmbeddedServer) -> None:
        self._app = app
        self.server: Final = server

    async def drain(self, **options: Unpack[DrainOptions]) -> list[Ran]:
        """Work until the queues are empty; see `faktory_async.app.drain`."""
        return await drain(self._app, self.server, **options)
