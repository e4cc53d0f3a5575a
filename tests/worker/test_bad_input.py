"""Jobs of other languages, and broken ones: the handler gets them, or a FAIL says why."""

import json
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faktory_async import Client, Job, Worker
from faktory_async.testing import FaktoryServer
from tests.real import RealServer
from tests.worker.peer import peering
from tests.worker.running import running
from tests.worker.virtual import BACKENDS, virtual_backend
from tests.worker.wire import told

JID = "12345678"
DEEP = 100_000
BIG = "x" * 10_000_000
PATIENCE = 60.0  # seconds of a slow machine


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


# What is pushed to servers as it is: all these, unless their time is yet to come, and some more.
STORED: dict[str, bytes] = {
    **{name: data for name, (data, _) in (WORKED | FAILED).items() if b'"at"' not in data},
    "a time far west": document(at="2020-01-01T00:00:00-12:00"),
    "a time far east": document(at="2020-01-01T00:00:00.123456789+14:00"),
    "a time at no hour": document(at="2020-01-01T24:00:00Z"),
    "a time before all": document(at="0001-01-01T00:00:00Z"),
    "a due time that is junk": document(at="yesterday"),
    "a due time that is a number": document(at=1_600_000_000),
    "created in the far future": document(created_at="9999-12-31T23:59:59-23:59"),
    "an unknown type": document(jobtype="nobody-knows-it"),
    "no jid": document(jid=...),
    "a jid of nothing": document(jid=""),
    "a queue of nothing": document(queue=""),
    "a queue that is none": document(queue="a b"),
    "retry 0": document(retry=0),
    "retry null": document(retry=None),
    "retry is absurd": document(retry=2**62),
    "reserve_for is negative": document(reserve_for=-5),
    "args that are deep": b'{"jid":"%s","jobtype":"order","args":%s}'
    % (JID.encode(), b"[" * 5_000 + b"]" * 5_000),
    "half a character": b'{"jid":"%s","jobtype":"order","args":["\\ud800"]}' % JID.encode(),
    "a number beyond all": b'{"jid":"%s","jobtype":"order","args":[1e999]}' % JID.encode(),
    "a key that comes twice": b'{"jid":"%s","jobtype":"order","args":[1],"args":[2]}'
    % JID.encode(),
    "a failure that is absurd": document(
        failure={"retry_count": -5, "remaining": 2**40, "failed_at": "now", "backtrace": [""]}
    ),
    "no object": b"[]",
    "null": b"null",
}


REFUSED = {
    "no jobtype",
    "no args",
    "args are null",
    "retry is text",
    "retry is huge",
    "custom is a list",
    "failure is text",
    "reserve_for is text",
    "reserve_for is huge",
    "reserve_for is beyond all",
    "backtrace is a bool",
    "args are an object",
    "args are text",
    "args are a number",
    "args are nested too deep",
    "custom is nested too deep",
    "no JSON after its jid",
    "a time at no hour",
    "a due time that is junk",
    "a due time that is a number",
    "no jid",
    "a jid of nothing",
    "a queue that is none",
    "a number beyond all",
    "no object",
    "null",
}
# What comes back is failed, with these words; everything else is worked.
WHY = {
    "a jobtype with everything in it": "UnknownJobType: no handler for",
    "an unknown type": "UnknownJobType: no handler for",
    "args that are deep": "the fetched job cannot be decoded",
}
# What the handler gets, where the server lets it through as it is.
GOT: dict[str, dict[str, Any]] = {
    **{name: WORKED[name][1] for name in ("custom is null", "reserve_for is null", "no queue")},
    **{name: WORKED[name][1] for name in ("a time with a zone", "a time without a zone")},
    **{name: WORKED[name][1] for name in ("10 MB of args", "many args")},
    "a time far west": {"at": datetime(2020, 1, 1, 12, tzinfo=UTC)},
    "a time far east": {"at": datetime(2019, 12, 31, 10, 0, 0, 123456, tzinfo=UTC)},
    "a time before all": {"at": datetime(1, 1, 1, tzinfo=UTC)},
    "created in the far future": {"created_at": None},
    "half a character": {"args": ["\N{REPLACEMENT CHARACTER}"]},
    "bytes that are no UTF-8": {"args": ["\N{REPLACEMENT CHARACTER}"]},
    "a key that comes twice": {"args": [2]},
}
JIDS = {"a long jid": "j" * 10_000, "an odd jid": 'a "b" <c> é'}


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


async def work_all(server: FaktoryServer | RealServer, caplog: pytest.LogCaptureFixture) -> None:
    """Push them all, work what the server takes, and compare."""
    jids = {name: JIDS.get(name, f"case-{number:04}") for number, name in enumerate(STORED)}
    lines = [
        b"PUSH " + data.replace(f'"{JID}"'.encode(), f'"{jids[name]}"'.encode())
        for name, data in STORED.items()
    ]
    answers = dict(zip(STORED, told(server.host, server.port, *lines), strict=True))
    assert {name for name, answer in answers.items() if answer != b"+OK"} == REFUSED
    taken = STORED.keys() - REFUSED
    got: dict[str, Job] = {}

    async def order(job: Job) -> None:
        got[job.jid] = job

    worker = Worker(
        {"order": order},
        url=server.url,
        concurrency=1,
        max_jobs=len(taken),
        handle_signals=False,
    )
    with anyio.fail_after(PATIENCE):
        details = await worker.run()
        async with Client(server.url) as client:
            info = await client.info()
    failures = {
        vars(record)["jid"]: record.getMessage()
        for record in caplog.records
        if vars(record).get("event") == "job_failed"
    }
    assert got.keys() | failures.keys() == {jids[name] for name in taken}
    assert {name for name in taken if jids[name] in failures} - {"args that are deep"} == (
        WHY.keys() - {"args that are deep"}  # how deep a job may be Python says
    )
    assert all(words in failures.get(jids[name], words) for name, words in WHY.items())
    for name, fields in GOT.items():
        job = got[jids[name]]
        assert {field: getattr(job, field) for field in fields} == fields, name
    assert (details.acked, details.failed) == (len(got), len(failures))
    assert (details.reason, details.exit_code) == ("max_jobs", 0)
    assert (info.total_failures, info.sets.working, info.queues["default"]) == (
        len(failures),
        0,
        0,
    )


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_what_a_server_takes_is_worked_or_failed(caplog: pytest.LogCaptureFixture) -> None:
    with FaktoryServer() as server:
        await work_all(server, caplog)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_what_the_real_server_takes_is_worked_or_failed(
    fresh_real_server: RealServer, caplog: pytest.LogCaptureFixture
) -> None:
    await work_all(fresh_real_server, caplog)


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


@pytest.mark.anyio
async def test_what_a_job_is_called_makes_no_lines_of_its_own(
    caplog: pytest.LogCaptureFixture,
) -> None:
    forged = "order\nERROR all is lost\x1b[31m"
    _, report = await ending(document(jid="1234567\r8", jobtype=forged, args="none"))
    assert report["jid"] == "1234567\r8"
    (line,) = [record.getMessage() for record in caplog.records if "failed: " in record.msg]
    assert line.startswith(r"job '1234567\r8' ('order\nERROR all is lost\x1b[31m') failed: ")


@pytest.mark.anyio
async def test_what_a_job_is_called_makes_no_endless_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    await ending(document(jobtype="order" * 1_000, args="none"))
    (line,) = [record.getMessage() for record in caplog.records if "failed: " in record.msg]
    assert len(line) < 500
