"""An embedded Faktory on a thread of its own, to be used and looked at from any other one."""

import asyncio
import inspect
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from faktory_async.errors import ClientStateError, UsageError
from faktory_async.net import Link
from faktory_async.server import Core, EmbeddedServer, Panel

R = TypeVar("R")

# Whatever event loop the tests have, the server's is always the same one.
_LOOP: Final = {"loop_factory": asyncio.SelectorEventLoop}
# A test wants its worker to notice `stop()`, and the server to be gone, at once.
_QUICK: Final[dict[str, Any]] = {"fetch_wait": 0.05, "grace": 0}


class FaktoryServer(Panel):
    """An `EmbeddedServer` on a thread and an event loop of its own, for tests of any kind.

        with FaktoryServer() as server, pyfaktory.Client(server.url) as client:
            ...

    The fixture `faktory_server` is one for each test; make your own for a wider scope. All that it
    shows and does may be used on any thread, inside of any event loop or without one.

    Args:
        options: Those of `EmbeddedServer`. `fetch_wait` is 0.05 s here and `grace` 0, so that
            nobody waits for a worker that stops, nor for the server's end.

    Raises:
        UsageError: an option that `EmbeddedServer` does not know; those it knows are named.
    """

    def __init__(self, **options: Any) -> None:
        known = inspect.signature(EmbeddedServer).parameters
        unknown = sorted(options.keys() - known.keys())
        if unknown:
            raise UsageError(
                f"faktory_server has no option {', '.join(map(repr, unknown))}; "
                f"it has {', '.join(sorted(known))}"
            )
        self._server = EmbeddedServer(**{**_QUICK, **options})
        self.faults = self._server.faults
        self._portal: BlockingPortal | None = None
        self._open = ExitStack()

    def __repr__(self) -> str:
        return repr(self._server).replace("EmbeddedServer", "FaktoryServer")

    # -- open and close -----------------------------------------------------------------------

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            portal = stack.enter_context(
                start_blocking_portal("asyncio", _LOOP, name="faktory embedded server")
            )
            stack.enter_context(portal.wrap_async_context_manager(self._server))
            self._portal = portal
            self._open = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._portal = None
        self._open.close()

    # -- where it is --------------------------------------------------------------------------

    @property
    def host(self) -> str:
        """Where it listens."""
        return self._server.host

    @property
    def port(self) -> int:
        """The port it listens on.

        Raises:
            ClientStateError: it has not listened yet.
        """
        return self._server.port

    @property
    def url(self) -> str:
        """Its URL, password included: what `Client` and `FAKTORY_URL` take.

        Raises:
            ClientStateError: it has not listened yet.
        """
        return self._server.url

    async def dial(self) -> Link:
        """Return a new link to this server, without a socket, on the event loop that calls.

        For `Client(dial=server.dial)` and `Worker(dial=server.dial)`.

        Raises:
            ConnectionRefusedError: the server is not open.
        """
        return await self._server.dial()

    # -- its thread ---------------------------------------------------------------------------

    def _ask(self, question: Callable[[Core], R]) -> R:
        if self._portal is None:
            raise ClientStateError(f"{self!r} shows what it knows only while it is open")
        return self._server._do(question)  # noqa: SLF001 - its other face

    def _do(self, action: Callable[[Core], R]) -> R:
        return self._server._do(action)  # noqa: SLF001 - its other face
