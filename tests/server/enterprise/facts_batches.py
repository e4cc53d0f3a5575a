"""Batches."""

import json
from typing import Any

from tests.server._driver import SECOND, body
from tests.server.enterprise._facts import GO, RUBY, RUST, WIKI, fact
from tests.server.enterprise._setting import Licensed

COUNTING = "Batches: counting"
CALLBACKS = "Batches: callbacks"
NESTING = "Batches: nesting"
OPEN = "Batches: reopening"


@fact(COUNTING, "`total` and `pending` grow with each push, before any COMMIT.", RUST, GO)
def counted_at_the_push(server: Licensed) -> None:
    bid = server.batch("success")
    assert server.counts(bid) == (0, 0, 0)
    server.add("job-0001", bid=bid)
    server.add("job-0002", bid=bid, more=f'"at":"{server.seconds_ahead(60)}"')
    assert server.counts(bid) == (2, 2, 0)


@fact(COUNTING, "They count the batch's own jobs, not those of the batches in it.", RUST, GO)
def children_are_not_counted(server: Licensed) -> None:
    bid = server.batch("success")
    child = server.batch("success", parent_bid=bid)
    server.add("job-0001", bid=child)
    assert server.counts(bid) == (0, 0, 0)
    assert server.counts(child) == (1, 1, 0)


@fact(COUNTING, "An ACK lowers `pending`, committed or not.", RUST, GO)
def an_ack_lowers_pending(server: Licensed) -> None:
    bid = server.batch("success")
    server.add("job-0001", bid=bid)
    server.add("job-0002", bid=bid)
    server.work()
    assert server.counts(bid) == (2, 1, 0)
    server.commit(bid)
    server.work()
    assert server.counts(bid) == (2, 0, 0)


@fact(
    COUNTING,
    "STATUS answers before the commit; `parent_bid` and `description` are absent where not given.",
    RUST,
    RUBY,
)
def status_before_the_commit(server: Licensed) -> None:
    bid = server.batch("success")
    status = (
        f'{{"bid":"{bid}","created_at":"2026-11-23T22:00:00.125Z","complete_st":"",'
        '"success_st":"","total":0,"pending":0,"failed":0}'
    )
    assert body(server.send(f"BATCH STATUS {bid}".encode())) == status
    child = server.status(server.batch("success", parent_bid=bid, description="part <1>"))
    assert (child["parent_bid"], child["description"]) == (bid, "part <1>")


@fact(COUNTING, "A job that failed is counted as `failed` and stays pending until it succeeds.")
def failures_stay_pending(server: Licensed) -> None:
    bid = server.batch("success")
    server.add("job-0001", bid=bid)
    server.break_down()
    assert server.counts(bid) == (1, 1, 1)
    server.advance(60)
    server.break_down()
    assert server.counts(bid) == (1, 1, 1)
    server.advance(120)
    server.work()
    assert server.counts(bid) == (1, 0, 0)


@fact(COUNTING, "A job that is discarded, or removed with its queue, stays pending for ever.")
def discarded_jobs_stay_pending(server: Licensed) -> None:
    bid = server.batch("complete")
    server.add("job-0001", bid=bid)
    server.commit(bid)
    assert server.ask("QUEUE REMOVE default") == "+OK\r\n"
    assert server.counts(bid) == (1, 1, 0)
    assert server.states(bid) == ("", "")


@fact(CALLBACKS, "A batch needs one of `success` and `complete`.", WIKI)
def one_callback_at_least(server: Licensed) -> None:
    refusal = "-ERR batch must have a success or a complete callback\r\n"
    assert server.ask("BATCH NEW {}") == refusal
    assert server.ask('BATCH NEW {"description":"x","success":null}') == refusal


@fact(CALLBACKS, "None comes before the COMMIT, even when nothing is pending.", RUST)
def none_before_the_commit(server: Licensed) -> None:
    bid = server.batch("success", "complete")
    server.add("job-0001", bid=bid)
    server.work()
    assert server.states(bid) == ("", "")
    assert server.fetch("then") == ""


