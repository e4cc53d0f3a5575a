"""Workers: HELLO with a wid, BEAT, being told to stop, being forgotten."""

import pytest

from faktory_async.server import Waiting, WorkerState
from tests.server._driver import Driver

OK = "+OK\r\n"
QUIET = '$17\r\n{"state":"quiet"}\r\n'
TERMINATE = '$21\r\n{"state":"terminate"}\r\n'

BEATS = [
    # states reported one after the other, the last reply
    ([""], OK),
    (["running"], OK),
    (["QUIET", "nonsense"], OK),
    (["quiet"], QUIET),
    (["quiet", ""], QUIET),
    (["quiet", "running"], QUIET),
    (["quiet", "terminate"], TERMINATE),
    (["terminate"], TERMINATE),
    (["terminate", "quiet"], TERMINATE),
    (["terminate", "running", ""], TERMINATE),
]


@pytest.mark.parametrize(("states", "last"), BEATS)
def test_a_beat_moves_the_state_forward_only_and_tells_it(states: list[str], last: str) -> None:
    driver = Driver()
    worker = driver.dial("w1")
    replies = [
        driver.ask(f'BEAT {{"wid":"w1","current_state":"{state}"}}', on=worker) for state in states
    ]
    assert replies[-1] == last
    assert driver.ask('BEAT {"wid":"w1"}', on=worker) == last


@pytest.mark.parametrize(
    "beat",
    [
        '{"WID":"w1"}',
        '{"wid":"w1","current_state":null,"rss_kb":null}',
        '{"wid":"w1","rss_kb":-5,"pid":"x","labels":5}',
        '{"wid":"w1","wid":null}',
    ],
)
def test_a_beat_is_read_tolerantly(beat: str) -> None:
    driver = Driver()
    assert driver.ask(f"BEAT {beat}", on=driver.dial("w1")) == OK


@pytest.mark.parametrize(
    "beat",
    [
        '{"wid":"w1","rss_kb":5.5}',
        '{"wid":"w1","rss_kb":99999999999999999999}',
        '{"wid":"w1","current_state":5}',
        '{"wid":5}',
        '{"wid":"w1"} x',
    ],
)
def test_a_beat_of_wrong_types_is_repeated(beat: str) -> None:
    driver = Driver()
    assert driver.ask(f"BEAT {beat}", on=driver.dial("w1")) == f"-ERR invalid BEAT {beat}\r\n"


def test_a_beat_keeps_the_memory_that_it_tells() -> None:
    driver = Driver()
    driver.dial("w1")
    driver.ask('BEAT {"wid":"w1","rss_kb":1234}')
    assert driver.broker.workers.records()[0].rss_kb == 1234
    driver.ask('BEAT {"wid":"w1"}')
    assert driver.broker.workers.records()[0].rss_kb == 0


def test_an_operator_tells_one_worker_or_all() -> None:
    driver = Driver()
    for wid in ("w1", "w2"):
        driver.dial(wid)
    workers = driver.broker.workers
    workers.signal("w1", WorkerState.QUIET)
    workers.signal("nope", WorkerState.TERMINATE)
    assert driver.ask('BEAT {"wid":"w1"}') == QUIET
    assert driver.ask('BEAT {"wid":"w2"}') == OK
    workers.signal("all", WorkerState.TERMINATE)
    workers.signal("all", WorkerState.QUIET)
    assert driver.ask('BEAT {"wid":"w1"}') == driver.ask('BEAT {"wid":"w2"}') == TERMINATE


@pytest.mark.parametrize("line", ["FETCH default", "FETCH", "FETCH "])
@pytest.mark.parametrize("state", ["quiet", "terminate"])
def test_only_the_connection_that_registered_a_stopped_worker_gets_no_jobs(
    line: str, state: str
) -> None:
    driver = Driver()
    early = driver.dial("w1")
    late = driver.dial("w1")
    driver.push()
    driver.push("job-0002")
    driver.ask(f'BEAT {{"wid":"w1","current_state":"{state}"}}')
    waiting = driver.wait(line, on=early)
    assert waiting.queues == ()
    waiting.expire()
    assert waiting.reply == b"$-1\r\n"
    assert driver.fetch(on=late) != ""
    driver.answers.close_connection(early)
    assert driver.ask('BEAT {"wid":"w1"}') != OK
    assert driver.fetch(on=late) != ""


