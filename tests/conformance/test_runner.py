"""The runner finds every kind of difference; it is judged here by servers that lie."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from tests.conformance._runner import DifferenceError, run_row, run_together
from tests.conformance._script import (
    OK,
    Dial,
    Exchange,
    Row,
    Silence,
    Step,
    Wait,
    ask,
    bulk,
    error,
    row,
    send,
)
from tests.conformance._stream import Target

REFUSED = b"-ERR jobs must have a reasonable jid parameter\r\n"


@asynccontextmanager
async def liar(
    answers: Mapping[bytes, bytes], *, last_words: bytes = b"", heard: list[bytes] | None = None
) -> AsyncGenerator[Target]:
    """Serve these answers by line, and OK for any other; b"" closes the connection."""
    lines = [] if heard is None else heard
    ended: list[asyncio.Event] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended.append(end := asyncio.Event())
        try:
            await talk(reader, writer)
        finally:
            writer.close()
            await writer.wait_closed()
            end.set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'+HI {"v":2}\r\n')
        while line := (await reader.readline()).rstrip():
            lines.append(line)
            if line == b"END":
                writer.write(last_words)
                return
            answer = REFUSED if line.startswith(b"PUSH {") else answers.get(line, OK)
            writer.write(answer)
            if not answer:
                return

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield Target(host, port)
        for end in ended:
            await end.wait()


def one(*steps: Step) -> Row:
    return row("1", "a row", *steps)


async def difference(steps: tuple[Step, ...], answer: bytes, *, last_words: bytes = b"") -> str:
    async with liar({b"ASK": answer}, last_words=last_words) as target:
        with pytest.raises(DifferenceError) as caught:
            await run_row(one(*steps), target)
    return str(caught.value)


def stamp(seconds: float) -> bytes:
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.123456789Z").encode()


@pytest.mark.asyncio
async def test_accepts_what_the_row_says() -> None:
    now = stamp(0)
    answer = bulk(b'{"a":"%b","b":"%b"}' % (now, now))
    async with liar({b"ASK": answer}) as target:
        await run_row(one(ask(b"ASK", bulk(b'{"a":"@now1","b":"@now1"}'))), target)


@pytest.mark.asyncio
async def test_shows_what_was_sent_expected_and_got() -> None:
    shown = await difference((ask(b"ASK", b"+YES\r\n"),), b"+NO\r\n")
    assert "row 1 'a row', step 1 on a" in shown
    assert r"sent:     b'ASK\r\n'" in shown
    assert r"expected: b'+YES\r\n'" in shown
    assert r"got:      b'+NO\r\n'" in shown


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("steps", "answer", "why"),
    [
        ((ask(b"ASK", OK),), b"+OK \r\n", "the bytes differ"),
        ((ask(b"ASK", OK),), b"+OK\r\n+OK\r\n", "something extra came"),
        ((ask(b"ASK", OK, OK, within=0.2),), b"+OK\r\n", "late"),
        ((ask(b"ASK", OK, after=0.2),), b"+OK\r\n", "too early"),
        ((ask(b"ASK", OK),), b"", "the stream ended"),
        ((ask(b"ASK", closes=True),), b"+OK\r\n", "late: 6"),
        ((ask(b"ASK", closes=True, after=0.2),), b"", "closed too early"),
        ((ask(b"ASK", b"$3\r\nabc\r\n"),), b"$3\r\nabcd\r\n", "no CRLF behind a bulk string"),
        ((ask(b"ASK", b"$3\r\nabc\r\n"),), b"$03\r\nabc\r\n", "not a length"),
        ((ask(b"ASK", OK),), b":1\r\n", "not a reply"),
        ((ask(b"ASK", error(b"no: @any")),), b"-ERR na: why\r\n", "the bytes differ"),
        ((ask(b"ASK", bulk(b"@int")),), bulk(b"1.5"), "the bytes differ"),
        ((send(b"ASK"), Silence("a", 0.2)), b"+OK\r\n", "not silent"),
        ((send(b"ASK"), Silence("a", 0.2)), b"", "not silent"),
        ((Dial("a", b"+HI\r\n"),), b"", "the bytes differ"),
    ],
)
async def test_finds(steps: tuple[Step, ...], answer: bytes, why: str) -> None:
    quick = tuple(
        Exchange(s.on, s.sent, s.replies, s.closes, s.after, 0.3)
        if isinstance(s, Exchange) and why == "late: 6"
        else s
        for s in steps
    )
    assert why.removesuffix(" 6") in await difference(quick, answer)


@pytest.mark.asyncio
async def test_finds_a_reply_too_many_at_the_end() -> None:
    assert "too many" in await difference((ask(b"ASK", OK),), OK, last_words=OK)


@pytest.mark.asyncio
async def test_finds_a_timestamp_that_is_not_now() -> None:
    steps = (ask(b"ASK", bulk(b'"@now"')),)
    assert "from now" in await difference(steps, bulk(b'"%b"' % stamp(-60)))


@pytest.mark.asyncio
async def test_finds_a_retry_that_comes_too_soon() -> None:
    steps = (ask(b"ASK", bulk(b'"@next1"')),)
    assert "expected 16 to 74" in await difference(steps, bulk(b'"%b"' % stamp(5)))


@pytest.mark.asyncio
async def test_finds_a_timestamp_with_trailing_zeros() -> None:
    steps = (ask(b"ASK", bulk(b'"@now"')),)
    zeros = stamp(0).replace(b"123456789", b"123456780")
    assert "the bytes differ" in await difference(steps, bulk(b'"%b"' % zeros))


@pytest.mark.asyncio
async def test_finds_that_two_holes_of_one_number_differ() -> None:
    steps = (ask(b"ASK", bulk(b'"@now1"')), ask(b"ASK", bulk(b'"@now1","@now1"')))
    answer = bulk(b'"%b"' % stamp(0))
    assert "step 2" in await difference(steps, answer)


@pytest.mark.asyncio
async def test_finds_a_wrong_greeting_of_an_unnamed_connection() -> None:
    async with liar({b'HELLO {"v":2}': b"-ERR no\r\n"}) as target:
        with pytest.raises(DifferenceError, match="HELLO was answered by"):
            await run_row(one(ask(b"ASK", OK)), target)


@pytest.mark.asyncio
async def test_lists_what_differs_in_rows_that_run_together() -> None:
    async with liar({b"ASK": b"+NO\r\n"}) as target:
        good, bad = one(ask(b"OTHER", OK)), one(ask(b"ASK", OK))
        assert len(await run_together([good, bad, good, bad], target)) == 2


@pytest.mark.asyncio
async def test_tidies_up_the_names_that_a_row_used() -> None:
    heard: list[bytes] = []
    async with liar({}, heard=heard) as target:
        await run_row(one(ask(b"USE @j1 @q1", OK)), target)
    used, *tidied = [line for line in heard if line not in {b"END", b'HELLO {"v":2}'}]
    _, jid, queue = used.split()
    assert tidied == [
        b'ACK {"jid":"%b"}' % jid,
        b'MUTATE {"cmd":"discard","target":"scheduled","filter":{"jids":["%b"]}}' % jid,
        b'MUTATE {"cmd":"discard","target":"retries","filter":{"jids":["%b"]}}' % jid,
        b'MUTATE {"cmd":"discard","target":"dead","filter":{"jids":["%b"]}}' % jid,
        b"QUEUE REMOVE " + queue,
        b'PUSH {"retry":25}',
    ]


@pytest.mark.asyncio
async def test_waits_by_the_target_s_clock() -> None:
    clock = [1000.0]

    async def advance(seconds: float) -> None:
        clock[0] += seconds

    async with liar({}) as target:
        injected = Target(target.host, target.port, now=lambda: clock[0], wait=advance)
        await run_row(one(Wait(60), ask(b"ASK", OK), Wait(75)), injected)
    assert clock == [1075.0]
