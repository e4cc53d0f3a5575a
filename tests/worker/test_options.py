"""What a worker is made with."""

from datetime import timedelta
from typing import Any

import pytest

from faktory_async import TLS, AddressError, Router, UsageError, Worker
from faktory_async.net import Address
from faktory_async.worker._connected import Target


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"queues": "critical"}, r"queues is a sequence of names: write \['critical'\]"),
        ({"queues": []}, "at least one queue"),
        ({"queues": ["a b"]}, "no name of a queue"),
        ({"queues": ["a\r\nFLUSH"]}, "no name of a queue"),
        ({"queues": {}}, "at least one queue"),
        ({"queues": {"a b": 1}}, "no name of a queue"),
        ({"queues": {"a": 1, "b": 0}}, "the weight of queue 'b' is 0, and no number above 0"),
        ({"queues": {"a": "x"}}, "the weight of queue 'a' is 'x', and no number above 0"),
        ({"queues": {"a": 10**400}}, "and no number above 0"),
        ({"queues": {"a": float("inf")}}, "the weight of queue 'a' is inf"),
        ({"queues": {"a": float("nan")}}, "the weight of queue 'a' is nan"),
        ({"queue_limits": {"a": 0}}, "the limit of queue 'a' is 0, and no whole number"),
        ({"queue_limits": {"a": 1.5}}, "the limit of queue 'a' is 1.5, and no whole number"),
        ({"queue_limits": {"a b": 1}}, "no name of a queue"),
        ({"concurrency": 0}, "concurrency is a whole number and at least 1, not 0"),
        ({"concurrency": 100.5}, "concurrency is a whole number and at least 1, not 100.5"),
        ({"concurrency": "5"}, "concurrency is a whole number and at least 1, not '5'"),
        ({"max_jobs": 2.5}, "max_jobs is a whole number"),
        ({"max_fetchers": 0}, "max_fetchers is a whole number"),
        ({"threads": 0}, "threads is a whole number"),
        ({"processes": 0}, "processes is a whole number"),
        ({"labels": "web"}, "labels is a sequence of words, not 'web'"),
        ({"labels": [1]}, r"labels is a sequence of words, not \[1\]"),
        ({"wid": ""}, "a wid is printable ASCII"),
        ({"wid": "a b"}, "a wid is printable ASCII"),
        ({"wid": "a\n"}, "a wid is printable ASCII"),
        ({"grace": -1}, "a grace is not negative"),
        ({"grace": timedelta(seconds=-1)}, "a grace is not negative"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Worker(**options)


@pytest.mark.parametrize("handlers", ["hello:app", Router(), 5, [list]])
def test_what_works_no_jobs_is_refused(handlers: Any) -> None:
    with pytest.raises(UsageError, match="a worker works an App, a dict of functions by jobtype"):
        Worker(handlers)


def test_a_wrong_address_is_refused_at_once() -> None:
    with pytest.raises(AddressError):
        Worker(url="http://localhost")
    with pytest.raises(AddressError):
        Worker(url="tcp://localhost", tls=TLS())


def test_each_worker_has_a_wid_of_its_own() -> None:
    wids = {Worker().wid for _ in range(1_000)}
    assert len(wids) == 1_000
    assert all(len(wid) >= 16 for wid in wids)


def test_no_repr_shows_a_password() -> None:
    for url in ("tcp://:secret@localhost", Address.parse("tcp://:secret@localhost")):
        assert "secret" not in repr(Target(url, None, None, None))


def test_a_repr_names_the_wid_and_how_far_it_is() -> None:
    assert repr(Worker(wid="w1")) == "<Worker w1 not started>"
