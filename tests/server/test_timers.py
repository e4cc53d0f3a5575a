"""The scheduler's rhythm, by a clock that is moved by hand."""

import pytest

from tests.server._driver import SECOND, START, Driver, Sizes, sizes, stored

# Ticks fall an eighth of a second behind each whole second.
TICK = "2026-11-23T22:00:{:02d}.125Z"


def schedule(driver: Driver, at: str, jid: str = "job-0001", more: str = "") -> None:
    driver.push(jid, more=f'"at":"2026-11-23T22:{at}Z"{more}')


def test_scheduled_jobs_come_at_the_next_multiple_of_five_seconds() -> None:
    driver = Driver()
    schedule(driver, "00:05.2")
    driver.advance(9.9)
    assert driver.fetch() == ""
    driver.advance(0.1)
    created = "2026-11-23T22:00:00.125Z"
    at = "2026-11-23T22:00:05.2Z"
    assert driver.fetch() == stored(created_at=created, enqueued_at=TICK.format(10), at=at)
    assert sizes(driver) == Sizes(working=1)


def test_a_job_that_is_due_at_the_tick_comes_with_it() -> None:
    driver = Driver()
    schedule(driver, "00:05.125")
    driver.advance(5)
    assert driver.fetch() != ""


def test_due_jobs_come_in_the_order_of_their_times_then_of_their_bytes() -> None:
    driver = Driver()
    schedule(driver, "00:03", "job-last")
    schedule(driver, "00:02", "job-bbbb")
    schedule(driver, "00:02", "job-aaaa")
    schedule(driver, "00:01.000001", "job-2222")
    schedule(driver, "00:01", "job-1111")
    driver.advance(5)
    fetched = [driver.fetch() for _ in range(5)]
    order = ["job-1111", "job-2222", "job-aaaa", "job-bbbb", "job-last"]
    assert [jid in document for jid, document in zip(order, fetched, strict=True)] == [True] * 5


def test_a_stored_job_that_asks_for_it_is_stored_again() -> None:
    driver = Driver()
    for _ in range(2):
        driver.push(more='"at":"2026-11-23T22:01:00Z","created_at":"x"')
    assert sizes(driver) == Sizes(scheduled=1)


def test_a_due_job_with_an_illegal_queue_is_lost() -> None:
    driver = Driver()
    schedule(driver, "00:01", more=',"queue":"a b"')
    schedule(driver, "00:02", "job-good")
    driver.advance(5)
    assert sizes(driver) == Sizes()
    assert "job-good" in driver.fetch()
    assert [queue.name for queue in driver.broker.queues] == ["default"]


def test_failed_jobs_come_back_after_their_pause() -> None:
    driver = Driver()
    driver.push(more='"retry":3')
    driver.fetch()
    driver.ask('FAIL {"jid":"job-0001"}')
    driver.advance(14)
    assert driver.fetch() == ""
    driver.advance(1)
    assert f'"enqueued_at":"{TICK.format(15)}"' in driver.fetch()


def test_a_job_in_the_scheduled_set_keeps_its_own_enqueued_at_until_it_comes() -> None:
    driver = Driver()
    schedule(driver, "30:00", more=',"enqueued_at":"junk"')
    assert b'"enqueued_at":"junk"' in driver.broker.scheduled.entries()[0][1]
    driver.advance(1805)
    assert '"enqueued_at":"2026-11-23T22:30:00.125Z"' in driver.fetch()


RESERVATIONS = [
    # reserve_for, the second at which it is given up
    ("", 1800),
    (',"reserve_for":0', 1800),
    (',"reserve_for":1', 60),
    (',"reserve_for":-5', 60),
    (',"reserve_for":61', 75),
    (',"reserve_for":86400', 86_400),
]


