"""Listening on a port, not listening on it, and holding it meanwhile."""

import contextlib
import os
import socket
import sys
from typing import Final

# Workers come in hundreds at once; whoever finds no room waits for a second and tries again.
BACKLOG: Final = 4096
# A client that vanished without a word is found out as the real server does.
_KEEP_ALIVE: Final = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 9))


def vacate(listening: socket.socket, *, shared: bool) -> socket.socket:
    """Stop listening at once, and hold the port.

    The socket stays open for the event loop that knows it by its number, but it listens no more:
    whoever dials is refused.

    Args:
        listening: The socket.
        shared: Whether it is to listen again when the one that is returned is listened on, since
            its number then is another one of that very socket.

    Returns:
        Another socket with that port; when it is listened on, clients come again.

    Raises:
        OSError: somebody took the port in the very moment.
    """
    address = listening.getsockname()
    held = socket.socket(listening.family, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":
            listening.close()
        else:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with socket.socket(listening.family, socket.SOCK_STREAM) as mute:
                other = held if shared else mute
                os.dup2(other.fileno(), listening.fileno(), inheritable=False)
        if listening.family == socket.AF_INET6:
            held.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        held.bind(address)
        held.setblocking(False)
        prepare(held)
    except BaseException:
        held.close()
        raise
    return held


def prepare(sock: socket.socket) -> None:
    """Set on the socket that listens what those accepted by it inherit.

    asyncio does not make them send at once where it did not make the listening socket.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE:
        if hasattr(socket, name):
            with contextlib.suppress(OSError):  # a kernel that knows the name but not the option
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
