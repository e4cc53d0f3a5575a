"""MUTATE: every command, target and filter."""

import json

import pytest

from tests.server._driver import NOW, Driver, Sizes, body, sizes, stored

OK = "+OK\r\n"
FAR = "2099-01-01T00:00:00Z"
TARGETS = ["scheduled", "retries", "dead"]
BACKSLASH = "\\"


def schedule(driver: Driver, jid: str, jobtype: str = "a", args: str = "[]") -> None:
    names = f'"jid":{json.dumps(jid)},"jobtype":{json.dumps(jobtype)}'
    assert driver.ask(f'PUSH {{{names},"args":{args},"at":"{FAR}"}}') == OK


def fill(driver: Driver, target: str, jid: str = "job-0001") -> None:
    """Bring a job into a set."""
    if target == "scheduled":
        schedule(driver, jid)
        return
    driver.push(jid, more=f'"retry":{5 if target == "retries" else -1}')
    driver.fetch()
    driver.ask(f'FAIL {{"jid":"{jid}"}}')


def mutation(command: str, target: str, job_filter: object = None) -> str:
    operation = {"cmd": command, "target": target, "filter": job_filter}
    return "MUTATE " + json.dumps(operation, separators=(",", ":")).replace(" ", r"\u0020")


def remaining(driver: Driver) -> list[str]:
    """Return the jids in the scheduled set."""
    return [json.loads(payload)["jid"] for payload in driver.broker.scheduled]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("command", ["clear", "discard"])
def test_clear_and_discard_empty_one_set(command: str, target: str) -> None:
    driver = Driver()
    for number, each in enumerate(TARGETS):
        fill(driver, each, f"job-{number:04}")
    assert driver.ask(mutation(command, target)) == OK
    left = {"scheduled": 1, "retries": 1, "dead": 1} | {target: 0}
    assert sizes(driver) == Sizes(**left)


def test_clear_takes_no_notice_of_the_filter() -> None:
    driver = Driver()
    schedule(driver, "job-0001")
    assert driver.ask(mutation("clear", "scheduled", {"jids": ["nope"]})) == OK
    assert sizes(driver) == Sizes()


@pytest.mark.parametrize("target", TARGETS)
def test_kill_moves_what_it_hits_to_the_dead_for_half_a_year(target: str) -> None:
    driver = Driver()
    fill(driver, target)
    driver.advance(1)
    payloads = [*driver.broker.scheduled, *driver.broker.retries, *driver.broker.dead]
    assert driver.ask(mutation("kill", target)) == OK
    assert sizes(driver) == Sizes(dead=1)
    assert list(driver.broker.dead) == payloads
    assert driver.broker.dead.first_score() == driver.now / 1e9 + 180 * 24 * 3600


@pytest.mark.parametrize("target", TARGETS)
def test_requeue_appends_the_stored_job_as_it_is(target: str) -> None:
    driver = Driver()
    fill(driver, target)
    payload = next(iter([*driver.broker.scheduled, *driver.broker.retries, *driver.broker.dead]))
    driver.advance(1)
    assert driver.ask(mutation("requeue", target)) == OK
    assert sizes(driver) == Sizes()
    assert driver.fetch() == payload.decode()
    assert ('"enqueued_at"' in payload.decode()) is (target != "scheduled")


def test_a_job_that_never_says_since_when_it_is_queued_breaks_latency() -> None:
    driver = Driver()
    schedule(driver, "job-0001")
    driver.ask(mutation("requeue", "scheduled"))
    assert driver.ask("QUEUE LATENCY other default") == (
        '-ERR QUEUE: parsing time "" as "2006-01-02T15:04:05.999999999Z07:00":'
        ' cannot parse "" as "2006"\r\n'
    )
    assert driver.fetch() == stored(at=FAR)


def test_requeue_stops_at_a_queue_that_cannot_be() -> None:
    driver = Driver()
    driver.push("job-0001", more='"at":"2098-01-01T00:00:00Z"')
    driver.push("job-0002", more=f'"at":"{FAR}","queue":"a b"')
    driver.push("job-0003", more='"at":"2099-02-01T00:00:00Z"')
    reply = "-ERR queue names must match \\A[a-zA-Z0-9._-]+\\z\r\n"
    assert driver.ask(mutation("requeue", "scheduled")) == reply
    assert remaining(driver) == ["job-0002", "job-0003"]
    assert driver.fetch() == stored(at="2098-01-01T00:00:00Z")


def test_a_dead_job_that_is_requeued_dies_of_its_next_failure() -> None:
    driver = Driver()
    fill(driver, "dead")
    driver.ask(mutation("requeue", "dead"))
    driver.fetch()
    driver.ask('FAIL {"jid":"job-0001"}')
    assert sizes(driver) == Sizes(dead=1)
    assert b'"retry_count":1' in next(iter(driver.broker.dead))


EVERYTHING: list[object] = [
    None,
    {},
    {"jids": []},
    {"jids": None},
    {"regexp": ""},
    {"jobtype": ""},
    {"regexp": "*"},
    {"regexp": "{*}"},
    {"unknown": 5},
]


@pytest.mark.parametrize("job_filter", EVERYTHING)
def test_a_filter_that_says_nothing_means_every_job(job_filter: object) -> None:
    driver = Driver()
    schedule(driver, "job-0001")
    schedule(driver, "job-0002", "b")
    assert driver.ask(mutation("discard", "scheduled", job_filter)) == OK
    assert sizes(driver) == Sizes()


