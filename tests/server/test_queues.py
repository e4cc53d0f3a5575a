"""QUEUE: pausing, resuming, removing, and how long jobs have been waiting."""

import pytest

from tests.server._driver import NOW, SECOND, Driver, Sizes, sizes, stored

OK = "+OK\r\n"


def names(driver: Driver) -> list[str]:
    return sorted(queue.name for queue in driver.broker.queues)


def fill(driver: Driver, *queues: str) -> None:
    for queue in queues:
        driver.push(f"job-{queue}-01", more=f'"queue":"{queue}"')


def test_a_paused_queue_takes_jobs_and_gives_none() -> None:
    driver = Driver()
    fill(driver, "a", "b")
    assert driver.ask("QUEUE PAUSE a") == OK
    fill(driver, "a")
    assert driver.fetch("a b") == stored("job-b-01", queue="b", enqueued_at=NOW)
    assert driver.fetch("a") == ""
    assert driver.ask("QUEUE resume a") == OK
    assert driver.fetch("a") == stored("job-a-01", queue="a", enqueued_at=NOW)


def test_a_queue_that_is_not_known_yet_cannot_be_paused() -> None:
    driver = Driver()
    driver.push(more='"queue":"later","at":"2099-01-01T00:00:00Z"')
    assert driver.ask("QUEUE PAUSE later") == OK
    fill(driver, "later")
    assert driver.fetch("later") != ""


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        ("a", ["b", "c"]),
        ("a c nope", ["b"]),
        ("*", []),
        ("* nope", []),
        ("nope *", ["a", "b", "c"]),
        ("", ["a", "b", "c"]),
        ("a a", ["b", "c"]),
    ],
)
def test_remove_forgets_queues_and_their_jobs(arguments: str, left: list[str]) -> None:
    driver = Driver()
    fill(driver, "a", "b", "c")
    assert driver.ask(f"QUEUE REMOVE {arguments}") == OK
    assert names(driver) == left
    assert driver.fetch("a b c" if left else "a") == (
        stored(f"job-{left[0]}-01", queue=left[0], enqueued_at=NOW) if left else ""
    )


@pytest.mark.parametrize(("arguments", "paused"), [("*", "ab"), ("a", "a"), ("b * a", "ab")])
def test_a_star_is_a_wildcard_in_the_first_place_only(arguments: str, paused: str) -> None:
    driver = Driver()
    fill(driver, "a", "b")
    driver.ask(f"QUEUE PAUSE {arguments}")
    assert "".join(q.name for q in driver.broker.queues if q.paused) == paused
    driver.ask(f"QUEUE RESUME {arguments}")
    assert not any(queue.paused for queue in driver.broker.queues)


def test_remove_unpauses_and_touches_no_other_set() -> None:
    driver = Driver()
    fill(driver, "a", "a", "a")
    driver.fetch("a")
    driver.push("job-0002", more='"queue":"a","at":"2026-11-23T22:00:01Z"')
    driver.ask("QUEUE PAUSE a")
    driver.ask("QUEUE REMOVE a")
    assert sizes(driver) == Sizes(scheduled=1, working=1)
    driver.advance(5)
    assert driver.fetch("a") != ""


def test_removing_a_queue_leaves_what_is_in_work() -> None:
    driver = Driver()
    fill(driver, "a")
    driver.fetch("a")
    driver.ask("QUEUE REMOVE *")
    assert driver.ask('FAIL {"jid":"job-a-01"}') == OK
    assert sizes(driver) == Sizes(retries=1)


def test_latency_is_the_age_of_the_next_job() -> None:
    driver = Driver()
    fill(driver, "a")
    driver.now += SECOND // 2
    fill(driver, "a", "b")
    driver.now += SECOND // 4
    assert driver.ask("QUEUE LATENCY b nope a b") == '$28\r\n{"a":0.75,"b":0.25,"nope":0}\r\n'
    driver.fetch("a")
    assert driver.ask("QUEUE latency a") == '$10\r\n{"a":0.25}\r\n'


def test_latency_has_the_digits_of_go() -> None:
    driver = Driver()
    fill(driver, "a")
    driver.now += 100
    assert driver.ask("QUEUE LATENCY a") == '$10\r\n{"a":1e-7}\r\n'
    driver.now += 3 * SECOND
    assert driver.ask("QUEUE LATENCY a") == '$15\r\n{"a":3.0000001}\r\n'


def test_latency_of_a_clock_that_was_set_back_is_negative() -> None:
    driver = Driver()
    fill(driver, "a")
    driver.now -= 2 * SECOND
    assert driver.ask("QUEUE LATENCY a") == '$8\r\n{"a":-2}\r\n'


def test_latency_reads_deep_jobs() -> None:
    driver = Driver()
    deep = "[" * 9999 + "]" * 9999
    assert driver.ask(f'PUSH {{"jid":"job-0001","jobtype":"a","args":{deep}}}') == OK
    driver.now += SECOND
    assert driver.ask("QUEUE LATENCY default") == '$13\r\n{"default":1}\r\n'


def test_queues_are_known_from_their_first_job_on() -> None:
    driver = Driver()
    driver.ask("QUEUE LATENCY a")
    driver.fetch("a b")
    assert names(driver) == []
    fill(driver, "b")
    driver.fetch("b")
    assert names(driver) == ["b"]
