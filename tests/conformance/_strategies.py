"""What the state machine may say: jobs, reports, filters and nonsense, as hypothesis draws them.

Names are drawn as small numbers; an example turns them into names of its own.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

__all__ = [
    "JOBTYPES",
    "JobDraft",
    "beats",
    "broken",
    "drafts",
    "failures",
    "filters",
    "hellos",
    "jid_numbers",
    "nonsense",
    "queue_numbers",
]

JOBTYPES = ("alpha", "alpine", "beta", "a*a", "<b>")
PAST = "2020-01-01T00:00:00.5Z"
FUTURE = "2099-01-01T00:00:00+02:00"

jid_numbers = st.integers(0, 7)
queue_numbers = st.integers(0, 3)

# Lone surrogates are legal in JSON text, as escapes.
texts = st.text(st.characters(exclude_categories=()), max_size=6)
numbers = st.one_of(
    st.integers(-(2**70), 2**70),
    st.integers(-3, 3),
    st.floats(allow_nan=False, allow_infinity=False),
)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


@dataclass(frozen=True, slots=True)
class JobDraft:
    """A job before it has names: numbers of a jid and a queue, and what else it says."""

    jid: int
    queue: int
    members: tuple[tuple[str, Any], ...]
    scheduled: bool = False
    accepted: bool = True

    def rendered(self, jid: str, queue: str) -> bytes:
        """Return its JSON; text outside ASCII is escaped, so that surrogates can be sent."""
        names = [("jid", jid), ("queue", queue)]
        pairs = (f"{json.dumps(k)}:{json.dumps(v)}" for k, v in [*names, *self.members])
        return ("{" + ",".join(pairs) + "}").encode()


def _failure() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {},
        optional={
            "failed_at": st.sampled_from(("", "junk", PAST)),
            "next_at": st.sampled_from(("", "junk", PAST)),
            "message": texts,
            "errtype": texts,
            "backtrace": st.lists(texts, max_size=2),
            "retry_count": st.integers(-2, 30),
            "remaining": st.integers(-2, 30),
            "unknown": values,
        },
    )


def _optional_members() -> dict[str, st.SearchStrategy[Any]]:
    return {
        "retry": st.one_of(st.none(), st.integers(-2, 3), st.sampled_from((25, 2**63 - 1))),
        "custom": st.dictionaries(texts, values, max_size=3) | st.none(),
        "reserve_for": st.sampled_from((None, 0, 1, 60, 1800, 86_400, -5)),
        "backtrace": st.sampled_from((None, 0, 5, -1)),
        "created_at": st.sampled_from((None, "", "junk", PAST)),
        "enqueued_at": st.sampled_from((None, "", "junk", PAST)),
        "failure": _failure() | st.none(),
        "priority": st.integers(0, 9),
        "more": values,
    }


def _spelled(key: str, how: str) -> str:
    return key.upper() if how == "upper" else key.title() if how == "title" else key


@st.composite
def drafts(draw: st.DrawFn) -> JobDraft:
    """Draw a job, mostly one that the server takes."""
    members: dict[str, Any] = {
        "jobtype": draw(st.sampled_from(JOBTYPES)),
        "args": draw(st.lists(values, max_size=3)),
        **draw(st.fixed_dictionaries({}, optional=_optional_members())),
    }
    at = draw(st.sampled_from((None, None, None, "", PAST, FUTURE)))
    if at is not None:
        members["at"] = at
    accepted = True
    if draw(st.integers(0, 9)) == 0:
        accepted = False
        key, value = draw(
            st.sampled_from(
                (
                    ("jobtype", ""),
                    ("jobtype", None),
                    ("args", None),
                    ("reserve_for", 86_401),
                    ("at", "garbage"),
                    ("at", "2099-13-01T00:00:00Z"),
                    ("at", "2020-01-01"),
                )
            )
        )
        members[key] = value
    order = draw(st.permutations(sorted(members)))
    spelled = draw(st.sampled_from(("lower", "lower", "lower", "upper", "title")))
    return JobDraft(
        jid=draw(jid_numbers),
        queue=draw(queue_numbers),
        members=tuple((_spelled(key, spelled), members[key]) for key in order),
        scheduled=accepted and at == FUTURE,
        accepted=accepted,
    )


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter of MUTATE whose patterns hit no timestamp, which differ between servers."""

    jids: tuple[int, ...] = ()
    jobtype: str | None = None
    pattern: str | None = None
    absent: bool = False
    members: dict[str, Any] = field(default_factory=dict[str, Any])


filters = st.one_of(
    st.just(Filter(absent=True)),
    st.just(Filter()),
    st.builds(Filter, jids=st.lists(jid_numbers, min_size=1, max_size=3).map(tuple)),
    st.builds(Filter, jobtype=st.sampled_from((*JOBTYPES, "al*", "?eta", "none"))),
    st.builds(
        Filter,
        jobtype=st.sampled_from((None, *JOBTYPES)),
        pattern=st.sampled_from(
            (
                '*"jobtype":"al*",*',
                '*"args":[]*',
                '*"args":[null*',
                '*"jobtype":"[ab]*"*',
                '*"jobtype":"[^a]*"*',
                '*"retry":25,*',
                '*"retry":-1,*',
                '{"retry":?,*',
                "alpha",
                "*",
                "*[",
            )
        ),
    ),
)

failures = st.fixed_dictionaries(
    {},
    optional={
        "message": st.one_of(st.none(), texts, st.sampled_from(("x" * 1100, "é" * 600, " \n "))),
        "errtype": st.one_of(st.none(), texts, st.sampled_from(("E" * 110, "é" * 60, "\u2003E "))),
        "backtrace": st.one_of(
            st.none(), st.lists(texts, max_size=3), st.just([f"l{n}" for n in range(60)])
        ),
        "more": values,
    },
)

beats = st.fixed_dictionaries(
    {},
    optional={
        "current_state": st.sampled_from((None, "", "quiet", "terminate", "running", "x")),
        "rss_kb": st.sampled_from((None, 0, 12_345, -1)),
    },
)

hellos = st.fixed_dictionaries(
    {},
    optional={
        "v": st.sampled_from((None, 0, 1, 2, 3, 255)),
        "hostname": texts,
        "pid": st.integers(0, 99_999),
        "labels": st.lists(texts, max_size=2),
        "username": texts,
        "pwdhash": texts,
        "more": values,
    },
)

# Lines of every verb that can be refused, and of none; nothing here waits or flushes.
_VERBS = (
    b"PUSH",
    b"PUSHB",
    b"ACK",
    b"FAIL",
    b"BEAT",
    b"MUTATE",
    b"TRACK",
    b"BATCH",
    b"QUEUE",
    b"X",
)
_payloads = st.one_of(
    st.binary(max_size=12).filter(lambda data: b"\n" not in data),
    values.map(lambda value: json.dumps(value).encode()),
    st.sampled_from((b"", b" ", b"{}", b"[]", b"null", b"[null]", b"[{}]", b'{"jid":5}')),
)
nonsense = st.tuples(
    st.sampled_from(_VERBS), st.sampled_from((b" ", b" ", b"", b"  ", b"\t")), _payloads
).map(b"".join)


@st.composite
def broken(draw: st.DrawFn) -> tuple[JobDraft, int, bytes]:
    """Draw a job, and a place where its text is changed: bytes that replace one of its own."""
    patch = draw(st.binary(max_size=2).filter(lambda data: b"\n" not in data and b"\r" not in data))
    return draw(drafts()), draw(st.integers(0, 400)), patch
