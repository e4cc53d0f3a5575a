"""The blocking face of an address, for a thread."""

import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faktory_async.errors import (
    AuthenticationError,
    CommandTimeoutError,
    ConnectError,
    ConnectionLostError,
    FaktoryError,
    ProtocolError,
    ServerBusyError,
    ServerError,
    TLSError,
)
from faktory_async.net import TLS, Address, BlockingConnection, Connector, Timeouts
from tests.net._faktory import HI, Echo
from tests.net._peers import HOST, listener
from tests.net._tls import Authority, tls_server, unix_server

SOON = Timeouts(connect=0.2, command=0.2)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def opened(connector: Connector) -> BlockingConnection:
    held: list[BlockingConnection] = []
    connection = connector.open_blocking(held.append)
    assert held == [connection]
    return connection


def works(connector: Connector) -> None:
    connection = opened(connector)
    assert connection.execute(Echo("hello"), 10) == "hello"
    connection.close()
    connection.close()
    with pytest.raises(FaktoryError):
        connection.execute(Echo("hello"), 10)


def refusal(connector: Connector) -> FaktoryError:
    with pytest.raises(FaktoryError) as caught:
        opened(connector)
    assert caught.value.maybe_executed is False
    assert f"while connecting to {connector.address}" in caught.value.__notes__
    return caught.value


def saying(*pieces: bytes) -> Callable[[socket.socket], None]:
    """Be a peer that says this, whatever it hears."""

    def behave(connection: socket.socket) -> None:
        for piece in pieces:
            connection.sendall(piece)
            connection.recv(1_000)

    return behave


def resolve(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    """Give every name these addresses."""

    def found(*args: object, **options: object) -> list[tuple[Any, ...]]:
        return [(socket.AF_INET, 1, 6, "", address) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", found)


def test_it_works_over_tcp() -> None:
    with tls_server(None) as port:
        works(Connector(Address(host=HOST, port=port)))


def test_it_works_over_tls(authority: Authority) -> None:
    address = Address(host=HOST, tls=True)
    with tls_server(authority.server_context()) as port:
        address = Address(host=HOST, port=port, tls=True)
        works(Connector(address, tls=TLS(ca=authority.pem)))


def test_it_works_over_a_unix_socket() -> None:
    with tempfile.TemporaryDirectory() as directory, unix_server(f"{directory}/f.sock"):
        works(Connector(Address(path=f"{directory}/f.sock")))


def test_end_is_said_where_nothing_is_due() -> None:
    heard = bytearray()
    over = threading.Event()

    def behave(connection: socket.socket) -> None:
        connection.sendall(HI)
        connection.recv(1_000)
        connection.sendall(b"+OK\r\n")
        while data := connection.recv(1_000):
            heard.extend(data)
        over.set()

    with tls_server(None, behave) as port:
        opened(Connector(Address(host=HOST, port=port))).close()
        assert over.wait(10)
    assert heard == b"END\r\n"


def test_where_nothing_listens_it_says_so() -> None:
    with listener() as listening:
        port = listening.getsockname()[1]
    error = refusal(Connector(Address(host=HOST, port=port)))
    assert type(error) is ConnectError
    assert "nothing listens on" in str(error)


def test_the_second_address_of_a_name_is_tried_when_the_first_one_refuses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with listener() as dead:
        refusing = dead.getsockname()
    with tls_server(None) as port:
        resolve(monkeypatch, refusing, (HOST, port))
        works(Connector(Address(host="two.example", port=port)))


def test_a_name_without_an_address_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve(monkeypatch)
    assert "no address" in str(refusal(Connector(Address(host="none.example"))))


def test_a_certificate_of_an_unknown_authority_is_refused(authority: Authority) -> None:
    with tls_server(authority.server_context()) as port:
        error = refusal(Connector(Address(host=HOST, port=port, tls=True)))
    assert type(error) is TLSError


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ([b"220 mail.example ESMTP\r\n"], ProtocolError),
        ([HI, b"-ERR Invalid password\r\n"], AuthenticationError),
        ([b'+HI {"v":2,"i":2,"s":"00"}\r\n'], AuthenticationError),
        ([HI, b"+OK\r\n-ERR context deadline exceeded\r\n"], ServerBusyError),
        ([HI[:4]], ConnectError),
    ],
)
def test_a_handshake_that_fails_is_named(said: list[bytes], kind: type[FaktoryError]) -> None:
    with tls_server(None, saying(*said)) as port:
        error = refusal(Connector(Address(host=HOST, port=port), timeouts=SOON))
    assert type(error) is kind


