"""The scheduled, failed and dead jobs, as an operator sees them."""

from collections.abc import Sequence
from typing import Literal, TypeAlias, TypedDict, Unpack

from faktory_async.client._ask import Ask
from faktory_async.errors import UsageError
from faktory_async.model import Job, filter_of
from faktory_async.protocol import Mutate

SetName: TypeAlias = Literal["scheduled", "retries", "dead"]


class Which(TypedDict, total=False):
    r"""Which jobs of a set are meant; one of these, but a jobtype and a pattern go together.

    Attributes:
        jids: Those with these ids. The server looks for `"jid":"…"` anywhere in the stored JSON: a
            job whose arguments hold that text is hit too. A `Job` in place of its jid is exact.
        jobtype: Those of this type, and likewise those whose arguments hold `"jobtype":"…"`; a
            name without characters that a pattern gives a meaning to.
        pattern: Those whose stored JSON matches this glob, such as `*"args":\[42\]*`: `*`, `?` and
            `[…]` mean something, a backslash takes that away. In stored JSON `<`, `>` and `&` are
            written `\u003c`, `\u003e`, `\u0026`.
            What all jobs of the set match, such as `*"jid"*`, needs `everything`.
        everything: All of them.
    """

    jids: Sequence[str]
    jobtype: str
    pattern: str
    everything: bool


class JobSet:
    """One of the server's sets: `client.scheduled`, `client.retries`, `client.dead`.

    The server does not say how many jobs were hit, and cannot list them; `client.info()` has the
    sizes. On a set of 100,000 jobs one call takes about half a second of the server's time; where
    that is more than 5 s it ends in a `ServerBusyError`.

    Args:
        ask: Sends a command over a connection of the client.
        name: Which set.
    """

    def __init__(self, ask: Ask, name: SetName) -> None:
        self._ask = ask
        self._name = name

    def __repr__(self) -> str:
        return f"<JobSet {self._name}>"

    async def requeue(self, job: Job | None = None, **which: Unpack[Which]) -> None:
        """Put jobs at the end of their queues now, as they are; their failures stay counted.

        Args:
            job: This one, known by its jid, queue and jobtype.
            which: Other ways to say which: see `Which`.

        Raises:
            UsageError: nothing, or more than one thing, says which jobs.
            UnavailableError: no answer; perhaps it was done.
            ServerError: the server refused.
        """
        await self._mutate("requeue", job, which)

    async def kill(self, job: Job | None = None, **which: Unpack[Which]) -> None:
        """Move jobs to the dead set, where they stay for 180 days.

        Args and raises: as `requeue`.
        """
        await self._mutate("kill", job, which)

    async def discard(self, job: Job | None = None, **which: Unpack[Which]) -> None:
        """Delete jobs.

        Args and raises: as `requeue`.
        """
        await self._mutate("discard", job, which)

    async def clear(self) -> None:
        """Delete every job of the set.

        Raises:
            UnavailableError: no answer; perhaps it was done.
        """
        await self._ask(Mutate("clear", self._name))

    async def _mutate(self, operation: str, job: Job | None, which: Which) -> None:
        if not isinstance(job, Job | None):  # pyright: ignore[reportUnnecessaryIsInstance]  # programs without types
            raise UsageError(f"a job is given as a Job, not {type(job).__name__}; or say jids=[…]")
        await self._ask(Mutate(operation, self._name, filter_of(job, inside=self._name, **which)))
