"""What becomes of a job that fails: its history, its next try, its end."""

import json
from itertools import pairwise

import pytest

from faktory_async.server._failure import FailureReport
from tests.server._driver import NOW, SECOND, START, Driver, Sizes, sizes, stored

OK = "+OK\r\n"
HALF_A_YEAR = 180 * 24 * 3600


def fail(driver: Driver, report: str = "", *, more: str = "", queue: str = "default") -> None:
    """Push a job, fetch it and fail it."""
    driver.push(more=more)
    driver.fetch(queue)
    assert driver.ask(f'FAIL {{"jid":"job-0001"{report and ","}{report}}}') == OK


def only(payloads: list[tuple[float, bytes]]) -> str:
    assert len(payloads) == 1
    return payloads[0][1].decode()


def test_the_whole_history_of_a_job_that_never_works() -> None:
    driver = Driver()
    driver.luck = 2
    driver.push("J07d8f2959", more='"retry":2,"queue":"lf"')
    requeue = 'MUTATE {"cmd":"requeue","target":"retries"}'
    report = (
        'FAIL {"jid":"J07d8f2959","message":"boom <x>","errtype":"ValueError",'
        '"backtrace":["l1","l2"]}'
    )
    plain = stored("J07d8f2959", retry="2", queue="lf", enqueued_at=NOW)

    def after(next_at: str, count: int, remaining: int) -> str:
        failure = (
            f'{{"failed_at":"{NOW}","next_at":"{next_at}","message":"boom \\u003cx\\u003e",'
            f'"errtype":"ValueError","backtrace":["l1","l2"],"retry_count":{count},'
            f'"remaining":{remaining}}}'
        )
        return stored("J07d8f2959", retry="2", queue="lf", enqueued_at=NOW, failure=failure)

    assert driver.fetch("lf") == plain
    assert driver.ask(report) == OK
    # 15 seconds and twice one more.
    first = after("2026-11-23T22:00:17.125Z", 0, 2)
    assert only(driver.broker.retries.entries()) == first
    assert driver.ask(requeue) == OK
    driver.now += 10 * SECOND
    assert driver.fetch("lf") == first
    assert driver.ask(report) == OK
    # 16 seconds and twice two more.
    second = after("2026-11-23T22:00:30.125Z", 1, 1)
    assert only(driver.broker.retries.entries()) == second
    assert driver.ask(requeue) == OK
    assert driver.fetch("lf") == second
    assert driver.ask(report) == OK
    assert len(driver.broker.retries) == 0
    assert only(driver.broker.dead.entries()) == after("2026-11-23T22:00:30.125Z", 2, 0)
    assert driver.broker.dead.first_score() == driver.now / SECOND + HALF_A_YEAR
    assert (driver.broker.processed, driver.broker.failures) == (3, 3)


def test_a_failure_without_words_is_unknown() -> None:
    driver = Driver()
    fail(driver)
    failure = (
        f'{{"failed_at":"{NOW}","next_at":"2026-11-23T22:00:15.125Z","message":"unknown",'
        '"errtype":"unknown","retry_count":0,"remaining":25}'
    )
    assert only(driver.broker.retries.entries()) == stored(enqueued_at=NOW, failure=failure)


CUT = [
    ("  boom\t\n", "boom"),
    ("\u2003\xa0x\x85\u3000", "x"),
    ("\x1cx\x1f", "\\u001cx\\u001f"),
    (" \u2028 ", "unknown"),
    ("é" * 600, "é" * 500),
    ("x" * 1001, "x" * 1000),
    ("x" * 999 + "é", "x" * 999 + r"\ufffd"),
    ("x" * 998 + "€€", "x" * 998 + r"\ufffd\ufffd"),
    ("x" * 997 + "😀", "x" * 997 + r"\ufffd" * 3),
    ("\ufffd", "\ufffd"),
]


