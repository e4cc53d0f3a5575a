"""Queues and sets from the operator's side, on the embedded server and on the real one."""

from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from faktory_async import (
    Client,
    EmbeddedServer,
    EnterpriseRequiredError,
    InvalidJobError,
    Job,
    ServerError,
    UsageError,
)
from faktory_async.protocol import Beat, End, Fetch, Latency
from tests.real import RealServer

pytestmark = pytest.mark.asyncio

SOON = timedelta(hours=1)


@pytest.fixture(params=["embedded", pytest.param("real", marks=pytest.mark.real)])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url_of(kind: str, request: pytest.FixtureRequest) -> str:
    if kind == "real":
        server: RealServer = request.getfixturevalue("fresh_real_server")
        return server.url
    return ""


@asynccontextmanager
async def served(url: str) -> AsyncGenerator[Client]:
    """Give a client of that server, or of an embedded one where there is no URL."""
    if url:
        async with Client(url) as client:
            yield client
    else:
        async with EmbeddedServer() as server, Client(server.url) as client:
            yield client


def later(jid: str, jobtype: str = "order", **options: Any) -> Job:
    return Job(jobtype, options.pop("args", []), jid=jid, at=datetime.now(UTC) + SOON, **options)


# -- queues -------------------------------------------------------------------------------------


async def fetched(client: Client, *queues: str) -> list[str]:
    async with client.consumer() as consumer:
        jids: list[str] = []
        while (job := await consumer.fetch(*queues)) is not None:
            jids.append(job.jid)
            await consumer.ack(job)
    return jids


async def test_a_paused_queue_gives_nothing_until_it_is_resumed(url_of: str) -> None:
    async with served(url_of) as client:
        await client.push(Job("order", jid="job-one-1", queue="one"))
        await client.push(Job("order", jid="job-two-2", queue="two"))
        await client.queues.pause("one")
        assert await fetched(client, "one", "two") == ["job-two-2"]
        await client.queues.resume("one", "no-such-queue")
        assert await fetched(client, "one") == ["job-one-1"]


async def test_all_queues_at_once_need_a_word_of_their_own(url_of: str) -> None:
    async with served(url_of) as client:
        await client.push_bulk(Job("order", queue=name) for name in ("one", "two"))
        await client.queues.pause(everything=True)
        assert await fetched(client, "one", "two") == []
        await client.queues.resume(everything=True)
        await client.queues.remove(everything=True)
        assert (await client.info()).queues == {}


async def test_latency_is_how_long_the_next_job_has_waited(url_of: str) -> None:
    async with served(url_of) as client:
        await client.push(Job("order", queue="one"))
        latency = await client.queues.latency("one", "nope")
        assert latency.keys() == {"one", "nope"}
        assert latency["one"] > 0
        assert latency["nope"] == 0


async def test_a_latency_that_the_server_does_not_know_is_an_error(url_of: str) -> None:
    async with served(url_of) as client:
        await client.push(later("12345678"))
        await client.scheduled.requeue(jids=["12345678"])
        with pytest.raises(ServerError, match="parsing time"):
            await client.queues.latency("default")


MISTAKES: list[Callable[[Client], Coroutine[Any, Any, object]]] = [
    lambda client: client.queues.pause(),
    lambda client: client.queues.resume("a", everything=True),
    lambda client: client.queues.remove("*"),
    lambda client: client.queues.pause("a b"),
    lambda client: client.queues.pause("a\nFLUSH"),
    lambda client: client.queues.latency(),
    lambda client: client.queues.latency("*"),
    lambda client: client.queues.pause(["a", "b"]),  # type: ignore[arg-type]  # programs without types  # pyright: ignore[reportArgumentType]
]


@pytest.mark.parametrize("call", MISTAKES)
async def test_names_of_queues_are_checked(
    call: Callable[[Client], Coroutine[Any, Any, object]],
) -> None:
    async with EmbeddedServer() as server, Client(server.url) as client:
        with pytest.raises(UsageError):
            await call(client)


# -- sets ---------------------------------------------------------------------------------------


async def test_a_job_itself_is_hit_and_none_that_mimics_it(url_of: str) -> None:
    """The `jids` of the server would hit the second one as well: its arguments hold the jid."""
    job = later("12345678", "a*b", custom={"x": "<&>"})
    mimic = later("87654321", args=[{"jid": "12345678", "queue": "default", "jobtype": "a*b"}])
    async with served(url_of) as client:
        await client.push_bulk([job, mimic, later("11111111", "axxb")])
        await client.scheduled.kill(job)
        sets = (await client.info()).sets
        assert (sets.scheduled, sets.dead) == (2, 1)
        await client.scheduled.discard(jids=["12345678"])
        assert (await client.info()).sets.scheduled == 1


