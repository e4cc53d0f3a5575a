"""Which jobs of a set are meant, in the words that the server's MUTATE honours. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from faktory_async.errors import UsageError
from faktory_async.model._check import check_jid
from faktory_async.model._glob import Glob
from faktory_async.model._job import Job

_MAGIC: Final = "*?[\\"
# What the server writes in another way than other encoders do.
_ESCAPES: Final = str.maketrans(
    {"<": r"\u003c", ">": r"\u003e", "&": r"\u0026", "\u2028": r"\u2028", "\u2029": r"\u2029"}
)


def literally(text: str) -> str:
    r"""Return the glob pattern that matches this text.

    >>> literally('"a*\\u003c"')
    '"a\\*\\\\u003c"'
    """
    return "".join(f"\\{character}" if character in _MAGIC else character for character in text)


def pattern_of(jid: str, queue: str, jobtype: str) -> str:
    r"""Return the glob that matches the stored JSON of one job, and of no other.

    `jid`, `queue` and `jobtype` stand side by side only at the top level: nested objects come back
    with sorted keys, so neither arguments nor a failure's message can mimic that.
    """
    return f'*"jid":{_glob(jid)},"queue":{_glob(queue)},"jobtype":{_glob(jobtype)},*'


def _glob(text: str) -> str:
    return literally(msgspec.json.encode(text).decode().translate(_ESCAPES))


def filter_of(
    job: Job | None = None,
    *,
    jids: Sequence[str] | None = None,
    jobtype: str | None = None,
    pattern: str | None = None,
    everything: bool = False,
    inside: str = "",
) -> dict[str, Any]:
    """Return the filter of a MUTATE; an empty one means every job of the set.

    Args:
        job: This one, known by jid, queue and jobtype.
        jids: Those with these ids. The server looks for `"jid":"…"` anywhere in the stored JSON, so
            a job whose arguments hold that is meant too.
        jobtype: Those of this type. The server looks for `"jobtype":"…"` likewise.
        pattern: Those whose stored JSON matches this glob: `*`, `?`, `[…]`, a backslash in front of
            what is to be taken as it is. With a jobtype, both must hold.
        everything: All of them. Only this word says so.
        inside: Which set they are in. What all of its jobs have in common tells none of them apart.

    Raises:
        UsageError: for a combination that the server does not honour, nothing at all, and a pattern
            that means everything without saying so.
    """
    described = jobtype is not None or pattern is not None
    chosen_by = (job is not None, jids is not None, described, everything)
    if sum(chosen_by) != 1:
        raise UsageError(
            "say which jobs: one job, jids, a jobtype and/or a pattern, or everything=True"
        )
    if job is not None:
        return {"regexp": pattern_of(job.jid, job.queue, job.jobtype)}
    if jids is not None:
        return {"jids": _checked_jids(jids)}
    chosen: dict[str, Any] = {}
    if pattern is not None:
        chosen["regexp"] = _checked_pattern(pattern, inside)
    if jobtype is not None:
        chosen["jobtype"] = _checked_jobtype(jobtype)
    return chosen


def _checked_jids(jids: Sequence[str]) -> list[str]:
    # Read once: of an iterator nothing would be left, and no jid at all means every job.
    chosen = [] if isinstance(jids, str) else list(jids)
    if not chosen:
        raise UsageError("jids is a list of at least one jid")
    for jid in chosen:
        check_jid(jid)
    return chosen


def _checked_pattern(pattern: str, inside: str) -> str:
    _check_can_be_sent(pattern, "pattern")
    glob = Glob(pattern.encode())
    if all(map(glob.matches, _strangers(inside))):
        raise UsageError("this pattern means every job of the set: say everything=True")
    if not (pattern.startswith(("*", "{")) and pattern.endswith(("*", "}"))):
        raise UsageError(
            "a pattern is for the whole JSON of a job: begin and end it with *, "
            'such as *"queue":"bulk"*'
        )
    return pattern


def _checked_jobtype(jobtype: str) -> str:
    _check_can_be_sent(jobtype, "jobtype")
    if _glob(jobtype) != f'"{jobtype}"':
        raise UsageError(
            f"the server would take {jobtype!r} for a pattern, or not find it: write a pattern"
        )
    return jobtype


def _check_can_be_sent(text: str, name: str) -> None:
    if not text:  # the server would not look at it: every job would be meant
        raise UsageError(f"an empty {name} tells no jobs apart")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"a {name} is text that can be encoded: no lone surrogates") from None


def _strangers(inside: str) -> Iterator[bytes]:
    """Make stored jobs that have nothing in common but what every job of that set has."""
    for letter, digit in ("~", "1"), ("^", "3"):
        text, two = f'"{letter * 24}"', digit * 2
        time = f'"20{two}-{two}-{two}T{two}:{two}:{two}.{digit}Z"'
        failure = at = ""
        if inside == "retries":
            failure = (
                f'"failure":{{"failed_at":{time},"next_at":{time},"message":{text},'
                f'"errtype":{text},"retry_count":{digit}}},'
            )
        if inside == "scheduled":
            at = f'"at":{time},'
        yield (
            f'{{"retry":{digit},{failure}"jid":{text},"queue":{text},"jobtype":{text},'
            f'"created_at":{time},{at}"args":[]}}'
        ).encode()
