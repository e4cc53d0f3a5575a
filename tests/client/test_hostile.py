"""Whatever a peer does, what comes out of a client is an error of ours, and an honest one."""

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from faktory_async import (
    Batch,
    Client,
    Consumer,
    FaktoryError,
    Job,
    JobSet,
    Queues,
    Timeouts,
)
from tests.net._loops import backend, on_every_loop

Call = Callable[[Client], Coroutine[Any, Any, object]]

JOB: Final = Job("order", jid="12345678")
HI: Final = b'+HI {"v":2}\r\n'
SOON: Final = Timeouts(connect=1, pool=1, command=0.1)


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Real loops, other than elsewhere in this folder."""
    return backend(request.param)


# -- every public call --------------------------------------------------------------------------


async def push_bulk(client: Client) -> None:
    (await client.push_bulk([JOB])).raise_for_error()


async def fetch(client: Client) -> object:
    async with client.consumer(wid="w1") as consumer:
        return await consumer.fetch("default")


async def ack(client: Client) -> None:
    async with client.consumer() as consumer:
        await consumer.ack(JOB)


async def fail(client: Client) -> None:
    async with client.consumer() as consumer:
        await consumer.fail(JOB, ValueError("no"))


async def beat(client: Client) -> object:
    async with client.consumer(wid="w1") as consumer:
        return await consumer.beat()


async def batch(client: Client) -> None:
    async with client.reopen_batch("b-1"):
        pass


async def batch_push(client: Client) -> None:
    batch = client.reopen_batch("b-1")
    batch._open = True  # as if the server had been friendly so far
    await batch.push(JOB)


async def batch_push_bulk(client: Client) -> None:
    batch = client.reopen_batch("b-1")
    batch._open = True
    (await batch.push_bulk([JOB])).raise_for_error()


async def batch_commit(client: Client) -> None:
    batch = client.reopen_batch("b-1")
    batch._open = True
    await batch.commit()


CALLS: Final[dict[str, Call]] = {
    "Client.push": lambda client: client.push(JOB),
    "Client.push_alone": lambda client: client.push_alone(JOB),
    "Client.push_bulk": push_bulk,
    "Client.info": lambda client: client.info(),
    "Client.flush": lambda client: client.flush(),
    "Client.execute": lambda client: client.execute("INFO"),
    "Client.batch_status": lambda client: client.batch_status("b-1"),
    "Client.track_get": lambda client: client.track_get("12345678"),
    "Client.track_set": lambda client: client.track_set("12345678", percent=1),
    "Queues.pause": lambda client: client.queues.pause("a"),
    "Queues.resume": lambda client: client.queues.resume("a"),
    "Queues.remove": lambda client: client.queues.remove("a"),
    "Queues.latency": lambda client: client.queues.latency("a"),
    "JobSet.requeue": lambda client: client.dead.requeue(JOB),
    "JobSet.kill": lambda client: client.retries.kill(JOB),
    "JobSet.discard": lambda client: client.scheduled.discard(JOB),
    "JobSet.clear": lambda client: client.dead.clear(),
    "Consumer.fetch": fetch,
    "Consumer.ack": ack,
    "Consumer.fail": fail,
    "Consumer.beat": beat,
    "Batch.push": batch_push,
    "Batch.push_bulk": batch_push_bulk,
    "Batch.commit": batch_commit,
    "Batch.status": lambda client: client.reopen_batch("b-1").status(),
    "Batch as a block": batch,
}
# What makes a client and what ends it has tests of its own.
ASIDE: Final = {"Client.open", "Client.aclose"}

each_call = pytest.mark.parametrize("name", CALLS)


def test_no_public_call_is_forgotten() -> None:
    found = {
        f"{kind.__name__}.{name}"
        for kind in (Client, Queues, JobSet, Consumer, Batch)
        for name, _ in inspect.getmembers(kind, inspect.iscoroutinefunction)
        if not name.startswith("_")
    }
    assert found - ASIDE == CALLS.keys() - {"Batch as a block"}


# -- the peers ----------------------------------------------------------------------------------


class Peer:
    """Accepts connections and treats all of them alike.

    Attributes:
        commands: How many whole commands it has read, HELLO aside.
    """

    def __init__(self, greeting: bytes | None, answer: bytes | None, *, close: bool) -> None:
        self._greeting = greeting
        self._answer = answer
        self._close = close
        self.commands = 0

    async def __call__(self, stream: SocketStream) -> None:
        async with stream:
            try:
                await self._treat(stream)
            except (anyio.BrokenResourceError, anyio.EndOfStream, anyio.ClosedResourceError):
                return  # the client went away

    async def _treat(self, stream: SocketStream) -> None:
        if self._greeting is not None:
            await stream.send(self._greeting)
            if self._greeting != HI:
                return
            await self._line(stream)
            await stream.send(b"+OK\r\n")
            while True:
                await self._line(stream)
                self.commands += 1
                if self._answer is not None:
                    await stream.send(self._answer)
                if self._close:
                    return
        await anyio.sleep_forever()

    async def _line(self, stream: SocketStream) -> None:
        line = b""
        while not line.endswith(b"\n"):
            line += await stream.receive()


@asynccontextmanager
async def serving(peer: Peer) -> AsyncGenerator[str]:
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, peer)
        yield f"tcp://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        tasks.cancel_scope.cancel()


async def outcome_of(call: Callable[[], Awaitable[object]]) -> FaktoryError | None:
    """Return the error of a call; whatever is none of ours fails the test."""
    with anyio.fail_after(30):
        try:
            await call()
        except FaktoryError as error:
            return error
    return None


GREETINGS: Final = {
    "closes at once": b"",
    "speaks HTTP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "speaks SMTP": b"220 mail.example ESMTP\r\n",
    "says garbage": b"\x00\xff\r\n\xfe",
    "greets with no JSON": b"+HI {{{\r\n",
    "asks for a password": b'+HI {"v":2,"i":4000,"s":"00"}\r\n',
    "asks for a million hashes": b'+HI {"v":2,"i":1000000,"s":"00"}\r\n',
    "is full": HI[:5],
}


@each_call
@pytest.mark.parametrize("greeting", GREETINGS.values(), ids=GREETINGS)
@on_every_loop
async def test_who_does_not_greet_as_a_faktory_has_certainly_executed_nothing(
    name: str, greeting: bytes
) -> None:
    async with (
        serving(Peer(greeting, None, close=True)) as url,
        Client(url, timeouts=SOON) as client,
    ):
        error = await outcome_of(lambda: CALLS[name](client))
    assert error is not None
    assert error.maybe_executed is False


ANSWERS: Final[dict[str, tuple[bytes | None, bool]]] = {
    "hangs up": (b"", True),
    "hangs up in the middle of a reply": (b"$100\r\nabc", True),
    "speaks HTTP": (b"HTTP/1.1 400 Bad Request\r\n\r\n", False),
    "says garbage": (b"\x00\xff\xfe\r\n", False),
    "promises too much": (b"$99999999999999999999\r\n", False),
    "says a number": (b":1\r\n", False),
    "breaks off": (b"$2\r\n", False),
    "keeps silent": (None, False),
}


# A FETCH is awaited for 15 s: its own tests do that in virtual time.
UNANSWERED: Final = [
    pytest.param(name, *answer, id=f"{name}-{what}")
    for name in CALLS
    for what, answer in ANSWERS.items()
    if name != "Consumer.fetch" or what not in ("keeps silent", "breaks off")
]


@pytest.mark.parametrize(("name", "answer", "close"), UNANSWERED)
@on_every_loop
async def test_a_command_that_was_read_and_not_answered_may_be_executed(
    name: str, answer: bytes | None, *, close: bool
) -> None:
    peer = Peer(HI, answer, close=close)
    async with serving(peer) as url, Client(url, timeouts=SOON) as client:
        error = await outcome_of(lambda: CALLS[name](client))
    assert error is not None
    assert peer.commands
    assert error.maybe_executed is True


REPLIES: Final = {
    "no JSON": b"$5\r\n{{{{{\r\n",
    "no UTF-8": b"$3\r\n\xff\xfe\xfd\r\n",
    "an array": b"$2\r\n[]\r\n",
    "nothing": b"$-1\r\n",
    "an empty bulk": b"$0\r\n\r\n",
    "an unknown word": b"+WHAT\r\n",
    "an unknown error": b"-ERR context deadline exceeded\r\n",
    "deep JSON": b"$6000\r\n" + b"[" * 6_000 + b"\r\n",
}


@each_call
@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
@on_every_loop
async def test_a_reply_that_makes_no_sense_is_an_error_of_ours_or_an_answer(
    name: str, reply: bytes
) -> None:
    peer = Peer(HI, reply, close=False)
    async with serving(peer) as url, Client(url, timeouts=SOON) as client:
        error = await outcome_of(lambda: CALLS[name](client))
    if error is not None:
        assert error.maybe_executed is True
    elif reply == b"$-1\r\n" or name == "Client.execute":
        assert name in {"Client.execute", "Consumer.fetch"}
    else:
        assert (name, reply) in {
            ("Consumer.fetch", b"$0\r\n\r\n"),
            ("Batch as a block", b"+WHAT\r\n"),
        }
