"""A state machine that tells two servers the same and compares every reply.

It keeps what it needs to know to ask only what is answered at once: which queues hold jobs, which
are paused, which connections are held back because their worker is quiet. There is one driver and
no concurrency.
"""

import itertools
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.conformance._strategies import (
    Filter,
    JobDraft,
    beats,
    broken,
    drafts,
    failures,
    filters,
    hellos,
    jid_numbers,
    nonsense,
    queue_numbers,
)
from tests.conformance._twins import Address, Pair

__all__ = ["Twins", "twins_of"]

OK = b"+OK\r\n"
NIL = b"$-1\r\n"
MOST_CLIENTS = 4
RUNNING = "running"
REFUSED = b"-ERR jobs must have a reasonable jid parameter\r\n"
UNNAMEABLE = ("a b", "é", "a/b", "*")

clients = st.integers(0, MOST_CLIENTS - 1)
sets = st.sampled_from(("scheduled", "retries", "dead"))


@dataclass(eq=False)
class Worker:
    """What the servers keep of a wid."""

    state: str = RUNNING
    clients: list["Client"] = field(default_factory=list["Client"])


@dataclass(eq=False)
class Client:
    """A connection to both servers."""

    pair: Pair
    wid: str = ""
    own: Worker | None = None

    @property
    def held_back(self) -> bool:
        """Whether its FETCH waits for nothing: it made a worker that is no longer running."""
        return self.own is not None and self.own.state != RUNNING


