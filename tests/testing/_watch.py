"""A plugin for the small projects that the tests run: it fails a test that leaves something behind.

It is copied into each of these projects, so it imports nothing of ours.
"""

import asyncio
import contextlib
import gc
import logging
import os
import threading
from collections.abc import Generator

import pytest

# Trio keeps threads for a while to use them again; its `trio.to_thread` is the test's own affair.
CACHED = "Trio thread"


class Complaints(logging.Handler):
    """What asyncio complains about: tasks that were destroyed, exceptions never retrieved."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record.getMessage())


complaints = Complaints()
logging.getLogger("asyncio").addHandler(complaints)


def belongings() -> set[str]:
    """Name what the process holds: its threads, open files and sockets, and unfinished tasks."""
    gc.collect()
    threads = {f"thread {t.name} {t.ident}" for t in threading.enumerate() if CACHED not in t.name}
    tasks = {
        f"task {found.get_name()}"
        for found in gc.get_objects()
        if isinstance(found, asyncio.Task) and not found.done()
    }
    return threads | tasks | set(files())


def files() -> Generator[str]:
    for number in range(256):
        with contextlib.suppress(OSError):
            status = os.fstat(number)
            yield f"file {number}, inode {status.st_ino}, mode {status.st_mode:o}"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    before = belongings()
    result = yield
    left = sorted(belongings() - before) + complaints.records
    if left:
        pytest.exit(f"{item.name} leaves behind: {', '.join(left)}", returncode=3)
    return result
