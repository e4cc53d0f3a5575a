"""Import what the worker wants later on, before the app's directory is where modules are found."""

import threading
from contextlib import suppress
from functools import partial
from importlib import metadata

import anyio
from anyio import to_thread

from faktory_async.cli._loop import Backend


def import_ahead(backend: Backend) -> None:
    """Import what an event loop, its threads and a connection want once they are used.

    The directory of the app goes before all others, so that its modules are found whatever is
    installed. A `queue.py` of its own would then be what the event loop gets for Python's.
    """
    run = partial(anyio.run, backend=backend.backend, backend_options=backend.options)
    # In a thread, so that the app's modules find the main one as if no loop had been there.
    thread = threading.Thread(target=_tried, args=(run,), daemon=True)
    thread.start()
    thread.join()
    metadata.version("faktory-async")  # which is said when the worker starts: it wants email


def _tried(run: "partial[None]") -> None:
    with suppress(Exception):  # it will show, where it matters
        run(_use)


async def _use() -> None:
    await to_thread.run_sync("localhost".encode, "idna")  # which the names of servers are put in
