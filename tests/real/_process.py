"""One real Faktory server as a child process, with its own ports and directories."""

import errno
import os
import secrets
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self
from urllib.parse import quote

from tests.real._build import faktory_binary

__all__ = ["RealServer", "RealServerError"]

_HOST: Final = "127.0.0.1"
_TICK: Final = 0.02  # seconds between two looks at a condition
_START_TIMEOUT: Final = 20.0
_STOP_TIMEOUT: Final = 10.0
_PORT_ATTEMPTS: Final = 5
_REDIS_SOCKET_LIMIT: Final = 100  # bytes of path; a Unix socket address holds little more


class RealServerError(Exception):
    """The server did not do what it was told; the message carries its log."""


class _PortTakenError(RealServerError):
    """Somebody else took a port between our look at it and the server's bind."""


class RealServer:
    """A real Faktory, running from `__enter__` to `__exit__`.

    All methods block; call them from a coroutine through `anyio.to_thread.run_sync`.

    Args:
        password: What clients must prove to know; None for an open server.
        tls: Certificate chain and private key, both PEM; the certificate should name 127.0.0.1.
        log_level: How much `log()` will hold.
        executable: The server to run; built from the pinned source where it is None.
    """

    host: Final = _HOST

    def __init__(
        self,
        *,
        password: str | None = None,
        tls: tuple[bytes, bytes] | None = None,
        log_level: Literal["info", "debug"] = "info",
        executable: Path | None = None,
    ) -> None:
        self.port = 0
        self.web_port = 0
        self._password = password
        self._tls = tls
        self._log_level = log_level
        self._executable = executable
        self._directory = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._redis_pid: int | None = None

    def __enter__(self) -> Self:
        executable = self._executable = self._executable or faktory_binary()
        self._directory = _short_directory()
        try:
            self._prepare()
            self._launch_on_free_ports(executable)
        except BaseException:
            shutil.rmtree(self._directory)
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if self._process is not None:
                self.stop()
        finally:
            shutil.rmtree(self._directory)

    @property
    def url(self) -> str:
        """The address with the password, as a client takes it."""
        scheme = "tcp" if self._tls is None else "tcp+tls"
        user = "" if self._password is None else f":{quote(self._password, safe='')}@"
        return f"{scheme}://{user}{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        return self._running().pid

    @property
    def redis_pid(self) -> int:
        """The process id of the running server's own redis."""
        if self._redis_pid is None:
            raise self._error("the server is not running")
        return self._redis_pid

    def log(self) -> str:
        """Return everything that the server wrote so far, over all its restarts."""
        return self._log_path.read_text(errors="replace")

    def stop(self) -> None:
        """Ask the server to end (SIGTERM, exactly once) and wait until it has.

        Raises:
            RealServerError: It was not running any more, did not end within 10 s, or ended badly.
        """
        process = self._running()
        crashed = process.poll() is not None
        process.terminate()  # sends nothing where it has ended
        ended = self._finish(process)
        if crashed:
            raise self._error(f"the server had ended by itself with status {process.returncode}")
        if not ended:
            raise self._error(f"the server did not end in {_STOP_TIMEOUT} s")
        if process.returncode:
            raise self._error(f"the server ended with status {process.returncode}")

    def kill(self) -> None:
        """End the server by force (SIGKILL) and wait until it and its redis are gone."""
        process = self._running()
        process.kill()
        self._finish(process)

    def restart(self) -> None:
        """Start the server again, with its data and on its ports; stop it first if it runs."""
        if self._process is not None:
            self.stop()
        self._launch(self._executable or faktory_binary())

    # -- starting ---------------------------------------------------------------------------

    @property
    def _log_path(self) -> Path:
        return self._directory / "log"

    @property
    def _redis_socket(self) -> str:
        return str(self._directory / "db" / "redis.sock")

    def _prepare(self) -> None:
        (self._directory / "db").mkdir()
        config = self._directory / "cfg"
        config.mkdir()
        if self._tls is not None:
            certificate, key = self._tls
            (config / "public.cert.pem").write_bytes(certificate)
            (config / "private.key.pem").write_bytes(key)

    def _launch_on_free_ports(self, executable: Path) -> None:
        for _ in range(_PORT_ATTEMPTS):
            self.port, self.web_port = _free_port(), _free_port()
            try:
                return self._launch(executable)
            except _PortTakenError:
                continue
        raise self._error(f"no free ports in {_PORT_ATTEMPTS} attempts")

    def _launch(self, executable: Path) -> None:
        with self._log_path.open("ab") as log:
            logged = log.tell()
            self._process = subprocess.Popen(
                [executable, *self._arguments()],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # An interrupt at the keyboard must reach the tests alone: two signals in a
                # row make the server panic.
                start_new_session=True,
            )
        try:
            self._await_greeting(self._process, logged)
            self._redis_pid = self._ask_redis_pid()
        except BaseException:
            self.kill()
            raise

    def _arguments(self) -> list[str]:
        return [
            *("-b", f"{self.host}:{self.port}"),
            *("-w", f"{self.host}:{self.web_port}"),
            *("-e", "development"),
            *("-l", self._log_level),
            *("-d", str(self._directory / "db")),
            *("-c", str(self._directory / "cfg")),
        ]

    def _environment(self) -> dict[str, str]:
        own = {k: v for k, v in os.environ.items() if not k.startswith("FAKTORY_")}
        if self._password is not None:
            own["FAKTORY_PASSWORD"] = self._password
        return own

    def _await_greeting(self, process: subprocess.Popen[bytes], logged: int) -> None:
        # The log line with our child's pid tells its port from that of a stranger; the web line
        # comes from another thread of the server, whose failure does not end it.
        needed = (f"PID {process.pid} listening at", "Web server now listening")

        def ready() -> bool:
            log = self._log_path.read_bytes()[logged:].decode(errors="replace")
            if "address already in use" in log:
                raise self._error("a port is taken", _PortTakenError)
            if process.poll() is not None:
                raise self._error(f"the server ended at once with status {process.returncode}")
            return all(line in log for line in needed) and self._greets()

        if not _becomes_true(ready, _START_TIMEOUT):
            raise self._error(f"no greeting in {_START_TIMEOUT} s")

    def _greets(self) -> bool:
        with socket.create_connection((self.host, self.port), timeout=_START_TIMEOUT) as plain:
            if self._tls is None:
                return _reads_greeting(plain)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            with context.wrap_socket(plain) as wrapped:
                return _reads_greeting(wrapped)

    # -- ending -----------------------------------------------------------------------------

    def _finish(self, process: subprocess.Popen[bytes]) -> bool:
        """Wait for the end of the server, then of its redis; tell whether no force was needed."""
        self._process = None
        self._wake_redis()
        try:
            process.wait(_STOP_TIMEOUT)
            ended = True
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            ended = False
        self._await_redis_end()
        return ended

    # -- the server's redis -----------------------------------------------------------------

    def _ask_redis_pid(self) -> int:
        with socket.socket(socket.AF_UNIX) as connection, connection.makefile("rb") as replies:
            connection.settimeout(_START_TIMEOUT)
            connection.connect(self._redis_socket)
            connection.sendall(b"INFO server\r\nQUIT\r\n")
            for line in replies:
                key, _, value = line.partition(b":")
                if key == b"process_id":
                    return int(value)
        raise self._error("redis does not tell its process id")

    def _wake_redis(self) -> None:
        """Let a redis that a test stopped go on, or it could never end."""
        if self._redis_pid is not None and not self._redis_is_gone():
            os.kill(self._redis_pid, signal.SIGCONT)

    def _await_redis_end(self) -> None:
        if not _becomes_true(self._redis_is_gone, _STOP_TIMEOUT):
            raise self._error(f"the server's redis did not end in {_STOP_TIMEOUT} s")
        self._redis_pid = None

    def _redis_is_gone(self) -> bool:
        # The socket, because a server that did not get far leaves us no process id; the process,
        # because it still writes to its log when the socket is closed.
        with socket.socket(socket.AF_UNIX) as connection:
            connection.setblocking(False)
            if connection.connect_ex(self._redis_socket) not in (errno.ENOENT, errno.ECONNREFUSED):
                return False
        return self._redis_pid is None or _has_ended(self._redis_pid)

    # -- what went wrong --------------------------------------------------------------------

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise self._error("the server is not running")
        return self._process

    def _error(
        self, message: str, kind: type[RealServerError] = RealServerError
    ) -> RealServerError:
        log = self.log() if self._log_path.exists() else "(none)"
        return kind(f"{message}; its log:\n{log}")


