"""What an operator does to a server's jobs and workers, each in one step."""

from typing import Final, Literal

from faktory_async.errors import UsageError
from faktory_async.server._broker import Broker
from faktory_async.server._mutate import JobFilter, MutationError, apply
from faktory_async.server._queues import EVERY, Queues
from faktory_async.server._workers import EVERYBODY, WorkerState

SetName = Literal["scheduled", "retries", "dead"]
QueueChange = Literal["pause", "resume", "remove"]

_SETS: Final = ("scheduled", "retries", "dead")


def signal(broker: Broker, wid: str, state: WorkerState) -> None:
    """Tell a worker, or all of them, to stop; it hears of it when it beats next.

    Raises:
        UsageError: no such worker is connected.
    """
    check_wid(broker, wid)
    broker.workers.signal(wid, state)


def check_wid(broker: Broker, wid: str) -> None:
    """Refuse the id of a worker that is not connected.

    Raises:
        UsageError: it names those that are.
    """
    known = [record.introduction.wid for record in broker.workers.records()]
    if wid not in (EVERYBODY, *known):
        raise UsageError(f"no worker {wid!r} is connected; there are {', '.join(known) or 'none'}")


def change_queues(broker: Broker, change: QueueChange, names: tuple[str, ...]) -> None:
    """Pause, resume or remove queues; `*` stands for all of them.

    Raises:
        UsageError: no name, or one that no queue has. A queue is there from its first job on.
    """
    if not names:
        raise UsageError(f"{change} takes names of queues, or {EVERY!r} for all")
    if names != (EVERY,):
        unknown = [name for name in names if name not in broker.queues]
        if unknown:
            known = ", ".join(queue.name for queue in broker.queues) or "none"
            raise UsageError(
                f"no queue {', '.join(map(repr, unknown))} has had a job yet; there are {known}"
            )
    changes = {"pause": Queues.pause, "resume": Queues.resume, "remove": Queues.remove}
    changes[change](broker.queues, list(names))


def mutate_set(broker: Broker, command: str, name: SetName, job_filter: JobFilter) -> int:
    """Do to the jobs of a set what MUTATE does; return how many they were.

    Raises:
        UsageError: there is no such set, or a job that cannot be requeued.
    """
    if name not in _SETS:
        raise UsageError(f"there is no set {name!r}: there are {', '.join(_SETS)}")
    try:
        return apply(broker, command, name, job_filter)
    except MutationError as error:
        raise UsageError(f"the server refuses to {command}: {error.text}") from error
