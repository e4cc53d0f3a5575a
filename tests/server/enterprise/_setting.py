"""An Enterprise broker, and what tests do with it."""

import json
from datetime import UTC, datetime
from typing import Any

from faktory_async.server import Edition
from tests.server._driver import SECOND, Driver, body

NOT_UNIQUE = "-NOTUNIQUE Job not unique\r\n"


class Licensed(Driver):
    """A `Driver` of the Enterprise edition."""

    def __init__(self) -> None:
        super().__init__(edition=Edition.ENTERPRISE)

    # -- jobs ---------------------------------------------------------------------------------

    def try_push(self, jid: str, args: str = "[]", *, more: str = "", **custom: Any) -> str:
        """Push a job whose `custom` has these members; return the reply."""
        members = [f'"jid":"{jid}","jobtype":"order","args":{args}', more]
        members += [f'"custom":{json.dumps(custom)}'] if custom else []
        return self.ask(f"PUSH {{{','.join(filter(None, members))}}}")

    def add(self, jid: str, args: str = "[]", *, more: str = "", **custom: Any) -> None:
        """Push a job that is taken."""
        assert self.try_push(jid, args, more=more, **custom) == "+OK\r\n"

    def take(self, queue: str = "default") -> dict[str, Any]:
        """Fetch a job that must be there."""
        job: dict[str, Any] = json.loads(self.fetch(queue))
        return job

    def ack(self, jid: str) -> None:
        assert self.ask(f'ACK {{"jid":"{jid}"}}') == "+OK\r\n"

    def fail(self, jid: str) -> None:
        assert self.ask(f'FAIL {{"jid":"{jid}"}}') == "+OK\r\n"

    def work(self, queue: str = "default") -> dict[str, Any]:
        """Fetch a job and ACK it."""
        job = self.take(queue)
        self.ack(job["jid"])
        return job

    def break_down(self, queue: str = "default") -> dict[str, Any]:
        """Fetch a job and FAIL it."""
        job = self.take(queue)
        self.fail(job["jid"])
        return job

    def seconds_ahead(self, seconds: float) -> str:
        """Return a time as RFC 3339, from the server's now on."""
        return datetime.fromtimestamp(self.now / SECOND + seconds, UTC).isoformat()

    # -- tracks -------------------------------------------------------------------------------

    def track(self, jid: str) -> dict[str, Any]:
        """Return what TRACK GET says."""
        track: dict[str, Any] = json.loads(body(self.send(b"TRACK GET " + jid.encode())))
        return track

    def tell(self, jid: str, **more: Any) -> None:
        """Send a TRACK SET that is taken."""
        assert self.ask(f"TRACK SET {json.dumps({'jid': jid, **more})}") == "+OK\r\n"

    # -- batches ------------------------------------------------------------------------------

    def batch(self, *callbacks: str, queue: str = "then", **more: str) -> str:
        """Make a batch with these callbacks, whose names are their jobtypes."""
        plan: dict[str, Any] = dict(more)
        for name in callbacks:
            plan[name] = {"jobtype": name, "args": [], "queue": queue}
        return body(self.send(b"BATCH NEW " + json.dumps(plan).encode()))

    def status(self, bid: str) -> dict[str, Any]:
        """Return what BATCH STATUS says."""
        status: dict[str, Any] = json.loads(body(self.send(b"BATCH STATUS " + bid.encode())))
        return status

    def counts(self, bid: str) -> tuple[int, int, int]:
        """Return a batch's total, pending and failed."""
        status = self.status(bid)
        return status["total"], status["pending"], status["failed"]

    def states(self, bid: str) -> tuple[str, str]:
        """Return the states of a batch's complete and success callbacks."""
        status = self.status(bid)
        return status["complete_st"], status["success_st"]

    def commit(self, bid: str) -> None:
        assert self.ask(f"BATCH COMMIT {bid}") == "+OK\r\n"

    def reopen(self, bid: str) -> None:
        assert body(self.send(b"BATCH OPEN " + bid.encode())) == bid
