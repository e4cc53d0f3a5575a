"""Unique and expiring jobs."""

from tests.server._driver import body
from tests.server.enterprise._facts import RUBY, RUST, WIKI, fact
from tests.server.enterprise._setting import NOT_UNIQUE, Licensed

UNIQUE = "Unique jobs"
EXPIRY = "Expiring jobs"


@fact(UNIQUE, "A second job of the same jobtype, args and queue is refused.", RUST)
def same_jobtype_args_and_queue(server: Licensed) -> None:
    server.add("job-0001", '[1,{"b":2,"a":1.0}]', unique_for=60)
    assert server.try_push("job-0002", '[1, {"a":1,"b":2}]', unique_for=60) == NOT_UNIQUE
    assert server.try_push("job-0002", '[1,{"a":1,"b":3}]', unique_for=60) == "+OK\r\n"
    more = '"queue":"other"'
    assert server.try_push("job-0003", '[1,{"a":1,"b":2}]', more=more, unique_for=60) == "+OK\r\n"
    other = '{"jid":"job-0004","jobtype":"x","args":[1,{"a":1,"b":2}],"custom":{"unique_for":60}}'
    assert server.ask(f"PUSH {other}") == "+OK\r\n"


@fact(UNIQUE, "A job without `unique_for` of its own passes beside a lock.", RUST)
def a_job_that_does_not_ask_passes(server: Licensed) -> None:
    server.add("job-0001", unique_for=60)
    server.add("job-0002")
    server.add("job-0003")


@fact(UNIQUE, "A PUSH is answered `-NOTUNIQUE Job not unique`.", RUST, RUBY)
def a_push_is_refused_by_a_code_of_its_own(server: Licensed) -> None:
    server.add("job-0001", unique_for=60)
    line = b'PUSH {"jid":"job-0002","jobtype":"order","args":[],"custom":{"unique_for":60}}'
    assert server.send(line) == b"-NOTUNIQUE Job not unique\r\n"


@fact(UNIQUE, "A PUSHB takes the others, and says `NOTUNIQUE Job not unique` of this one.")
def a_pushb_says_it_of_each(server: Licensed) -> None:
    job = '{{"jid":"job-000{}","jobtype":"a","args":[{}],"custom":{{"unique_for":60}}}}'
    jobs = ",".join([job.format(1, 1), job.format(2, 2), job.format(3, 1)])
    assert (
        body(server.send(f"PUSHB [{jobs}]".encode())) == '{"job-0003":"NOTUNIQUE Job not unique"}'
    )
    assert (server.work()["jid"], server.work()["jid"]) == ("job-0001", "job-0002")
    assert server.fetch() == ""


@fact(UNIQUE, "`unique_until` `success`, the default: locked until the ACK, also at work.", RUST)
def locked_until_the_ack(server: Licensed) -> None:
    for until in ({}, {"unique_until": "success"}):
        server.add("job-0001", unique_for=60, **until)
        server.take()
        assert server.try_push("job-0002", unique_for=60) == NOT_UNIQUE
        server.ack("job-0001")
        server.add("job-0002", unique_for=60)
        server.work()


@fact(UNIQUE, "`unique_until` `start`: locked until the FETCH.", RUST)
def locked_until_the_fetch(server: Licensed) -> None:
    server.add("job-0001", unique_for=60, unique_until="start")
    assert server.try_push("job-0002", unique_for=60) == NOT_UNIQUE
    server.take()
    server.add("job-0002", unique_for=60)
    server.ack("job-0001")
    assert server.try_push("job-0003", unique_for=60) == NOT_UNIQUE


@fact(UNIQUE, "A lock ends after `unique_for` seconds, a whole number or not.", WIKI)
def locked_for_so_long(server: Licensed) -> None:
    server.add("job-0001", unique_for=2.5)
    server.advance(2.4)
    assert server.try_push("job-0002", unique_for=60) == NOT_UNIQUE
    server.advance(0.1)
    server.add("job-0002", unique_for=60)
    server.work()  # the first one, whose lock is not the second one's
    assert server.try_push("job-0003", unique_for=60) == NOT_UNIQUE


