"""Fixtures for the tests of the command."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

HELLO = """
import time

from faktory_async import App, Discard, Retry

app = App()


@app.job
async def greet(name: str, times: int = 1) -> str:
    return " ".join([f"hello {name}"] * times)


@app.job(redact=["password"])
async def log_in(name: str, password: str) -> None:
    raise ValueError("no such user")


@app.job
async def give_up() -> None:
    raise Discard("not worth it")


@app.job
async def come_back() -> None:
    raise Retry(delay=60)


@app.job
async def leave() -> None:
    raise SystemExit(42)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Make a directory with an app, `hello:app`."""
    (tmp_path / "hello.py").write_text(HELLO)
    return tmp_path


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    """Give the root logger, and what it was like back to it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)