def test_a_peer_that_ends_without_a_greeting_is_explained() -> None:
    with tls_server(None, lambda _: None) as port:
        error = refusal(Connector(Address(host=HOST, port=port)))
    assert type(error) is ConnectError
    assert "if it speaks TLS, use tcp+tls://" in str(error)


def test_an_error_of_the_server_leaves_the_connection_open() -> None:
    with tls_server(None, saying(HI, b"+OK\r\n", b"-ERR no\r\n", b"$2\r\nhi\r\n")) as port:
        connection = opened(Connector(Address(host=HOST, port=port)))
        with pytest.raises(ServerError, match="no"):
            connection.execute(Echo("hello"), 10)
        assert connection.execute(Echo("hi"), 10) == "hi"
        connection.close()


def test_a_command_that_was_not_sent_is_not_executed() -> None:
    with tls_server(None) as port:
        connection = opened(Connector(Address(host=HOST, port=port)))
        with pytest.raises(CommandTimeoutError) as late:
            connection.execute(Echo("hello"), 0)
        assert late.value.maybe_executed is False
    with tls_server(None) as port:
        connection = opened(Connector(Address(host=HOST, port=port)))
        connection.interrupt()
        with pytest.raises(ConnectionLostError) as lost:
            connection.execute(Echo("hello"), 10)
        assert lost.value.maybe_executed is False


def test_a_refusal_that_was_begun_before_the_command_proves_nothing_about_it() -> None:
    pieces = (HI, b"+OK\r\n-ERR unknown", b" worker w\r\n")
    with tls_server(None, saying(*pieces)) as port:
        connection = opened(Connector(Address(host=HOST, port=port)))
        with pytest.raises(ConnectionLostError, match="unknown worker") as caught:
            connection.execute(Echo("hello"), 10)
        assert caught.value.maybe_executed is True


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"$2\r\n", CommandTimeoutError),
        (b"HTTP/1.1 400\r\n", ProtocolError),
        (b"", ConnectionLostError),
    ],
)
def test_an_answer_that_is_none_ends_the_connection(
    answer: bytes, kind: type[FaktoryError]
) -> None:
    ended = threading.Event()

    def behave(connection: socket.socket) -> None:
        for piece in (HI, b"+OK\r\n"):
            connection.sendall(piece)
            connection.recv(1_000)
        if answer:
            connection.sendall(answer)
            ended.wait(10)

    with tls_server(None, behave) as port:
        connection = opened(Connector(Address(host=HOST, port=port)))
        with pytest.raises(kind) as caught:
            connection.execute(Echo("hello"), 0.2 if kind is CommandTimeoutError else 10)
        assert caught.value.maybe_executed is True
        ended.set()
        with pytest.raises(FaktoryError):
            connection.execute(Echo("hello"), 10)


@pytest.mark.parametrize("encrypted", [False, True])
def test_another_thread_can_interrupt_what_is_waited_for(
    authority: Authority, *, encrypted: bool
) -> None:
    sent, ended = threading.Event(), threading.Event()

    def behave(connection: socket.socket) -> None:
        for piece in (HI, b"+OK\r\n"):
            connection.sendall(piece)
            connection.recv(1_000)
        sent.set()
        ended.wait(10)

    with tls_server(authority.server_context() if encrypted else None, behave) as port:
        tls = TLS(ca=authority.pem) if encrypted else None
        address = Address(host=HOST, port=port, tls=encrypted)
        connection = opened(Connector(address, tls=tls))

        def interrupt() -> None:
            sent.wait(10)
            connection.interrupt()

        thread = threading.Thread(target=interrupt)
        thread.start()
        began = time.monotonic()
        with pytest.raises(FaktoryError):
            connection.execute(Echo("hello"), 60)
        assert time.monotonic() - began < 30
        ended.set()
        thread.join()


def test_what_is_interrupted_before_it_is_opened_does_not_open() -> None:
    with tls_server(None) as port:
        connector = Connector(Address(host=HOST, port=port))
        with pytest.raises(ConnectError):
            connector.open_blocking(lambda connection: connection.interrupt())


def test_files_of_tls_that_are_not_there_are_named(tmp_path: Path) -> None:
    connector = Connector(Address(tls=True), tls=TLS(ca=tmp_path / "ca.pem"))
    with pytest.raises(FaktoryError, match=r"ca\.pem"):
        connector.open_blocking(lambda _: None)
    assert isinstance(TLS().make_context(), ssl.SSLContext)
