"""From an address to a connection: over TCP and TLS, by a dial, and why it failed."""

import asyncio
import contextlib
import gc
import re
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.abc
import pytest
from anyio.lowlevel import checkpoint
from cryptography.hazmat.primitives import serialization
from msgspec.structs import replace

from faktory_async.errors import (
    AddressError,
    AuthenticationError,
    ConnectError,
    ConnectionLostError,
    FaktoryError,
    ProtocolError,
    TLSError,
)
from faktory_async.net import (
    TLS,
    Address,
    AsyncioLink,
    Connection,
    Connector,
    Limits,
    Link,
    StreamLink,
    Timeouts,
    memory_links,
    on_asyncio,
    open_link,
)
from faktory_async.protocol import Identity
from tests.net._faktory import HI, Echo, Server
from tests.net._loops import in_virtual_time, on_asyncio_loops, on_every_loop, on_trio
from tests.net._peers import HOST, Peer, listener, when
from tests.net._tls import Authority, tls_server, unix_server

FOREIGN = "faktory.example"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


async def refusal(connector: Connector) -> FaktoryError:
    """Return the error of a connect that must fail, and hold it to what all of them promise."""
    with pytest.raises(FaktoryError) as caught:
        await connector()
    assert caught.value.maybe_executed is False
    notes: list[str] = getattr(caught.value, "__notes__", [])
    assert str(connector.address) in " ".join([str(caught.value), *notes])
    for _ in range(5):
        await checkpoint()  # transports are closed by the loop
    gc.collect()  # whatever was left open is a ResourceWarning now
    return caught.value


async def works(connector: Connector) -> None:
    connection = await connector()
    assert await connection.execute(Echo("hello")) == "hello"
    await connection.aclose()


# -- TCP ----------------------------------------------------------------------------------------


@on_every_loop
async def test_an_address_leads_to_a_connection() -> None:
    with tls_server(None) as port:
        await works(Connector(Address(host=HOST, port=port)))


@on_every_loop
async def test_a_connection_sends_at_once_and_is_kept_alive() -> None:
    with tls_server(None) as port:
        link = await open_link(Address(host=HOST, port=port), None)
        assert isinstance(link, AsyncioLink | StreamLink)
        sock = link._socket
        assert sock is not None
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        await link.aclose()


@on_every_loop
async def test_where_nothing_listens_it_says_so() -> None:
    with listener() as listening:
        port = listening.getsockname()[1]
    error = await refusal(Connector(Address(host=HOST, port=port)))
    assert type(error) is ConnectError
    assert str(error) == f"nothing listens on tcp://{HOST}:{port}: is a Faktory running there?"


@on_every_loop
async def test_where_no_address_of_a_name_listens_it_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Loops that tried several addresses raise a bare OSError."""
    with listener() as listening:
        port = listening.getsockname()[1]
    error = await refusal(Connector(Address(host="localhost", port=port)))
    assert "nothing listens on tcp://localhost" in str(error)


@on_every_loop
async def test_a_name_that_nobody_knows_is_explained() -> None:
    error = await refusal(Connector(Address(host="no-such-host.invalid")))
    assert type(error) is ConnectError
    assert "the host of tcp://no-such-host.invalid:7419 has no address" in str(error)


@on_every_loop
async def test_a_port_of_somebody_else_is_explained() -> None:
    def behave(connection: socket.socket) -> None:
        connection.sendall(b"220 mail.example ESMTP\r\n")

    with tls_server(None, behave) as port:
        error = await refusal(Connector(Address(host=HOST, port=port)))
    assert type(error) is ProtocolError
    assert "no reply of a Faktory" in str(error)


@on_every_loop
async def test_a_server_that_waits_for_us_to_speak_is_explained() -> None:
    """As HTTP, Redis, and a Faktory's own web port do."""

    def behave(connection: socket.socket) -> None:
        connection.recv(1)

    with tls_server(None, behave) as port:
        connector = Connector(Address(host=HOST, port=port), timeouts=Timeouts(connect=0.1))
        error = await refusal(connector)
    assert type(error) is ConnectError
    assert "took the connection, but did not shake hands within 0.1 s" in str(error)
    assert "is it its command port, usually 7419" in str(error)
    assert "needs tcp+tls://" in str(error)


@on_every_loop
async def test_a_peer_that_resets_at_once_is_explained() -> None:
    def behave(connection: socket.socket) -> None:
        Peer(connection).reset()

    with tls_server(None, behave) as port:
        error = await refusal(Connector(Address(host=HOST, port=port)))
    assert type(error) is ConnectError