@fact(UNIQUE, "The lock of a scheduled job lasts until its time and `unique_for` longer.", WIKI)
def locked_while_scheduled(server: Licensed) -> None:
    server.add("job-0001", more=f'"at":"{server.seconds_ahead(3600)}"', unique_for=600)
    server.advance(3600 + 599)
    assert server.try_push("job-0002", unique_for=60) == NOT_UNIQUE
    server.advance(1)
    server.add("job-0002", unique_for=60)


@fact(UNIQUE, "A job that failed keeps its lock while it waits for its retry.", WIKI)
def locked_after_a_failure(server: Licensed) -> None:
    server.add("job-0001", unique_for=600)
    server.break_down()
    assert server.try_push("job-0002", unique_for=60) == NOT_UNIQUE
    server.advance(60)  # it is back in its queue, and its own lock did not keep it out
    assert server.try_push("job-0002", unique_for=60) == NOT_UNIQUE
    assert server.work()["jid"] == "job-0001"
    server.add("job-0002", unique_for=60)


@fact(UNIQUE, "A job that is taken out of the retries by hand leaves its lock.", WIKI)
def locked_after_a_discard(server: Licensed) -> None:
    server.add("job-0001", unique_for=600)
    server.break_down()
    assert server.ask('MUTATE {"cmd":"discard","target":"retries"}') == "+OK\r\n"
    assert server.try_push("job-0002", unique_for=60) == NOT_UNIQUE
    server.advance(600)
    server.add("job-0002", unique_for=60)


@fact(UNIQUE, "A job that dies, is killed, or is discarded after its failure leaves its lock.")
def locked_after_death(server: Licensed) -> None:
    server.add("job-0001", "[1]", more='"retry":-1', unique_for=600)
    server.add("job-0002", "[2]", more='"retry":0', unique_for=600)
    server.add("job-0003", "[3]", more='"retry":5', unique_for=600)
    for _ in range(3):
        server.break_down()
    assert server.ask('MUTATE {"cmd":"kill","target":"retries"}') == "+OK\r\n"
    for args in ("[1]", "[2]", "[3]"):
        assert server.try_push("job-0004", args, unique_for=60) == NOT_UNIQUE


@fact(UNIQUE, "A job whose reservation runs out keeps its lock.")
def locked_after_a_lost_reservation(server: Licensed) -> None:
    server.add("job-0001", more='"reserve_for":60', unique_for=600)
    server.take()
    server.advance(75)
    assert server.try_push("job-0002", unique_for=60) == NOT_UNIQUE


@fact(UNIQUE, "A dead job that is put back into its queue needs no lock, and its ACK ends its own.")
def requeued(server: Licensed) -> None:
    server.add("job-0001", more='"retry":-1', unique_for=600)
    server.break_down()
    assert server.ask('MUTATE {"cmd":"requeue","target":"dead"}') == "+OK\r\n"
    assert server.work()["jid"] == "job-0001"
    server.add("job-0002", unique_for=60)


@fact(UNIQUE, "A queue that is removed leaves the locks of its jobs.")
def locked_after_removal(server: Licensed) -> None:
    server.add("job-0001", unique_for=600)
    assert server.ask("QUEUE REMOVE default") == "+OK\r\n"
    assert server.try_push("job-0002", unique_for=60) == NOT_UNIQUE


@fact(UNIQUE, "A FLUSH ends every lock.")
def flushed(server: Licensed) -> None:
    server.add("job-0001", unique_for=600)
    assert server.ask("FLUSH") == "+OK\r\n"
    server.add("job-0002", unique_for=60)


@fact(UNIQUE, "A job that is refused for another reason locks nothing.")
def refused_jobs_lock_nothing(server: Licensed) -> None:
    assert server.try_push("job-0001", more='"queue":"a b"', unique_for=60).startswith("-ERR")
    assert server.try_push("job-0001", bid="b-none", unique_for=60).startswith("-ERR")
    server.add("job-0002", unique_for=60)