@pytest.mark.parametrize(("sent", "kept"), CUT)
def test_messages_are_stripped_and_cut_to_a_thousand_bytes(sent: str, kept: str) -> None:
    driver = Driver()
    fail(driver, f'"message":{json.dumps(sent)}')
    assert f'"message":"{kept}","errtype"' in only(driver.broker.retries.entries())


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("e" * 101, "e" * 100), (" E ", "E"), ("e" * 98 + "€", "e" * 98 + r"\ufffd\ufffd")],
)
def test_errtypes_are_cut_to_a_hundred_bytes(sent: str, kept: str) -> None:
    driver = Driver()
    fail(driver, f'"errtype":{json.dumps(sent)}')
    assert f'"errtype":"{kept}","retry_count"' in only(driver.broker.retries.entries())


def test_a_cut_character_is_a_replacement_character_once_it_is_fetched() -> None:
    driver = Driver()
    fail(driver, '"message":' + json.dumps("\\ufffd" + "x" * 993 + "é", ensure_ascii=False))
    driver.ask('MUTATE {"cmd":"requeue","target":"retries","filter":{"regexp":"*x\\\\\\\\ufffd*"}}')
    assert '"message":"\\\\ufffd' + "x" * 993 + '\ufffd","errtype"' in driver.fetch()


@pytest.mark.parametrize(("sent", "kept"), [(0, 0), (1, 1), (50, 50), (60, 50)])
def test_the_first_fifty_lines_of_a_backtrace_are_kept(sent: int, kept: int) -> None:
    driver = Driver()
    lines = ["é" * 2000 + str(number) for number in range(sent)]
    fail(driver, f'"backtrace":{json.dumps(lines)}')
    failure = json.loads(only(driver.broker.retries.entries()))["failure"]
    assert failure.get("backtrace", []) == lines[:kept]


def test_null_fields_of_a_report_are_absent_ones() -> None:
    driver = Driver()
    fail(driver, '"message":null,"errtype":null,"backtrace":null,"ERRTYPE":"E","x":5')
    assert '"message":"unknown","errtype":"E","retry_count"' in only(
        driver.broker.retries.entries()
    )


@pytest.mark.parametrize(
    ("retry", "expected"),
    [("0", Sizes()), ("1", Sizes(retries=1)), ("-1", Sizes(dead=1)), ("-7", Sizes(dead=1))],
)
def test_retry_decides_where_a_first_failure_leads(retry: str, expected: Sizes) -> None:
    driver = Driver()
    fail(driver, more=f'"retry":{retry}')
    assert sizes(driver) == expected
    assert (driver.broker.processed, driver.broker.failures) == (1, 1)


def test_a_job_without_retries_dies_without_a_next_time() -> None:
    driver = Driver()
    fail(driver, more='"retry":-1')
    failure = (
        f'{{"failed_at":"{NOW}","message":"unknown","errtype":"unknown","retry_count":0,'
        '"remaining":-1}'
    )
    assert only(driver.broker.dead.entries()) == stored(
        retry="-1", enqueued_at=NOW, failure=failure
    )


PUSHED_HISTORIES = [
    # retry, failure as pushed, failure as it is then
    (
        10,
        {"retry_count": 3, "remaining": 7, "failed_at": "junk", "errtype": "o", "backtrace": ["x"]},
        {"failed_at": "junk", "retry_count": 4, "remaining": 6},
    ),
    (10, {"retry_count": 3, "remaining": -4}, {"failed_at": "", "retry_count": 4, "remaining": -4}),
    (10, {"remaining": 0}, {"failed_at": "", "retry_count": 1, "remaining": 0}),
    (-1, {"retry_count": -5}, {"failed_at": "", "retry_count": -4, "remaining": 0}),
]