@on_every_loop
async def test_a_socket_that_takes_no_options_leaves_nothing_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the peer has already reset, some systems refuse every option."""

    def refuse(_: socket.socket) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr("faktory_async.net._dial.keep_alive", refuse)
    with tls_server(None) as port:
        error = await refusal(Connector(Address(host=HOST, port=port)))
        assert "Invalid argument" in str(error)


# -- TLS ----------------------------------------------------------------------------------------


def tls_address(port: int, host: str = HOST) -> Address:
    return Address(host=host, port=port, tls=True)


@pytest.mark.parametrize(
    "options", ["ca", "context", "bare context", "server_name", "no verification", "client"]
)
@on_every_loop
async def test_tls_works_with(options: str, authority: Authority) -> None:
    server = authority.server_context(FOREIGN if options == "server_name" else HOST)
    tls: TLS | ssl.SSLContext = TLS(ca=authority.pem)
    if options == "context":
        tls = TLS(context=authority.trusting_context())
    elif options == "bare context":
        tls = authority.trusting_context()
    elif options == "server_name":
        tls = TLS(ca=authority.pem, server_name=FOREIGN)
    elif options == "no verification":
        tls = TLS(verify=False)
    elif options == "client":
        server.verify_mode = ssl.CERT_REQUIRED
        server.load_verify_locations(authority.pem)
        certificate, key = authority.files_for("a-client.example")
        tls = TLS(ca=authority.pem, cert=certificate, key=key)
    with tls_server(server) as port:
        await works(Connector(tls_address(port), tls=tls))


@on_every_loop
async def test_tls_works_by_the_url_alone(authority: Authority) -> None:
    """With mutual TLS, and a name that only the certificate knows."""
    server = authority.server_context(FOREIGN)
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(authority.pem)
    cert, key = authority.files_for("a-client.example")
    files = f"ca={authority.pem}&cert={cert}&key={key}&server_name={FOREIGN}"
    with tls_server(server) as port:
        await works(Connector(Address.parse(f"tcp+tls://{HOST}:{port}?{files}")))


@on_every_loop
async def test_a_server_that_asks_for_a_certificate_gets_one_or_says_so(
    authority: Authority,
) -> None:
    server = authority.server_context()
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(authority.pem)
    with tls_server(server) as port:
        error = await refusal(Connector(tls_address(port), tls=TLS(ca=authority.pem)))
    assert isinstance(error, ConnectError)


@on_every_loop
async def test_a_certificate_of_an_unknown_authority_is_refused(authority: Authority) -> None:
    with tls_server(authority.server_context()) as port:
        error = await refusal(Connector(tls_address(port)))
    assert type(error) is TLSError
    assert f"the certificate of tcp+tls://{HOST}:{port} is not trusted" in str(error)
    assert "TLS(ca=…)" in str(error)


@on_every_loop
async def test_a_certificate_for_another_name_is_refused(authority: Authority) -> None:
    with tls_server(authority.server_context(FOREIGN)) as port:
        error = await refusal(Connector(tls_address(port), tls=TLS(ca=authority.pem)))
    assert type(error) is TLSError
    assert "is for another name" in str(error)
    assert "TLS(server_name=…)" in str(error)


@on_every_loop
async def test_tls_with_a_plain_server_is_explained() -> None:
    with tls_server(None) as port:
        error = await refusal(Connector(tls_address(port)))
    assert type(error) is TLSError
    assert "does not speak TLS: use tcp:// instead of tcp+tls://" in str(error)


@on_every_loop
async def test_a_plain_client_of_a_tls_server_is_told_so(authority: Authority) -> None:
    """The server waits for a ClientHello for 2 s, and then closes without a word."""

    def close(_: socket.socket) -> None:
        """Go, as a server with TLS does when nothing comes."""

    with tls_server(None, close) as port:
        error = await refusal(Connector(Address(host=HOST, port=port)))
    assert type(error) is ConnectError
    assert "if it speaks TLS, use tcp+tls:// instead of tcp://" in str(error)


@pytest.mark.parametrize("how", [Peer.close, Peer.reset])
@on_every_loop
async def test_a_peer_that_goes_away_during_the_tls_handshake_is_explained(
    how: Callable[[Peer], None],
) -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(1)
        how(Peer(connection))

    with tls_server(None, behave) as port:
        error = await refusal(Connector(tls_address(port)))
    assert isinstance(error, ConnectError)
    assert f"tcp+tls://{HOST}:{port}" in str(error)


@on_every_loop
async def test_a_server_without_a_common_version_is_explained(authority: Authority) -> None:
    old = authority.server_context()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    mine = authority.trusting_context()
    mine.minimum_version = ssl.TLSVersion.TLSv1_3
    with tls_server(old) as port:
        error = await refusal(Connector(tls_address(port), tls=TLS(context=mine)))
    assert type(error) is TLSError
    assert "no TLS with" in str(error)


def test_a_name_that_no_certificate_can_have_is_refused() -> None:
    with pytest.raises(AddressError, match="empty or too long"):
        TLS(server_name=".leading-dot")


@on_asyncio_loops
async def test_what_stayed_here_is_not_known_with_tls(authority: Authority) -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(1)
        connection.shutdown(socket.SHUT_RDWR)

    with tls_server(authority.server_context(), behave) as port:
        link = await open_link(tls_address(port), authority.trusting_context())

        async def send_until_it_fails() -> None:
            while True:
                await link.send(bytes(1 << 20))
                await checkpoint()

        with pytest.raises(OSError, match=r"lost|closed|reset|Broken"):
            await send_until_it_fails()
        kept = link.unsent()
        assert kept in {0, 1 << 20}, "but for the last piece, if TLS never had it"
        link.abort()
        assert link.unsent() == kept
        await link.aclose()
        assert link.unsent() == kept


@on_asyncio_loops
async def test_a_reset_with_bytes_pending_proves_nothing_with_tls(authority: Authority) -> None:
    full = threading.Event()

    def behave(connection: socket.socket) -> None:
        assert full.wait(10)
        Peer(connection).reset()

    with tls_server(authority.server_context(), behave) as port:
        link = await open_link(tls_address(port), authority.trusting_context())
        assert isinstance(link, AsyncioLink)

        async def send_until_it_fails() -> None:
            # The first of them is taken whole, whatever the peer does.
            while True:
                await link.send(bytes(1 << 22))

        async def send() -> None:
            with pytest.raises(OSError, match=r"lost|closed|reset|Broken"):
                await send_until_it_fails()

        async with anyio.create_task_group() as tg:
            tg.start_soon(send)
            await when(lambda: link._writing_paused)
            full.set()
        assert link._writing_paused
        assert link.unsent() == 0
        await link.aclose()


@on_asyncio_loops
async def test_the_end_of_a_tls_stream_ends_both_ways(authority: Authority) -> None:
    with tls_server(authority.server_context(), lambda _: None) as port:
        link = await open_link(tls_address(port), authority.trusting_context())
        assert await link.receive() == b""
        assert link.readable()
        with pytest.raises(OSError, match=r"lost|closed"):
            await link.send(b"nobody is there")
        assert link.unsent() == len(b"nobody is there"), "which TLS never had"
        await link.aclose()


@on_asyncio_loops
async def test_a_reset_is_seen_with_tls_though_the_loop_has_not_told_it_yet(
    authority: Authority,
) -> None:
    """It tells one round after it closed the socket, whose descriptor may be another's by then."""
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def behave(connection: socket.socket) -> None:
        begun.set()
        assert go_on.wait(10)
        Peer(connection).reset()
        ended.set()

    with tls_server(authority.server_context(), behave) as port, contextlib.ExitStack() as others:
        link = await open_link(tls_address(port), authority.trusting_context())
        assert isinstance(link, AsyncioLink)
        await when(begun.is_set)
        go_on.set()
        assert ended.wait(10)
        told: list[bool] = []
        kept: list[int] = []
        while not link._over:
            for each in socket.socketpair():
                others.enter_context(each)
            told.append(link.readable())
            assert link._transport is not None
            if link._transport.is_closing():
                with pytest.raises(OSError, match="is closed"):
                    link.start(b"nobody is there")
                kept.append(link.unsent())
            await asyncio.sleep(0)
        assert told
        assert all(told)
        assert kept == [len(b"nobody is there")], "which TLS never had"
        await link.aclose()


