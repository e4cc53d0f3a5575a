"""The greeting and HELLO."""

import hashlib

import pytest

from faktory_async.server import Close
from tests.server._driver import Driver

WELCOME = [
    b'HELLO {"v":2}',
    b"HELLO {}",
    b'HELLO {"v":0}',
    b'HELLO {"v":255}',
    b'HELLO {"V":2,"WID":"abc"}',
    b'HELLO {"v":2,"username":"bob","foo":[1],"bar":1e999}',
    b'HELLO { "v" : 2 }  ',
    b"HELLO {}\r",
    b'HELLO {"v":null,"wid":null,"labels":[null],"pid":null}',
    b'HELLO {"wid":"w","hostname":"h","pid":-1,"labels":["a"],"rss_kb":5,"pwdhash":"x"}',
    b'HELLO {"\xff":1}',
]

UNWELCOME = [
    b"",
    b"INFO",
    b"HELLO",
    b"HELLO ",
    b'HELLO  {"v":2}',
    b'HELLO{"v":2}',
    b'hello {"v":2}',
    b' HELLO {"v":2}',
    b'HELLO {"v":2',
    b'HELLO {"v":2} x',
    b'HELLO {"v":2}\x00',
    b'HELLO {"v":256}',
    b'HELLO {"v":-1}',
    b'HELLO {"v":-0}',
    b'HELLO {"v":2.0}',
    b'HELLO {"v":"2"}',
    b'HELLO {"v":2,"V":300}',
    b'HELLO {"pid":"12"}',
    b'HELLO {"pid":9223372036854775808}',
    b'HELLO {"labels":"a"}',
    b'HELLO {"labels":[5]}',
    b'HELLO {"wid":1}',
    b'HELLO {"hostname":5}',
    b'HELLO {"username":5}',
    b'HELLO {"pwdhash":5}',
    b'HELLO {"rss_kb":1.5}',
]


@pytest.mark.parametrize("line", WELCOME)
def test_a_readable_hello_is_welcome(line: bytes) -> None:
    driver = Driver()
    connection = driver.answers.open_connection()
    assert connection.greeting == b'+HI {"v":2}\r\n'
    assert driver.answers.answer(connection, line) == b"+OK\r\n"
    assert driver.answers.answer(connection, b"FLUSH") == b"+OK\r\n"


@pytest.mark.parametrize("line", UNWELCOME)
def test_anything_else_is_closed_without_a_word(line: bytes) -> None:
    driver = Driver()
    connection = driver.answers.open_connection()
    assert driver.answers.answer(connection, line) == Close(b"")
    assert len(driver.broker.connections) == 0


def test_where_a_password_is_asked_for_each_greeting_has_its_own_salt() -> None:
    driver = Driver(password="sekrit")
    driver.luck = 0x279B5384A25685EE
    assert driver.answers.open_connection().greeting == (
        b'+HI {"v":2,"i":8095,"s":"279b5384a25685ee"}\r\n'
    )
    driver.luck = 728
    assert driver.answers.open_connection().greeting == b'+HI {"v":2,"i":4728,"s":"2d8"}\r\n'


def test_random_numbers_are_drawn_within_the_real_limits() -> None:
    driver = Driver(password="x")
    driver.luck = 2**70
    greeting = driver.answers.open_connection().greeting
    assert greeting == b'+HI {"v":2,"i":8095,"s":"7fffffffffffffff"}\r\n'
    driver.luck = 0
    assert driver.answers.open_connection().greeting == b'+HI {"v":2,"i":4000,"s":"0"}\r\n'


def hashed(password: bytes, salt: bytes, iterations: int) -> str:
    digest = password + salt
    for _ in range(iterations):
        digest = hashlib.sha256(digest).digest()
    return digest.hex()


# The greeting of a driver without luck.
RIGHT = hashed(b"sekrit", b"0", 4000)
ONCE = hashed(b"sekrit", b"0", 1)

PROOFS = [
    (f'{{"v":2,"pwdhash":"{RIGHT}"}}', True),
    (f'{{"v":255,"PwdHash":"{RIGHT}","username":"x"}}', True),
    (f'{{"v":1,"pwdhash":"{ONCE}"}}', True),
    (f'{{"pwdhash":"{ONCE}"}}', True),
    (f'{{"v":2,"pwdhash":"{ONCE}"}}', False),
    (f'{{"v":1,"pwdhash":"{RIGHT}"}}', False),
    (f'{{"v":2,"pwdhash":"{RIGHT.upper()}"}}', False),
    (f'{{"v":2,"pwdhash":"{RIGHT} "}}', False),
    ('{"v":2,"pwdhash":"é"}', False),
    ('{"v":2}', False),
]


@pytest.mark.parametrize(("hello", "right"), PROOFS)
def test_the_password_is_proved_by_its_hash(hello: str, right: bool) -> None:  # noqa: FBT001 - table
    driver = Driver(password="sekrit")
    answer = driver.answers.answer(driver.answers.open_connection(), b"HELLO " + hello.encode())
    assert answer == (b"+OK\r\n" if right else Close(b"-ERR Invalid password\r\n"))


def test_a_hello_that_cannot_be_read_is_not_judged_by_its_password() -> None:
    driver = Driver(password="sekrit")
    connection = driver.answers.open_connection()
    assert driver.answers.answer(connection, b'HELLO {"v":256}') == Close(b"")


def test_the_first_beyond_the_limit_is_told_so_and_closed() -> None:
    driver = Driver(max_connections=2)
    first = driver.dial("w1")
    driver.dial()
    third = driver.answers.open_connection()
    answer = driver.answers.answer(third, b'HELLO {"v":2,"wid":"w3"}')
    assert answer == Close(b"+OK\r\n-ERR too many connections: 3\r\n")
    assert len(driver.broker.workers) == 1
    driver.answers.close_connection(third)
    driver.answers.close_connection(first)
    assert driver.dial("w4").wid == "w4"


def test_who_has_not_said_hello_does_not_count() -> None:
    driver = Driver(max_connections=1)
    strangers = [driver.answers.open_connection() for _ in range(5)]
    driver.dial()
    for stranger in strangers:
        driver.answers.close_connection(stranger)
    assert len(driver.broker.connections) == 1
