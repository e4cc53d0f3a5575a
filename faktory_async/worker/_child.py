"""What a worker process runs. It imports this module anew, and with it little else."""

import contextlib
import inspect
import os
import signal
from collections.abc import Callable, Generator
from typing import Final, TypeVar

from faktory_async.model import Job
from faktory_async.worker._current import the_job
from faktory_async.worker._fatal import ends_the_program
from faktory_async.worker._outcome import Ack

R = TypeVar("R")

_STDIN: Final = 0
_STDOUT: Final = 1
_STDERR: Final = 2


def work(
    handler: Callable[[Job], object], job: Job, tell: Callable[[BaseException, Job], R]
) -> Ack | R:
    """Let the handler work the job, here, and return how that ended.

    What is to be known of an exception is told on the spot: its traceback cannot be sent to another
    process. What ends a program is raised.
    """
    with contextlib.suppress(ValueError):  # a thread that is not the main one
        # Ctrl-C reaches every process of the terminal; the worker says what becomes of its jobs.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    token = the_job.set(job)
    try:
        with _pipes_kept():
            call(handler, job)
    except BaseException as error:
        if ends_the_program(error):
            raise
        return tell(error, job)
    finally:
        the_job.reset(token)
    return Ack()


@contextlib.contextmanager
def _pipes_kept() -> Generator[None]:
    """Keep the pipes by which this process is told its jobs from programs that a handler starts.

    They are its stdin and stdout: what came into them from elsewhere would break them. Such a
    program reads nothing and writes where the worker writes its errors.
    """
    kept = os.dup(_STDIN), os.dup(_STDOUT)
    nowhere = os.open(os.devnull, os.O_RDWR)
    try:
        os.dup2(nowhere, _STDIN)
        try:
            os.dup2(_STDERR, _STDOUT)
        except OSError:  # there is none
            os.dup2(nowhere, _STDOUT)
        yield
    finally:
        for number, pipe in enumerate(kept):
            os.dup2(pipe, number)
        for opened in (*kept, nowhere):
            os.close(opened)


def call(handler: Callable[[Job], object], job: Job) -> None:
    """Call a `def` handler.

    Raises:
        TypeError: it has returned an awaitable, which nobody will await.
    """
    result = handler(job)
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise TypeError("the handler returned an awaitable: write `async def` to have it awaited")
