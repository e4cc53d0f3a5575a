"""What goes out through the real server comes back as it was, floats as the server writes them."""

import asyncio
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeGuard

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faktory_async import Client, Job
from faktory_async.model import Envelope
from faktory_async.net import Address, Connection, Connector
from faktory_async.protocol import Ack, Fetch
from tests.real import RealServer

_MAX_INT = 2**53
_QUEUES = ("trip-a", "trip.b", "trip_C")

texts = st.text(st.characters(codec="utf-8"), max_size=20)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-_MAX_INT, _MAX_INT)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=15,
)
moments = st.datetimes(
    datetime(1970, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    datetime(2026, 1, 1),  # noqa: DTZ001 - likewise
    timezones=st.just(UTC),
)
jids = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_é本", min_size=8)
jobs = st.builds(
    Job,
    texts.filter(bool),
    st.lists(values, max_size=4),
    jid=jids,
    queue=st.sampled_from(_QUEUES),
    custom=st.dictionaries(texts, values, max_size=4),
    retry=st.integers(-1, 1_000),
    reserve_for=st.integers(60, 86_400) | st.none(),
    created_at=moments,
    at=st.none() | moments,
)


class RoundTrip:
    """A client and a raw consumer of one server, both on a loop of their own."""

    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        self._client = Client(url)
        self._connect = Connector(Address.parse(url))
        self._consumer: Connection | None = None
        self._runner.run(self._client.open())

    def send(self, job: Job) -> Job:
        """Push the job, fetch it, and ACK it."""
        return self._runner.run(self._send(job))

    def close(self) -> None:
        self._runner.run(self._close())
        self._runner.close()

    async def _send(self, job: Job) -> Job:
        consumer = self._consumer = self._consumer or await self._connect()
        await self._client.push(job)
        data = await consumer.execute(Fetch(_QUEUES))
        assert data is not None, "the job is not there"
        envelope = Envelope.decode(data)
        await consumer.execute(Ack(envelope.jid))
        return envelope.job()

    async def _close(self) -> None:
        await self._client.aclose()
        if self._consumer is not None:
            await self._consumer.aclose()


@pytest.fixture
def trip(real_server: RealServer) -> Generator[RoundTrip]:
    trip = RoundTrip(real_server.url)
    yield trip
    trip.close()


@pytest.mark.filterwarnings("ignore:`at` of the .* is more than a day ago")
@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(jobs)
def test_a_job_comes_back_as_it_was(trip: RoundTrip, job: Job) -> None:
    back = trip.send(job)
    assert (back.jid, back.jobtype, back.queue) == (job.jid, job.jobtype, job.queue)
    assert back.args == job.args
    assert same(back.args, job.args)
    assert back.custom == job.custom
    assert same(back.custom, job.custom)
    assert (back.retry, back.reserve_for) == (job.retry, job.reserve_for)
    assert (back.created_at, back.at) == (job.created_at, job.at)
    assert back.enqueued_at is not None
    assert abs(back.enqueued_at - datetime.now(UTC)) < timedelta(minutes=1)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def is_dict(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def same(back: Any, sent: Any) -> bool:
    """Whether a value is what the server makes of the one that was sent, types included.

    Numbers are all floats to the server, which writes a whole one without a fraction: below 1e21
    it comes back as an int, or as a float where such an int is beyond ±2^53.
    """
    if is_list(sent):
        return is_list(back) and all(map(same, back, sent))
    if is_dict(sent):
        return is_dict(back) and all(same(back[key], sent[key]) for key in sent)
    if isinstance(sent, float) and sent.is_integer():
        whole = abs(sent) <= _MAX_INT
        return type(back) is (int if whole else float) and back == sent
    return type(back) is type(sent) and back == sent


@pytest.mark.parametrize(
    ("sent", "comes_back"),
    [
        (1.0, 1),
        (-0.0, 0),
        (1e20, 1e20),
        (1e21, 1e21),
        (5e-324, 5e-324),
        (0.1, 0.1),
        (1e-7, 1e-7),
        (1.7976931348623157e308, 1.7976931348623157e308),
        (2**53, 2**53),
        (-(2**53), -(2**53)),
        (float(2**53), 2**53),
        (float(2**54), float(2**54)),
    ],
)
def test_a_number_comes_back_as_the_server_writes_it(
    trip: RoundTrip, sent: float, comes_back: float
) -> None:
    [back] = trip.send(Job("numbers", [sent], queue=_QUEUES[0])).args
    assert (type(back), back) == (type(comes_back), comes_back)
