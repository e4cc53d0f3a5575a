"""`Outline`: what is kept of a document that goes by, in little memory and time."""

import json
import tracemalloc
from collections.abc import Iterable
from typing import Any

import pytest

from faktory_async.protocol._outline import Outline

MIB = 1024 * 1024
WHOLE: dict[str, Any] = {"jid": "12345678", "queue": "q", "jobtype": "order", "reserve_for": 60}


def outline(pieces: Iterable[bytes]) -> bytes:
    read = Outline()
    for piece in pieces:
        read.feed(piece)
    return read.document()


def by(size: int, data: bytes) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


DOCUMENTS: dict[str, tuple[bytes, dict[str, Any]]] = {
    "everything": (json.dumps(WHOLE).encode(), WHOLE),
    "spaces": (
        b' \n{ "jid"\t: "a b" ,\r\n"reserve_for" : 60 } ',
        {"jid": "a b", "reserve_for": 60},
    ),
    "the jid behind other things": (
        b'{"custom":{"jid":"no"},"failure":{"a":["}",{"jid":"no"}]},"jid":"12345678"}',
        {"jid": "12345678"},
    ),
    "a jid among args": (
        b'{"args":["jid","no",{"jid":"no"}],"jid":"12345678"}',
        {"jid": "12345678"},
    ),
    "a jid as a value": (b'{"x":"jid","y":"no","jid":"12345678"}', {"jid": "12345678"}),
    "quotes and backslashes": (
        rb'{"args":["\\","\"jid\":\"no\"","\\\"}]","{["],"jid":"\"\\\u00e9"}',
        {"jid": '"\\é'},
    ),
    "unknown members": (b'{"a":1,"b":[],"c":{},"d":null,"jid":"12345678"}', {"jid": "12345678"}),
    "a jid that is a list": (b'{"jid":["12345678"],"queue":"q"}', {"queue": "q"}),
    "a jid twice": (b'{"jid":"1","jid":"2"}', {"jid": "2"}),
    "a long jid": (b'{"jid":"%b"}' % (b"j" * 10_000), {"jid": "j" * 10_000}),
    "an endless jid": (b'{"jid":"%b","queue":"q"}' % (b"j" * 20_000), {"queue": "q"}),
    "what comes after the object": (b'{"jid":"1"},{"jid":"2"}', {"jid": "1"}),
    "no object": (b'[{"jid":"no"}]', {}),
    "text before the object": (b'"x"{"jid":"no"}', {}),
    "a broken end": (b'{"queue":"q","jid":"12345', {"queue": "q"}),
    "one bracket too many": (b'}{"jid":"no"}', {}),
    "nothing": (b"", {}),
    "deep": (
        b'{"args":%b%b,"jid":"12345678"}' % (b"[" * 100_000, b"]" * 100_000),
        {"jid": "12345678"},
    ),
    "many brackets": (
        b'{"args":[%b],"custom":{"a":{}},"jid":"12345678"}' % (b'[{"]":1}],' * 30_000),
        {"jid": "12345678"},
    ),
}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000, 10_000_000])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_an_outline_holds_what_tells_which_job_it_is(name: str, size: int) -> None:
    document, expected = DOCUMENTS[name]
    assert json.loads(outline(by(size, document))) == expected


HEAD, TAIL = b'{"custom":{"a":1},"args":[', b'],"jid":"12345678"}'


@pytest.mark.parametrize(
    "filling", [b'"x",', b"[1],", b'{"a":{}},', b'"' + b"x" * 100_000 + b'",', b'"\\\\\\"",', b"1,"]
)
def test_the_memory_is_bounded_whatever_goes_by(filling: bytes) -> None:
    piece = filling * (64 * 1024 // len(filling) + 1)
    read = Outline()
    tracemalloc.start()
    try:
        read.feed(HEAD)
        for _ in range(4 * MIB // len(piece)):
            read.feed(piece)
        first = tracemalloc.get_traced_memory()[0]
        for _ in range(4 * MIB // len(piece)):
            read.feed(piece)
        assert tracemalloc.get_traced_memory()[0] - first < 10_000
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()
    read.feed(b"1" + TAIL)
    assert read.document() == b'{"jid":"12345678"}'


def test_no_member_fills_the_memory() -> None:
    read = Outline()
    read.feed(b'{"jid":"')
    for _ in range(100):
        read.feed(b"x" * 10_000)
    read.feed(b'","queue":"q"')
    read.feed(b"9" * 100_000)
    assert len(read._value or b"") <= 16 * 1024
    read.feed(b',"jid":"12345678"}')
    assert read.document() == b'{"jid":"12345678"}'


class Counting(Outline):
    """Counts the bytes it has to look at: work instead of time."""

    def __init__(self) -> None:
        super().__init__()
        self.work = 0

    def _goes_by(self, window: bytes) -> bool:
        self.work += len(window)
        return super()._goes_by(window)


@pytest.mark.parametrize(
    "member", [b'"a":[],', b'"a":{"b":[1]},', b'"a":[%b],' % (b"1," * 3_000), b'"a":["]"],']
)
def test_many_members_are_gone_through_in_linear_time(member: bytes) -> None:
    read = Counting()
    document = b'{%b"jid":"12345678"}' % (member * (256 * 1024 // len(member)))
    read.feed(document)
    assert read.document() == b'{"jid":"12345678"}'
    assert read.work < 20 * len(document)


def test_a_large_member_is_gone_through_in_large_steps() -> None:
    read = Counting()
    read.feed(b'{"args":[')
    for _ in range(64):
        read.feed(b'"some text",' * 5_000)
    assert read._window == 64 * 1024
