"""What can be seen of a broker from outside."""

from datetime import UTC, datetime, timedelta

import pytest

from faktory_async.errors import InvalidJobError
from faktory_async.server import WorkerState, _snapshots
from tests.server._driver import Driver

T0 = datetime(2026, 11, 23, 22, 0, 0, 125_000, tzinfo=UTC)


def test_queues_show_their_jobs_the_oldest_first() -> None:
    driver = Driver()
    driver.push("job-0001", more='"queue":"mail","custom":{"a":1}')
    driver.push("job-0002", more='"queue":"mail"')
    driver.push("job-0003")
    driver.fetch()
    driver.ask("QUEUE PAUSE default")
    queues = _snapshots.queues(driver.broker)
    assert sorted(queues) == ["default", "mail"]
    mail = queues["mail"]
    assert (mail.name, len(mail), mail.paused) == ("mail", 2, False)
    assert [job.jid for job in mail.jobs] == ["job-0001", "job-0002"]
    assert (mail.jobs[0].custom, mail.jobs[0].enqueued_at) == ({"a": 1}, T0)
    assert (len(queues["default"]), queues["default"].paused) == (0, True)


def test_a_snapshot_stays_as_it_was() -> None:
    driver = Driver()
    driver.push()
    before = _snapshots.queues(driver.broker)["default"]
    driver.fetch()
    assert len(before) == 1
    assert len(_snapshots.queues(driver.broker)["default"]) == 0


def test_sets_show_when_their_jobs_are_due() -> None:
    driver = Driver()
    driver.push("job-0002", more='"at":"2026-11-23T23:00:00.5Z"')
    driver.push("job-0001", more='"at":"2026-11-23T22:30:00Z"')
    first, second = _snapshots.timed(driver.broker.scheduled)
    assert (first.job.jid, first.due) == ("job-0001", datetime(2026, 11, 23, 22, 30, tzinfo=UTC))
    assert second.due == datetime(2026, 11, 23, 23, 0, 0, 500_000, tzinfo=UTC)
    driver.push("job-0003", more='"retry":-1')
    driver.fetch()
    driver.ask('FAIL {"jid":"job-0003","message":"boom"}')
    (dead,) = _snapshots.timed(driver.broker.dead)
    assert dead.due == T0 + timedelta(days=180)
    assert dead.job.failure is not None
    assert dead.job.failure.message == "boom"


def test_a_time_beyond_every_datetime_is_the_last_one() -> None:
    driver = Driver()
    driver.push(more='"at":"9999-12-31T23:59:59-24:00"')
    (late,) = _snapshots.timed(driver.broker.scheduled)
    assert late.due == datetime.max.replace(tzinfo=UTC)


def test_jobs_in_work_show_who_has_them_and_until_when() -> None:
    driver = Driver()
    driver.push("job-0001", more='"reserve_for":600')
    driver.push("job-0002", more='"reserve_for":60')
    driver.fetch(on=driver.dial("w1"))
    driver.fetch()
    short, long = _snapshots.working(driver.broker)
    assert (short.job.jid, short.wid) == ("job-0002", "")
    assert (long.job.jid, long.wid) == ("job-0001", "w1")
    assert (long.reserved_at, long.expires_at) == (T0, T0 + timedelta(seconds=600))


def test_workers_show_what_they_said_and_were_told() -> None:
    driver = Driver()
    connection = driver.answers.open_connection()
    hello = b'HELLO {"wid":"w1","hostname":"h","pid":7,"labels":["a","b"]}'
    driver.answers.answer(connection, hello)
    driver.dial("w1")
    driver.now += 1_000_000_000
    driver.ask('BEAT {"wid":"w1","rss_kb":1234,"current_state":"quiet"}')
    (worker,) = _snapshots.workers(driver.broker).values()
    assert worker == _snapshots.WorkerSnapshot(
        wid="w1",
        hostname="h",
        pid=7,
        labels=("a", "b"),
        state=WorkerState.QUIET,
        connections=2,
        rss_kb=1234,
        started_at=T0,
        last_beat=T0 + timedelta(seconds=1),
    )


def test_counters_count() -> None:
    driver = Driver()
    for jid in ("job-0001", "job-0002", "job-0003"):
        driver.push(jid, more='"retry":3')
    driver.fetch()
    driver.fetch()
    driver.ask('ACK {"jid":"job-0001"}')
    driver.ask('FAIL {"jid":"job-0002"}')
    assert _snapshots.counters(driver.broker) == _snapshots.CountersSnapshot(
        processed=2, failures=1, enqueued=1, connections=1, default_retry=3
    )


def test_a_job_that_no_python_can_hold_is_an_error_where_it_is_read() -> None:
    driver = Driver()
    deep = "[" * 9999 + "]" * 9999
    driver.ask(f'PUSH {{"jid":"job-0001","jobtype":"a","args":{deep}}}')
    queue = _snapshots.queues(driver.broker)["default"]
    assert len(queue) == 1
    with pytest.raises(InvalidJobError):
        assert queue.jobs
