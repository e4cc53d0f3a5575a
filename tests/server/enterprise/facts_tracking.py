"""Tracking."""

from tests.server._driver import SECOND, body
from tests.server.enterprise._facts import RUBY, RUST, WIKI, fact
from tests.server.enterprise._setting import Licensed

TRACKING = "Tracking"
NOW = "2026-11-23T22:00:00.125Z"


@fact(
    TRACKING,
    "A job with `track` 1 is `enqueued` in its queue, `working` once fetched, `success` "
    "once ACKed.",
    RUST,
    RUBY,
)
def states_of_a_job_that_succeeds(server: Licensed) -> None:
    server.add("job-0001", track=1)
    assert server.track("job-0001")["state"] == "enqueued"
    server.take()
    assert server.track("job-0001")["state"] == "working"
    server.ack("job-0001")
    assert server.track("job-0001") == {"jid": "job-0001", "state": "success", "updated_at": NOW}


@fact(
    TRACKING,
    "SET works in every state, `enqueued` and `success` among them; the last percent "
    "and desc stay.",
    RUST,
    RUBY,
)
def set_works_in_every_state(server: Licensed) -> None:
    server.add("job-0001", track=1)
    server.tell("job-0001", percent=1, desc="soon")
    server.take()
    server.tell("job-0001", percent=50)
    server.ack("job-0001")
    track = server.track("job-0001")
    assert (track["state"], track["percent"], track["desc"]) == ("success", 50, "soon")
    server.tell("job-0001", desc="done")
    track = server.track("job-0001")
    assert (track["state"], track["percent"], track["desc"]) == ("success", 50, "done")


@fact(
    TRACKING,
    "A job without `track`, or none at all, is `unknown`, with an empty `updated_at`, "
    "no percent and no desc.",
    RUST,
)
def unknown_jobs(server: Licensed) -> None:
    server.add("job-0001")
    server.tell("job-0001", percent=5)
    for jid in ("job-0001", "job-none"):
        reply = body(server.send(f"TRACK GET {jid}".encode()))
        assert reply == f'{{"jid":"{jid}","state":"unknown","updated_at":""}}'


@fact(TRACKING, "A job that failed is `failed`, and `enqueued` again when its retry comes.")
def states_of_a_job_that_fails(server: Licensed) -> None:
    server.add("job-0001", track=1)
    server.break_down()
    assert server.track("job-0001")["state"] == "failed"
    server.advance(60)
    assert server.track("job-0001")["state"] == "enqueued"
    assert server.track("job-0001")["updated_at"] != NOW


@fact(TRACKING, "A job that dies or is killed is `dead`, and `enqueued` again when it is put back.")
def states_of_a_dead_job(server: Licensed) -> None:
    server.add("job-0001", more='"retry":-1', track=1)
    server.add("job-0002", more='"retry":5', track=1)
    server.break_down()
    server.break_down()
    assert server.ask('MUTATE {"cmd":"kill","target":"retries"}') == "+OK\r\n"
    for jid in ("job-0001", "job-0002"):
        assert server.track(jid)["state"] == "dead"
    assert server.ask('MUTATE {"cmd":"requeue","target":"dead"}') == "+OK\r\n"
    server.advance(3600)  # it is not finished any more, so it is remembered
    for jid in ("job-0001", "job-0002"):
        assert server.track(jid)["state"] == "enqueued"


@fact(TRACKING, "A job whose reservation runs out is `failed`.")
def states_of_a_lost_job(server: Licensed) -> None:
    server.add("job-0001", more='"reserve_for":60', track=1)
    server.take()
    server.advance(60)
    assert server.track("job-0001")["state"] == "failed"


@fact(TRACKING, "A scheduled job is `enqueued`.")
def states_of_a_scheduled_job(server: Licensed) -> None:
    server.add("job-0001", more=f'"at":"{server.seconds_ahead(7200)}"', track=1)
    server.advance(3600)
    assert server.track("job-0001")["state"] == "enqueued"


@fact(TRACKING, "It can be asked for 30 minutes after the job is finished.", WIKI)
def half_an_hour(server: Licensed) -> None:
    server.add("job-0001", track=1)
    server.advance(7200)
    server.work()
    server.advance(1799)
    server.tell("job-0001", percent=100)
    assert server.track("job-0001")["percent"] == 100
    server.now += SECOND  # no tick in between
    assert server.track("job-0001")["state"] == "unknown"
    server.advance(60)
    enterprise = server.broker.enterprise
    assert enterprise is not None
    assert len(enterprise.tracks) == 0


