"""From an address to a connection: bytes over a link, and a few connections shared by many."""

from faktory_async.net._address import DEFAULT_PORT, Address
from faktory_async.net._asyncio_link import AsyncioLink
from faktory_async.net._blocking import BlockingConnection
from faktory_async.net._connect import Connector
from faktory_async.net._connection import Connection
from faktory_async.net._dial import Dial, as_link, on_asyncio, open_link
from faktory_async.net._home import Home
from faktory_async.net._ledger import Ledger, OnConnect, OnDisconnect
from faktory_async.net._link import NETWORK_ERRORS, Link
from faktory_async.net._memory_link import MemoryLink, memory_links
from faktory_async.net._native import Event, Native, current_time, here, wake
from faktory_async.net._options import Limits, Timeouts
from faktory_async.net._pool import Pool, Right
from faktory_async.net._stream_link import StreamLink, shut_down, socket_readable
from faktory_async.net._tls import TLS, tls_files
from faktory_async.net._url_options import UrlOptions

__all__ = [
    "DEFAULT_PORT",
    "NETWORK_ERRORS",
    "TLS",
    "Address",
    "AsyncioLink",
    "BlockingConnection",
    "Connection",
    "Connector",
    "Dial",
    "Event",
    "Home",
    "Ledger",
    "Limits",
    "Link",
    "MemoryLink",
    "Native",
    "OnConnect",
    "OnDisconnect",
    "Pool",
    "Right",
    "StreamLink",
    "Timeouts",
    "UrlOptions",
    "as_link",
    "current_time",
    "here",
    "memory_links",
    "on_asyncio",
    "open_link",
    "shut_down",
    "socket_readable",
    "tls_files",
    "wake",
]
