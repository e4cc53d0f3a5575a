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

from faktory_async.net import AsyncioLink, Link, StreamLink, on_asyncio
from faktory_async.server._host import Host

Serve = Callable[[Link], None]

# Workers come in hundreds at once; whoever finds no room waits for a second and tries again.
_BACKLOG: Final = 4096
# A client that vanished without a word is found out as the real server does.
_KEEP_ALIVE: Final = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 9))


class Listener(ABC):
    """A socket that is listened on.

    Args:
        port: Its port.
    """

    def __init__(self, port: int) -> None:
        self.port: Final = port

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
        return await _AsyncioListener.open(family, address, port, serve)
    return await _AnyioListener.open(address, port, serve, tasks)


class _AsyncioListener(Listener):
    """On asyncio and uvloop."""

    def __init__(self, server: asyncio.AbstractServer, sock: socket.socket) -> None:
        super().__init__(sock.getsockname()[1])
        self._server = server
        self._socket = sock

    @classmethod
    async def open(
        cls, family: socket.AddressFamily, address: str, port: int, serve: Serve
    ) -> "_AsyncioListener":
        sock = socket.create_server((address, port), family=family, backlog=_BACKLOG)
        try:
            _prepare(sock)
            server = await asyncio.get_running_loop().create_server(
                partial(AsyncioLink, serve), sock=sock, backlog=_BACKLOG
            )
            return cls(server, sock)
        except BaseException:
            sock.close()
            raise

    async def stop(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            if isinstance(loop, asyncio.SelectorEventLoop):
                # It has a task for each client that it accepts, and forgets to close the socket
                # of one whose task begins after the server was closed. Such a task takes one
                # turn, and the link another one.
                loop.remove_reader(self._socket.fileno())
                await checkpoint()
                await checkpoint()
        finally:
            self._server.close()

    async def wait_closed(self) -> None:
        await self._server.wait_closed()


class _AnyioListener(Listener):
    """On trio."""

    def __init__(self, listener: SocketListener, serve: Serve) -> None:
        super().__init__(listener.extra(SocketAttribute.local_port))
        self._listener = listener
        self._serve = serve
        self._accepting = anyio.CancelScope()
        self._accepted = anyio.Event()

    @classmethod
    async def open(cls, address: str, port: int, serve: Serve, tasks: Host) -> "_AnyioListener":
        listeners = await anyio.create_tcp_listener(
            local_host=address, local_port=port, backlog=_BACKLOG
        )
        _prepare(listeners.extra(SocketAttribute.raw_socket))
        # One for each address, and that is one.
        listener = cls(cast(SocketListener, listeners.listeners[0]), serve)
        tasks.start_soon(listener._accept)
        return listener

    async def stop(self) -> None:
        self._accepting.cancel()
        with anyio.CancelScope(shield=True):
            # A socket must not be closed under the task that waits for it.
            await self._accepted.wait()
            await self._listener.aclose()

    async def wait_closed(self) -> None:
        pass

    async def _accept(self) -> None:
        try:
            with self._accepting:
                while True:
                    self._serve(StreamLink(await self._listener.accept()))
        finally:
            self._accepted.set()


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


def _prepare(sock: socket.socket) -> None:
    """Set on the socket that listens what those accepted by it inherit.

    asyncio does not make them send at once where it did not make the listening socket.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE:
        if hasattr(socket, name):
            with contextlib.suppress(OSError):  # a kernel that knows the name but not the option
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
