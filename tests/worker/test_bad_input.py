"""Jobs of other languages, and broken ones: the handler gets them, or a FAIL says why."""

import json
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faktory_async import Job, Worker
from tests.worker.peer import peering
from tests.worker.running import running
from tests.worker.virtual import BACKENDS, virtual_backend

JID = "12345678"
DEEP = 100_000
BIG = "x" * 10_000_000


async def ending(document: bytes) -> tuple[Job | None, dict[str, Any]]:
    """Return what the handler got, if it was called, and the report; a good job follows."""
    got: list[Job] = []

    async def order(job: Job) -> None:
        got.append(job)

    good = Job("order", ["good"], jid="good-good-good")
    async with peering() as peer:
        peer.offer(document, good)
        worker = Worker(dial=peer.dial, concurrency=1, default_handler=order)
        async with running(worker) as run:
            await peer.until(lambda: ("ACK", good.jid) in peer.reports())
            await run.stop()
        reports = [line.json for line in peer.lines if line.verb in ("ACK", "FAIL")]
    assert got.pop() == good
    assert len(reports) == 2
    return (got[0] if got else None), reports[0]


USUAL: dict[str, Any] = {
    "jid": JID,
    "jobtype": "order",
    "args": [],
    "queue": "default",
    "retry": 25,
}


def document(**fields: Any) -> bytes:
    """Return a job document; a field that is `...` is absent."""
    fields = USUAL | fields
    return json.dumps({name: value for name, value in fields.items() if value is not ...}).encode()


WORKED: dict[str, tuple[bytes, dict[str, Any]]] = {
    "no jobtype": (document(jobtype=...), {"jobtype": ""}),
    "no args": (document(args=...), {"args": []}),
    "args are null": (document(args=None), {"args": []}),
    "no queue": (document(queue=...), {"queue": "default"}),
    "no retry": (document(retry=...), {"retry": 25}),
    "retry is text": (document(retry="3"), {"retry": 25}),
    "retry is huge": (document(retry=10**30), {"retry": 25}),
    "custom is null": (document(custom=None), {"custom": {}}),
    "custom is a list": (document(custom=[1]), {"custom": {}}),
    "failure is text": (document(failure="x"), {"failure": None}),
    "reserve_for is text": (document(reserve_for="60"), {"reserve_for": None}),
    "reserve_for is null": (document(reserve_for=None), {"reserve_for": None}),
    "reserve_for is huge": (document(reserve_for=10**15), {"reserve_for": 10**15}),
    "reserve_for is beyond all": (document(reserve_for=10**400), {"reserve_for": None}),
    "backtrace is a bool": (document(backtrace=True), {"backtrace": 0}),
    "backtrace is negative": (document(backtrace=-7), {"backtrace": -7}),
    "unknown fields": (document(priority=9, locale="fr", wat={"a": [1]}), {"priority": 9}),
    "a time with a zone": (
        document(created_at="2026-01-01T02:00:00.123456789+02:00"),
        {"created_at": datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)},
    ),
    "a time west of Greenwich": (
        document(at="2026-01-01T00:00:00-11:30"),
        {"at": datetime(2026, 1, 1, 11, 30, tzinfo=UTC)},
    ),
    "a time without a zone": (document(created_at="2026-01-01T00:00:00"), {"created_at": None}),
    "a time that is junk": (document(enqueued_at="yesterday"), {"enqueued_at": None}),
    "a time beyond time": (document(at="9999-12-31T23:59:59-23:59"), {"at": None}),
    "10 MB of args": (document(args=[BIG]), {"args": [BIG]}),
    "many args": (document(args=list(range(100_000))), {"args": list(range(100_000))}),
    "an integer that no double holds": (document(args=[2**63]), {"args": [float(2**63)]}),
    "a jobtype with everything in it": (document(jobtype="a\n\r\0é b"), {"jobtype": "a\n\r\0é b"}),
    "a long jid": (document(jid="j" * 10_000), {"jid": "j" * 10_000}),
    "an odd jid": (document(jid='a "b" <c> é'), {"jid": 'a "b" <c> é'}),
}

FAILED: dict[str, tuple[bytes, str]] = {
    "args are an object": (document(args={}), "arguments are no array"),
    "args are text": (document(args="x"), "arguments are no array"),
    "args are a number": (document(args=5), "arguments are no array"),
    "args are nested too deep": (
        b'{"jid":"%s","jobtype":"order","args":%s}' % (JID.encode(), b"[" * DEEP + b"]" * DEEP),
        "cannot be decoded",
    ),
    "custom is nested too deep": (
        b'{"jid":"%s","jobtype":"order","args":[],"custom":%s1%s}'
        % (JID.encode(), b'{"a":' * DEEP, b"}" * DEEP),
        "cannot be decoded",
    ),
    "bytes that are no UTF-8": (
        b'{"jid":"%s","jobtype":"order","args":["\xff"]}' % JID.encode(),
        "cannot be decoded",
    ),
    "no JSON after its jid": (b'{"jid":"%s",' % JID.encode(), "cannot be decoded"),
}


@pytest.fixture(params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return virtual_backend(request.param)


@pytest.mark.anyio
@pytest.mark.parametrize("name", WORKED)
async def test_a_handler_gets_what_is_odd(name: str) -> None:
    data, expected = WORKED[name]
    job, report = await ending(data)
    assert job is not None
    assert report == {"jid": job.jid}
    assert {field: getattr(job, field) for field in expected} == expected


@pytest.mark.anyio
@pytest.mark.parametrize("name", FAILED)
async def test_a_fail_says_what_is_wrong(name: str) -> None:
    data, words = FAILED[name]
    job, report = await ending(data)
    assert job is None
    assert report["jid"] == JID
    assert words in report["message"]


def odd_values() -> st.SearchStrategy[Any]:
    scalars = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text()
        | st.datetimes().map(str)
    )
    return st.recursive(
        scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5
    )


def odd_documents() -> st.SearchStrategy[bytes]:
    fields = ["jobtype", "args", "queue", "created_at", "enqueued_at", "at", "reserve_for"]
    fields += ["retry", "priority", "backtrace", "custom", "failure", "unknown"]
    mapping = st.dictionaries(st.sampled_from(fields), odd_values())
    return mapping.map(lambda given: json.dumps(given | {"jid": JID}).encode())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(document=odd_documents())
def test_any_document_with_a_jid_is_worked_or_failed(document: bytes) -> None:
    name, options = virtual_backend("asyncio")
    job, report = anyio.run(ending, document, backend=name, backend_options=dict(options))
    assert report["jid"] == JID
    assert ("errtype" in report) is (job is None)
