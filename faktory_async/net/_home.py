"""An event loop as other threads see it: what they want done on its thread, they hand over."""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from functools import partial

from faktory_async.net._dial import on_asyncio

Post = Callable[[Callable[[], object]], object]


class Home:
    """The event loop that a task runs on.

    Attributes:
        thread: The identity of its thread.
    """

    __slots__ = ("_post", "thread")

    def __init__(self, post: Post) -> None:
        self._post = post
        self.thread = threading.get_ident()

    @classmethod
    def of_this_task(cls) -> "Home":
        """Return the event loop that runs the calling task."""
        if on_asyncio():
            # In the context of who posts it, another library might be the current one.
            loop, context = asyncio.get_running_loop(), contextvars.copy_context()
            return cls(partial(loop.call_soon_threadsafe, context=context))
        from trio.lowlevel import current_trio_token  # noqa: PLC0415 - exists where trio runs

        return cls(current_trio_token().run_sync_soon)

    def is_here(self) -> bool:
        """Tell whether this is the loop's thread."""
        return threading.get_ident() == self.thread

    def post(self, do: Callable[[], object]) -> None:
        """Have something done on the loop's thread, soon, and not wait for it.

        Raises:
            RuntimeError: the loop is closed.
        """
        self._post(do)

    def tell(self, do: Callable[[], object]) -> None:
        """Have something done: at once in the loop's own thread, soon from any other one.

        A loop that is over needs to be told nothing any more.
        """
        if self.is_here():
            do()
        else:
            with contextlib.suppress(RuntimeError):  # trio's RunFinishedError is one
                self._post(do)
