"""The books of a load: what was pushed, what ran, what was reported, and where the rest is."""

import socket
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from faktory_async import Job, Worker
from faktory_async.worker._crew import Crew
from faktory_async.worker._delivery import Report
from faktory_async.worker._steps import End
from tests.real import RealServer
from tests.worker.running import with_crew

_SETS: Final = ("scheduled", "retries", "dead", "working")


class Ledger:
    """Follows every job by the jid that it was pushed with, also where it was pushed again.

    Attributes:
        pushed: The jids.
        begun: The jobs with which a handler began.
        done: How often a handler came to its end, by jid.
        verdicts: How the reports ended, by jid.
    """

    def __init__(self) -> None:
        self.pushed: set[str] = set()
        self.begun: set[str] = set()
        self.done: Counter[str] = Counter()
        self.verdicts: dict[str, list[str]] = {}
        self._origins: dict[str, str] = {}
        self._crew: Crew | None = None

    def take(self, jobs: Iterable[Job]) -> Iterator[Job]:
        """Note jobs on their way to be pushed."""
        for job in jobs:
            self.pushed.add(job.jid)
            yield job

    def begin(self, job: Job) -> bool:
        """Note that a handler has begun with the job; return whether it is the first to do so."""
        origin = self._origins[job.jid] = _origin(job.jid, job.custom)
        first = origin not in self.begun
        self.begun.add(origin)
        return first

    def end(self, job: Job) -> None:
        """Note that a handler has come to its end."""
        self.done[self._origins[job.jid]] += 1

    def watch(self, worker: Worker) -> None:
        """Note how the worker's reports end."""
        with_crew(worker, self._follow)

    @property
    def fetches_out(self) -> int:
        """How many FETCHes of the worker are unanswered."""
        return 0 if self._crew is None else self._crew._fetchers.fetching

    @property
    def reporting(self) -> int:
        """How many reports have not come to their end."""
        return 0 if self._crew is None else len(self._crew._reports.undelivered())

    def _follow(self, crew: Crew) -> None:
        self._crew = crew
        reports: Any = crew._reports
        finish = reports._finish

        def finished(report: Report, end: End) -> None:
            origin = self._origins.get(report.jid, report.jid)
            self.verdicts.setdefault(origin, []).append(str(end.verdict))
            finish(report, end)

        reports._finish = finished

    def balance(self, server: RealServer) -> "Balance":
        """Compare with what the server's redis holds now."""
        return Balance(self, _kept(server))


class Balance:
    """What became of every job.

    Attributes:
        kept: Where the server has a job, by jid: `queued` or the name of a set; more than one place
            where it has it more than once.
        missing: Jobs that never came to a handler, and are nowhere.
        vanished: Jobs that came to a handler, were never done, and are nowhere.
        twice: Jobs that were done more than once.
        again: Jobs that the server has though their ACK is done with, in a place from which they
            will run again.
        leftovers: Such jobs in the working set: the server drops them when their time is up.
        untold: Jobs that ran and will run again, since the server was not told.
        strangers: Jobs that nobody has pushed.
    """

    def __init__(self, ledger: Ledger, kept: dict[str, list[str]]) -> None:
        self.kept = kept
        lost = ledger.pushed - kept.keys()
        self.missing = sorted(lost - ledger.begun)
        self.vanished = sorted((lost & ledger.begun).difference(ledger.done))
        self.twice = sorted(jid for jid, count in ledger.done.items() if count > 1)
        ran = kept.keys() & ledger.begun
        acked = {jid for jid in ran if "acked" in ledger.verdicts.get(jid, ())}
        self.leftovers = sorted(jid for jid in acked if kept[jid] == ["working"])
        self.again = sorted(acked.difference(self.leftovers))
        self.untold = sorted(ran.intersection(ledger.done) - acked)
        self.strangers = sorted(kept.keys() - ledger.pushed)

    def places(self) -> dict[str, int]:
        """Return how many jobs each place holds."""
        return dict(Counter(place for places in self.kept.values() for place in places))


def _kept(server: RealServer) -> dict[str, list[str]]:
    kept: dict[str, list[str]] = {}
    questions = ["LRANGE q:default 0 -1", *(f"ZRANGE {name} 0 -1" for name in _SETS)]
    answers = _ask(server, questions)
    for place, entries in zip(("queued", *_SETS), answers, strict=True):
        for entry in entries:
            value: dict[str, Any] = msgspec.json.decode(entry)
            job = value["job"] if place == "working" else value
            origin = _origin(job["jid"], job.get("custom"))
            kept.setdefault(origin, []).append(place)
    return kept


def _origin(jid: str, custom: Mapping[str, Any] | None) -> str:
    """Return the jid that a job was pushed with first: a rescue gives it another one."""
    return jid if custom is None else str(custom.get("retry_of", jid))


def _ask(server: RealServer, questions: list[str]) -> list[list[bytes]]:
    """Ask the server's own redis for lists."""
    with socket.socket(socket.AF_UNIX) as connection, connection.makefile("rb") as replies:
        connection.settimeout(20)
        connection.connect(server._redis_socket)
        connection.sendall("".join(f"{question}\r\n" for question in questions).encode())
        return [_list(replies) for _ in questions]


def _list(replies: Any) -> list[bytes]:
    return [
        replies.read(int(replies.readline()[1:]) + 2)[:-2]
        for _ in range(int(replies.readline()[1:]))
    ]
