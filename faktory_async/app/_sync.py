"""Pushing from code that is not async: a thread of its own runs an event loop for it."""

import asyncio
import atexit
import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

import anyio
from anyio.from_thread import BlockingPortal
from msgspec.structs import replace

from faktory_async.client import Client
from faktory_async.errors import UsageError
from faktory_async.model import Job
from faktory_async.net import Address, here
from faktory_async.worker import Target

_LOOP: Final = {"loop_factory": asyncio.SelectorEventLoop}
_NAME: Final = "faktory push_sync"


class _Ended(Exception):  # noqa: N818 - no error of anybody's
    """The thread takes nothing any more."""


class _LoopThread:
    """An event loop in a thread.

    It could be anyio's own thread with a portal, but that one has to be closed: in a process that
    was forked there is no thread any more that could do so, and whoever dropped it would wait for
    ever.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended = False
        portal: Future[BlockingPortal] = Future()
        self._thread = threading.Thread(target=_run, args=(portal,), name=_NAME, daemon=True)
        self._thread.start()
        self._portal = portal.result()  # or why there is no event loop

    def push(self, client: Client, job: Job) -> Job:
        """Push a job there, and wait until the server has it.

        Raises:
            _Ended: nothing was sent.
            FaktoryError: as `Client.push`.
        """
        with self._lock:
            if self._ended:
                raise _Ended
            future = self._portal.start_task_soon(client.push, job)
        try:
            return future.result()
        except BaseException:  # a KeyboardInterrupt ends the wait alone
            future.cancel()
            raise

    def open(self, client: Client) -> None:
        """Open a client there."""
        self._portal.call(client.open)

    def end(self, client: Client) -> None:
        """Take nothing any more, wait for what is under way, close the client, and end."""
        with self._lock:
            self._ended = True
        try:
            self._portal.call(client.aclose)
        finally:
            self._portal.call(self._portal.stop)
            self._thread.join()


def _run(portal: "Future[BlockingPortal]") -> None:
    try:
        anyio.run(_serve, portal, backend="asyncio", backend_options=_LOOP)
    except BaseException as error:
        if portal.done():
            raise
        portal.set_exception(error)  # for whoever waits for it


async def _serve(opened: "Future[BlockingPortal]") -> None:
    async with BlockingPortal() as portal:
        opened.set_result(portal)
        await portal.sleep_until_stopped()


class SyncClient:
    """A client on a thread, made when it is first needed, and anew where the server is another one.

    Args:
        make: Makes a client for a server.
        target: Says where jobs are pushed to from where it is called.
    """

    def __init__(self, make: Callable[[Target], Client], target: Callable[[], Target]) -> None:
        self._make = make
        self._target = target
        self._lock = threading.Lock()
        self._for: Target | None = None
        self._open: tuple[_LoopThread, Client] | None = None

    @property
    def is_open(self) -> bool:
        """Whether it has connections."""
        return self._open is not None

    def push(self, job: Job) -> Job:
        """Push a job and wait until the server has it.

        Raises:
            UsageError: an event loop runs on this thread, which that would block.
            FaktoryError: as `Client.push`.
        """
        if _in_a_loop():
            raise UsageError("push_sync would block the event loop: write `await ...push(...)`")
        while True:
            thread, client = self._ready()
            with contextlib.suppress(_Ended):  # by a `close` meanwhile
                return thread.push(client, job)

    def close(self) -> None:
        """Close the connections; the next push opens new ones."""
        with self._lock:
            opened, self._open = self._open, None
            _open_ones.discard(self)
        _close(opened)

    def forget(self) -> None:
        """Leave everything to the process that this one was forked from."""
        self._lock = threading.Lock()  # whoever holds it was left behind
        self._open = None

    def _ready(self) -> tuple[_LoopThread, Client]:
        wanted = self._target()
        # By the environment, that may change.
        wanted = replace(wanted, url=Address.resolve(wanted.url))
        with self._lock:
            if self._open is None or self._for != wanted:
                opened, self._open = self._open, None
                _close(opened)
                self._open, self._for = _opened(self._make(wanted)), wanted
                _open_ones.add(self)
            return self._open


def _opened(client: Client) -> tuple[_LoopThread, Client]:
    thread = _LoopThread()
    try:
        thread.open(client)
    except BaseException:
        thread.end(client)
        raise
    return thread, client


def _close(opened: tuple[_LoopThread, Client] | None) -> None:
    if opened is not None:
        thread, client = opened
        thread.end(client)


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


def _forget_all() -> None:
    """Know nothing of the threads of the process that this one was forked from."""
    for client in _open_ones:
        client.forget()
    _open_ones.clear()


_open_ones: Final[set[SyncClient]] = set()
atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