SOME: list[tuple[dict[str, object], list[str]]] = [
    # filter, what it hits of alpha (aaaa0001), beta (bbbb0002) and "a<b (with a quote; cccc0003)
    ({"jids": ["aaaa0001"]}, ["aaaa0001"]),
    ({"jids": ["aaaa0001", "aaaa0001", "nope", "bbbb0002"]}, ["aaaa0001", "bbbb0002"]),
    ({"jids": ["aaaa000"]}, []),
    ({"jids": ["aaaa*"]}, []),
    ({"jids": [""]}, []),
    ({"jids": [None]}, []),
    ({"jids": ["inner"]}, ["bbbb0002"]),
    ({"jids": ["aaaa0001"], "jobtype": "beta", "regexp": "*beta*"}, ["aaaa0001"]),
    ({"jobtype": "alpha"}, ["aaaa0001"]),
    ({"jobtype": "alph"}, []),
    ({"jobtype": "al*"}, ["aaaa0001"]),
    ({"jobtype": "?eta"}, ["bbbb0002"]),
    ({"jobtype": '"a<b'}, []),
    ({"jobtype": f"{BACKSLASH}*a{BACKSLASH}u003cb"}, ["cccc0003"]),
    ({"regexp": "*bbbb*"}, ["bbbb0002"]),
    ({"regexp": "bbbb"}, []),
    ({"regexp": "*[ab][ab][ab][ab]000[12]*"}, ["aaaa0001", "bbbb0002"]),
    ({"regexp": f"*a{BACKSLASH}{BACKSLASH}u003cb*"}, ["cccc0003"]),
    ({"regexp": "*a<b*"}, []),
    ({"regexp": '*"queue":"default","jobtype":"beta"*'}, ["bbbb0002"]),
    ({"regexp": "*[x"}, []),
    ({"regexp": "*", "jobtype": "alpha"}, ["aaaa0001"]),
    ({"regexp": "*", "jobtype": "al*"}, []),
    ({"regexp": "*", "jobtype": "alp"}, []),
    ({"regexp": "*bbbb*", "jobtype": "alpha"}, []),
    ({"REGEXP": "*bbbb*"}, ["bbbb0002"]),
]


@pytest.mark.parametrize(("job_filter", "hit"), SOME)
def test_a_filter_hits_what_it_hits_on_the_real_server(
    job_filter: dict[str, object], hit: list[str]
) -> None:
    driver = Driver()
    schedule(driver, "aaaa0001", "alpha")
    schedule(driver, "bbbb0002", "beta", '[{"jid":"inner"}]')
    schedule(driver, "cccc0003", '"a<b', '["jid","inner"]')
    assert driver.ask(mutation("discard", "scheduled", job_filter)) == OK
    assert remaining(driver) == [
        jid for jid in ("aaaa0001", "bbbb0002", "cccc0003") if jid not in hit
    ]


ODD_NAMES = [
    # jid or jobtype, whether a filter of the same text finds it, as jid and as jobtype
    ("plain-0001", True, True),
    ("ünïcode-1", True, True),
    ("with space", True, True),
    ('quote"0001', True, False),
    ("back\\00001", True, False),
    ("line\n00001", True, False),
    ("less<00001", False, False),
    ("bell\a00001", False, False),
    ("star*00001", True, True),
]


@pytest.mark.parametrize(("name", "as_jid", "as_jobtype"), ODD_NAMES)
def test_filters_are_quoted_as_go_quotes(
    name: str,
    as_jid: bool,  # noqa: FBT001 - a table
    as_jobtype: bool,  # noqa: FBT001 - a table
) -> None:
    driver = Driver()
    schedule(driver, name)
    driver.ask(mutation("discard", "scheduled", {"jids": [name]}))
    assert (sizes(driver) == Sizes()) is as_jid
    driver.ask("FLUSH")
    schedule(driver, "job-0001", name)
    driver.ask(mutation("discard", "scheduled", {"jobtype": name}))
    assert (sizes(driver) == Sizes()) is as_jobtype


def test_a_repeated_filter_is_laid_over_the_first() -> None:
    driver = Driver()
    schedule(driver, "aaaa0001", "alpha")
    schedule(driver, "bbbb0002", "beta")
    start = 'MUTATE {"cmd":"discard","target":"scheduled","filter":'
    driver.ask(start + '{"jids":["aaaa0001"]},"filter":{"jobtype":"beta"}}')
    assert remaining(driver) == ["bbbb0002"]
    driver.ask(start + '{"jids":["bbbb0002","x"]},"filter":{"jids":[null]}}')
    assert remaining(driver) == []
    schedule(driver, "cccc0003")
    driver.ask(start + '{"jids":["nope"]},"filter":null}')
    assert remaining(driver) == []


def test_a_search_that_would_take_minutes_runs_out_of_time() -> None:
    driver = Driver()
    schedule(driver, "job-0001", args=f'["{"a" * 1_000_000}"]')
    pattern = "*" + "[ab]" * 10_000 + "x*"
    reply = driver.ask(mutation("discard", "scheduled", {"regexp": pattern}))
    assert reply == "-ERR context deadline exceeded\r\n"
    assert remaining(driver) == ["job-0001"]


def test_info_counts_what_was_moved() -> None:
    driver = Driver()
    fill(driver, "dead")
    driver.ask(mutation("requeue", "dead"))
    info = json.loads(body(driver.send(b"INFO")))
    assert info["faktory"]["queues"] == {"default": 1}
    assert info["faktory"]["sets"] == {"dead": 0, "retries": 0, "scheduled": 0, "working": 0}
    assert driver.fetch().count(NOW) == 3
