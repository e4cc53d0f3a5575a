"""Documents of jobs that are pushed again: the bytes that were fetched, with few changes. Pure."""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from faktory_async.model import literally, new_jid, world
from faktory_async.worker._outcome import Dead, Fail, Retry

_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)
# The options of Enterprise that tie a job to something outside of it: a batch, a lock, a record.
_TIES: Final = frozenset({"bid", "unique_for", "unique_until", "expires_at", "track"})
_NAMES: Final = ("jid", "jobtype", "queue", "args")
_DEFAULT_RETRY: Final = 25
_MOST: Final = 1_000_000_000  # failures of one job

SOONEST: Final = 5.0
"""Seconds ahead that a job must be scheduled: it must not come due while its push is in doubt."""
SOONEST_REQUEUE: Final = 10.0
"""The same for a requeue: a server that stalls answers after 5 s, which leaves one repetition."""
_OWN_JID: Final = 10.0  # seconds ahead from which a job keeps its jid
_LATEST: Final = datetime(9999, 12, 31, tzinfo=UTC).timestamp()
_FAR: Final = 100 * 365.25 * 86_400  # seconds ahead of what is never to come due


class Plan(Struct, frozen=True):
    """One push of a job, to be repeated with the same bytes.

    Attributes:
        jid: The id it is pushed under.
        at: When it comes due, in Unix seconds on the server's clock.
        document: The job.
        kill: The glob pattern that matches this job alone among those of one set.
    """

    jid: str
    at: float
    document: bytes
    kill: str


class Original:
    """A fetched job that may be pushed again; its contents stay the bytes they are.

    Attributes:
        retry: How often it may be retried; negative: it goes to the dead set at once.
        tied: Whether an option of Enterprise forbids to push it again.
    """

    def __init__(
        self, fields: dict[str, Raw], custom: dict[str, Raw], failure: dict[str, Any], retry: int
    ) -> None:
        self.retry = retry
        self.tied = not _TIES.isdisjoint(custom)
        self._fields = fields
        self._custom = custom
        self._failure = failure

    @staticmethod
    def read(raw: bytes) -> "Original | None":
        """Take a fetched job apart; None where it is none that could be put together again."""
        try:
            fields = _fields(raw)
            custom = _object(fields.get("custom"), _fields)
            failure = _object(fields.get("failure"), _members)
            retry = _retry(fields.get("retry", Raw(b"null")))
            for name in _NAMES:
                bytes(fields[name]).decode()  # what is copied must be text all the same
        except (*_UNREADABLE, KeyError):
            return None
        return Original(fields, custom, failure, _DEFAULT_RETRY if retry is None else retry)

    @property
    def has_retries(self) -> bool:
        """Whether the server would retry it after one more failure."""
        return self._failures < self.retry

    @property
    def kill(self) -> str:
        """The glob pattern that matches this job alone, under its own jid."""
        return self._pattern(self._fields["jid"])

    # -- what may become of it ------------------------------------------------------------------

    def retried(self, outcome: Retry, now: float) -> Plan:
        """Return the push of a Retry, at the server's time `now`."""
        soonest = now + SOONEST
        at = now + outcome.seconds if outcome.at is None else outcome.at.timestamp()
        at = max(at, soonest)
        history = None if outcome.free else self._failed(outcome, now, at)
        return self._plan(at, fresh=at < now + _OWN_JID, history=history)

    def requeued(self, now: float) -> Plan:
        """Return the push of a job that was interrupted, which is no failure of it."""
        return self._plan(now + SOONEST_REQUEUE, fresh=True, history=None)

    def rescued(self, fail: Fail, now: float) -> Plan:
        """Return the push that does what the server would have done with this FAIL."""
        at = now + _backoff(self._failures)
        return self._plan(at, fresh=True, history=self._failed(fail, now, at))

    def buried(self, cause: Fail | Dead, now: float, *, fresh: bool) -> Plan:
        """Return the push of a job that is to be killed while it is scheduled."""
        return self._plan(now + _FAR, fresh=fresh, history=self._failed(cause, now, None))

    # -- inside ---------------------------------------------------------------------------------

    @property
    def _failures(self) -> int:
        """The `retry_count` after one more failure: as the server counts, 0 for the first one."""
        return _count(self._failure, "retry_count", 0) + 1 if self._failure else 0

    def _failed(self, cause: Fail | Retry | Dead, now: float, next_at: float | None) -> Raw:
        """Return the history with one more failure."""
        left = _count(self._failure, "remaining", self.retry)
        if self._failure and left > 0:
            left -= 1
        history: dict[str, Any] = {
            "failed_at": self._failure.get("failed_at") or _time(now),
            "next_at": self._failure.get("next_at") if next_at is None else _time(next_at),
            "message": cause.message,
            "errtype": cause.errtype,
            "backtrace": cause.backtrace,
            "retry_count": self._failures,
            "remaining": left,
        }
        return Raw(_encode({name: value for name, value in history.items() if value is not None}))

    def _plan(self, at: float, *, fresh: bool, history: Raw | None) -> Plan:
        fields = {**self._fields, "at": Raw(_encode(_time(at))), "retry": Raw(b"%d" % self.retry)}
        if history is not None:
            fields["failure"] = history
        jid: str = _text(fields["jid"])
        if fresh:
            # The first jid of all stays the one to know a job by.
            fields["custom"] = Raw(_encode({"retry_of": fields["jid"], **self._custom}))
            jid = new_jid()
            fields["jid"] = Raw(_encode(jid))
        return Plan(jid, at, _encode(fields), self._pattern(fields["jid"]))

    def _pattern(self, jid: Raw) -> str:
        # Objects inside of a job come back with their keys sorted: this order of keys is found at
        # the top level only.
        text = b'"jid":%b,"queue":%b,"jobtype":%b,' % (
            jid,
            self._fields["queue"],
            self._fields["jobtype"],
        )
        return f"*{literally(text.decode())}*"


def _backoff(failures: int) -> float:
    """Return the seconds until the next try, as the server draws them."""
    jitter = int(world().uniform() * 30)
    return float(failures**4 + 15 + jitter * (failures + 1))


def _time(unix: float) -> str:
    return (
        datetime.fromtimestamp(min(unix, _LATEST), UTC).isoformat(timespec="microseconds")[:-6]
        + "Z"
    )


def _count(failure: dict[str, Any], name: str, default: int) -> int:
    value = failure.get(name)
    return value if type(value) is int and abs(value) <= _MOST else default


def _object(raw: Raw | None, decode: Any) -> dict[str, Any]:
    if raw is None or not bytes(raw).startswith(b"{"):
        return {}
    value: dict[str, Any] = decode(raw)
    return value


_encode: Final = msgspec.json.Encoder().encode
_fields: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_members: Final = msgspec.json.Decoder(dict[str, Any]).decode
_text: Final = msgspec.json.Decoder(str).decode
_retry: Final = msgspec.json.Decoder(int | None).decode