@fact(
    CALLBACKS, "They come at once at a COMMIT with nothing pending, for an empty batch too.", RUST
)
def at_once_with_nothing_pending(server: Licensed) -> None:
    for jobs in (0, 1):
        bid = server.batch("success")
        for number in range(jobs):
            server.add(f"job-000{number}", bid=bid)
            server.work()
        server.commit(bid)
        assert server.states(bid) == ("", "1")
        assert server.work("then")["jobtype"] == "success"
        assert server.states(bid) == ("", "2")


@fact(
    CALLBACKS,
    "Of two, `complete` is enqueued first; `success` once the job of that was ACKed.",
    RUST,
    GO,
)
def complete_before_success(server: Licensed) -> None:
    bid = server.batch("success", "complete")
    server.add("job-0001", bid=bid)
    server.commit(bid)
    server.work()
    assert server.states(bid) == ("1", "")
    assert server.work("then")["jobtype"] == "complete"
    assert server.states(bid) == ("2", "1")
    assert server.work("then")["jobtype"] == "success"
    assert server.states(bid) == ("2", "2")
    assert server.fetch("then") == ""


@fact(CALLBACKS, 'A success callback that FAILs stays "1".', RUST)
def a_callback_that_fails(server: Licensed) -> None:
    bid = server.batch("success")
    server.commit(bid)
    server.break_down("then")
    assert server.states(bid) == ("", "1")
    server.advance(60)
    server.work("then")
    assert server.states(bid) == ("", "2")


@fact(CALLBACKS, "Only `success`: enqueued when the last job succeeded.", RUST, GO)
def success_alone(server: Licensed) -> None:
    bid = server.batch("success")
    server.add("job-0001", bid=bid)
    server.add("job-0002", bid=bid)
    server.commit(bid)
    server.work()
    assert server.states(bid) == ("", "")
    server.work()
    assert server.states(bid) == ("", "1")


@fact(CALLBACKS, "Only `complete`: `success_st` stays empty.", RUST, GO)
def complete_alone(server: Licensed) -> None:
    bid = server.batch("complete")
    server.add("job-0001", bid=bid)
    server.commit(bid)
    server.work()
    server.work("then")
    assert server.states(bid) == ("2", "")
    assert server.fetch("then") == ""


@fact(
    CALLBACKS,
    "`complete` comes when every job was ACKed or FAILed once, `success` when every job was ACKed.",
    WIKI,
)
def complete_after_failures(server: Licensed) -> None:
    bid = server.batch("success", "complete")
    server.add("job-0001", bid=bid)
    server.add("job-0002", bid=bid)
    server.commit(bid)
    server.break_down()
    assert server.states(bid) == ("", "")
    server.work()
    assert server.states(bid) == ("1", "")
    server.work("then")
    assert server.states(bid) == ("2", "")
    server.advance(60)
    server.work()
    assert server.states(bid) == ("2", "1")


@fact(
    CALLBACKS,
    "A job that dies, or fails without a retry, completes; `success` does not come.",
    WIKI,
)
def complete_after_deaths(server: Licensed) -> None:
    bid = server.batch("success", "complete")
    server.add("job-0001", bid=bid, more='"retry":-1')
    server.add("job-0002", bid=bid, more='"retry":0')
    server.commit(bid)
    server.break_down()
    server.break_down()
    server.work("then")
    assert server.states(bid) == ("2", "")
    assert server.ask('MUTATE {"cmd":"requeue","target":"dead"}') == "+OK\r\n"
    server.work()
    assert server.counts(bid) == (2, 1, 1)


@fact(CALLBACKS, "An expired reservation is a failure.")
def complete_after_a_lost_job(server: Licensed) -> None:
    bid = server.batch("complete")
    server.add("job-0001", bid=bid, more='"reserve_for":60')
    server.commit(bid)
    server.take()
    server.advance(60)
    assert server.states(bid) == ("1", "")