async def test_jobs_are_hit_by_jid_type_and_pattern(url_of: str) -> None:
    async with served(url_of) as client:
        await client.push_bulk(
            [
                later("job-1-by-jid"),
                later("job-2-by-jid"),
                later("job-3-type", "resize"),
                later("job-4-args", args=["a b", 42]),
                later("job-5-both", "resize", args=[42]),
            ]
        )
        await client.scheduled.discard(jids=["job-1-by-jid", "job-2-by-jid"])
        assert (await client.info()).sets.scheduled == 3
        await client.scheduled.kill(pattern=r'*"args":\["a b",42\]*')
        await client.scheduled.kill(pattern=r'*"args":\[42\]*', jobtype="resize")
        sets = (await client.info()).sets
        assert (sets.scheduled, sets.dead) == (1, 2)
        await client.scheduled.requeue(jobtype="resize")
        assert await fetched(client, "default") == ["job-3-type"]
        await client.dead.requeue(everything=True)
        assert sorted(await fetched(client, "default")) == ["job-4-args", "job-5-both"]


async def test_a_set_is_cleared(url_of: str) -> None:
    async with served(url_of) as client:
        await client.push_bulk(later(f"job-{number:05}") for number in range(3))
        await client.scheduled.clear()
        async with client.consumer() as consumer:
            await client.push(Job("order", jid="12345678"))
            job = await consumer.fetch("default")
            assert job is not None
            await consumer.fail(job, ValueError("no"))
        sets = (await client.info()).sets
        assert (sets.scheduled, sets.retries) == (0, 1)
        await client.retries.clear()
        assert (await client.info()).sets.retries == 0


@pytest.mark.parametrize(
    ("which", "text"),
    [
        ({}, "say which jobs"),
        ({"jids": ["12345678"], "jobtype": "order"}, "say which jobs"),
        ({"jobtype": "order", "everything": True}, "say which jobs"),
        ({"pattern": "*"}, "say everything=True"),
        ({"pattern": "**"}, "say everything=True"),
        ({"pattern": "*?*"}, "say everything=True"),
        ({"pattern": "{*}"}, "say everything=True"),
        ({"pattern": "*[^x]*"}, "say everything=True"),
        ({"pattern": '"args":[42]'}, "begin and end it with"),
        ({"jobtype": "al*"}, "take 'al.' for a pattern"),
        ({"jobtype": "a&b"}, "or not find it"),
        ({"jids": "12345678"}, "list of at least one"),
        ({"jids": []}, "list of at least one"),
        ({"jobtype": ""}, "an empty jobtype tells no jobs apart"),
        ({"jobtype": "", "pattern": '*"queue":"bulk"*'}, "an empty jobtype tells no jobs apart"),
        ({"jobtype": "order", "pattern": ""}, "an empty pattern tells no jobs apart"),
        ({"jobtype": "\udcff"}, "no lone surrogates"),
        ({"pattern": "*\udcff*"}, "no lone surrogates"),
    ],
)
async def test_what_the_server_would_take_otherwise_is_refused(
    which: dict[str, Any], text: str
) -> None:
    async with EmbeddedServer() as server, Client(server.url) as client:
        for operation in (client.dead.requeue, client.dead.kill, client.dead.discard):
            with pytest.raises(UsageError, match=text):
                await operation(**which)
        with pytest.raises(InvalidJobError):
            await client.dead.kill(jids=["short"])
        jid: Any = "12345678"
        with pytest.raises(UsageError, match="a Job, not str"):
            await client.dead.kill(jid)


# -- raw commands -------------------------------------------------------------------------------


async def test_any_command_may_be_sent(url_of: str) -> None:
    async with served(url_of) as client:
        await client.push(Job("order", queue="one"))
        assert await client.execute("FLUSH") == "OK"
        assert await client.execute("QUEUE LATENCY") == b"{}"
        assert await client.execute(Latency(["one"])) == {"one": 0.0}
        with pytest.raises(ServerError, match="unknown command PING"):
            await client.execute("PING")


@pytest.mark.parametrize(
    "command",
    [
        "FLUSH\r\nFLUSH",
        "FLUSH\n",
        "",
        "INFO\0",
        "FETCH default",
        "HELLO {}",
        "END",
        Fetch(["default"]),
        End(),
    ],
)
async def test_what_would_inject_a_line_or_lose_a_job_is_refused(command: Any) -> None:
    async with EmbeddedServer() as server, Client(server.url) as client:
        with pytest.raises(UsageError):
            await client.execute(command)
        assert server.counters.connections == 0


async def test_a_command_of_the_protocol_means_what_it_means() -> None:
    async with EmbeddedServer() as server, Client(server.url) as client:
        with pytest.raises(ServerError, match="w1"):
            await client.execute(Beat("w1"))


async def test_the_free_edition_has_no_batches_and_no_tracking(url_of: str) -> None:
    async with served(url_of) as client:
        with pytest.raises(EnterpriseRequiredError):
            async with client.batch(success=Job("done")):
                raise AssertionError("it has begun")
        with pytest.raises(EnterpriseRequiredError):
            await client.batch_status("b-1")
        with pytest.raises(EnterpriseRequiredError):
            await client.track_get("12345678")
        with pytest.raises(EnterpriseRequiredError):
            await client.track_set("12345678", percent=1)
