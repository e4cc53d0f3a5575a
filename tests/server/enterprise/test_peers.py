"""What other languages' clients send, byte by byte as they spell it, and what they need back."""

import json
import re
from typing import Final

import pytest

from tests.server._driver import body
from tests.server.enterprise._setting import Licensed

RUST: Final = '{"jid":"cb-rust-01","queue":"cb","jobtype":"done","args":[],"custom":{"track":1}}'
GO: Final = '{"jid":"cb-go-0001","queue":"cb","jobtype":"done","args":[1],"retry":25}'
RUBY: Final = '{"jid":"cb-ruby-01","args":[],"queue":"cb","jobtype":"done"}'
ELIXIR: Final = '{"args":[{"hey":"you!"}],"jid":"cb-elixir1","jobtype":"done","queue":"cb"}'
PYTHON: Final = (
    '{"jid": "cb-python1", "jobtype": "done", "args": [], "queue": "cb", "reserve_for": null,'
    ' "at": null, "retry": 5, "backtrace": null, "created_at": null, "custom": null}'
)
BATCHES: Final = {
    "rs, both callbacks": f'{{"description":"d","success":{RUST},"complete":{GO}}}',
    "Go, with its empty bid": f'{{"bid":"","description":"d","success":{GO}}}',
    "Ruby": f'{{"description":"d","success":{RUBY}}}',
    "Elixir, keys in its order": f'{{"complete":{ELIXIR},"description":"d"}}',
    "pyfaktory, every field, spaces": (
        f'{{"parent_bid": null, "description": "d", "success": {PYTHON}, "complete": null}}'
    ),
}


@pytest.mark.parametrize("plan", BATCHES.values(), ids=BATCHES)
def test_each_spelling_of_a_batch_runs_to_its_end(plan: str) -> None:
    server = Licensed()
    bid = body(server.send(f"BATCH NEW {plan}".encode()))
    assert re.fullmatch(r"b-\w+", bid)
    child = (
        body(server.send(f'BATCH NEW {{"parent_bid":"{bid}",{plan[1:]}'.encode()))
        if ("parent_bid" not in plan)
        else None
    )
    server.add("job-0001", bid=bid)
    # Go and Rust read a string here, Ruby takes anything that is no error.
    assert server.ask(f"BATCH OPEN {bid}") == f"${len(bid)}\r\n{bid}\r\n"
    for each in filter(None, (child, bid)):
        server.commit(each)
    server.work()
    while (document := server.fetch("cb")) != "":
        server.ack(json.loads(document)["jid"])
    assert "2" in server.states(bid)


PROGRESS: Final = {
    "rs": '{"jid":"job-0001","percent":32,"desc":"half","reserve_until":"2026-11-23T23:00:00.5Z"}',
    "Go": '{"jid":"job-0001","percent":32,"desc":"half","reserve_until":"2026-11-23T23:00:00.5Z"}',
    "Ruby": '{"jid":"job-0001","percent":32,"desc":"half"}',
    "Elixir": '{"desc":"half","jid":"job-0001","percent":32}',
    "pyfaktory": '{"jid": "job-0001", "percent": 32, "desc": "half", "reserve_until": null}',
}


@pytest.mark.parametrize("update", PROGRESS.values(), ids=PROGRESS)
def test_each_spelling_of_progress_is_kept(update: str) -> None:
    server = Licensed()
    server.add("job-0001", track=1)
    server.take()
    assert server.ask(f"TRACK SET {update}") == "+OK\r\n"
    track = server.track("job-0001")
    assert (track["state"], track["percent"], track["desc"]) == ("working", 32, "half")


OPTIONS: Final = {
    "rs": '"unique_for":60,"unique_until":"success","track":1',
    "Go": '"unique_for":60,"unique_until":"success"',
    "Ruby": '"unique_for":60,"unique_until":"success","expires_at":"2026-11-23T23:00:00Z"',
    "Node and Elixir": '"unique_for":60.0',
    "Go's times": '"unique_for":60,"expires_at":"2026-11-23T23:00:00.123456789+01:00"',
}