@pytest.mark.parametrize(("more", "seconds"), RESERVATIONS)
def test_a_reservation_ends_at_the_next_quarter_of_a_minute(more: str, seconds: int) -> None:
    driver = Driver()
    driver.push(more=f'"retry":5{more}')
    driver.fetch()
    driver.advance(seconds - 0.001)
    assert sizes(driver) == Sizes(working=1)
    driver.advance(0.001)
    assert sizes(driver) == Sizes(retries=1)
    assert (driver.broker.processed, driver.broker.failures) == (1, 1)
    assert driver.broker.working.reaped == 1
    payload = driver.broker.retries.entries()[0][1].decode()
    assert (
        '"message":"Faktory job reservation expired","errtype":"ReservationExpired",'
        '"retry_count":0,"remaining":5}' in payload
    )
    assert driver.ask('FAIL {"jid":"job-0001"}') == "-ERR Job not found job-0001\r\n"


@pytest.mark.parametrize(("retry", "expected"), [("0", Sizes()), ("-1", Sizes(dead=1))])
def test_an_expired_job_without_retries_is_gone_or_dead(retry: str, expected: Sizes) -> None:
    driver = Driver()
    driver.push(more=f'"retry":{retry},"reserve_for":60')
    driver.fetch()
    driver.advance(60)
    assert sizes(driver) == expected


def test_an_expired_entry_takes_the_record_of_who_runs_the_same_jid() -> None:
    driver = Driver()
    driver.push(more='"reserve_for":60')
    driver.fetch()
    driver.now += 30 * SECOND
    driver.push(more='"reserve_for":600')
    driver.fetch(on=driver.dial("w2"))
    driver.advance(30)
    assert sizes(driver) == Sizes(retries=1, working=1)
    assert '"reserve_for":600' in driver.broker.retries.entries()[0][1].decode()
    assert driver.ask('ACK {"jid":"job-0001"}') == "+OK\r\n"
    driver.advance(600)
    assert driver.broker.failures == 1


def test_the_dead_are_forgotten_after_half_a_year() -> None:
    driver = Driver()
    driver.push(more='"retry":-1')
    driver.fetch()
    driver.ask('FAIL {"jid":"job-0001"}')
    half_a_year = 180 * 24 * 3600
    driver.advance(half_a_year - 1)
    assert sizes(driver) == Sizes(dead=1)
    driver.advance(1)
    assert sizes(driver) == Sizes()
    assert driver.broker.tasks["Dead"].enqueued == 1


def test_everything_missed_is_caught_up_tick_by_tick() -> None:
    driver = Driver()
    driver.push(more='"retry":1,"reserve_for":60')
    driver.fetch()
    driver.advance(3600)
    # Expired at 22:01:00, due 15 seconds later; nobody fetched it since.
    assert '"enqueued_at":"2026-11-23T22:01:15.125Z"' in driver.fetch()


def test_the_next_tick_is_the_next_multiple_of_five_seconds() -> None:
    driver = Driver()
    assert driver.broker.next_tick() == START + 5 * SECOND
    driver.advance(4.999)
    assert driver.broker.next_tick() == START + 5 * SECOND
    driver.advance(0.001)
    assert driver.broker.next_tick() == START + 10 * SECOND
    driver.advance(7)
    assert driver.broker.next_tick() == START + 15 * SECOND


@pytest.mark.parametrize("steps", [1, 8, 600])
def test_ticks_are_counted_however_the_clock_moves(steps: int) -> None:
    driver = Driver()
    for _ in range(steps):
        driver.advance(600 / steps)
    assert driver.now == START + 600 * SECOND
    assert {name: task.cycles for name, task in driver.broker.tasks.items()} == {
        "Scheduled": 120,
        "Retries": 120,
        "Dead": 10,
    }


def test_a_clock_that_is_set_back_repeats_nothing() -> None:
    driver = Driver()
    driver.advance(60)
    driver.now = START
    schedule(driver, "00:02")
    driver.advance(10)
    assert driver.broker.tasks["Scheduled"].cycles == 12
    driver.advance(55)
    assert driver.broker.tasks["Scheduled"].cycles == 13
    assert driver.fetch() != ""


def test_a_far_time_is_no_trouble() -> None:
    driver = Driver()
    driver.push(more='"at":"9999-12-31T23:59:59-24:60"')
    driver.advance(3600)
    assert sizes(driver) == Sizes(scheduled=1)
