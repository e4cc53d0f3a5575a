"""The greeting, HELLO and the password's hash."""

import hashlib
import json
import traceback
from typing import Any

import pytest

from faktory_async.errors import AuthenticationError, FaktoryError, ProtocolError, UsageError
from faktory_async.protocol import (
    MAX_ITERATIONS,
    NULL,
    PRODUCER,
    BulkReply,
    ClientSession,
    ErrorReply,
    Greeting,
    Hello,
    Identity,
    Reply,
    SimpleReply,
    parse_greeting,
    password_hash,
)

SECRET = "s3cr3t-pässword"
LOCKED = Greeting(iterations=4728, salt="279b5384a25685ee")


def said(hello: Hello) -> dict[str, Any]:
    verb, _, payload = hello.encode().partition(b" ")
    assert verb == b"HELLO"
    fields: dict[str, Any] = json.loads(payload)
    return fields


# -- the hash ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("password", "salt", "iterations", "digest"),
    [
        (
            "sekrit",
            "279b5384a25685ee",
            4728,
            "199e487f0e15e3f8bafe3bc5bf9e8b4cf338cf1182c034dbd7862318b4ae317a",
        ),
        (
            "foobar",
            "55104dc76695721d",
            1545,
            "6d877f8e5544b1f2598768f817413ab8a357afffa924dedae99eb91472d4ec30",
        ),
        ("", "", 1, hashlib.sha256(b"").hexdigest()),
        ("pä", "ß", 1, hashlib.sha256("päß".encode()).hexdigest()),
        ("a", "b", 2, hashlib.sha256(hashlib.sha256(b"ab").digest()).hexdigest()),
    ],
)
def test_the_hash_is_the_servers(password: str, salt: str, iterations: int, digest: str) -> None:
    assert password_hash(password, salt, iterations) == digest


def test_bytes_of_the_environment_that_are_no_utf8_are_hashed_as_they_were() -> None:
    password = b"\xe9t\xe9".decode("utf-8", "surrogateescape")
    assert password_hash(password, "0", 1) == hashlib.sha256(b"\xe9t\xe90").hexdigest()


def test_a_password_that_is_no_unicode_is_refused_without_being_shown() -> None:
    with pytest.raises(UsageError, match="lone surrogate") as caught:
        password_hash(f"{SECRET}\ud800", "0", 1)
    assert_hidden(caught.value)


def test_a_hundred_thousand_iterations_are_done_and_not_one_more() -> None:
    assert MAX_ITERATIONS == 100_000
    assert len(password_hash("a", "b", 100_000)) == 64
    with pytest.raises(ProtocolError, match="100001 hash iterations"):
        password_hash("a", "b", 100_001)


@pytest.mark.parametrize("iterations", [0, -1, 2**62])
def test_a_count_of_iterations_that_makes_no_sense_is_refused(iterations: int) -> None:
    with pytest.raises(ProtocolError, match="hash iterations") as caught:
        password_hash("a", "b", iterations)
    assert not caught.value.maybe_executed


# -- the greeting -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "greeting"),
    [
        ('HI {"v":2}', Greeting()),
        ('HI {"v":2,"i":4728,"s":"279b5384a25685ee"}', LOCKED),
        ('HI {"s":"ab","i":5,"v":2}', Greeting(version=2, iterations=5, salt="ab")),
        ('HI {"v":2,"s":"ab"}', Greeting(iterations=1, salt="ab")),
        ('HI {"v":3,"new":[{}]}', Greeting(version=3)),
        ('HI {"v":1000}', Greeting(version=1000)),
        ("HI {}", Greeting()),
    ],
)
def test_a_greeting_is_read(text: str, greeting: Greeting) -> None:
    assert parse_greeting(SimpleReply(text)) == greeting


