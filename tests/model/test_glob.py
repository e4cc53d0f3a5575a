"""Redis' glob patterns; the table was tried on Redis 7."""

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faktory_async.model import Glob

MATCHES = [
    ("", ""),
    ("*", ""),
    ("*", "anything\n at all"),
    ("**a**", "a"),
    ("a?c", "abc"),
    ("?*?", "ab"),
    ("{*}", "{}"),
    ("*b*d*", "abcd"),
    ("[ab]x", "bx"),
    ("[^ab]x", "cx"),
    ("[a-c]", "b"),
    ("[c-a]", "b"),
    ("[^]a", "ba"),
    (r"[\]]", "]"),
    (r"\*", "*"),
    (r"\a", "a"),
    ("\\", "\\"),
    ("*[}", "{}"),
    ("[a-", "-"),
    ("[a-]", "a"),
    ("[a-]", "_"),
    ("é", "é"),
]

DIFFERS = [
    ("", "a"),
    ("?", ""),
    ("a", "ab"),
    ("a*b", "ab c"),
    ("ab*ba", "aba"),
    ("[]a", "a"),
    ("[]aaa", "aaa"),
    ("[^a]", "a"),
    ("[a-]x", "-x"),
    (r"\*", "a"),
    ("*[x", "{}"),
    ("a", "A"),
]


@pytest.mark.parametrize(("pattern", "text"), MATCHES)
def test_matches_as_redis_does(pattern: str, text: str) -> None:
    assert Glob(pattern.encode()).matches(text.encode())


@pytest.mark.parametrize(("pattern", "text"), DIFFERS)
def test_differs_as_redis_does(pattern: str, text: str) -> None:
    assert not Glob(pattern.encode()).matches(text.encode())


def class_end(pattern: bytes, start: int) -> tuple[set[int], int]:
    """Return what a class holds whose contents begin at `start`, and where it ends."""
    members: set[int] = set()
    place = start
    while place < len(pattern) and pattern[place : place + 1] != b"]":
        if pattern[place : place + 1] == b"\\" and place + 1 < len(pattern):
            members.add(pattern[place + 1])
            place += 2
        elif pattern[place + 1 : place + 2] == b"-" and place + 2 < len(pattern):
            low, high = sorted((pattern[place], pattern[place + 2]))
            members |= set(range(low, high + 1))
            place += 3
        else:
            members.add(pattern[place])
            place += 1
    return members, min(place + 1, len(pattern))


def tried_out(pattern: bytes, text: bytes) -> bool:
    """Match by trying every possibility, straight from the definition."""

    @cache
    def fits(place: int, at: int) -> bool:
        rest = pattern[place:]
        if not rest:
            return at == len(text)
        if rest.startswith(b"*"):
            return fits(place + 1, at) or (at < len(text) and fits(place, at + 1))
        if at == len(text):
            return False
        if rest.startswith(b"["):
            negated = rest[1:2] == b"^"
            members, end = class_end(pattern, place + 1 + negated)
            return (text[at] in members) is not negated and fits(end, at + 1)
        if rest.startswith(b"\\") and len(rest) > 1:
            return text[at] == rest[1] and fits(place + 2, at + 1)
        return (rest.startswith(b"?") or text[at] == rest[0]) and fits(place + 1, at + 1)

    return fits(0, 0)


@given(st.text(alphabet="ab*?[]^-\\", max_size=10), st.text(alphabet="ab]^-\\", max_size=8))
def test_matches_what_the_definition_matches(pattern: str, text: str) -> None:
    assert Glob(pattern.encode()).matches(text.encode()) == tried_out(
        pattern.encode(), text.encode()
    )


def test_many_stars_do_not_make_it_try_everything() -> None:
    assert not Glob(b"*a" * 500 + b"b").matches(b"a" * 100_000)


@pytest.mark.parametrize(("pattern", "weight"), [(b"*abc*", 0), (b"*a?c*[de]*", 4)])
def test_weighs_what_plain_search_cannot_find(pattern: bytes, weight: int) -> None:
    assert Glob(pattern).weight == weight
