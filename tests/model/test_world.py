"""The injectable world: real by default, another one where a test says so, and only there."""

import contextvars
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from faktory_async.model import Job, World, new_jid, use_world, world

MOMENT = datetime(2026, 1, 31, 12, tzinfo=UTC)


class Frozen(World):
    def utcnow(self) -> datetime:
        return MOMENT


def test_the_real_world_tells_the_time_in_utc() -> None:
    before = datetime.now(UTC)
    now = World().utcnow()
    assert before <= now <= before + timedelta(minutes=1)
    assert now.tzinfo is UTC


def test_the_time_in_seconds_is_that_of_utcnow() -> None:
    assert Frozen().time() == MOMENT.timestamp()
    assert world().time() == pytest.approx(world().utcnow().timestamp(), abs=60)


def test_tokens_are_random_and_url_safe() -> None:
    tokens = {World().token(12) for _ in range(1000)}
    assert len(tokens) == 1000
    assert all(len(token) == 24 and token.isalnum() and token.isascii() for token in tokens)


def test_jids_of_many_threads_are_distinct_and_of_one_shape() -> None:
    def make() -> list[str]:
        return [new_jid() for _ in range(5_000)]

    with ThreadPoolExecutor(4) as threads:
        jids = [jid for each in [threads.submit(make) for _ in range(4)] for jid in each.result()]
    assert len(set(jids)) == 20_000
    assert all(re.fullmatch("[0-9a-f]{24}", jid) for jid in jids)


_FORK = """
import os
from faktory_async import new_jid

new_jid()
reader, writer = os.pipe()
child = os.fork()
jids = [new_jid() for _ in range(100)]
if child:
    os.close(writer)
    with os.fdopen(reader) as pipe:
        theirs = pipe.read().split()
    os.waitpid(child, 0)
    print(len({*jids, *theirs}))
else:
    with os.fdopen(writer, "w") as pipe:
        pipe.write(" ".join(jids))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_does_not_give_the_same_jids_to_two_processes() -> None:
    made = subprocess.run(  # noqa: S603 - the program above
        [sys.executable, "-c", _FORK], capture_output=True, text=True, check=True
    )
    assert made.stdout == "200\n"


def test_uniform_numbers_are_from_zero_to_below_one() -> None:
    numbers = [World().uniform() for _ in range(1000)]
    assert all(0 <= number < 1 for number in numbers)
    assert len(set(numbers)) > 900


def test_another_world_counts_within_its_block_only() -> None:
    other = Frozen()
    with use_world(other) as used:
        assert world() is used is other
        assert Job("order").created_at == MOMENT
        with use_world(World()):
            assert world() is not other
        assert world() is other
    assert world() is not other
    assert Job("order").created_at != MOMENT


def test_the_real_world_returns_after_an_error() -> None:
    real = world()
    with pytest.raises(LookupError), use_world(Frozen()):
        raise LookupError
    assert world() is real


def test_another_context_keeps_its_own_world() -> None:
    elsewhere = contextvars.copy_context()
    with use_world(Frozen()):
        assert elsewhere.run(world) is not world()


def test_a_world_overrides_only_what_it_names() -> None:
    with use_world(Frozen()):
        assert new_jid() != new_jid()
