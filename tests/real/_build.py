"""Build the pinned Faktory server, once per pinned version, into the user's cache."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Final

__all__ = ["RealServerMissingError", "faktory_binary", "load_generator_binary"]

_PINS: Final = Path(__file__).parent / "server"
_BUILD_TIMEOUT: Final = 900.0  # seconds; a cold build downloads the modules first


class RealServerMissingError(Exception):
    """The real server cannot be had on this machine; the message says why."""


def faktory_binary() -> Path:
    """Return the server's executable, built when this machine does not have it yet."""
    if shutil.which("redis-server") is None:
        raise RealServerMissingError("no `redis-server` on PATH (Faktory starts its own)")
    return _built("faktory", "github.com/contribsys/faktory/cmd/faktory")


def load_generator_binary() -> Path:
    """Return the server's own load generator (`goload JOBS THREADS`), built when needed."""
    return _built("goload", "github.com/contribsys/faktory/test/load")


def _built(name: str, package: str) -> Path:
    target = _cache() / name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target.with_suffix(".lock")):
            if not target.exists():  # another run may have built it while we waited
                _build(package, target)
    return target


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    pins = b"".join((_PINS / file).read_bytes() for file in ("go.mod", "go.sum"))
    return Path(base) / "faktory-async-tests" / hashlib.sha256(pins).hexdigest()[:16]


@contextlib.contextmanager
def _locked(path: Path) -> Generator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # closing the file gives the lock back
        yield


def _build(package: str, target: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise RealServerMissingError("no `go` on PATH to build the server with")
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        for file in ("go.mod", "go.sum"):
            shutil.copy(_PINS / file, scratch)
        _run([go, "build", "-o", target.name, package], scratch)
        # A rename within one file system: others see the whole executable or none.
        Path(scratch, target.name).replace(target)


def _run(command: list[str], directory: str) -> None:
    environment = os.environ | {"CGO_ENABLED": "0", "GOWORK": "off"}
    try:
        subprocess.run(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=True,
            timeout=_BUILD_TIMEOUT,
        )
    except subprocess.CalledProcessError as error:
        raise RealServerMissingError(f"`{' '.join(command)}` failed:\n{error.stdout}") from None
    except subprocess.TimeoutExpired:
        raise RealServerMissingError(
            f"`{' '.join(command)}` did not end in {_BUILD_TIMEOUT:.0f} s"
        ) from None
