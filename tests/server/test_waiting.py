"""FETCH that has to wait."""

import pytest

from tests.server._driver import NOW, SECOND, Driver, Sizes, sizes, stored

NIL = b"$-1\r\n"


def reply(document: str) -> bytes:
    return f"${len(document)}\r\n{document}\r\n".encode()


def test_an_empty_queue_is_waited_for_two_seconds_and_then_nil() -> None:
    driver = Driver()
    waiting = driver.wait("FETCH a b")
    assert (waiting.seconds, waiting.reply) == (2.0, None)
    replies: list[bytes] = []
    waiting.on_reply = replies.append
    waiting.expire()
    assert (waiting.reply, replies) == (NIL, [NIL])
    assert len(driver.broker._room) == 0


def test_fetch_with_an_empty_name_waits_too() -> None:
    waiting = Driver().wait("FETCH ")
    waiting.expire()
    assert waiting.reply == NIL


@pytest.mark.parametrize("queue", ["a", "b"])
def test_the_first_job_of_any_listed_queue_ends_the_wait(queue: str) -> None:
    driver = Driver()
    replies: list[bytes] = []
    waiting = driver.wait("FETCH a b a", on=driver.dial("w1"))
    waiting.on_reply = replies.append
    driver.push(more=f'"queue":"{queue}"')
    document = stored(queue=queue, enqueued_at=NOW)
    assert replies == [waiting.reply] == [reply(document)]
    assert [entry.wid for entry in driver.broker.working.entries()] == ["w1"]
    waiting.expire()
    assert replies == [reply(document)]
    driver.push("job-0002", more=f'"queue":"{queue}"')
    assert driver.fetch(queue) == stored("job-0002", queue=queue, enqueued_at=NOW)


def test_who_came_first_is_served_first() -> None:
    driver = Driver()
    waits = [driver.wait(f"FETCH {queues}", on=driver.dial()) for queues in ("a b", "b", "a b")]
    driver.ask(
        'PUSHB [{"jid":"job-0001","jobtype":"a","args":[],"queue":"b"},'
        '{"jid":"job-0002","jobtype":"a","args":[],"queue":"b"},'
        '{"jid":"job-0003","jobtype":"a","args":[],"queue":"a"}]'
    )
    assert [waiting.reply for waiting in waits] == [
        reply(stored("job-0001", queue="b", enqueued_at=NOW)),
        reply(stored("job-0002", queue="b", enqueued_at=NOW)),
        reply(stored("job-0003", queue="a", enqueued_at=NOW)),
    ]


def test_who_gave_up_is_passed_over() -> None:
    driver = Driver()
    first = driver.wait("FETCH a", on=driver.dial())
    second = driver.wait("FETCH a", on=driver.dial())
    first.expire()
    driver.push(more='"queue":"a"')
    assert second.reply == reply(stored(queue="a", enqueued_at=NOW))


@pytest.mark.parametrize("target", ["scheduled", "retries", "dead"])
def test_a_requeued_job_ends_the_wait(target: str) -> None:
    driver = Driver()
    if target == "scheduled":
        driver.push(more='"at":"2099-01-01T00:00:00Z"')
    else:
        driver.push(more=f'"retry":{1 if target == "retries" else -1}')
        driver.fetch()
        driver.ask('FAIL {"jid":"job-0001"}')
    waiting = driver.wait("FETCH default")
    driver.ask(f'MUTATE {{"cmd":"requeue","target":"{target}"}}')
    assert waiting.reply is not None
    assert b"job-0001" in waiting.reply


def test_a_job_that_comes_due_ends_the_wait_and_is_reserved_from_then_on() -> None:
    driver = Driver()
    driver.push(more='"at":"2026-11-23T22:00:01Z"')
    waiting = driver.wait("FETCH default")
    driver.advance(60)
    at = "2026-11-23T22:00:01Z"
    due = "2026-11-23T22:00:05.125Z"
    assert waiting.reply == reply(stored(at=at, enqueued_at=due))
    assert driver.broker.working.entries()[0].reserved_at == driver.now - 55 * SECOND


def test_a_wait_that_began_before_the_pause_still_gets_its_job() -> None:
    driver = Driver()
    driver.push()
    driver.fetch()
    before = driver.wait("FETCH default", on=driver.dial())
    driver.ask("QUEUE PAUSE default")
    after = driver.wait("FETCH default", on=driver.dial())
    driver.push("job-0002")
    assert before.reply == reply(stored("job-0002", enqueued_at=NOW))
    driver.push("job-0003")
    assert after.reply is None
    driver.ask("QUEUE RESUME default")
    assert after.reply is None
    assert driver.fetch() == stored("job-0003", enqueued_at=NOW)


def test_a_client_that_is_gone_still_takes_the_job() -> None:
    driver = Driver()
    worker = driver.dial("w1")
    waiting = driver.wait("FETCH default", on=worker)
    driver.answers.close_connection(worker)
    assert driver.ask('BEAT {"wid":"w1"}') == "+OK\r\n"
    assert len(driver.broker.connections) == 2
    driver.push()
    assert waiting.reply is not None
    assert sizes(driver) == Sizes(working=1)
    assert driver.ask('BEAT {"wid":"w1"}') == "-ERR unknown worker w1\r\n"
    assert len(driver.broker.connections) == 1
    driver.advance(1815)
    assert '"errtype":"ReservationExpired"' in driver.fetch()


def test_a_client_that_is_gone_is_forgotten_when_its_wait_ends() -> None:
    driver = Driver()
    worker = driver.dial("w1")
    waiting = driver.wait("FETCH default", on=worker)
    driver.answers.close_connection(worker)
    waiting.expire()
    assert len(driver.broker.workers) == len(driver.broker.connections) == 0


def test_flush_and_remove_leave_who_waits() -> None:
    driver = Driver()
    driver.push()
    driver.fetch()
    waiting = driver.wait("FETCH default", on=driver.dial())
    driver.ask("FLUSH")
    driver.ask("QUEUE REMOVE default")
    driver.push("job-0002")
    assert waiting.reply == reply(stored("job-0002", enqueued_at=NOW))


def test_thousands_of_queues_can_be_waited_for() -> None:
    driver = Driver()
    waiting = driver.wait("FETCH " + " ".join(f"q{number}" for number in range(5000)))
    assert len(waiting.queues) == 5000
    driver.push(more='"queue":"q4999"')
    assert waiting.reply == reply(stored(queue="q4999", enqueued_at=NOW))
    assert not driver.broker._room._lines
