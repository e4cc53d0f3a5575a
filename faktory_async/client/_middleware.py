"""What stands between a program and the encoding of its jobs."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from faktory_async.model import Job

CallNext: TypeAlias = Callable[[Job], Awaitable[Job]]
"""Hands a job to the middleware behind, and returns the job that is to be pushed."""

PushMiddleware: TypeAlias = Callable[[Job, CallNext], Awaitable[Job]]
"""`async (job, call_next) -> Job`, around the making of each job that is pushed."""


def chain(middleware: Sequence[PushMiddleware]) -> CallNext | None:
    """Return what a job goes through before it is encoded, the first one outermost; None for none.

    Innermost stands nothing but the job: a middleware decides what is pushed, and does not see
    what becomes of it, so that jobs which leave in one frame can go through it one by one.
    """
    if not middleware:
        return None
    call: CallNext = _as_it_is
    for each in reversed(middleware):
        call = _around(each, call)
    return call


def _around(middleware: PushMiddleware, call_next: CallNext) -> CallNext:
    def call(job: Job) -> Awaitable[Job]:
        return middleware(job, call_next)

    return call


async def _as_it_is(job: Job) -> Job:
    return job