@fact(TRACKING, "Finished is what succeeded, died, or failed without a retry.")
def finished(server: Licensed) -> None:
    server.add("job-0001", more='"retry":-1', track=1)
    server.add("job-0002", more='"retry":0', track=1)
    server.add("job-0003", more='"retry":5', track=1)
    for _ in range(3):
        server.break_down()
    server.now += 1800 * SECOND
    states = [server.track(f"job-000{number}")["state"] for number in (1, 2, 3)]
    assert states == ["unknown", "unknown", "failed"]


@fact(TRACKING, "`reserve_until` lets the reservation end later.", WIKI)
def reservations_can_be_extended(server: Licensed) -> None:
    server.add("job-0001", more='"reserve_for":60', track=1)
    server.take()
    server.tell("job-0001", reserve_until=server.seconds_ahead(120))
    server.advance(119)
    assert server.track("job-0001")["state"] == "working"
    server.advance(1)
    assert server.track("job-0001")["state"] == "failed"


@fact(TRACKING, "`reserve_until` never lets it end sooner.", WIKI)
def reservations_are_never_made_shorter(server: Licensed) -> None:
    server.add("job-0001", more='"reserve_for":600', track=1)
    server.take()
    server.tell("job-0001", reserve_until=server.seconds_ahead(60))
    server.tell("job-0001", reserve_until="2020-01-01T00:00:00+02:00")
    server.advance(599)
    assert server.track("job-0001")["state"] == "working"


@fact(
    TRACKING, "The past, and more than 24 h ahead, which clients refuse, are no error here.", RUBY
)
def any_time_is_taken(server: Licensed) -> None:
    server.add("job-0001", more='"reserve_for":60', track=1)
    server.take()
    server.tell("job-0001", reserve_until="2020-01-01T00:00:00Z")
    server.tell("job-0001", reserve_until=server.seconds_ahead(48 * 3600))
    server.advance(47 * 3600)
    assert server.track("job-0001")["state"] == "working"


@fact(
    TRACKING,
    "SET of a job that is not tracked is answered OK and does nothing, its reservation included.",
)
def untracked_jobs_are_left_alone(server: Licensed) -> None:
    server.add("job-0001", more='"reserve_for":60')
    server.take()
    server.tell("job-0001", percent=1, reserve_until=server.seconds_ahead(600))
    server.advance(60)
    assert len(server.broker.retries) == 1


@fact(TRACKING, "`track` is 1 or true; anything else is no tracking.")
def odd_values(server: Licensed) -> None:
    for number, value in enumerate([1, True, 1.0, 0, False, "1", None, 2]):
        server.add(f"job-000{number}", track=value)
    states = [server.track(f"job-000{number}")["state"] for number in range(8)]
    assert states == ["enqueued"] * 3 + ["unknown"] * 5


@fact(TRACKING, "A FLUSH forgets every track, also that of a job at work.")
def flushed(server: Licensed) -> None:
    server.add("job-0001", track=1)
    server.take()
    assert server.ask("FLUSH") == "+OK\r\n"
    server.ack("job-0001")
    assert server.track("job-0001")["state"] == "unknown"


@fact(TRACKING, "What makes no sense is refused by an error.")
def nonsense(server: Licensed) -> None:
    assert server.ask("TRACK") == "-ERR no such TRACK subcommand: \r\n"
    assert server.ask("TRACK drop x") == "-ERR no such TRACK subcommand: DROP\r\n"
    assert server.ask("TRACK GET") == "-ERR missing JID\r\n"
    assert server.ask('TRACK SET {"percent":1}') == "-ERR missing JID\r\n"
    assert server.ask("TRACK SET") == "-ERR invalid JSON: unexpected end of JSON input\r\n"
    assert server.ask('TRACK SET {"jid":"job-0001","percent":"5"}') == (
        "-ERR invalid JSON: json: cannot unmarshal string into Go struct field JobTrack.percent of "
        "type int\r\n"
    )
    assert server.ask('TRACK SET {"jid":"job-0001","reserve_until":"later"}').startswith(
        "-ERR invalid timestamp for 'reserve_until': \"later\": parsing time "
    )