@pytest.mark.parametrize("custom", OPTIONS.values(), ids=OPTIONS)
def test_each_spelling_of_a_unique_job_locks(custom: str) -> None:
    server = Licensed()
    push = 'PUSH {{"custom":{{{}}},"jid":"job-000{}","args":[1],"jobtype":"a"}}'
    assert server.ask(push.format(custom, 1)) == "+OK\r\n"
    assert server.ask(push.format(custom, 2)) == "-NOTUNIQUE Job not unique\r\n"


def test_a_status_has_what_typed_clients_read() -> None:
    """Rust's and Go's structs: four texts, a moment, three counts; Ruby reads the same lazily."""
    server = Licensed()
    bid = body(server.send(f'BATCH NEW {{"description":"d","success":{GO}}}'.encode()))
    server.add("job-0001", bid=bid)
    status = server.status(bid)
    assert all(isinstance(status[name], str) for name in ("bid", "description", "created_at"))
    assert (status["complete_st"], status["success_st"]) == ("", "")
    assert (status["total"], status["pending"], status["failed"]) == (1, 1, 0)
    assert "parent_bid" not in status


def test_a_track_has_what_typed_clients_read() -> None:
    server = Licensed()
    server.add("job-0001", track=1)
    assert server.ask('TRACK SET {"jid":"job-0001","percent":0,"desc":null}') == "+OK\r\n"
    track = server.track("job-0001")
    assert (track["jid"], track["state"]) == ("job-0001", "enqueued")
    assert isinstance(track["updated_at"], str)
    unknown = server.track("no-such-job")
    assert unknown == {"jid": "no-such-job", "state": "unknown", "updated_at": ""}


def test_a_job_finds_its_batch_and_adds_to_it_as_go_and_ruby_do() -> None:
    server = Licensed()
    bid = body(server.send(f'BATCH NEW {{"success":{RUBY}}}'.encode()))
    # Ruby's middleware and Go's Jobs(func) give every job of the block the bid.
    jobs = ",".join(
        f'{{"jid":"job-000{number}","queue":"default","jobtype":"row","args":[],"retry":25,'
        f'"custom":{{"bid":"{bid}"}}}}'
        for number in (1, 2)
    )
    assert server.ask(f"PUSHB [{jobs}]") == "$2\r\n{}\r\n"
    server.commit(bid)
    job = server.take()
    assert job["custom"]["bid"] == bid
    server.reopen(job["custom"]["bid"])
    server.add("job-0003", bid=bid)
    server.commit(bid)
    server.ack(job["jid"])
    assert server.fetch("cb") == ""
    server.work()
    server.work()
    assert server.take("cb")["jid"] == "cb-ruby-01"


def test_a_callback_knows_its_batch_as_go_reads_it_and_its_parents_as_ruby_does() -> None:
    server = Licensed()
    parent = body(server.send(f'BATCH NEW {{"success":{GO}}}'.encode()))
    plan = f'{{"parent_bid":"{parent}","description":null,"success":{RUBY}}}'
    child = body(server.send(f"BATCH NEW {plan}".encode()))
    server.add("job-0001", bid=child)
    server.commit(child)
    server.work()
    custom = server.take("cb")["custom"]
    assert custom["_bid"] == child
    assert custom["_pbid"] == parent
    assert "bid" not in custom


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("BATCH CHILD b-1 b-2", "no such BATCH subcommand: CHILD"),  # the free plugin's own word
        ("BATCH OPEN b-none", "no such batch b-none"),  # Rust looks for these words, in any case
        ("BATCH STATUS b-none", "no such batch b-none"),
    ],
)
def test_what_clients_take_for_a_refusal_is_one(line: str, text: str) -> None:
    assert Licensed().ask(line) == f"-ERR {text}\r\n"


def test_pushes_of_clients_that_only_have_custom_are_options_too() -> None:
    """As cdrx sends it: with spaces, and every field that its own class has."""
    server = Licensed()
    push = (
        'PUSH {{"jid": "job-000{0}", "jobtype": "a", "args": [1], "queue": "default",'
        ' "reserve_for": 1800, "at": "", "retry": 25, "backtrace": 0, "priority": 5,'
        ' "custom": {{"unique_for": 60, "unique_until": "start"}}}}'
    )
    assert server.ask(push.format(1)) == "+OK\r\n"
    assert server.ask(push.format(2)) == "-NOTUNIQUE Job not unique\r\n"
    server.take()
    assert server.ask(push.format(3)) == "+OK\r\n"
