"""INFO: the whole of it, in its order."""

import json

from tests.server._driver import Driver, body

EMPTY = (
    '{"now":"2026-11-23T22:00:00.125Z","server_utc_time":"22:00:00 UTC",'
    '"faktory":{"queues":{},"sets":{"dead":0,"retries":0,"scheduled":0,"working":0},'
    '"tasks":{"Busy":{"reaped":0,"size":0},'
    '"Dead":{"cycles":0,"enqueued":0,"size":0,"wall_time_sec":0},'
    '"Retries":{"cycles":0,"enqueued":0,"size":0,"wall_time_sec":0},'
    '"Scheduled":{"cycles":0,"enqueued":0,"size":0,"wall_time_sec":0},'
    '"Workers":{"reaped":0,"size":0}},'
    '"total_failures":0,"total_processed":0,"total_enqueued":0,"total_queues":0},'
    '"server":{"description":"Faktory","faktory_version":"1.10.0","uptime":0,"connections":1,'
    '"command_count":1,"used_memory_mb":7}}'
)

BUSY = {
    "queues": {"a": 1, "b": 1, "c": 0},
    "sets": {"dead": 1, "retries": 1, "scheduled": 1, "working": 1},
    "tasks": {
        "Busy": {"reaped": 1, "size": 1},
        "Dead": {"cycles": 1, "enqueued": 0, "size": 1, "wall_time_sec": 0},
        "Retries": {"cycles": 15, "enqueued": 1, "size": 1, "wall_time_sec": 0},
        "Scheduled": {"cycles": 15, "enqueued": 1, "size": 1, "wall_time_sec": 0},
        "Workers": {"reaped": 1, "size": 1},
    },
    "total_failures": 3,
    "total_processed": 4,
    "total_enqueued": 2,
    "total_queues": 3,
}


def test_an_idle_server_says_just_this() -> None:
    assert body(Driver().send(b"INFO and whatever")) == EMPTY


def push_and_fetch(driver: Driver, jid: str, queue: str, more: str = '"retry":1') -> None:
    driver.push(jid, more=f'"queue":"{queue}",{more}')
    assert jid in driver.fetch(queue)


def test_a_busy_server_counts_everything() -> None:
    driver = Driver()
    driver.dial("w-old")
    push_and_fetch(driver, "job-dead", "b", '"retry":-1')
    driver.ask('FAIL {"jid":"job-dead"}')
    push_and_fetch(driver, "job-done", "a")
    driver.ask('ACK {"jid":"job-done"}')
    push_and_fetch(driver, "job-slow", "b", '"retry":1,"reserve_for":60')
    driver.push("job-work", more='"queue":"a"')
    driver.push("job-soon", more='"at":"2026-11-23T22:00:01Z","queue":"a"')
    driver.push("job-late", more='"at":"2099-01-01T00:00:00Z"')
    # job-soon comes at 5, job-slow expires at 60 and comes back at 75, when w-old is dropped.
    for connection in driver.advance(75):
        driver.answers.close_connection(connection)
    driver.dial("w-new")
    push_and_fetch(driver, "job-fail", "c")
    driver.ask('FAIL {"jid":"job-fail"}')
    assert "job-work" in driver.fetch("a")
    info = json.loads(body(driver.send(b"INFO")))
    assert info["faktory"] == BUSY
    assert list(info["faktory"]["queues"]) == ["a", "b", "c"]
    assert info["server"]["connections"] == 2


def test_only_known_commands_are_counted() -> None:
    driver = Driver()
    for line in (b"nope", b"HELLO {}", b"ACK", b"PUSH {", b"TRACK x"):
        driver.send(line)
    assert json.loads(body(driver.send(b"INFO")))["server"]["command_count"] == 4


def test_uptime_is_in_whole_seconds() -> None:
    driver = Driver()
    driver.advance(3599.9)
    info = json.loads(body(driver.send(b"INFO")))
    assert info["server"]["uptime"] == 3599
    assert (info["now"], info["server_utc_time"]) == ("2026-11-23T23:00:00.025Z", "23:00:00 UTC")


def test_a_flushed_reservation_stays_busy() -> None:
    driver = Driver()
    push_and_fetch(driver, "job-0001", "a")
    driver.ask("FLUSH")
    faktory = json.loads(body(driver.send(b"INFO")))["faktory"]
    assert faktory["queues"] == {"a": 0}
    assert faktory["sets"]["working"] == 0
    assert faktory["tasks"]["Busy"]["size"] == 1
    driver.advance(86_400)
    assert json.loads(body(driver.send(b"INFO")))["faktory"]["tasks"]["Busy"]["size"] == 1


def test_tasks_tell_how_long_they_took() -> None:
    driver = Driver()
    driver.push(more='"at":"2026-11-23T22:00:01Z"')
    driver.now += 5_000_000_000
    moments = iter(range(driver.now, driver.now + 10_000, 1_000))
    driver.broker.clock = lambda: next(moments)  # type: ignore[misc]  # the clock is for good
    driver.broker.run_due()
    assert driver.broker.tasks["Scheduled"].wall_time == 1_000
