"""What tests rely on when they use a real server."""

import os
import signal
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from tests.real import RealServer, RealServerError, RealServerFactory
from tests.real._process import _has_ended


def exchange(server: RealServer, *lines: str) -> list[str]:
    """Send lines on a fresh connection and return as many reply lines, the greeting first."""
    with socket.create_connection((server.host, server.port), timeout=10) as connection:
        return talk(connection, *lines)


def talk(connection: socket.socket, *lines: str) -> list[str]:
    with connection.makefile("rb") as replies:
        answers = [replies.readline().decode()]
        for line in lines:
            connection.sendall(f"{line}\r\n".encode())
            answers.append(replies.readline().decode())
    return answers


def push(server: RealServer, jid: str) -> None:
    job = f'{{"jid":"{jid}","jobtype":"order","queue":"kept","args":[]}}'
    assert exchange(server, 'HELLO {"v":2}', f"PUSH {job}")[1:] == ["+OK\r\n"] * 2


def fetch(server: RealServer) -> str:
    hello = 'HELLO {"v":2,"wid":"w1","hostname":"h","pid":1}'
    with socket.create_connection((server.host, server.port), timeout=10) as connection:
        size = talk(connection, hello, "FETCH kept")[-1]
        assert size.startswith("$")
        return size


def test_a_test_that_uses_a_real_server_is_marked(
    real_server: RealServer, request: pytest.FixtureRequest
) -> None:
    assert request.node.get_closest_marker("real") is not None


def test_the_shared_server_greets_and_takes_a_client(real_server: RealServer) -> None:
    greeting, hello = exchange(real_server, 'HELLO {"v":2}')
    assert greeting.startswith("+HI {")
    assert hello == "+OK\r\n"


def test_the_log_names_the_port(real_server: RealServer) -> None:
    assert f"PID {real_server.pid} listening at 127.0.0.1:{real_server.port}" in real_server.log()


def test_a_password_is_asked_for_and_stands_in_the_url(
    real_server_factory: RealServerFactory,
) -> None:
    server = real_server_factory(password="s3cr3t/ü@")
    greeting, refusal = exchange(server, 'HELLO {"v":2}')
    assert '"s":' in greeting
    assert refusal.startswith("-ERR")
    assert server.url == f"tcp://:s3cr3t%2F%C3%BC%40@127.0.0.1:{server.port}"


def test_a_certificate_is_served(real_server_factory: RealServerFactory) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    server = real_server_factory(tls=(chain, issued.private_key_pem.bytes()))
    context = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    with (
        socket.create_connection((server.host, server.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        assert talk(connection, 'HELLO {"v":2}')[1] == "+OK\r\n"
    assert server.url == f"tcp+tls://127.0.0.1:{server.port}"


def test_two_servers_share_nothing(real_server: RealServer, fresh_real_server: RealServer) -> None:
    one, two = real_server, fresh_real_server
    assert len({one.port, one.web_port, two.port, two.web_port}) == 4
    assert one.redis_pid != two.redis_pid


@pytest.mark.parametrize("end", [RealServer.stop, RealServer.kill])
def test_jobs_and_ports_survive_an_end_and_a_restart(
    fresh_real_server: RealServer, end: Callable[[RealServer], None]
) -> None:
    push(fresh_real_server, "survivor1")
    port, pid = fresh_real_server.port, fresh_real_server.pid
    end(fresh_real_server)
    fresh_real_server.restart()
    assert fresh_real_server.port == port
    assert fresh_real_server.pid != pid
    assert fetch(fresh_real_server) != "$-1\r\n"


def test_restart_stops_a_running_server_first(fresh_real_server: RealServer) -> None:
    pid = fresh_real_server.pid
    fresh_real_server.restart()
    assert fresh_real_server.pid != pid
    assert exchange(fresh_real_server, 'HELLO {"v":2}')[1] == "+OK\r\n"


def test_a_server_whose_redis_was_left_stopped_ends_and_leaves_nothing_on_disk(
    real_server_executable: None,
) -> None:
    with RealServer() as server:
        directory, pid = server._directory, server.redis_pid
        assert (directory / "db" / "redis.sock").exists()
        os.kill(pid, signal.SIGSTOP)
    assert not directory.exists()
    assert _has_ended(pid)


def test_a_crash_is_told_with_the_log_when_the_server_is_stopped(
    real_server_executable: None,
) -> None:
    def crash() -> None:
        with RealServer() as server:
            process = server._process
            assert process is not None
            process.kill()
            process.wait()

    with pytest.raises(RealServerError, match=r"ended by itself with status -9[^$]*listening at"):
        crash()


def test_a_server_that_cannot_start_is_told_with_its_log(real_server_executable: None) -> None:
    broken = RealServer(tls=(b"no certificate", b"no key"))
    with pytest.raises(RealServerError, match=r"its log:\n.*Faktory"), broken:
        pass


def test_a_long_temporary_directory_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, real_server_executable: None
) -> None:
    """The path of redis's socket would not fit a Unix socket address."""
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with RealServer() as server:
        assert not server._directory.is_relative_to(long)
    assert list(long.iterdir()) == []