def test_tls_options_need_an_address_with_tls() -> None:
    with pytest.raises(AddressError, match=r"but tcp://localhost:7419 is not tcp\+tls://"):
        Connector(Address(password="not shown"), tls=TLS())
    with pytest.raises(AddressError, match="TLS options are given"):
        Connector(Address.parse("tcp://h?ca=ca.pem"))


# -- Unix sockets -------------------------------------------------------------------------------


@on_every_loop
async def test_a_unix_socket_leads_to_a_connection() -> None:
    with tempfile.TemporaryDirectory() as directory:  # short enough for a socket, unlike pytest's
        path = f"{directory}/f.sock"
        with unix_server(path):
            await works(Connector(Address(path=path)))


@on_every_loop
async def test_a_unix_socket_that_is_not_there_is_explained(tmp_path: Path) -> None:
    error = await refusal(Connector(Address(path=str(tmp_path / "f"))))
    assert type(error) is ConnectError
    assert str(error).startswith(f"there is no socket unix://{tmp_path}/f")


@on_every_loop
async def test_a_unix_socket_that_nobody_serves_is_explained() -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/f.sock"
        with unix_server(path):
            await works(Connector(Address(path=path)))
        error = await refusal(Connector(Address(path=path)))
    assert str(error) == f"nothing listens on unix://{path}: is a Faktory running there?"


