"""The embedded server as a process of its own."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Generator

import pytest

from faktory_async.net import Address
from faktory_async.protocol import password_hash
from faktory_async.server.__main__ import main
from tests.net._tls import Authority

PATIENCE = 30.0  # seconds


class Process:
    """A server that has said where it listens."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        assert process.stdout is not None
        said = process.stdout.readline()
        match = re.fullmatch(r"Faktory listens on (tcp(?:\+tls)?://\S+)\n", said)
        assert match, said
        self.address = Address.parse(match[1])

    def dial(self) -> socket.socket:
        return socket.create_connection((self.address.host, self.address.port), timeout=PATIENCE)

    def stop(self, number: signal.Signals) -> tuple[int, str, str]:
        """Send a signal; return the exit status and what else was written."""
        self.process.send_signal(number)
        out, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, errors


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "faktory_async.server", *arguments]


def environment(**own: str) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("FAKTORY_")} | own


@contextlib.contextmanager
def running(*arguments: str, **variables: str) -> Generator[Process]:
    process = subprocess.Popen(  # noqa: S603 - our own command
        command(*arguments),
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield Process(process)
        finally:
            process.kill()


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603 - our own command
        command(*arguments),
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


def ask(server: Process, password: str | None = None) -> bytes:
    """Return what is answered to HELLO."""
    with server.dial() as sock, sock.makefile("rb") as replies:
        challenge = re.search(rb'"i":(\d+),"s":"(\w+)"', replies.readline())
        pwdhash = ""
        if challenge and password is not None:
            pwdhash = password_hash(password, challenge[2].decode(), int(challenge[1]))
        sock.sendall(b'HELLO {"v":2,"pwdhash":"%b"}\r\n' % pwdhash.encode())
        return replies.readline()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_says_where_it_listens_and_ends_in_peace_by_a_signal(number: signal.Signals) -> None:
    with running("--port", "0") as server:
        assert server.address.host == "127.0.0.1"
        assert server.address.port > 0
        assert ask(server) == b"+OK\r\n"
        assert server.stop(number) == (0, "", "")


def test_ends_in_peace_while_clients_wait() -> None:
    with (
        running("--port", "0") as server,
        server.dial() as sock,
        sock.makefile("rb") as replies,
    ):
        replies.readline()
        sock.sendall(b"HELLO {}\r\nFETCH q\r\n")
        assert replies.readline() == b"+OK\r\n"
        assert server.stop(signal.SIGTERM) == (0, "", "")
        assert replies.read() == b"-ERR redis: client is closed\r\n"


def test_takes_a_password_as_an_option_and_does_not_show_it() -> None:
    with running("--port", "0", "--password", "se:krit") as server:
        assert server.address.password is None
        assert ask(server) == b"-ERR Invalid password\r\n"
        assert ask(server, "se:krit") == b"+OK\r\n"


def test_takes_a_password_from_the_environment() -> None:
    with running("--port", "0", FAKTORY_PASSWORD="sekrit") as server:
        assert ask(server, "other") == b"-ERR Invalid password\r\n"
        assert ask(server, "sekrit") == b"+OK\r\n"


def test_speaks_tls_with_a_certificate(authority: Authority) -> None:
    certificate, key = authority.files_for("127.0.0.1")
    with running("--port=0", f"--tls-cert={certificate}", f"--tls-key={key}") as server:
        assert server.address.tls
        context = authority.trusting_context()
        with context.wrap_socket(server.dial(), server_hostname="127.0.0.1") as sock:
            assert sock.recv(100).startswith(b"+HI ")


def test_a_certificate_that_cannot_be_used_is_told_in_one_line() -> None:
    result = run("--port=0", "--tls-cert=/nowhere/cert.pem")
    assert (result.returncode, result.stdout) == (2, "")
    assert re.fullmatch(
        r"Faktory cannot start: .*'/nowhere/cert.pem': .*No such.*\n", result.stderr
    )


def info(server: Process) -> bytes:
    """Return what INFO says."""
    with server.dial() as sock, sock.makefile("rb") as replies:
        sock.sendall(b'HELLO {"v":2}\r\nINFO\r\n')
        return [replies.readline() for _ in range(4)][-1]


def test_is_the_free_edition_unless_told_otherwise() -> None:
    with running("--port", "0") as free, running("--port=0", "--edition=enterprise") as paid:
        assert b'"description":"Faktory",' in info(free)
        assert b'"description":"Faktory Enterprise",' in info(paid)


def test_refuses_an_edition_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--edition=pro"])
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert "argument --edition: invalid choice: 'pro'" in said
    assert re.search(r"oss'?, '?enterprise", said)


def test_a_port_that_is_taken_is_told_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run("--port", str(taken.getsockname()[1]))
    assert result.returncode == 1
    assert result.stdout == ""
    assert re.fullmatch(r"Faktory cannot listen: .*in use.*\n", result.stderr)


def test_help_names_every_option_and_default() -> None:
    result = run("--help")
    assert result.returncode == 0
    assert result.stderr == ""
    for word in (
        "--host",
        "127.0.0.1",
        "--port",
        "7419",
        "--password",
        "FAKTORY_PASSWORD",
        "--tls-client-ca",
    ):
        assert word in result.stdout


@pytest.mark.parametrize("port", ["65536", "-1", "x", "", "1.5"])
def test_refuses_what_is_no_port(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([f"--port={port}"])
    assert end.value.code == 2
    assert f"argument --port: {port} is no port: 0 to 65535" in capsys.readouterr().err
