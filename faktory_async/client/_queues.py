"""Queues as an operator sees them."""

from collections.abc import Sequence

from faktory_async.client._ask import Ask
from faktory_async.errors import UsageError
from faktory_async.protocol import EVERY_QUEUE, Latency, Pause, Remove, Resume


class Queues:
    """What can be done with the server's queues: `client.queues`.

    Names that do not exist are ignored by the server. Beside jobs that create new queue names,
    these commands can crash Faktory 1.10: use them gently.

    Args:
        ask: Sends a command over a connection of the client.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def pause(self, *names: str, everything: bool = False) -> None:
        """Let FETCH find nothing in these queues; jobs may still be pushed to them.

        A queue that has never held a job cannot be paused yet. A FETCH that is under way may still
        bring a job.

        Args:
            names: The queues.
            everything: All queues there are, in place of names.

        Raises:
            UsageError: neither names nor everything, or both, or a name that no queue can have.
            UnavailableError: no answer; perhaps it was done.
        """
        await self._ask(Pause(_chosen(names, everything=everything)))

    async def resume(self, *names: str, everything: bool = False) -> None:
        """Let FETCH find again what is in these queues.

        Args:
            names: The queues.
            everything: All queues there are, in place of names.

        Raises:
            UsageError: neither names nor everything, or both, or a name that no queue can have.
            UnavailableError: no answer; perhaps it was done.
        """
        await self._ask(Resume(_chosen(names, everything=everything)))

    async def remove(self, *names: str, everything: bool = False) -> None:
        """Remove these queues and the jobs in them; a later push makes the queue anew.

        Jobs that are scheduled, wait for a retry or are being worked stay.

        Args:
            names: The queues.
            everything: All queues there are, in place of names.

        Raises:
            UsageError: neither names nor everything, or both, or a name that no queue can have.
            UnavailableError: no answer; perhaps it was done.
        """
        await self._ask(Remove(_chosen(names, everything=everything)))

    async def latency(self, *names: str) -> dict[str, float]:
        """Return for how many seconds the next job of each queue has waited; 0.0 for none.

        Args:
            names: The queues, at least one.

        Raises:
            UsageError: no name, or one that no queue can have.
            ServerError: the next job of one of them was requeued by hand before it was ever
                enqueued, so that the server does not know.
            UnavailableError: no answer.
        """
        return await self._ask(Latency(names))


def _chosen(names: Sequence[str], *, everything: bool) -> Sequence[str]:
    if everything == bool(names) or EVERY_QUEUE in names:
        raise UsageError("name the queues, or say everything=True")
    return [EVERY_QUEUE] if everything else names