# -- options of the URL -------------------------------------------------------------------------


def test_what_the_url_says_holds_where_the_program_says_nothing() -> None:
    address = Address.parse("tcp://h?max_connections=8&max_idle=2&command_timeout=2s")
    connector = Connector(address)
    assert connector.limits == Limits(max_connections=8, max_idle=2)
    assert connector.timeouts == Timeouts(command=2.0)
    connector = Connector(address, limits=Limits(max_reply=5), timeouts=Timeouts(pool=1))
    assert connector.limits == Limits(max_reply=5)
    assert connector.timeouts == Timeouts(pool=1)


def test_a_url_whose_options_make_no_sense_is_refused() -> None:
    with pytest.raises(AddressError, match=r"the options of tcp://h:7419: .* at least 1"):
        Connector(Address.parse("tcp://:secret@h?max_connections=0"))


# -- by a dial ----------------------------------------------------------------------------------


@on_every_loop
async def test_a_dial_may_give_a_bare_stream() -> None:
    with tls_server(None) as port:

        async def dial() -> anyio.abc.ByteStream:
            return await anyio.connect_tcp(HOST, port)

        await works(Connector(Address(), dial=dial))


@in_virtual_time
async def test_a_dial_may_give_a_link_and_the_address_gives_user_and_password() -> None:
    ours, theirs = memory_links()
    server = Server(theirs)
    connections: list[Connection] = []

    async def dial() -> Link:
        return ours

    async def connect() -> None:
        address = Address(username="me", password="sekrit")
        connections.append(await Connector(address, dial=dial, identity=Identity(wid="w"))())

    async with anyio.create_task_group() as tg:
        tg.start_soon(connect)
        await theirs.send(b'+HI {"v":2,"i":4728,"s":"279b5384a25685ee"}\r\n')
        hello = await server.line()
        assert '"wid":"w"' in hello
        assert '"username":"me"' in hello
        assert "199e487f0e15e3f8bafe3bc5bf9e8b4cf338cf1182c034dbd7862318b4ae317a" in hello
        await theirs.send(b"+OK\r\n")
    assert connections[0].idle


@pytest.mark.parametrize(
    ("raised", "text"),
    [
        (OSError("no tunnel"), "the dial failed: no tunnel"),
        (TimeoutError(), "the dial failed: TimeoutError"),
        (EOFError(), "the dial failed: EOFError"),
        (anyio.BrokenResourceError(), "the dial failed: BrokenResourceError"),
        (anyio.EndOfStream(), "the dial failed: EndOfStream"),
        (anyio.IncompleteRead(), "the dial failed: .*"),
        (anyio.DelimiterNotFound(5), "the dial failed: .*"),
        (anyio.BusyResourceError("reading from"), "the dial failed: .*"),
        (TLSError("my own words"), "my own words"),
        (ConnectionLostError("the proxy went away"), "the proxy went away"),
    ],
)
@in_virtual_time
async def test_a_dial_that_fails_is_explained(raised: Exception, text: str) -> None:
    async def dial() -> Link:
        raise raised

    error = await refusal(Connector(Address(), dial=dial))
    assert isinstance(error, ConnectError | ConnectionLostError)
    assert re.fullmatch(text, str(error))


@in_virtual_time
async def test_a_mistake_in_a_dial_is_not_covered_up() -> None:
    async def dial() -> Link:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Connector(Address(), dial=dial)()


@pytest.mark.parametrize("said", [None, b"", HI[:-2], HI, HI + b"+O"])
@in_virtual_time
async def test_every_phase_of_a_connect_shares_one_time(said: bytes | None) -> None:
    ours, theirs = memory_links()

    async def dial() -> Link:
        if said is None:
            await anyio.sleep_forever()
        else:
            await anyio.sleep(2)
            await theirs.send(said)
        return ours

    began = anyio.current_time()
    text = "no connection to" if said is None else "took the connection, but did not shake hands"
    with pytest.raises(ConnectError, match=f"{text}.* within 3 s"):
        await Connector(Address(), dial=dial)()
    assert anyio.current_time() - began == pytest.approx(3)
    assert theirs.readable() == (said is not None)


