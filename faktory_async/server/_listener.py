"""Listening for clients: one socket, and a link for each who comes."""

import asyncio
import contextlib
import ipaddress
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Final, cast

import anyio
from anyio.abc import SocketAttribute, SocketListener
from anyio.lowlevel import checkpoint

from faktory_async.net import (
    AsyncioLink,
    Link,
    StreamLink,
    on_asyncio,
    shut_down,
    socket_readable,
)
from faktory_async.server._host import Host
from faktory_async.server._ports import BACKLOG, prepare, vacate

Serve = Callable[[Link], None]


class Listener(ABC):
    """A socket that is listened on.

    Args:
        port: Its port.
    """

    def __init__(self, port: int) -> None:
        self.port: Final = port

    @abstractmethod
    def refuse(self) -> None:
        """Take no more clients: from now on, whoever dials is refused. The port stays ours."""

    @abstractmethod
    def resume(self) -> None:
        """Take clients again: whoever dials from now on is not refused, and served soon."""

    @abstractmethod
    def has_callers(self) -> bool:
        """Tell whether somebody has connected who is not served yet."""

    @abstractmethod
    async def stop(self) -> None:
        """Take no more clients. Cancelled, it is done all the same."""

    @abstractmethod
    async def wait_closed(self) -> None:
        """Wait for the end of what was accepted, after `stop` and after the end of its links."""


async def listen(host: str, port: int, serve: Serve, tasks: Host) -> Listener:
    """Listen on an address, or on one address of a name.

    Args:
        host: A name or an IP address.
        port: The port; 0 chooses a free one.
        serve: Called with the link of each client, outside of any task on asyncio.
        tasks: Where tasks may run as long as it is listened.

    Raises:
        OSError: the address is taken or none of this machine's, or the name is unknown.
    """
    family, address = await _resolve(host)
    if on_asyncio():
        return await _AsyncioListener.open(family, address, port, serve, tasks)
    return await _AnyioListener.open(address, port, serve, tasks)


class _AsyncioListener(Listener):
    """On asyncio and uvloop."""

    def __init__(self, sock: socket.socket, serve: Serve, tasks: Host) -> None:
        super().__init__(sock.getsockname()[1])
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        self._serve = serve
        self._tasks = tasks
        # The one that listens now, and those that do not any more but are not closed yet.
        self._server: asyncio.AbstractServer | None = None
        self._former: list[asyncio.AbstractServer] = []
        self._refuses = False

    @classmethod
    async def open(
        cls,
        family: socket.AddressFamily,
        address: str,
        port: int,
        serve: Serve,
        tasks: Host,
    ) -> "_AsyncioListener":
        sock = socket.create_server((address, port), family=family, backlog=BACKLOG)
        try:
            prepare(sock)
            listener = cls(sock, serve, tasks)
            await listener._start()
        except BaseException:
            sock.close()
            raise
        return listener

    async def _start(self) -> None:
        """Let the event loop accept what comes to the socket."""
        server = await self._loop.create_server(
            partial(_ServedLink, self._serve),
            sock=self._socket,
            backlog=BACKLOG,
            start_serving=False,
        )
        self._server = server
        await server.start_serving()

    def refuse(self) -> None:
        former, sock = self._server, self._socket
        self._refuses, self._server = True, None
        if former is None:  # it has not even begun to accept
            self._socket = vacate(sock, shared=False)
            sock.close()
            return
        if self._accepts_by_tasks():
            self._loop.remove_reader(sock.fileno())
            self._socket = vacate(sock, shared=False)
        else:
            copy = sock.dup()
            former.close()
            self._socket = vacate(copy, shared=False)
            copy.close()
        self._former.append(former)
        self._tasks.start_soon(partial(self._close, former))

    def resume(self) -> None:
        self._refuses = False
        self._socket.listen(BACKLOG)
        self._tasks.start_soon(partial(self._start_unless_refused, self._socket))

    async def _start_unless_refused(self, sock: socket.socket) -> None:
        if sock is self._socket and not self._refuses:
            await self._start()

    def has_callers(self) -> bool:
        return not self._refuses and socket_readable(self._socket)

    async def stop(self) -> None:
        server, self._server = self._server, None
        self._refuses = True
        if server is None:
            self._socket.close()
            return
        if self._accepts_by_tasks():
            self._loop.remove_reader(self._socket.fileno())
        self._former.append(server)
        await self._close(server)

    async def _close(self, server: asyncio.AbstractServer) -> None:
        try:
            if self._accepts_by_tasks():
                await checkpoint()
                await checkpoint()
        finally:
            server.close()

    def _accepts_by_tasks(self) -> bool:
        """Whether the loop has a task for each client that it accepts.

        Such a loop forgets to close the socket of one whose task begins after the server was
        closed. The task takes one turn, and the link another one.
        """
        return isinstance(self._loop, asyncio.SelectorEventLoop)

    async def wait_closed(self) -> None:
        for server in self._former:
            server.close()  # where the task that was to do it was cancelled before it began
            await server.wait_closed()