@fact(
    CALLBACKS,
    "A callback has no `custom.bid`; the batch that it belongs to is its `custom._bid`.",
    RUBY,
    GO,
)
def callbacks_name_their_batch(server: Licensed) -> None:
    bid = server.batch("success")
    server.commit(bid)
    assert server.take("then")["custom"] == {"_bid": bid}


@fact(
    CALLBACKS,
    "Where that batch is a part of another one, `custom._pbid` names it; what `custom` "
    "had stays; one without a jid gets one.",
)
def callbacks_keep_what_they_had(server: Licensed) -> None:
    parent = server.batch("success")
    job = {"jobtype": "x", "args": [1.5, 1e30], "queue": "q", "custom": {"a": [1, 1e21, {"b": 2}]}}
    plan = json.dumps({"parent_bid": parent, "success": job})
    bid = body(server.send(f"BATCH NEW {plan}".encode()))
    server.commit(bid)
    document = server.fetch("q")
    custom = f'{{"_bid":"{bid}","_pbid":"{parent}","a":[1,1e+21,{{"b":2}}]}}'
    assert f'"custom":{custom},' in document
    assert len(json.loads(document)["jid"]) >= 8


@fact(
    CALLBACKS,
    "It is pushed as any job is: with its queue, retry, `at`, `track` and, if it has "
    "one, `bid`; no lock keeps it out.",
)
def callbacks_are_jobs(server: Licensed) -> None:
    outer = server.batch("success")
    custom = {"track": 1, "bid": outer, "unique_for": 60, "expires_in": 600}
    server.add("job-0001", more='"queue":"q"', unique_for=60)
    job: dict[str, Any] = {"jid": "job-then", "jobtype": "order", "args": [], "queue": "q"}
    job |= {"retry": 3, "at": server.seconds_ahead(60), "custom": custom}
    bid = body(server.send(f"BATCH NEW {json.dumps({'success': job})}".encode()))
    server.commit(bid)
    assert server.states(bid) == ("", "1")
    assert server.counts(outer) == (1, 1, 0)
    assert server.track("job-then")["state"] == "enqueued"
    server.work("q")
    server.advance(65)
    assert server.work("q")["retry"] == 3
    assert server.states(bid) == ("", "2")
    assert server.counts(outer) == (1, 0, 0)


@fact(CALLBACKS, "A callback that could not be pushed one day is refused by the BATCH NEW.")
def callbacks_are_checked_early(server: Licensed) -> None:
    refused = {
        '{"args":[]}': "jobs must have a jobtype parameter",
        '{"jobtype":"a"}': "jobs must have an args parameter",
        '{"jobtype":"a","args":[],"jid":"short"}': "jobs must have a reasonable jid parameter",
        '{"jobtype":"a","args":[],"queue":"a b"}': (
            r'cannot get "a b" queue: queue names must match \A[a-zA-Z0-9._-]+\z'
        ),
        '{"jobtype":"a","args":[],"custom":{"expires_in":"x"}}': (
            "expires_in must be a number of seconds"
        ),
    }
    for callback, text in refused.items():
        reply = server.ask(f'BATCH NEW {{"success":{callback}}}')
        assert reply == f"-ERR success callback: {text}\r\n"
    reply = server.ask('BATCH NEW {"complete":{"jobtype":"a","args":[],"at":"soon"}}')
    assert reply.startswith("-ERR complete callback: invalid timestamp for 'at'")


@fact(
    NESTING,
    "A parent's callback waits until its child's callback was ACKed: jobs, then the "
    "child's callback, then the parent's.",
    RUBY,
)
def the_child_comes_first(server: Licensed) -> None:
    parent = server.batch("success")
    child = server.batch("success", parent_bid=parent)
    server.add("job-0001", bid=parent)
    server.add("job-0002", bid=child)
    server.commit(child)
    server.commit(parent)
    server.work()
    assert (server.states(parent), server.states(child)) == (("", ""), ("", ""))
    server.work()
    assert (server.states(parent), server.states(child)) == (("", ""), ("", "1"))
    server.work("then")
    assert (server.states(parent), server.states(child)) == (("", "1"), ("", "2"))