@pytest.mark.parametrize(("retry", "pushed", "kept"), PUSHED_HISTORIES)
def test_a_history_that_was_pushed_is_gone_on_with(
    retry: int, pushed: dict[str, object], kept: dict[str, object]
) -> None:
    driver = Driver()
    fail(driver, more=f'"retry":{retry},"failure":{json.dumps(pushed)}')
    failure = json.loads(only(driver.broker.retries.entries()))["failure"]
    assert failure.pop("next_at")
    assert failure == {**kept, "message": "unknown", "errtype": "unknown"}


def test_a_history_at_its_end_leads_to_the_dead() -> None:
    driver = Driver()
    fail(driver, more='"retry":3,"failure":{"retry_count":2,"next_at":"then"}')
    assert sizes(driver) == Sizes(dead=1)
    failure = json.loads(only(driver.broker.dead.entries()))["failure"]
    assert (failure["retry_count"], failure["next_at"]) == (3, "then")


BACKOFF = [
    # retries before, luck, seconds
    (0, 0, 15),
    (0, 29, 44),
    (1, 0, 16),
    (1, 29, 74),
    (2, 0, 31),
    (5, 7, 682),
    (24, 29, 332_516),
]


@pytest.mark.parametrize(("count", "luck", "seconds"), BACKOFF)
def test_the_pause_grows_with_the_fourth_power(count: int, luck: int, seconds: int) -> None:
    driver = Driver()
    driver.luck = luck
    history = f',"failure":{{"retry_count":{count - 1}}}' if count else ""
    fail(driver, more=f'"retry":25{history}')
    assert driver.broker.retries.first_score() == START / SECOND + seconds


def test_luck_is_one_of_thirty() -> None:
    limits: list[int] = []

    def rand(limit: int) -> int:
        limits.append(limit)
        return 0

    driver = Driver()
    driver.push()
    driver.fetch()
    driver.broker.rand = rand  # type: ignore[misc]  # the broker's own is for good
    driver.broker.fail("job-0001", FailureReport())
    assert limits == [30]


@pytest.mark.parametrize("count", [2**63 - 1, -(2**63), 10**9, 10**15])
def test_absurd_counts_wrap_around_as_integers_do(count: int) -> None:
    driver = Driver()
    fail(driver, more=f'"retry":9223372036854775807,"failure":{{"retry_count":{count}}}')
    failure = json.loads(only(driver.broker.retries.entries()))["failure"]
    assert failure["retry_count"] == (count + 1 + 2**63) % 2**64 - 2**63
    assert "1734" <= failure["next_at"] < "2320"


def test_the_second_report_finds_nothing() -> None:
    driver = Driver()
    fail(driver)
    assert driver.ask('FAIL {"jid":"job-0001"}') == "-ERR Job not found job-0001\r\n"
    assert driver.ask('ACK {"jid":"job-0001"}') == OK
    assert (driver.broker.processed, driver.broker.failures) == (1, 1)


def test_a_jid_in_work_twice_has_one_record() -> None:
    driver = Driver()
    for _ in range(2):
        driver.push(more='"reserve_for":60')
    driver.fetch()
    driver.fetch()
    assert (len(driver.broker.working), driver.broker.working.stored) == (1, 2)
    assert driver.ask('ACK {"jid":"job-0001"}') == OK
    assert (len(driver.broker.working), driver.broker.working.stored) == (0, 1)
    assert driver.ask('FAIL {"jid":"job-0001"}') == "-ERR Job not found job-0001\r\n"
    driver.advance(80)
    assert sizes(driver) == Sizes()
    assert (driver.broker.processed, driver.broker.failures) == (1, 0)


def test_failures_of_one_time_are_ordered_by_their_bytes() -> None:
    driver = Driver()
    for jid in ("job-bbbb", "job-aaaa"):
        driver.push(jid)
        driver.fetch()
        driver.ask(f'FAIL {{"jid":"{jid}"}}')
    ordered = driver.broker.retries.entries()
    assert len(ordered) == 2
    assert all(first < second for first, second in pairwise(ordered))