def _short_directory() -> Path:
    directory = tempfile.mkdtemp(prefix="fk-")
    if len(os.fsencode(directory)) + len("/db/redis.sock") >= _REDIS_SOCKET_LIMIT:
        Path(directory).rmdir()
        directory = tempfile.mkdtemp(prefix="fk-", dir="/tmp")
    return Path(directory)


def _free_port() -> int:
    """Find a port below the range from which systems take the ports of outgoing connections.

    Within that range a client that dials a stopped server can get the very same port for its own
    end, and be connected to itself.
    """
    while True:
        port = 10_240 + secrets.randbelow(32_768 - 10_240)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_HOST, port))
            except OSError:
                continue
        return port


def _reads_greeting(connection: socket.socket) -> bool:
    with connection.makefile("rb") as lines:
        return lines.readline().startswith(b"+HI ")


def _has_ended(pid: int) -> bool:
    """Tell whether a process that is not our child is gone, or a zombie that nobody awaits."""
    try:
        os.kill(pid, 0)
        if sys.platform != "linux":
            return False
        with open(os.pidfd_open(pid), "rb") as process:  # noqa: PTH123 - no path, a descriptor
            return bool(select.select([process], [], [], 0)[0])
    except ProcessLookupError:
        return True


def _becomes_true(condition: Callable[[], bool], timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while not (reached := condition()) and time.monotonic() < deadline:
        time.sleep(_TICK)
    return reached