def test_a_worker_lives_as_long_as_its_last_connection() -> None:
    driver = Driver()
    first, second = driver.dial("w1"), driver.dial("w1")
    assert len(driver.broker.workers) == 1
    driver.answers.close_connection(first)
    assert driver.ask('BEAT {"wid":"w1"}') == OK
    driver.answers.close_connection(second)
    assert driver.ask('BEAT {"wid":"w1"}') == "-ERR unknown worker w1\r\n"


def test_what_the_first_hello_said_is_kept() -> None:
    driver = Driver()
    for number in (1, 2):
        connection = driver.answers.open_connection()
        hello = f'HELLO {{"wid":"w1","hostname":"h{number}","pid":{number},"labels":["l{number}"]}}'
        assert driver.answers.answer(connection, hello.encode()) == b"+OK\r\n"
    record = driver.broker.workers.records()[0]
    assert len(record.connections) == 2
    said = record.introduction
    assert (said.hostname, said.pid, said.labels) == ("h1", 1, ("l1",))


def test_who_does_not_beat_for_a_minute_is_closed_at_the_next_quarter() -> None:
    driver = Driver()
    connections = [driver.dial("w1"), driver.dial("w1")]
    assert driver.advance(60) == []
    assert driver.advance(14.999) == []
    assert driver.advance(0.001) == connections
    assert driver.broker.workers.reaped == 1
    assert driver.ask('BEAT {"wid":"w1"}') == "-ERR unknown worker w1\r\n"
    for connection in connections:
        driver.answers.close_connection(connection)
    assert len(driver.broker.connections) == 1
    assert driver.advance(600) == []


def test_one_beat_keeps_every_connection_of_a_worker() -> None:
    driver = Driver()
    driver.dial("w1")
    driver.dial("w1")
    for _ in range(4):
        assert driver.advance(60) == []
        assert driver.ask('BEAT {"wid":"w1"}') == OK


def test_working_is_no_sign_of_life_and_neither_is_another_hello() -> None:
    driver = Driver()
    worker = driver.dial("w1")
    driver.advance(50)
    late = driver.dial("w1")
    driver.push()
    driver.fetch(on=worker)
    driver.ask('ACK {"jid":"job-0001"}', on=worker)
    assert driver.advance(25) == [worker, late]


def test_connections_without_a_wid_are_never_closed() -> None:
    driver = Driver()
    driver.dial()
    assert driver.advance(86_400) == []


def test_an_old_connection_does_not_take_its_successor_with_it() -> None:
    driver = Driver()
    old = driver.dial("w1")
    driver.ask('BEAT {"wid":"w1","current_state":"quiet"}')
    assert driver.advance(75) == [old]
    new = driver.dial("w1")
    driver.answers.close_connection(old)
    assert driver.ask('BEAT {"wid":"w1"}') == OK
    driver.push()
    assert driver.fetch(on=new) != ""


def test_an_eviction_leaves_a_fetch_waiting() -> None:
    driver = Driver()
    worker = driver.dial("w1")
    driver.advance(74)
    waiting = driver.wait("FETCH default", on=worker)
    assert driver.advance(1) == [worker]
    driver.answers.close_connection(worker)
    driver.push()
    assert waiting.reply is not None
    assert len(driver.broker.working) == 1


def test_a_job_survives_the_worker_that_has_it() -> None:
    driver = Driver()
    worker = driver.dial("w1")
    driver.push()
    driver.fetch(on=worker)
    driver.answers.close_connection(worker)
    assert len(driver.broker.working) == 1
    assert driver.ask('ACK {"jid":"job-0001"}') == OK
    assert driver.broker.processed == 1


def test_a_producers_answer_is_never_a_wait() -> None:
    driver = Driver()
    driver.push()
    assert not isinstance(driver.answers.answer(driver.first, b"FETCH default"), Waiting)
