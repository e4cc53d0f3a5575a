"""Marks: the places in a scripted exchange where bytes differ from run to run.

Marks begin with `@`. What is sent may contain

    @j1 @q1 @w1 @t1    a jid, queue, wid or jobtype of this run alone, always 12 bytes long
    @soon2             an RFC 3339 timestamp so many seconds ahead of the server's clock
    @pwdhash           the answer to the greeting's challenge; @PWDHASH in upper case,
                       @onehash with one iteration, @badhash for another password

and what is expected also holes, for what a server is free to choose:

    @now1              a timestamp of the server, near its present
    @next2             when a job will be tried again after failure number 2 (counted from 0)
    @iter @salt        the challenge of a greeting, another one each time
    @int1              an integer
    @num               a JSON number
    @any               text of which only what stands before it counts

A hole with a number stands for the same bytes wherever it is written in its row (`@next` has a
letter behind its number where one row needs several); one without is free each time.
"""

import hashlib
import re
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime

__all__ = ["Bindings", "nominal_length"]

NAME_LENGTH = 12
TIMESTAMP_LENGTH = 30
PASSWORD = "sekrit"

_MARK = re.compile(
    rb"@(?:(?P<name>[jqwt]\d)|soon(?P<soon>\d+)|(?P<hash>pwdhash|PWDHASH|onehash|badhash)"
    rb"|(?P<hole>next|now|int|num|any|iter|salt)(?P<number>\d*)(?:(?<=\d)[a-z])?)",
)
_CHALLENGE = (b"iter", b"salt")
_HASHES = (b"@pwdhash", b"@PWDHASH", b"@onehash", b"@badhash")
_HEADER = re.compile(rb"\$\d+\r\n")
_TIMESTAMP = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{0,8}[1-9])?Z"
_SHAPES = {
    b"now": _TIMESTAMP,
    b"next": _TIMESTAMP,
    b"int": rb"\d+",
    b"num": rb"-?\d+(?:\.\d+)?(?:e-?\d+)?",
    b"any": rb"[^\r\n]*",
    b"iter": rb"[4-8]\d{3}",
    b"salt": rb"[0-9a-f]{1,16}",
}


def nominal_length(template: bytes) -> int:
    """Return how long `template` is with names and full timestamps in place of its marks.

    The server drops trailing zeros from a timestamp; the nominal length ignores that, so that a
    length prefix can be written down.
    """
    return len(template) + sum(_width(mark) - len(mark[0]) for mark in _MARK.finditer(template))


def _width(mark: re.Match[bytes]) -> int:
    if mark["name"]:
        return NAME_LENGTH
    if mark["soon"]:
        return len("2026-11-23T22:45:28.000000Z")
    if mark["hash"]:
        return 64
    return TIMESTAMP_LENGTH if mark["hole"] in {b"now", b"next"} else 1


