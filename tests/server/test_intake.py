"""Reading pushed jobs: the quick way and the thorough way must say the same."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, target
from hypothesis import strategies as st
from msgspec import UNSET

from faktory_async.server import _intake
from faktory_async.server._document import Document, encode_document
from faktory_async.server._gotree import InvalidJSONError
from faktory_async.server._intake import RefusedPushError, read_job, read_jobs

# -- what is sent -------------------------------------------------------------------------------

numbers = (
    st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0, -1, 2**53, 2**53 + 1, 10**15, 10**16, -0.0, 1e21, 1e-7])
)
texts = st.text(max_size=8) | st.sampled_from(['<b>&"\\', "\u2028", "custom", "a:-0,", "1" * 20])
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(texts, children, max_size=3),
    max_leaves=6,
)
failures = st.fixed_dictionaries(
    {},
    optional={
        "retry_count": st.integers(-3, 3),
        "remaining": st.integers(-3, 3),
        "failed_at": texts,
        "next_at": texts,
        "message": texts,
        "errtype": texts,
        "backtrace": st.lists(texts, max_size=2),
    },
)
jobs = st.fixed_dictionaries(
    {},
    optional={
        "jid": texts,
        "jobtype": texts,
        "queue": texts,
        "args": st.lists(values, max_size=3),
        "at": texts,
        "created_at": texts,
        "enqueued_at": texts,
        "retry": st.integers(-2, 2) | st.none() | numbers,
        "reserve_for": st.integers(0, 90_000),
        "backtrace": st.integers(0, 3),
        "custom": st.dictionaries(texts, values, max_size=3),
        "failure": failures,
        "priority": st.integers(0, 9),
        "unknown": values,
        "JID": texts,
        "Args": values,
        "rETRY": st.integers(0, 9),
        "ba\u212actrace": st.integers(0, 9),
    },
)
# Anything in the place of one value, and members written twice.
odd_jobs = st.tuples(jobs, st.sampled_from(["jid", "args", "custom", "retry", "failure"]), values)


def oddly(drawn: tuple[dict[str, Any], str, Any]) -> dict[str, Any]:
    job, name, value = drawn
    return {**job, name: value}


separators = st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", " :\t")])


def written(job: Any, parts: tuple[str, str], *, ascii_only: bool) -> bytes:
    text = json.dumps(job, ensure_ascii=ascii_only, separators=parts)
    return text.encode("utf-8", "surrogatepass")


texts_of_jobs = st.builds(written, jobs | odd_jobs.map(oddly), separators, ascii_only=st.booleans())
texts_of_lists = st.builds(
    written,
    st.lists(jobs | odd_jobs.map(oddly) | st.none(), max_size=3),
    separators,
    ascii_only=st.booleans(),
)
PIECES = [b"-0", b"1e5", b"1e999", b"\\u0063", b"\xff", b"\\ud800", b'"', b",", b"null", b"{", b"0"]


def joined(first: bytes, second: bytes) -> bytes:
    """Return two objects as one, so that members repeat."""
    between = b"," if b"{}" not in (first, second) else b""
    return first[:-1] + between + second[1:]


def spoil(text: bytes, place: int, piece: bytes) -> bytes:
    return text[:place] + piece + text[place:]


def listed(texts_: list[bytes]) -> bytes:
    return b"[" + b",".join(texts_) + b"]"


twice = st.builds(joined, texts_of_jobs, texts_of_jobs)
spoilt = st.builds(spoil, texts_of_jobs, st.integers(0, 80), st.sampled_from(PIECES))

# -- what is read -------------------------------------------------------------------------------


def outcome(document: Document) -> bytes:
    """Return the document as it would be stored, whatever it lacks."""
    if document.args is UNSET:
        return b"no args: " + encode_document(document)
    return encode_document(document)


def one(reader: Callable[[bytes], tuple[Document, int | None]], payload: bytes) -> object:
    try:
        document, retry = reader(payload)
    except RefusedPushError as error:
        return error.text, error.retry
    return outcome(document), retry


@given(texts_of_jobs | twice | spoilt)
@example(b'{"custom":{"a":1},"custom":{}}')
@example(b'{"\\u0063ustom":{"a":1},"custom":{"b":2}}')
@example(b'{"args":[-0],"reserve_for":-0}')
@example(b'{"args":[ -0]}')
@example(b'{"args":[12345678901234567890]}')
@example(b'{"args":["1234567890123456",-0.0,1E3]}')
@example(b'{"args":[[[1e400]]]}')
@example(b'{"args":' + b"[" * 2000 + b"]" * 2000 + b"}")
@example(b'{"retry":3,"retry":null,"retry":4}')
@example(b'{"retry":9223372036854775808}')
@example(b'{"priority":"\xff"}')
def test_both_ways_read_one_job_alike(payload: bytes) -> None:
    thorough = one(_intake._read_thoroughly, payload)
    assert one(read_job, payload) == thorough
    target(float(isinstance(thorough, tuple)))


@given(texts_of_lists | st.lists(twice | spoilt, max_size=3).map(listed))
@example(b'[{"custom":{"a":1}},{"custom":{"b":1},"custom":{}}]')
@example(b'[{"custom":{}},{"custom":{"b":1},"custom":{"a":2}}]')
@example(b"null")
@example(b"[null,{}]")
def test_both_ways_read_many_jobs_alike(payload: bytes) -> None:
    def many(reader: Callable[[bytes], Any]) -> object:
        try:
            return [outcome(document) for document in reader(payload)]
        except InvalidJSONError as error:
            return error.text

    assert many(read_jobs) == many(_intake._read_all_thoroughly)


PLAIN = [
    b'{"jid":"12345678","jobtype":"a","args":[]}',
    b'{"jid":"12345678","jobtype":"a","args":[1,-5,"x",null,true,{"b":1,"a":[2]}],"retry":3}',
    b'{"jid": "12345678", "jobtype": "a", "args": [1.5, -0.25, 1e3]}',
    b'{"jid":"8e1bd1ca26fd4fb1b6b2b5b1","jobtype":"a","args":["12345678901234567890"]}',
    b'{"jid":"12345678","jobtype":"a","args":["2026-01-05","-0"],"custom":{"a":1},"priority":5}',
    '{"jid":"12345678","jobtype":"é<","args":["\u2028😀\\n"],"created_at":"x"}'.encode(),
]


@pytest.mark.parametrize("payload", PLAIN)
def test_ordinary_jobs_are_read_quickly(payload: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    thorough = outcome(_intake._read_thoroughly(payload)[0])

    def forbidden(_data: bytes) -> object:
        raise AssertionError(payload)

    monkeypatch.setattr(_intake, "read", forbidden)
    assert outcome(read_job(payload)[0]) == thorough
    assert [outcome(document) for document in read_jobs(b"[" + payload + b"]")] == [thorough]
