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