@pytest.mark.parametrize(
    "reply",
    [
        SimpleReply(""),
        SimpleReply("OK"),
        SimpleReply("HI"),
        SimpleReply("HI "),
        SimpleReply("hi {}"),
        SimpleReply('HIGH {"v":2}'),
        SimpleReply('HI {"v":2'),
        SimpleReply('HI {"v":2} x'),
        SimpleReply('HI {"v":"2"}'),
        SimpleReply('HI {"v":2,"i":"5","s":"a"}'),
        SimpleReply('HI {"v":2,"s":5}'),
        SimpleReply('HI {"v":2,"s":"\udcff"}'),
        SimpleReply('HI {"v":2,"x":' + "[" * 60_000),
        SimpleReply('HI {"v":2,"i":' + "9" * 60_000 + "}"),
        SimpleReply("HI null"),
        SimpleReply("HI []"),
        ErrorReply("ERR", "go away"),
        BulkReply(b'HI {"v":2}'),
        NULL,
    ],
    ids=lambda reply: repr(reply)[:50],
)
def test_a_greeting_that_no_faktory_sends_is_refused_and_nothing_was_done(reply: Reply) -> None:
    with pytest.raises(ProtocolError, match="greet") as caught:
        parse_greeting(reply)
    assert not caught.value.maybe_executed


def test_a_peer_that_greets_with_an_error_is_quoted() -> None:
    with pytest.raises(ProtocolError, match="go away"):
        parse_greeting(ErrorReply("ERR", "go away"))


# -- HELLO ------------------------------------------------------------------------------------


def test_what_is_not_known_is_not_said() -> None:
    assert said(Hello(Greeting(), PRODUCER)) == {"v": 2}


def test_a_worker_says_who_it_is() -> None:
    identity = Identity(wid="w1", hostname="hö\nst", pid=1, labels=("a b", '"'), username="bob")
    assert said(Hello(Greeting(), identity)) == {
        "v": 2,
        "wid": "w1",
        "hostname": "hö\nst",
        "pid": 1,
        "labels": ["a b", '"'],
        "username": "bob",
    }


def test_a_newer_server_is_answered_in_version_2() -> None:
    assert said(Hello(Greeting(version=3), PRODUCER)) == {"v": 2}


@pytest.mark.parametrize("wid", ["", " ", "a b", "a\n", "\r", "\0", "é", "\x7f"])
def test_a_wid_that_would_break_the_servers_errors_is_refused(wid: str) -> None:
    with pytest.raises(UsageError, match="is no wid"):
        Identity(wid=wid)


def test_a_missing_password_is_refused_with_what_to_do() -> None:
    with pytest.raises(AuthenticationError, match=r"tcp://:PASSWORD@host:7419") as caught:
        Hello(LOCKED, PRODUCER).encode()
    assert not caught.value.maybe_executed


def test_an_empty_password_is_one() -> None:
    expected = password_hash("", "279b5384a25685ee", 4728)
    assert said(Hello(LOCKED, PRODUCER, "")) == {"v": 2, "pwdhash": expected}


def assert_hidden(error: BaseException) -> None:
    """The password stands in no error of the chain, nor in the traceback."""
    assert SECRET not in "".join(traceback.format_exception(error))
    chain: BaseException | None = error
    while chain is not None:
        assert SECRET not in repr(chain)
        chain = chain.__cause__


def test_the_password_is_in_no_way_to_show_a_hello() -> None:
    hello = Hello(LOCKED, Identity(wid="w1"), SECRET)
    for shown in (repr(hello), str(hello), f"{hello}", repr(hello.__rich_repr__())):
        assert "w1" in shown
        assert SECRET not in shown
        assert said(hello)["pwdhash"] not in shown


@pytest.mark.parametrize(
    "greeting",
    [
        b'+HI {"v":2,"i":100001,"s":"ab"}\r\n',
        b'+HI {"v":2,"i":0,"s":"ab"}\r\n',
        b'+HI {"v":2,"i":1,"s":"ab"}\r\n-ERR Invalid password\r\n',
        b'+HI {"v":2,"i":1,"s":"ab"}\r\n:1\r\n',
    ],
)
def test_the_password_is_in_no_error_of_a_handshake(greeting: bytes) -> None:
    session = ClientSession()
    hi, end, answer = greeting.partition(b"\r\n")
    session.receive(hi + end)

    def go_on() -> None:
        session.hello(PRODUCER, SECRET)
        session.receive(answer)

    with pytest.raises(FaktoryError) as caught:
        go_on()
    assert not caught.value.maybe_executed
    assert_hidden(caught.value)
    assert SECRET not in repr(vars(session))
