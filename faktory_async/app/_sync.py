"""Pushing from code that is not async: a thread of its own runs an event loop for it."""

import asyncio
import atexit
import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Final
from weakref import WeakSet

from anyio.from_thread import BlockingPortal, start_blocking_portal

from faktory_async.client import Client
from faktory_async.errors import UsageError
from faktory_async.model import Job
from faktory_async.net import Address, here


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
        _clients.add(self)

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
            client = self._make()
            portal = _the_portal()
            stack = ExitStack()
            stack.enter_context(portal.wrap_async_context_manager(client))
            self._open, self._for = stack, wanted
            self._push = lambda job: portal.call(client.push, job)
            return self._push


def _in_a_loop() -> bool:
    try:
        here()
    except RuntimeError:
        return False
    return True


# -- the thread -------------------------------------------------------------------------------

_lock: Final = threading.Lock()
_portals: Final[dict[int, BlockingPortal]] = {}  # by process: a fork has no threads
_clients: Final[WeakSet[SyncClient]] = WeakSet()


def _the_portal() -> BlockingPortal:
    """Return the process's portal, whose thread ends with the process."""
    with _lock:
        portal = _portals.get(os.getpid())
        if portal is None:
            opened: AbstractContextManager[BlockingPortal] = start_blocking_portal(
                "asyncio", {"loop_factory": asyncio.SelectorEventLoop}, name="faktory push_sync"
            )
            portal = opened.__enter__()
            _portals[os.getpid()] = portal
            atexit.register(_end, opened, os.getpid())
        return portal


def _end(opened: AbstractContextManager[BlockingPortal], pid: int) -> None:
    if pid == os.getpid():
        portal = _portals.pop(pid)
        for client in list(_clients):
            client.close()
        # An open client that nobody has any more would keep the portal for ever.
        portal.call(portal.stop, True)
        opened.__exit__(None, None, None)