@fact(
    UNIQUE,
    "`unique_for` 0 is no lock; what is no number of seconds is refused, as is any other "
    "`unique_until`.",
)
def odd_values(server: Licensed) -> None:
    for _ in range(2):
        server.add("job-0001", unique_for=0)
    for value in ("600", True, -1, [1]):
        reply = server.try_push("job-0001", unique_for=value)
        assert reply == "-ERR unique_for must be a number of seconds\r\n"
    reply = server.try_push("job-0001", unique_for=1, unique_until="ack")
    assert reply == '-ERR unique_until must be "success" or "start", not "ack"\r\n'
    assert server.try_push("job-0001", unique_until=1) == "-ERR unique_until must be a text\r\n"


@fact(
    EXPIRY,
    "A job past its `expires_at` is dropped in silence when its turn comes; the FETCH "
    "goes on to the next one, or answers nil.",
    RUST,
)
def dropped_in_silence(server: Licensed) -> None:
    server.add("job-0001", expires_at=server.seconds_ahead(3))
    server.add("job-0002", expires_at=server.seconds_ahead(3))
    assert server.work()["jid"] == "job-0001"
    server.add("job-0003", expires_at=server.seconds_ahead(10))
    server.advance(6)
    assert server.work()["jid"] == "job-0003"
    server.add("job-0004", expires_at=server.seconds_ahead(3))
    server.advance(6)
    assert server.fetch() == ""
    assert server.broker.processed == 2


@fact(EXPIRY, "Until then it is counted in its queue.", WIKI)
def counted_until_then(server: Licensed) -> None:
    server.add("job-0001", expires_at=server.seconds_ahead(3))
    server.advance(6)
    [queue] = server.broker.queues
    assert len(queue.jobs) == 1


@fact(EXPIRY, "A job that is pushed too late is not handed to a FETCH that waits.")
def not_handed_to_who_waits(server: Licensed) -> None:
    waiting = server.wait("FETCH default")
    server.add("job-0001", expires_at=server.seconds_ahead(-3))
    assert waiting.reply is None
    server.add("job-0002", expires_at=server.seconds_ahead(3))
    assert waiting.reply is not None
    assert b"job-0002" in waiting.reply


@fact(
    EXPIRY,
    "`expires_in`, in seconds, counts from the push, or from the time for which the job "
    "is scheduled; the server writes the `expires_at` into `custom`, and one that is there wins.",
    WIKI,
)
def seconds_to_live(server: Licensed) -> None:
    server.add("job-0001", expires_in=60)
    custom = {"expires_at": "2026-11-23T22:01:00.125Z", "expires_in": 60}
    assert server.take()["custom"] == custom
    server.add("job-0002", more=f'"at":"{server.seconds_ahead(3600)}"', expires_in=60)
    server.advance(3600 + 10)
    assert server.work()["jid"] == "job-0002"
    later = server.seconds_ahead(90)
    server.add("job-0003", expires_in=60, expires_at=later)
    server.add("job-0004", expires_in=59.5)
    server.advance(60)
    assert server.take()["custom"] == {"expires_in": 60, "expires_at": later}
    assert server.fetch() == ""


@fact(EXPIRY, "A retry does not make it younger.")
def a_retry_does_not_help(server: Licensed) -> None:
    server.add("job-0001", expires_in=10)
    server.break_down()
    server.advance(60)
    assert server.fetch() == ""


@fact(EXPIRY, "What is dropped leaves its lock, its track and its place in a batch as they are.")
def dropped_and_nothing_else(server: Licensed) -> None:
    bid = server.batch("success")
    server.add("job-0001", expires_in=1, unique_for=60, track=1, bid=bid)
    server.advance(2)
    assert server.fetch() == ""
    assert server.try_push("job-0002", unique_for=60) == NOT_UNIQUE
    assert server.track("job-0001")["state"] == "enqueued"
    assert server.counts(bid) == (1, 1, 0)


@fact(EXPIRY, "What is no RFC 3339 timestamp, or no number of seconds, is refused.")
def odd_times(server: Licensed) -> None:
    reply = server.try_push("job-0001", expires_at="soon")
    assert reply.startswith("-ERR invalid timestamp for 'expires_at': parsing time \"soon\" as ")
    assert server.try_push("job-0001", expires_at=5) == "-ERR expires_at must be a text\r\n"
    reply = server.try_push("job-0001", expires_in="60")
    assert reply == "-ERR expires_in must be a number of seconds\r\n"
