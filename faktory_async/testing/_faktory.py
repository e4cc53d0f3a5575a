"""What a test of typed jobs asks for: what was pushed, and to have it worked."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar, Unpack

import anyio
from msgspec import Struct

from faktory_async.app import App, DrainOptions, JobType, Ran, drain
from faktory_async.model import Envelope, Job
from faktory_async.net import Link
from faktory_async.server import Core, Panel
from faktory_async.testing._server import FaktoryServer

R = TypeVar("R")

_MOST: Final = 20  # jobs that an assertion shows


class Pushed(Struct, frozen=True):
    """A job that was pushed.

    Attributes:
        job: The job, as the server has it.
        args: Its arguments as its handler will get them, defaults included.
    """

    job: Job
    args: tuple[Any, ...]


class Faktory(Panel):
    """A Faktory in memory for the test of an app; the fixture `faktory`.

        async def test_sign_up_queues_a_mail(faktory, web):
            await web.post("/sign-up", params={"email": "a@b.c"})
            faktory.assert_pushed(send_welcome, args=("a@b.c",), queue="mail")

    All that the server shows and does is here too: `queues`, `scheduled`, `retries`, `dead`,
    `advance(hours=1)`, `faults`. It may be used on any thread, in plain tests and in async ones.

    Args:
        server: The server.

    Attributes:
        server: The server, for what is not here.
    """

    def __init__(self, server: FaktoryServer) -> None:
        self.server: Final = server
        self.faults = server.faults
        self._payloads: list[bytes] = []
        server.on_push(self._payloads.append)

    def __repr__(self) -> str:
        return repr(self.server)

    @property
    def url(self) -> str:
        """Where it is, password included."""
        return self.server.url

    async def dial(self) -> Link:
        """Return a new link to it, see `FaktoryServer.dial`."""
        return await self.server.dial()

    # -- what was pushed ----------------------------------------------------------------------

    @property
    def jobs(self) -> list[Job]:
        """Every job that was pushed so far, in order, worked or not; retries do not count."""
        jobs = [Envelope.decode(payload).job() for payload in tuple(self._payloads)]
        # What a worker pushes again was made when it was first pushed, or names the job that was.
        first = {(job.jid, job.created_at): job for job in reversed(jobs)}
        return [
            job
            for job in jobs
            if first[job.jid, job.created_at] is job
            and job.failure is None
            and "retry_of" not in job.custom
        ]

    def pushed(self, job: JobType[...]) -> list[Pushed]:
        """Return the jobs of one type that were pushed so far, in order.

        Raises:
            ArgumentsError: one of them has arguments that do not fit.
        """
        decode = job.binding.function.arguments.decode
        return [
            Pushed(pushed, decode(pushed.args))
            for pushed in self.jobs
            if pushed.jobtype == job.jobtype
        ]

    def assert_pushed(
        self,
        job: JobType[...],
        *,
        args: Sequence[Any] | None = None,
        queue: str | None = None,
        count: int | None = None,
    ) -> list[Pushed]:
        """Fail unless jobs were pushed, and return them.

        Args:
            job: Their type.
            args: Their arguments; those that are left out have their defaults. By default any.
            queue: Their queue; by default any.
            count: How many such jobs there are; by default at least one.

        Raises:
            AssertionError: there are none, or not so many; what was pushed instead is shown.
            ArgumentsError: the args do not fit the job's signature.
        """
        __tracebackhide__ = True
        arguments = job.binding.function.arguments
        wanted = None if args is None else arguments.decode(arguments.encode(tuple(args), {}))
        found = [
            pushed
            for pushed in self.pushed(job)
            if (wanted is None or pushed.args == wanted)
            and (queue is None or pushed.job.queue == queue)
        ]
        if (not found) if count is None else len(found) != count:
            raise AssertionError(self._instead(job, wanted, queue, count, len(found)))
        return found

    def assert_nothing_pushed(self) -> None:
        """Fail if any job was pushed.

        Raises:
            AssertionError: there is one; all are shown.
        """
        __tracebackhide__ = True
        if jobs := self.jobs:
            raise AssertionError("\n".join(["nothing was to be pushed, but:", *_shown(jobs)]))

    def _instead(
        self,
        job: JobType[...],
        args: tuple[Any, ...] | None,
        queue: str | None,
        count: int | None,
        found: int,
    ) -> str:
        shown = "..." if args is None else ", ".join(map(repr, args))
        where = "" if queue is None else f" to the queue {queue}"
        wanted = "at least once" if count is None else f"{count} times"
        lines = [f"{job.jobtype}({shown}) was to be pushed{where} {wanted}, but was {found} times."]
        jobs = self.jobs
        lines.append("Pushed were:" if jobs else "Nothing was pushed.")
        return "\n".join([*lines, *_shown(jobs)])

    # -- having it worked ---------------------------------------------------------------------

    async def drain(self, app: App, **options: Unpack[DrainOptions]) -> list[Ran]:
        """Work until the queues are empty; see `faktory_async.app.drain`."""
        return await drain(app, self, **options)

    def drain_sync(self, app: App, **options: Unpack[DrainOptions]) -> list[Ran]:
        """The same in a test that is not async."""
        return anyio.run(partial(self.drain, app, **options))

    # -- its thread ---------------------------------------------------------------------------

    def _ask(self, question: Callable[[Core], R]) -> R:
        return self.server._ask(question)  # noqa: SLF001 - another face of it

    def _do(self, action: Callable[[Core], R]) -> R:
        return self.server._do(action)  # noqa: SLF001 - likewise


def _shown(jobs: Sequence[Job]) -> list[str]:
    lines = [
        f"  {job.jobtype}({', '.join(map(repr, job.args))}) to the queue {job.queue}"
        for job in jobs[:_MOST]
    ]
    return [*lines, f"  and {len(jobs) - _MOST} more"] if len(jobs) > _MOST else lines
