"""HELLO: who may come in, and as whom."""

import hmac
from typing import Final

from msgspec import Struct

from faktory_async.protocol import password_hash
from faktory_async.server._broker import Random
from faktory_async.server._connection import Connection
from faktory_async.server._gojson import read
from faktory_async.server._gotree import InvalidJSONError
from faktory_async.server._gotypes import UINT8, Integer, ListOf, Record, Text, decode
from faktory_async.server._workers import Introduction

PREFIX: Final = b"HELLO {"

# The real server draws from these, and writes the salt in hex without leading zeros.
_FEWEST_ITERATIONS: Final = 4000
_ITERATION_SPREAD: Final = 4096
_SALTS: Final = 2**63
# From this version on a client hashes as often as it is told; before, once.
_ITERATING_VERSION: Final = 2

_HELLO: Final = Record(
    "client.ClientData",
    "ClientData",
    {
        "hostname": Text(),
        "wid": Text(),
        "pid": Integer(),
        "labels": ListOf(Text(), "[]string", ""),
        "username": Text(),
        "pwdhash": Text(),
        "v": Integer(UINT8),
        "rss_kb": Integer(),
    },
)


class Hello(Struct, frozen=True):
    """A HELLO that can be read.

    Attributes:
        introduction: Who comes.
        version: The protocol's version that the client speaks.
        pwdhash: The password's hash, "" for none.
    """

    introduction: Introduction
    version: int
    pwdhash: str


def greet(*, with_password: bool, rand: Random) -> Connection:
    """Return a new connection, with what is to be said on it first."""
    if not with_password:
        return Connection(b'+HI {"v":2}\r\n')
    iterations = _FEWEST_ITERATIONS + rand(_ITERATION_SPREAD)
    salt = f"{rand(_SALTS):x}"
    greeting = f'+HI {{"v":2,"i":{iterations},"s":"{salt}"}}\r\n'
    return Connection(greeting.encode(), salt, iterations)


def parse_hello(line: bytes) -> Hello | None:
    """Return what the first line says; None where the server closes without a word."""
    if not line.startswith(PREFIX):
        return None
    try:
        fields, complaint = decode(_HELLO, read(line[len(PREFIX) - 1 :]))
    except InvalidJSONError:
        return None
    if complaint is not None:
        return None
    introduction = Introduction(
        wid=fields.text("wid"),
        hostname=fields.text("hostname"),
        pid=fields.integer("pid"),
        labels=tuple(fields.texts("labels")),
    )
    return Hello(introduction, fields.integer("v"), fields.text("pwdhash"))


def is_authentic(connection: Connection, hello: Hello, password: str) -> bool:
    """Whether a HELLO proves the password; its hash is in lower case."""
    if connection.salt is None:
        return True
    iterations = connection.iterations if hello.version >= _ITERATING_VERSION else 1
    expected = password_hash(password, connection.salt, iterations)
    return hmac.compare_digest(expected.encode(), hello.pwdhash.encode())
