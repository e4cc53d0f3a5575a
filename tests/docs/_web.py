"""The web example, run as its docstring says."""

import os
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager

from tests.docs._snippets import ROOT


@contextmanager
def serving(url: str) -> Generator[str]:
    """Run the web application, and give its address.

    Its socket listens before it runs, so whoever comes early only waits.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        os.set_inheritable(listening.fileno(), True)
        with subprocess.Popen(  # noqa: S603 - our own example
            [sys.executable, "-m", "uvicorn", "web:web", "--fd", str(listening.fileno())],
            cwd=ROOT / "examples",
            env={**os.environ, "FAKTORY_URL": url},
            pass_fds=[listening.fileno()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                yield f"http://127.0.0.1:{listening.getsockname()[1]}"
            finally:
                process.terminate()