@in_virtual_time
async def test_a_trickled_handshake_is_not_given_more_time() -> None:
    ours, theirs = memory_links()

    async def dial() -> Link:
        return ours

    async def trickle() -> None:
        for byte in HI:
            await anyio.sleep(0.6)
            await theirs.send(bytes([byte]))

    began = anyio.current_time()
    async with anyio.create_task_group() as tg:
        tg.start_soon(trickle)
        timeouts = Timeouts(connect=2)
        with pytest.raises(ConnectError, match="within 2 s"):
            await Connector(Address(), dial=dial, timeouts=timeouts)()
        assert anyio.current_time() - began == pytest.approx(2)
        tg.cancel_scope.cancel()


@in_virtual_time
async def test_timeouts_and_limits_are_those_of_the_connection() -> None:
    ours, theirs = memory_links()

    async def dial() -> Link:
        return ours

    async def greet() -> None:
        await Server(theirs).greet()

    async with anyio.create_task_group() as tg:
        tg.start_soon(greet)
        limits, timeouts = Limits(max_reply=4), Timeouts(command=1.5)
        connection = await Connector(Address(), dial=dial, limits=limits, timeouts=timeouts)()
        assert connection._timeout == 1.5
        await theirs.send(b"$5\r\nhello\r\n")
        with pytest.raises(ProtocolError, match="the limit is 4"):
            await connection.execute(Echo("hello"))


@in_virtual_time
async def test_a_missing_password_is_explained_with_the_address_and_without_any_secret() -> None:
    ours, theirs = memory_links()
    await theirs.send(b'+HI {"v":2,"i":2,"s":"00"}\r\n')

    async def dial() -> Link:
        return ours

    error = await refusal(Connector(Address(username="me"), dial=dial))
    assert type(error) is AuthenticationError


# -- which loop ---------------------------------------------------------------------------------


@on_asyncio_loops
async def test_asyncio_and_uvloop_have_a_link_of_their_own() -> None:
    assert on_asyncio()


@on_trio
async def test_trio_is_not_asyncio() -> None:
    assert not on_asyncio()


def test_without_a_loop_it_is_not_asyncio() -> None:
    assert not on_asyncio()


# -- files and options --------------------------------------------------------------------------


def with_one(option: str, file: str | Path, authority: Authority) -> TLS:
    """Return options that are good but for this file."""
    certificate, key = authority.files_for("a-client.example")
    return replace(TLS(ca=authority.pem, cert=certificate, key=key), **{option: file})


@pytest.mark.parametrize("option", ["ca", "cert", "key"])
@pytest.mark.parametrize("fault", ["missing", "no PEM", "a directory"])
def test_files_that_cannot_be_used_are_named(
    option: str, fault: str, authority: Authority, tmp_path: Path
) -> None:
    path = tmp_path / "the-file.pem"
    if fault == "no PEM":
        path.write_text("-----BEGIN NONSENSE-----")
    elif fault == "a directory":
        path.mkdir()
    with pytest.raises(AddressError, match=r"the-file\.pem"):
        with_one(option, path, authority).make_context()


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b"])
@pytest.mark.parametrize("option", ["ca", "cert", "key"])
def test_a_path_that_no_file_can_have_is_a_mistake(
    option: str, name: str, authority: Authority
) -> None:
    with pytest.raises(AddressError, match=r"cannot be used: .*a.*b"):
        with_one(option, name, authority).make_context()


def test_a_key_without_its_certificate_is_a_mistake() -> None:
    with pytest.raises(AddressError, match=r"has a key, but not its certificate"):
        TLS(key="key.pem").make_context()


def test_a_key_with_a_passphrase_is_refused_instead_of_asking_at_the_terminal(
    authority: Authority, tmp_path: Path
) -> None:
    certificate, key = authority.files_for("a-client.example")
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        loaded.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"passphrase"),
        )
    )
    with pytest.raises(AddressError, match=r"locked\.pem"):
        TLS(cert=certificate, key=locked).make_context()


def test_a_context_of_ones_own_is_taken_as_it_is() -> None:
    context = ssl.create_default_context()
    assert TLS(context=context, ca="/no/such/file").make_context() is context


def test_certificates_are_verified_unless_somebody_says_otherwise() -> None:
    context = TLS().make_context()
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    trusting = TLS(verify=False).make_context()
    assert not trusting.check_hostname
    assert trusting.verify_mode is ssl.CERT_NONE
