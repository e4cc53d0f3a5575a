"""Commands without an event loop and without a client, so that they may be anything."""

import socket
from typing import Final

_PATIENCE: Final = 60.0  # seconds of a slow machine


def told(host: str, port: int, *lines: bytes) -> list[bytes]:
    """Tell a server these lines, and return the line by which it answers each of them."""
    answers: list[bytes] = []
    with (
        socket.create_connection((host, port), timeout=_PATIENCE) as connection,
        connection.makefile("rb") as replies,
    ):
        replies.readline()
        for line in (b'HELLO {"v":2}', *lines):
            connection.sendall(line + b"\r\n")
            answers.append(replies.readline().strip())
    assert answers[0] == b"+OK"
    return answers[1:]