@fact(NESTING, "Batches nest as deep as wanted.", WIKI)
def nested_deep(server: Licensed) -> None:
    bids = [server.batch("success")]
    for _ in range(1500):
        bids.append(server.batch("success", parent_bid=bids[-1]))
    server.add("job-0001", bid=bids[-1])
    for bid in bids:
        server.commit(bid)
    server.work()
    for bid in reversed(bids):
        assert server.work("then")["custom"]["_bid"] == bid
    assert server.fetch("then") == ""


@fact(NESTING, "A parent's `complete` does not wait for a child's `success` that will not come.")
def a_child_that_fails(server: Licensed) -> None:
    parent = server.batch("complete", "success")
    child = server.batch("complete", "success", parent_bid=parent, queue="inner")
    server.add("job-0001", bid=child, more='"retry":0')
    server.commit(child)
    server.commit(parent)
    server.break_down()
    assert server.states(parent) == ("", "")
    assert server.work("inner")["jobtype"] == "complete"
    assert server.states(child) == ("2", "")
    assert server.states(parent) == ("1", "")
    server.work("then")
    assert server.states(parent) == ("2", "")


@fact(NESTING, "A parent waits for a child that is not committed.")
def an_open_child_is_waited_for(server: Licensed) -> None:
    parent = server.batch("success")
    child = server.batch("complete", parent_bid=parent)
    server.commit(parent)
    assert server.states(parent) == ("", "")
    server.commit(child)
    server.work("then")
    assert server.states(parent) == ("", "1")


@fact(OPEN, "OPEN answers the bid as a string, of an uncommitted batch too.", RUST, GO)
def open_answers_the_bid(server: Licensed) -> None:
    bid = server.batch("success")
    reply = f"${len(bid)}\r\n{bid}\r\n"
    assert server.ask(f"BATCH OPEN {bid}") == reply
    server.commit(bid)
    assert server.ask(f"BATCH OPEN {bid}") == reply


@fact(
    OPEN,
    "A committed batch may be opened from outside, and pushed to; the wiki says otherwise.",
    RUST,
    GO,
)
def opened_from_outside(server: Licensed) -> None:
    bid = server.batch("success")
    server.add("job-0001", bid=bid)
    server.commit(bid)
    server.reopen(bid)
    server.add("job-0002", bid=bid)
    assert server.counts(bid) == (2, 2, 0)
    server.commit(bid)
    server.work()
    assert server.states(bid) == ("", "")
    server.work()
    assert server.states(bid) == ("", "1")


@fact(
    OPEN,
    "Also after its callbacks were enqueued: pushes raise `total` and `pending`, the states "
    "stay as they were, COMMIT answers OK.",
    RUST,
    GO,
)
def opened_after_its_callbacks(server: Licensed) -> None:
    bid = server.batch("success", "complete")
    server.commit(bid)
    server.work("then")
    assert server.states(bid) == ("2", "1")
    server.reopen(bid)
    server.add("job-0001", bid=bid)
    server.add("job-0002", bid=bid)
    assert server.counts(bid) == (2, 2, 0)
    assert server.states(bid) == ("2", "1")
    server.commit(bid)
    server.work()
    server.work()
    assert server.states(bid) == ("2", "1")
    server.work("then")
    assert server.states(bid) == ("2", "2")
    assert server.fetch("then") == ""


@fact(OPEN, "Child batches may be added to a batch that was opened again.", RUST, GO)
def children_of_an_opened_batch(server: Licensed) -> None:
    parent = server.batch("success")
    server.add("job-0001", bid=parent)
    server.commit(parent)
    server.reopen(parent)
    child = server.batch("complete", parent_bid=parent)
    server.commit(child)
    server.commit(parent)
    server.work()
    assert server.states(parent) == ("", "")
    server.work("then")
    assert server.states(parent) == ("", "1")


