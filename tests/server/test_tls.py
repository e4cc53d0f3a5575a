"""The embedded server over TLS, with our own client and with raw sockets."""

import socket
import ssl

import anyio
import anyio.to_thread
import pytest

from faktory_async import TLS, AddressError, Client, EmbeddedServer, Job, TLSError, UsageError
from faktory_async.errors import ConnectError
from tests.net._loops import on_every_loop
from tests.net._tls import Authority
from tests.server._wire import GREETING, HELLO, OK, connected

PATIENCE = 30.0  # seconds


def server_by(authority: Authority, *, client_ca: bool = False) -> EmbeddedServer:
    certificate, key = authority.files_for("127.0.0.1")
    ca = authority.pem if client_ca else None
    return EmbeddedServer(tls_cert=certificate, tls_key=key, tls_client_ca=ca)


@on_every_loop
async def test_a_client_that_trusts_the_certificate_pushes(authority: Authority) -> None:
    async with server_by(authority) as server:
        assert server.url == f"tcp+tls://127.0.0.1:{server.port}"
        async with Client(server.url, tls=TLS(ca=authority.pem)) as client:
            await client.push(Job("a", ["x" * 300_000]))
        async with Client(server.url) as stranger:
            with pytest.raises(TLSError, match="not trusted"):
                await stranger.push(Job("a"))
        assert server.counters.enqueued == 1


@on_every_loop
async def test_who_is_not_certified_is_sent_away_where_a_certificate_is_asked_for(
    authority: Authority,
) -> None:
    certificate, key = authority.files_for("localhost")
    async with server_by(authority, client_ca=True) as server:
        known = TLS(ca=authority.pem, cert=certificate, key=key)
        async with Client(server.url, tls=known) as client:
            await client.push(Job("a"))
        async with Client(server.url, tls=TLS(ca=authority.pem)) as stranger:
            with pytest.raises(ConnectError):
                await stranger.push(Job("a"))
        assert server.counters.enqueued == 1


@on_every_loop
async def test_who_speaks_no_tls_is_sent_away_and_harms_nobody(authority: Authority) -> None:
    async with server_by(authority) as server:
        async with connected(server, hello=None) as wire:
            await wire.send(HELLO)
            assert GREETING not in await wire.end()
        async with connected(server, hello=None) as wire:
            await wire.send(b"\x16\x03\x01")  # and then no more
            wire.half_close()
            await wire.end()
        async with Client(server.url, tls=TLS(ca=authority.pem)) as client:
            await client.push(Job("a"))


@on_every_loop
async def test_who_does_not_shake_hands_has_as_much_time_as_for_a_hello(
    authority: Authority,
) -> None:
    certificate, key = authority.files_for("127.0.0.1")
    async with (
        EmbeddedServer(tls_cert=certificate, tls_key=key, handshake_wait=0.01) as server,
        connected(server, hello=None) as wire,
    ):
        assert await wire.end() == b""


def end_of(server: EmbeddedServer, context: ssl.SSLContext, commands: bytes) -> bytes:
    """Send commands by a blocking socket, and return all that comes until TLS itself ends."""
    raw = socket.create_connection((server.host, server.port), timeout=PATIENCE)
    with (
        context.wrap_socket(raw, server_hostname="127.0.0.1", suppress_ragged_eofs=False) as sock,
        sock.makefile("rb") as replies,
    ):
        sock.sendall(commands)
        return replies.read()


@on_every_loop
async def test_the_end_is_said_as_tls_says_it(authority: Authority) -> None:
    """Without that, a client cannot tell the end from a cut by somebody in between."""
    context = authority.trusting_context()
    async with server_by(authority) as server:
        commands = HELLO + b"FETCH\r\nEND\r\n"
        said = await anyio.to_thread.run_sync(end_of, server, context, commands)
    assert said == GREETING + OK + b"-ERR must call fetch with at least one queue\r\n"


@on_every_loop
async def test_in_process_there_is_no_tls(authority: Authority) -> None:
    async with server_by(authority) as server, Client(dial=server.dial) as client:
        await client.push(Job("a"))


def test_files_that_cannot_be_used_are_told(authority: Authority) -> None:
    certificate, key = authority.files_for("127.0.0.1")
    with pytest.raises(AddressError, match="nowhere"):
        EmbeddedServer(tls_cert=certificate, tls_key="nowhere")
    with pytest.raises(AddressError, match="cannot be used"):
        EmbeddedServer(tls_cert=certificate, tls_key=key, tls_client_ca=key)
    with pytest.raises(AddressError, match=r"cannot be used: .*a.*b"):
        EmbeddedServer(tls_cert="a\0b")
    with pytest.raises(UsageError, match="tls_cert is not given"):
        EmbeddedServer(tls_key=key)