class _ServedLink(AsyncioLink):
    """A link whose client sees the end of an aborted one at once, as that of a killed process."""

    def abort(self) -> None:
        super().abort()
        if self._socket is not None and self._socket.fileno() >= 0:
            # The loop closes it one turn later.
            shut_down(self._socket, socket.SHUT_RDWR)


class _AnyioListener(Listener):
    """On trio."""

    def __init__(self, listener: SocketListener, serve: Serve) -> None:
        super().__init__(listener.extra(SocketAttribute.local_port))
        self._listener = listener
        self._serve = serve
        self._held: socket.socket | None = None
        self._refuses = False
        self._accepting = anyio.CancelScope()
        self._stopped = False
        self._accepted = anyio.Event()
        self._resumed = anyio.Event()

    @classmethod
    async def open(cls, address: str, port: int, serve: Serve, tasks: Host) -> "_AnyioListener":
        listeners = await anyio.create_tcp_listener(
            local_host=address, local_port=port, backlog=BACKLOG
        )
        prepare(listeners.extra(SocketAttribute.raw_socket))
        # One for each address, and that is one.
        listener = cls(cast(SocketListener, listeners.listeners[0]), serve)
        tasks.start_soon(listener._accept)
        return listener

    def refuse(self) -> None:
        self._refuses = True
        self._forget_held()
        self._held = vacate(self._listener.extra(SocketAttribute.raw_socket), shared=True)
        self._resumed = anyio.Event()
        self._accepting.cancel()

    def resume(self) -> None:
        self._refuses = False
        if self._held is not None:
            self._held.listen(BACKLOG)
        self._resumed.set()

    def has_callers(self) -> bool:
        sock = self._listener.extra(SocketAttribute.raw_socket)
        return not self._refuses and socket_readable(sock)

    async def stop(self) -> None:
        self._stopped = True
        self._accepting.cancel()
        self._resumed.set()
        with anyio.CancelScope(shield=True):
            # A socket must not be closed under the task that waits for it.
            await self._accepted.wait()
            await self._listener.aclose()
        self._forget_held()

    def _forget_held(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None

    async def wait_closed(self) -> None:
        pass

    async def _accept(self) -> None:
        try:
            while not self._stopped:
                if self._refuses:
                    await self._resumed.wait()
                else:
                    with anyio.CancelScope() as self._accepting:
                        await self._accept_all()
        finally:
            self._accepted.set()

    async def _accept_all(self) -> None:
        while True:
            self._serve(StreamLink(await self._listener.accept()))


async def _resolve(host: str) -> tuple[socket.AddressFamily, str]:
    """Return one address, of IPv4 if there is one: the real server also takes no more."""
    with contextlib.suppress(ValueError):
        version = ipaddress.ip_address(host).version
        return (socket.AF_INET6 if version == _IPV6 else socket.AF_INET), host
    found = await anyio.getaddrinfo(
        host or None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    return family, address[0]


_IPV6: Final = 6
