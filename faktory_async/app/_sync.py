"""Pushing from code that is not async: a thread of its own runs an event loop for it."""

import asyncio
import atexit
import os
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

from anyio.from_thread import start_blocking_portal

from faktory_async.client import Client
from faktory_async.errors import UsageError
from faktory_async.model import Job
from faktory_async.net import Address, here

_LOOP: Final = {"loop_factory": asyncio.SelectorEventLoop}
_NAME: Final = "faktory push_sync"


class SyncClient:
    """A client on a thread, made when it is first needed, and anew where the server is another one.

    Args:
        make: Makes a client.
        address: Says where the server is: by the environment, that may change.
    """

    def __init__(self, make: Callable[[], Client], address: Callable[[], Address]) -> None:
        self._make = make
        self._address = address
        self._lock = threading.Lock()
        self._for: tuple[Address, int] | None = None
        self._open = ExitStack()
        self._push: Callable[[Job], Job] | None = None

    @property
    def is_open(self) -> bool:
        """Whether it has connections."""
        return self._push is not None

    def push(self, job: Job) -> Job:
        """Push a job and wait until the server has it.

        Raises:
            UsageError: an event loop runs on this thread, which that would block.
            FaktoryError: as `Client.push`.
        """
        if _in_a_loop():
            raise UsageError("push_sync would block the event loop: write `await ...push(...)`")
        return self._ready()(job)

    def close(self) -> None:
        """Close the connections; the next push opens new ones."""
        with self._lock:
            opened, self._open, self._push, self._for = self._open, ExitStack(), None, None
            _open_ones.discard(self)
        opened.close()

    def _ready(self) -> Callable[[Job], Job]:
        wanted = self._address(), os.getpid()
        with self._lock:
            if self._push is not None and self._for == wanted:
                return self._push
            if self._for is not None and self._for[1] != wanted[1]:
                self._open = ExitStack()  # after a fork it belongs to the other process
            opened, self._open, self._push, self._for = self._open, ExitStack(), None, None
            opened.close()
            with ExitStack() as stack:
                portal = stack.enter_context(start_blocking_portal("asyncio", _LOOP, name=_NAME))
                client = self._make()
                stack.enter_context(portal.wrap_async_context_manager(client))
                self._open, self._for = stack.pop_all(), wanted
            self._push = lambda job: portal.call(client.push, job)
            _open_ones.add(self)
            return self._push


def _in_a_loop() -> bool:
    try:
        here()
    except RuntimeError:
        return False
    return True


def _close_all() -> None:
    """Close what is open when the program ends: its threads would keep it alive."""
    for client in tuple(_open_ones):
        client.close()


_open_ones: Final[set[SyncClient]] = set()
atexit.register(_close_all)