class Bindings:
    """What the marks of one run of one row stand for.

    Args:
        now: The server's clock, as a Unix time.
        tolerance: How many seconds a timestamp may be older or newer than it should.
    """

    def __init__(self, now: Callable[[], float] = time.time, tolerance: float = 5.0) -> None:
        self._now = now
        self._tolerance = tolerance
        self._values: dict[bytes, bytes] = {}
        self._challenge = (1, b"")
        self._salts: set[bytes] = set()
        self._token = secrets.token_hex(5)[:9].encode()

    def names(self, kind: bytes) -> list[bytes]:
        """Return the names of one kind (`j`, `q`, `w` or `t`) that were used so far."""
        return [value for mark, value in self._values.items() if mark.startswith(b"@" + kind)]

    def fill(self, template: bytes) -> bytes:
        """Return the bytes to send."""
        return _MARK.sub(self._sent, template)

    def mismatch(self, template: bytes, got: bytes) -> str | None:
        """Say how `got` differs from `template`, or bind the holes and return None."""
        if got == template:
            return None
        pattern, holes = self._pattern(template)
        found = re.fullmatch(pattern, got, re.DOTALL)
        if found is None:
            return "the bytes differ"
        for group, mark in holes.items():
            if (complaint := self._implausible(mark, found[group])) is not None:
                return complaint
            if mark["number"]:
                self._values[mark[0]] = found[group]
        challenge = {m["hole"]: found[g] for g, m in holes.items() if m["hole"] in _CHALLENGE}
        return self._challenged(challenge) if challenge else None

    def _challenged(self, challenge: dict[bytes, bytes]) -> str | None:
        """Answer this challenge from here on; the one before is no longer of use."""
        salt = challenge[b"salt"]
        if salt in self._salts:
            return f"the salt {salt!r} was sent before"
        self._salts.add(salt)
        self._values = {mark: v for mark, v in self._values.items() if mark not in _HASHES}
        self._challenge = (int(challenge[b"iter"]), salt)
        return None

    def shown(self, template: bytes) -> bytes:
        """Return `template` with what is known filled in, for a failure's text."""
        return _MARK.sub(lambda mark: self._known(mark) or mark[0], template)

    def _known(self, mark: re.Match[bytes]) -> bytes | None:
        if mark["hole"]:
            return self._values.get(mark[0])
        return self._sent(mark)

    def _sent(self, mark: re.Match[bytes]) -> bytes:
        if mark["hole"]:
            raise ValueError(f"{mark[0]!r} cannot be sent: only a server can choose it")
        if mark[0] not in self._values:
            self._values[mark[0]] = self._new(mark)
        return self._values[mark[0]]

    def _new(self, mark: re.Match[bytes]) -> bytes:
        if mark["name"]:
            return b"%b-%b" % (mark["name"], self._token)
        if mark["soon"]:
            moment = datetime.fromtimestamp(self._now() + int(mark["soon"]), UTC)
            return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()
        return self._password_hash(mark["hash"])

    def _password_hash(self, kind: bytes) -> bytes:
        password = b"wrong" if kind == b"badhash" else PASSWORD.encode()
        iterations, salt = self._challenge
        digest = hashlib.sha256(password + salt).digest()
        for _ in range(0 if kind == b"onehash" else iterations - 1):
            digest = hashlib.sha256(digest).digest()
        text = digest.hex().encode()
        return text.upper() if kind == b"PWDHASH" else text

    def _pattern(self, template: bytes) -> tuple[bytes, dict[str, re.Match[bytes]]]:
        """Return a pattern for `template` and the mark of each of its groups."""
        holes: dict[str, re.Match[bytes]] = {}
        parts: list[bytes] = []
        position = 0
        # The length prefix varies with the holes; that it is true is the reader's business.
        if (header := _HEADER.match(template)) and _MARK.search(template):
            parts.append(rb"\$\d+\r\n")
            position = header.end()
        for mark in _MARK.finditer(template):
            parts.append(re.escape(template[position : mark.start()]))
            position = mark.end()
            if (known := self._known(mark)) is not None:
                parts.append(re.escape(known))
            elif (again := _group_of(holes, mark)) is not None:
                parts.append(b"(?P=%b)" % again.encode())
            else:
                group = f"hole{len(holes)}"
                holes[group] = mark
                parts.append(b"(?P<%b>%b)" % (group.encode(), _SHAPES[mark["hole"]]))
        parts.append(re.escape(template[position:]))
        return b"".join(parts), holes

    def _implausible(self, mark: re.Match[bytes], value: bytes) -> str | None:
        if mark["hole"] not in {b"now", b"next"}:
            return None
        ahead = _unix(value) - self._now()
        low, high = (0, 0) if mark["hole"] == b"now" else _backoff(int(mark["number"]))
        if low - self._tolerance <= ahead <= high + self._tolerance:
            return None
        return f"{value!r} is {ahead:+.1f} s from now, expected {low} to {high}"


def _group_of(holes: dict[str, re.Match[bytes]], mark: re.Match[bytes]) -> str | None:
    if not mark["number"]:
        return None
    return next((group for group, other in holes.items() if other[0] == mark[0]), None)


def _backoff(failure: int) -> tuple[int, int]:
    base = failure**4 + 15
    return base, base + 29 * (failure + 1)


def _unix(timestamp: bytes) -> float:
    whole, _, fraction = timestamp.decode().rstrip("Z").partition(".")
    seconds = datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp()
    return seconds + float(f"0.{fraction or 0}")