@fact(
    OPEN,
    "A job at work may open its own batch: its ACK fires nothing while the new jobs are pending.",
    RUBY,
)
def opened_from_inside(server: Licensed) -> None:
    bid = server.batch("success")
    server.add("job-0001", bid=bid)
    server.commit(bid)
    server.take()
    server.reopen(bid)
    server.add("job-0002", bid=bid)
    server.commit(bid)
    server.ack("job-0001")
    assert server.states(bid) == ("", "")
    server.work()
    assert server.states(bid) == ("", "1")


@fact(OPEN, "An unknown bid is an error, `no such batch` and the bid.", RUST)
def unknown_batches(server: Licensed) -> None:
    for command in ("OPEN", "COMMIT", "STATUS"):
        assert server.ask(f"BATCH {command} b-none") == "-ERR no such batch b-none\r\n"
    plan = '{"parent_bid":"b-none","success":{"jobtype":"a","args":[]}}'
    assert server.ask(f"BATCH NEW {plan}") == "-ERR no such batch b-none\r\n"


@fact(OPEN, "A job that is pushed into an unknown batch is refused likewise.")
def unknown_batches_take_no_jobs(server: Licensed) -> None:
    assert server.try_push("job-0001", bid="b-none") == "-ERR no such batch b-none\r\n"
    assert server.try_push("job-0001", bid=7) == "-ERR bid must be a text\r\n"
    server.add("job-0001", bid="")


@fact(OPEN, "Until a batch that was opened again is committed again, no callback comes.")
def an_open_batch_waits(server: Licensed) -> None:
    bid = server.batch("success")
    server.add("job-0001", bid=bid)
    server.commit(bid)
    server.reopen(bid)
    server.work()
    server.advance(3600)
    assert server.states(bid) == ("", "")
    server.commit(bid)
    assert server.states(bid) == ("", "1")


@fact(OPEN, "A batch that is not committed within 30 minutes is forgotten.", WIKI)
def forgotten_after_half_an_hour(server: Licensed) -> None:
    bid = server.batch("success")
    server.add("job-0001", bid=bid)
    server.advance(1799)
    assert server.counts(bid) == (1, 1, 0)
    server.now += SECOND  # no tick in between
    assert server.ask(f"BATCH COMMIT {bid}") == f"-ERR no such batch {bid}\r\n"
    assert server.try_push("job-0002", bid=bid) == f"-ERR no such batch {bid}\r\n"
    server.work()


@fact(OPEN, "Its jobs run as any others; its parent goes on without it.")
def forgotten_children(server: Licensed) -> None:
    parent = server.batch("success")
    child = server.batch("success", parent_bid=parent)
    server.add("job-0001", bid=child)
    server.commit(parent)
    server.advance(1799)
    assert server.states(parent) == ("", "")
    server.advance(16)
    assert server.states(parent) == ("", "1")
    server.work()
    server.work("then")


@fact(OPEN, "A FLUSH forgets every batch; a job of one that is at work is then a job like others.")
def flushed(server: Licensed) -> None:
    bid = server.batch("success")
    server.add("job-0001", bid=bid)
    server.commit(bid)
    server.take()
    assert server.ask("FLUSH") == "+OK\r\n"
    assert server.ask(f"BATCH STATUS {bid}") == f"-ERR no such batch {bid}\r\n"
    server.ack("job-0001")
    assert server.fetch("then") == ""


@fact(OPEN, "What makes no sense is refused by an error.")
def nonsense(server: Licensed) -> None:
    assert server.ask("BATCH") == "-ERR no such BATCH subcommand: \r\n"
    assert server.ask("BATCH drop x") == "-ERR no such BATCH subcommand: DROP\r\n"
    assert server.ask("BATCH NEW") == "-ERR invalid JSON: unexpected end of JSON input\r\n"
    assert server.ask('BATCH NEW {"success":"a"}') == (
        "-ERR invalid JSON: json: cannot unmarshal string into Go struct field Batch.success of "
        "type client.Job\r\n"
    )
