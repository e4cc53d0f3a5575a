"""How the parts of a client send their commands."""

from typing import Protocol, TypeVar

from faktory_async.protocol import Command

R = TypeVar("R")


class Ask(Protocol):
    """Sends one command over a connection of the pool and returns the meaning of its reply."""

    async def __call__(self, command: Command[R]) -> R:
        """Send it.

        Raises:
            ClientStateError: the client is not open, or is used in another event loop or process.
            UnavailableError: no answer; see `maybe_executed`.
            ServerError: the server refused.
        """
        ...
