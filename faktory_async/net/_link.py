"""The thin thing under a connection: bytes in, bytes out, and what is known of their fate."""

from collections.abc import Callable
from typing import Final, Protocol

import anyio

# What the kinds of links, and of dials, raise when the network is to blame.
NETWORK_ERRORS: Final = (
    OSError,
    EOFError,
    anyio.EndOfStream,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    anyio.IncompleteRead,
    anyio.DelimiterNotFound,
)


class Link(Protocol):
    """One stream of bytes to a peer, and the seam for other transports.

    One task sends and one receives at a time. Errors are `OSError` of any kind, or what anyio
    raises for its streams.
    """

    def start(self, data: bytes) -> bool:
        """Take bytes on their way without waiting, where the link sees to the rest by itself.

        What it could not hand over yet counts as `unsent`.

        Returns:
            False where the link cannot do that, and has not taken them: `send` does it.
        """
        del data
        return False

    async def send(self, data: bytes) -> None:
        """Hand bytes over to the kernel, or to whatever carries them.

        Cancelled, some of the bytes may be handed over already, see `unsent`, and the link is good
        for nothing but `abort`.
        """
        ...

    async def receive(self) -> bytes:
        """Return what has arrived, at least one byte, or b"" at the end of the stream.

        Cancelled, nothing is lost: the next call returns it.
        """
        ...

    async def pump(self, take: Callable[[bytes], bool], deadline: float) -> bool:
        """Hand what arrives, piece by piece, to `take` until that returns True: it has enough.

        It is called with b"" at the end of the stream, which is always enough. A link whose bytes
        come by a call can pass them on in that same call, and wake the task when it has enough.

        Returns:
            Whether it has enough; False where `deadline`, on anyio's clock, came first.

        Cancelled, nothing is lost: what was not handed over yet is by the next call.
        """
        with anyio.CancelScope(deadline=deadline):
            while not take(await self.receive()):
                pass
            return True
        return False

    def listen(
        self, take: Callable[[bytes], bool], quits: Callable[[], None], deadline: float
    ) -> bool:
        """Pump without a task, where the link can do that.

        Whatever ends it before `take` has enough - the end of the stream, a loss, the deadline -
        `quits` is called, and a `pump` tells what it was. Whoever pumps meanwhile takes over.

        Returns:
            Whether the link does it.
        """
        del take, quits, deadline
        return False

    def had_enough(self) -> None:
        """End the pumping or the listening: for a `take`, before it returns True.

        From then on somebody else may listen, or pump. Who pumped is woken last of all.
        """
        return

    def readable(self) -> bool:
        """Tell without waiting whether data, the end of the stream or an error is there.

        False where the link cannot know.
        """
        ...

    def unsent(self) -> int:
        """Return how many of the last bytes sent were surely not handed over.

        0 where the link cannot know. The number holds after `abort` too.
        """
        ...

    def abort(self) -> None:
        """End the link now; what was not handed over never will be. May be called again.

        Whoever waits in `send` or `receive` is woken.
        """
        ...

    async def aclose(self) -> None:
        """Say goodbye as the transport does and free it. May be called again.

        Cancelled, it is freed all the same.
        """
        ...