def dumps(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def operation(cmd: str, where: str, filtered: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the payload of a MUTATE."""
    return {"cmd": cmd, "target": where} | ({} if filtered is None else {"filter": filtered})


def jid_of(reply: bytes) -> str:
    """Return the jid of a fetched job."""
    jid = json.loads(reply.partition(b"\r\n")[2])["jid"]
    assert isinstance(jid, str)
    return jid


class Twins(RuleBasedStateMachine):
    """Drives the servers at `addresses`; counts what it did in `tally`."""

    addresses: ClassVar[tuple[Address, Address]]
    tally: ClassVar[Counter[str]] = Counter()
    _examples: ClassVar[Iterable[int]] = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        self._example = next(iter(self._examples))
        self._clients: list[Client] = []
        self._workers: dict[str, Worker] = {}
        self._lives = Counter[int]()
        self._sizes: dict[str, int] = {}
        self._paused: set[str] = set()
        self._reserved: list[str] = []

    # -- names ------------------------------------------------------------------------------

    def _jid(self, number: int) -> str:
        return f"job-{self._example:07d}-{number}"

    def _queue(self, number: int) -> str:
        return f"queue-{self._example:07d}-{number}"

    def _wid(self, number: int) -> str:
        """Name a worker; one whose connections are gone gets another name when it comes again.

        The servers forget it a moment after its client saw the end.
        """
        return f"worker-{self._example:07d}-{number}-{self._lives[number]}"

    def _client(self, number: int) -> Client:
        return self._clients[number % len(self._clients)]

    def _ask(self, who: int, line: bytes) -> bytes:
        return self._client(who).pair.ask(line)

    def _rendered(self, draft: JobDraft) -> bytes:
        return draft.rendered(self._jid(draft.jid), self._queue(draft.queue))

    # -- connections ------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        self.tally["examples"] += 1
        self._open(b'{"v":2}', "")

    def _open(self, hello: bytes, wid: str) -> None:
        client = Client(Pair(*self.addresses), wid)
        self._clients.append(client)
        assert client.pair.ask(b"HELLO " + hello) == OK
        if wid:
            worker = self._workers.get(wid)
            if worker is None:
                worker = client.own = self._workers[wid] = Worker()
            worker.clients.append(client)

    @precondition(lambda self: len(self._clients) < MOST_CLIENTS)
    @rule(hello=hellos, worker=st.none() | st.integers(0, 1))
    def connect(self, hello: dict[str, Any], worker: int | None) -> None:
        wid = "" if worker is None else self._wid(worker)
        self._open(dumps({**hello, "wid": wid}), wid)

    @precondition(lambda self: len(self._clients) > 1)
    @rule(who=st.integers(1, MOST_CLIENTS))
    def leave(self, who: int) -> None:
        """Say END on a connection; the first one stays."""
        self._end(self._clients[1 + who % (len(self._clients) - 1)])

    def _end(self, client: Client) -> None:
        self._clients.remove(client)
        assert client.pair.ends(b"END\r\n") == b""
        self._close(client)
        if client.wid:
            worker = self._workers[client.wid]
            worker.clients.remove(client)
            if not worker.clients:
                del self._workers[client.wid]
                self._lives[int(client.wid.split("-")[2])] += 1

    def _close(self, client: Client) -> None:
        client.pair.close()
        self.tally["replies"] += client.pair.compared
        self.tally["differences"] += client.pair.differed

    @rule(hello=hellos, position=st.integers(0, 60), patch=st.binary(max_size=2))
    def knock(self, hello: dict[str, Any], position: int, patch: bytes) -> None:
        """Say a HELLO in which some bytes were changed, and leave."""
        line = b"HELLO " + dumps(hello)
        position %= len(line)
        changed = line[:position] + patch.replace(b"\n", b" ") + line[position + 1 :]
        pair = Pair(*self.addresses)
        pair.ends(changed + b"\r\nEND\r\n")
        pair.close()

    # -- jobs in ----------------------------------------------------------------------------

    def _stored(self, drafts_: Iterable[JobDraft]) -> None:
        for draft in drafts_:
            if draft.accepted and not draft.scheduled:
                name = self._queue(draft.queue)
                self._sizes[name] = self._sizes.get(name, 0) + 1

    @rule(who=clients, draft=drafts())
    def push(self, who: int, draft: JobDraft) -> None:
        reply = self._ask(who, b"PUSH " + self._rendered(draft))
        assert (reply == OK) is draft.accepted
        self._stored([draft])

    @rule(who=clients, several=st.lists(drafts(), max_size=5))
    def push_bulk(self, who: int, several: list[JobDraft]) -> None:
        jobs = b",".join(self._rendered(draft) for draft in several)
        assert self._ask(who, b"PUSHB [" + jobs + b"]").startswith(b"$")
        self._stored(several)

    @rule(who=clients, draft=drafts(), name=st.sampled_from(UNNAMEABLE))
    def push_to_an_illegal_queue(self, who: int, draft: JobDraft, name: str) -> None:
        """A job that would be scheduled is left out: what becomes of it has no order."""
        if not draft.scheduled:
            self._ask(who, b"PUSHB [" + draft.rendered(self._jid(draft.jid), name) + b"]")

    @rule(who=clients, short=st.text(max_size=7), draft=drafts())
    def push_with_a_short_jid(self, who: int, short: str, draft: JobDraft) -> None:
        if len(short.encode(errors="replace")) < 8:
            line = b"PUSH " + draft.rendered(short, self._queue(draft.queue))
            assert self._ask(who, line) == REFUSED

    @rule(who=clients, change=broken(), verb=st.sampled_from((b"PUSH ", b"PUSHB ")))
    def push_broken(self, who: int, change: tuple[JobDraft, int, bytes], verb: bytes) -> None:
        """Push a job in whose text some bytes were changed; nobody says what that means."""
        draft, position, patch = change
        if draft.scheduled:
            return
        text = self._rendered(draft)
        position %= len(text)
        text = text[:position] + patch + text[position + 1 :]
        self._ask(who, verb + (b"[" + text + b"]" if verb == b"PUSHB " else text))
        self._learn_sizes()

    # -- jobs out ---------------------------------------------------------------------------

    def _full(self) -> list[str]:
        """Return the queues from which a job would come at once."""
        return sorted(q for q, size in self._sizes.items() if size and q not in self._paused)

    @precondition(lambda self: self._full())
    @rule(
        who=clients,
        which=st.integers(0, 9),
        before=st.lists(queue_numbers, max_size=2),
        behind=st.lists(queue_numbers, max_size=1),
    )
    def fetch(self, who: int, which: int, before: list[int], behind: list[int]) -> None:
        client = self._client(who)
        if client.held_back:
            client = self._clients[0]
        full = self._full()
        names = [
            *map(self._queue, before),
            full[which % len(full)],
            *map(self._queue, behind),
        ]
        reply = client.pair.ask(b"FETCH " + " ".join(names).encode())
        assert reply != NIL
        self._sizes[next(name for name in names if name in full)] -= 1
        self._reserved.append(jid_of(reply))
        self.tally["fetched"] += 1

    @rule(who=clients, number=jid_numbers)
    def ack_any(self, who: int, number: int) -> None:
        self._ack(who, self._jid(number))

    @precondition(lambda self: self._reserved)
    @rule(who=clients, which=st.integers(0, 9))
    def ack(self, who: int, which: int) -> None:
        self._ack(who, self._reserved[which % len(self._reserved)])

    def _ack(self, who: int, jid: str) -> None:
        assert self._ask(who, b"ACK " + dumps({"jid": jid})) == OK
        self._reserved = [other for other in self._reserved if other != jid]

    @rule(who=clients, number=jid_numbers, report=failures)
    def fail_any(self, who: int, number: int, report: dict[str, Any]) -> None:
        self._fail(who, self._jid(number), report)

    @precondition(lambda self: self._reserved)
    @rule(who=clients, which=st.integers(0, 9), report=failures)
    def fail(self, who: int, which: int, report: dict[str, Any]) -> None:
        self._fail(who, self._reserved[which % len(self._reserved)], report)

    def _fail(self, who: int, jid: str, report: dict[str, Any]) -> None:
        reply = self._ask(who, b"FAIL " + dumps({"jid": jid, **report}))
        assert (reply == OK) is (jid in self._reserved)
        self._reserved = [other for other in self._reserved if other != jid]
        self.tally["failed"] += reply == OK

    @precondition(lambda self: self._reserved)
    @rule(who=clients, which=st.integers(0, 9), report=failures)
    def fail_and_run_again(self, who: int, which: int, report: dict[str, Any]) -> None:
        jid = self._reserved[which % len(self._reserved)]
        self._fail(who, jid, report)
        for where in ("retries", "dead"):
            self._requeue(who, b"MUTATE " + dumps(operation("requeue", where, {"jids": [jid]})))

    @rule(who=clients, worker=st.integers(0, 2), report=beats)
    def beat(self, who: int, worker: int, report: dict[str, Any]) -> None:
        wid = self._wid(worker)
        reply = self._ask(who, b"BEAT " + dumps({"wid": wid, **report}))
        assert reply.startswith(b"-ERR unknown worker") is (wid not in self._workers)
        if wid in self._workers and reply != OK:
            self._workers[wid].state = "quiet or terminate"

    # -- administration ---------------------------------------------------------------------

    @rule()
    def info(self) -> None:
        self._learn_sizes()

    def _learn_sizes(self) -> None:
        reply = self._clients[0].pair.ask(b"INFO")
        queues = reply.partition(b'"queues":')[2].partition(b',"sets"')[0]
        self._sizes = json.loads(queues)

    @rule(who=clients, really=st.integers(0, 9))
    def flush(self, who: int, really: int) -> None:
        """Flush now and then; what is reserved stays so."""
        if really == 0:
            assert self._ask(who, b"FLUSH") == OK
            self._sizes = dict.fromkeys(self._sizes, 0)

    @rule(
        who=clients,
        verb=st.sampled_from(("PAUSE", "RESUME", "RESUME", "resume", "pause", "REMOVE")),
        numbers=st.lists(queue_numbers, min_size=1, max_size=3),
        star=st.sampled_from((None, None, 0, 1)),
    )
    def administer(self, who: int, verb: str, numbers: list[int], star: int | None) -> None:
        names = [self._queue(number) for number in numbers]
        if star is not None:
            names.insert(star, "*")
        assert self._ask(who, f"QUEUE {verb} {' '.join(names)}".encode()) == OK
        reached = set(self._sizes) if star == 0 else set(names) & set(self._sizes)
        if verb.upper() == "PAUSE":
            self._paused |= reached
        else:
            self._paused -= reached
        if verb == "REMOVE":
            self._sizes = {q: size for q, size in self._sizes.items() if q not in reached}

    @rule(who=clients, numbers=st.lists(queue_numbers, max_size=3))
    def latency(self, who: int, numbers: list[int]) -> None:
        names = " ".join(map(self._queue, numbers))
        self._ask(who, f"QUEUE LATENCY {names}".rstrip().encode())

    def _mutation(self, cmd: str, where: str, chosen: Filter) -> bytes:
        if chosen.absent:
            return b"MUTATE " + dumps(operation(cmd, where))
        given = {
            "jids": [self._jid(number) for number in chosen.jids],
            "jobtype": chosen.jobtype,
            "regexp": chosen.pattern,
        }
        filtered = {key: value for key, value in given.items() if value}
        return b"MUTATE " + dumps(operation(cmd, where, filtered))

    @rule(
        who=clients,
        cmd=st.sampled_from(("kill", "kill", "kill", "discard", "discard", "clear", "explode")),
        where=sets | st.just("working"),
        chosen=filters,
    )
    def mutate(self, who: int, cmd: str, where: str, chosen: Filter) -> None:
        self._ask(who, self._mutation(cmd, where, chosen))
        self._learn_sizes()

    @rule(who=clients, where=sets, chosen=filters)
    def requeue(self, who: int, where: str, chosen: Filter) -> None:
        self._requeue(who, self._mutation("requeue", where, chosen))

    def _requeue(self, who: int, line: bytes) -> None:
        """Requeue and drain all queues: the order among the jobs is anybody's choice."""
        assert self._ask(who, line) == OK
        assert self._ask(0, b"QUEUE RESUME *") == OK
        self._paused.clear()
        self._learn_sizes()
        drained: Counter[str] = Counter()
        for name, size in self._sizes.items():
            fetch = b"FETCH " + name.encode()
            drained.update(map(jid_of, self._clients[0].pair.unordered(fetch, size)))
            self._sizes[name] = 0
        self._reserved += drained
        self.tally["fetched"] += drained.total()
        for jid in (jid for jid, times in drained.items() if times > 1):
            # Which of the equally named is reserved now depends on the order.
            self._ack(0, jid)

    def _ack_all(self) -> None:
        for jid in {*self._reserved, *map(self._jid, range(8))}:
            self._ack(0, jid)

    # -- nonsense ---------------------------------------------------------------------------

    @rule(who=clients, line=nonsense)
    def say_nonsense(self, who: int, line: bytes) -> None:
        self._ask(who, line)

    @rule(who=clients, lines=st.lists(nonsense, min_size=2, max_size=5))
    def pipeline_nonsense(self, who: int, lines: list[bytes]) -> None:
        data = b"".join(line + b"\r\n" for line in lines)
        self._client(who).pair.expect(data, replies=len(lines))

    # -- the end ----------------------------------------------------------------------------

    def teardown(self) -> None:
        """Leave both servers as they were found, and alike."""
        if not self._clients:
            return
        try:
            self._ack_all()
            for line in (b"QUEUE RESUME *", b"FLUSH", b"QUEUE REMOVE *"):
                assert self._ask(0, line) == OK
            assert self._ask(0, b'PUSH {"retry":25}') == REFUSED
            self._learn_sizes()
            for client in list(self._clients):
                self._end(client)
        finally:
            for client in self._clients:
                self._close(client)


def twins_of(first: Address, second: Address) -> type[Twins]:
    """Return the machine for two servers, with a tally of its own."""
    return type("Twins", (Twins,), {"addresses": (first, second), "tally": Counter()})
