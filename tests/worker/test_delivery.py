"""Which command follows which, by a clock that the test moves: every rule without a byte sent."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from faktory_async.errors import (
    ConnectionLostError,
    FaktoryError,
    JobNotFoundError,
    JobRejectedError,
    ProtocolError,
    ServerBusyError,
    ServerError,
)
from faktory_async.model import Envelope
from faktory_async.protocol import Ack as AckCommand
from faktory_async.protocol import Command, Mutate, PushBulk
from faktory_async.protocol import Fail as FailCommand
from faktory_async.worker import Ack, Dead, Discard, Fail, Outcome, Retry
from faktory_async.worker._delivery import Interrupted, Report, first_step
from faktory_async.worker._outcome import INTERRUPTED
from faktory_async.worker._reservation import Moment, Reservation
from faktory_async.worker._server_clock import ServerClock
from faktory_async.worker._steps import Case, End, Verdict
from tests.worker.test_repush import DEEP, fetched

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()
BOOM = Fail(errtype="ValueError", message="boom")
BURY = Dead(errtype="ValueError", message="gone")
BUSY = ServerBusyError("context deadline exceeded")
SHUTDOWN = ServerBusyError("shutdown in progress", maybe_executed=False)
NOT_FOUND = JobNotFoundError("Job not found 12345678")
REFUSAL = JobRejectedError("jobs cannot be reserved for more than one day")
RESERVED = 60

SKEWS = pytest.mark.parametrize("skew", [-60, 0, 60])


class Bench:
    """One report, a server's clock, and ours, which may be wrong by `skew` seconds."""

    def __init__(
        self,
        outcome: Outcome,
        *,
        interrupted: Interrupted = "fail",
        skew: float = 0,
        **fields: Any,
    ) -> None:
        self.passed = 0.0
        self.skew = skew
        self.clock = ServerClock()
        envelope = Envelope.decode(fetched(**fields))
        case = Case(envelope, Reservation(self.moment, RESERVED), self.clock)
        self.report = Report("the job", case.jid, first_step(case, outcome, interrupted))

    @property
    def moment(self) -> Moment:
        return Moment(1_000 + self.passed, NOON + self.skew + self.passed)

    @property
    def server(self) -> float:
        return NOON + self.passed

    def after(self, seconds: float) -> "Bench":
        self.passed += seconds
        return self

    def send(self) -> Command[Any] | End:
        """Return what is sent now; the server tells its time when it is asked."""
        command = self.report.next(self.moment)
        if command is None:
            self.clock.set(datetime.fromtimestamp(self.server, UTC), self.moment)
            command = self.report.next(self.moment)
        assert command is not None
        return command

    def sends(self, kind: type[Any]) -> Any:
        command = self.send()
        assert isinstance(command, kind), command
        return command

    def pushes(self) -> tuple[bytes, dict[str, Any], float]:
        """Return the bytes that are pushed, what they say, and how far ahead they come due."""
        command: PushBulk = self.sends(PushBulk)
        [document] = command.jobs
        job: dict[str, Any] = msgspec.json.decode(document)
        due = datetime.fromisoformat(job["at"]).timestamp()
        return document, job, round(due - self.server, 3)

    def takes(self, answer: Any) -> End | bool:
        return self.report.answered(answer, self.moment)

    def silence(self) -> None:
        """Let what was just sent stay without an answer."""
        self.report.unanswered(self.moment)

    def ends(self, verdict: Verdict) -> str:
        end = self.send()
        assert isinstance(end, End), end
        assert end.verdict is verdict, end
        return end.why


def verdict(end: object) -> Verdict:
    assert isinstance(end, End), end
    return end.verdict


# -- ACK ------------------------------------------------------------------------------------------


def test_a_report_that_was_never_written_is_sent_until_the_reservation_has_run_out() -> None:
    for outcome in (Ack(), BOOM, Discard()):
        bench = Bench(outcome)
        bench.send()
        bench.after(59.9).send()
        assert "told in time" in bench.after(0.1).ends(Verdict.LATE)


@pytest.mark.parametrize("outcome", [Ack(), BOOM])
def test_an_answer_of_shutdown_is_as_if_it_was_never_written(outcome: Outcome) -> None:
    bench = Bench(outcome)
    first = bench.send()
    assert bench.takes(SHUTDOWN) is True
    assert bench.after(59).send() == first
    assert bench.takes(SHUTDOWN) is True
    bench.after(1).ends(Verdict.LATE)


@pytest.mark.parametrize("error", [BUSY, ProtocolError("what?"), None])
def test_an_ack_in_doubt_is_repeated_until_the_reservation_ends(
    error: FaktoryError | None,
) -> None:
    bench = Bench(Ack())
    for _ in range(6):
        assert bench.sends(AckCommand).jid == "12345678"
        if error is None:
            bench.silence()
        else:
            assert bench.takes(error) is True
        bench.after(10)
    assert "did not confirm its ACK" in bench.ends(Verdict.UNKNOWN)


def test_an_ack_that_is_accepted_after_the_reservation_is_late() -> None:
    bench = Bench(Ack())
    bench.sends(AckCommand)
    bench.after(61)
    assert verdict(bench.takes(None)) is Verdict.LATE


def test_a_machine_that_slept_knows_that_its_reservation_is_over() -> None:
    bench = Bench(Ack())
    asleep = replace(bench.moment, wall=bench.moment.wall + 3_600)
    end = bench.report.next(asleep)
    assert isinstance(end, End)
    assert end.verdict is Verdict.LATE


def test_a_discard_is_an_ack_that_says_why() -> None:
    bench = Bench(Discard(reason="no longer wanted"))
    bench.sends(AckCommand)
    assert bench.takes(None) == End(Verdict.DISCARDED, "no longer wanted")


# -- FAIL -----------------------------------------------------------------------------------------


def test_a_fail_without_an_answer_is_repeated_within_10_s_of_its_first_write() -> None:
    bench = Bench(BOOM)
    for _ in range(2):
        assert bench.sends(FailCommand).errtype == "ValueError"
        bench.silence()
        bench.after(4.9)
    bench.sends(FailCommand)
    assert "did not answer" in bench.after(0.2).ends(Verdict.UNKNOWN)


def test_the_first_write_counts_even_if_a_later_one_was_surely_not_executed() -> None:
    bench = Bench(BOOM)
    bench.sends(FailCommand)
    bench.silence()
    bench.after(5).sends(FailCommand)
    bench.takes(SHUTDOWN)
    bench.after(5).ends(Verdict.UNKNOWN)


@pytest.mark.parametrize("outcome", [BOOM, BURY])
def test_job_not_found_is_unknown_and_never_repeated_or_rescued(outcome: Outcome) -> None:
    bench = Bench(outcome)
    bench.sends(FailCommand)
    assert verdict(bench.takes(NOT_FOUND)) is Verdict.UNKNOWN


@pytest.mark.parametrize("outcome", [Ack(), BOOM])
def test_what_the_server_does_not_understand_is_unknown(outcome: Outcome) -> None:
    bench = Bench(outcome)
    bench.send()
    assert verdict(bench.takes(ServerError("invalid ACK"))) is Verdict.UNKNOWN


# -- rescue ---------------------------------------------------------------------------------------


def failing(error: FaktoryError = BUSY, outcome: Outcome = BOOM, **options: Any) -> Bench:
    """A bench whose FAIL was answered by an error."""
    bench = Bench(outcome, **options)
    bench.sends(FailCommand)
    bench.takes(error)
    return bench


@SKEWS
@pytest.mark.parametrize("error", [BUSY, ProtocolError("what?")])
def test_a_fail_answered_by_another_error_is_rescued(error: FaktoryError, skew: float) -> None:
    bench = failing(error, skew=skew)
    _, job, ahead = bench.pushes()
    assert 15 <= ahead <= 44
    assert job["custom"] == {"retry_of": "12345678"}
    assert (job["failure"]["retry_count"], job["failure"]["remaining"]) == (0, 25)
    end = bench.takes({})
    assert verdict(end) is Verdict.RESCUED
    assert job["jid"] in str(end)


def test_a_rescue_does_not_mind_the_reservation() -> None:
    bench = failing()
    bench.after(1_000).pushes()
    assert verdict(bench.takes({})) is Verdict.RESCUED


@SKEWS
def test_a_rescue_in_doubt_is_repeated_with_the_same_bytes_and_then_anew(skew: float) -> None:
    bench = failing(skew=skew)
    first, job, ahead = bench.pushes()
    bench.silence()
    again, _, _ = bench.after(ahead - 2.1).pushes()
    assert again == first
    assert bench.takes({job["jid"]: BUSY}) is True
    anew, other, _ = bench.after(0.2).pushes()
    assert anew != first
    assert other["jid"] != job["jid"]
    assert other["custom"] == job["custom"]
    end = bench.takes({})
    assert verdict(end) is Verdict.RESCUED
    assert "may run up to 2 times" in str(end)


def test_a_rescue_that_was_surely_not_stored_is_not_in_doubt_later() -> None:
    bench = failing()
    _, job, ahead = bench.pushes()
    bench.takes({job["jid"]: SHUTDOWN})
    bench.after(ahead).pushes()
    assert "up to" not in str(bench.takes({}))


@pytest.mark.parametrize(
    ("retry", "history"), [(-1, None), (2, {"retry_count": 1, "remaining": 1})]
)
def test_a_rescue_without_a_retry_left_goes_to_the_dead_set(retry: int, history: Any) -> None:
    bench = failing(retry=retry, failure=history)
    _, job, ahead = bench.pushes()
    assert ahead > 99 * 365 * 86_400
    assert job["custom"] == {"retry_of": "12345678"}
    assert bench.takes({}) is False
    kill: Mutate = bench.sends(Mutate)
    assert (kill.target, kill.filter["regexp"].count(job["jid"])) == ("scheduled", 1)
    assert verdict(bench.takes(None)) is Verdict.RESCUED


def test_a_rescue_of_a_job_without_retries_is_nothing_since_it_would_have_been_dropped() -> None:
    bench = Bench(BOOM, retry=0)
    bench.sends(FailCommand)
    assert verdict(bench.takes(BUSY)) is Verdict.FAILED


@pytest.mark.parametrize("key", ["bid", "unique_for", "unique_until", "expires_at", "track"])
def test_a_job_with_an_option_of_enterprise_is_lost_where_a_rescue_was_due(key: str) -> None:
    bench = Bench(BOOM, custom={key: "x"})
    bench.sends(FailCommand)
    end = bench.takes(BUSY)
    assert verdict(end) is Verdict.LOST
    assert "Enterprise" in str(end)


def test_a_rescue_that_is_refused_is_lost() -> None:
    bench = failing()
    _, job, _ = bench.pushes()
    assert verdict(bench.takes({job["jid"]: REFUSAL})) is Verdict.LOST


def test_a_job_that_cannot_be_taken_apart_is_lost_where_a_rescue_was_due() -> None:
    bench = Bench(BOOM, args=msgspec.Raw(DEEP))
    bench.sends(FailCommand)
    assert verdict(bench.takes(BUSY)) is Verdict.LOST


# -- requeue --------------------------------------------------------------------------------------


@SKEWS
def test_an_interrupted_job_is_requeued_10_s_ahead_under_a_fresh_jid_and_then_acked(
    skew: float,
) -> None:
    bench = Bench(INTERRUPTED, interrupted="requeue", skew=skew)
    _, job, ahead = bench.pushes()
    assert ahead == 10
    assert job["custom"] == {"retry_of": "12345678"}
    assert "failure" not in job
    assert bench.takes({}) is False
    assert bench.sends(AckCommand).jid == "12345678"
    end = bench.takes(None)
    assert verdict(end) is Verdict.REQUEUED
    assert job["jid"] in str(end)


def test_an_interrupted_job_is_failed_by_default_but_requeued_where_a_fail_would_drop_it() -> None:
    assert Bench(INTERRUPTED).sends(FailCommand).errtype == "Interrupted"
    assert Bench(INTERRUPTED, retry=-1).sends(FailCommand).errtype == "Interrupted"
    _, job, _ = Bench(INTERRUPTED, retry=0).pushes()
    assert job["retry"] == 0


@SKEWS
def test_a_requeue_in_doubt_is_repeated_with_the_same_bytes_and_then_there_is_silence(
    skew: float,
) -> None:
    bench = Bench(INTERRUPTED, interrupted="requeue", skew=skew)
    first, job, _ = bench.pushes()
    bench.after(5).takes({job["jid"]: BUSY})
    again, _, _ = bench.after(2.9).pushes()
    assert again == first
    bench.silence()
    assert "nobody can say" in bench.after(0.2).ends(Verdict.UNKNOWN)


def test_a_requeue_that_was_never_written_is_made_anew_until_the_reservation_ends() -> None:
    bench = Bench(INTERRUPTED, interrupted="requeue")
    first, _, _ = bench.pushes()
    other, _, ahead = bench.after(20).pushes()
    assert other != first
    assert ahead == 10
    bench.after(40).ends(Verdict.LATE)


def test_a_refused_requeue_is_a_fail_at_once() -> None:
    bench = Bench(INTERRUPTED, interrupted="requeue")
    _, job, _ = bench.pushes()
    assert bench.takes({job["jid"]: REFUSAL}) is False
    assert bench.sends(FailCommand).errtype == "Interrupted"
    assert "refused" in str(bench.takes(None))


@pytest.mark.parametrize("retry", [0, 25])
def test_an_interrupted_job_with_an_option_of_enterprise_is_failed(retry: int) -> None:
    bench = Bench(INTERRUPTED, interrupted="requeue", retry=retry, custom={"bid": "b-1"})
    bench.sends(FailCommand)
    assert "Enterprise" in str(bench.takes(None))


# -- Retry ----------------------------------------------------------------------------------------


@SKEWS
def test_a_retry_far_ahead_keeps_its_jid_and_is_acked(skew: float) -> None:
    bench = Bench(Retry(delay=30, message="later"), skew=skew)
    _, job, ahead = bench.pushes()
    assert ahead == 30
    assert job["jid"] == "12345678"
    assert job["failure"]["message"] == "later"
    bench.takes({})
    bench.sends(AckCommand)
    assert verdict(bench.takes(None)) is Verdict.RETRIED


@SKEWS
def test_a_retry_soon_has_a_fresh_jid(skew: float) -> None:
    bench = Bench(Retry(delay=1), skew=skew)
    _, job, ahead = bench.pushes()
    assert ahead == 5
    assert job["custom"] == {"retry_of": "12345678"}
    bench.takes({})
    bench.sends(AckCommand)
    assert job["jid"] in str(bench.takes(None))


@SKEWS
def test_the_ack_of_a_retry_under_its_own_jid_is_repeated_until_2_s_before_it_comes_due(
    skew: float,
) -> None:
    bench = Bench(Retry(delay=20), skew=skew)
    bench.pushes()
    bench.takes({})
    bench.after(17.9).sends(AckCommand)
    bench.silence()
    bench.after(0.2).ends(Verdict.UNKNOWN)


def test_the_ack_of_a_retry_under_a_fresh_jid_is_repeated_until_the_reservation_ends() -> None:
    bench = Bench(Retry())
    bench.pushes()
    bench.takes({})
    bench.after(59).sends(AckCommand)


@SKEWS
def test_a_retry_in_doubt_is_repeated_with_the_same_bytes_and_then_there_is_silence(
    skew: float,
) -> None:
    bench = Bench(Retry(delay=20), skew=skew)
    first, _, _ = bench.pushes()
    bench.silence()
    again, _, _ = bench.after(17.9).pushes()
    assert again == first
    bench.silence()
    bench.after(0.2).ends(Verdict.UNKNOWN)


def test_a_retry_is_not_pushed_when_the_reservation_is_over() -> None:
    bench = Bench(Retry(delay=3_600))
    bench.pushes()
    bench.silence()
    bench.after(60).ends(Verdict.UNKNOWN)
    Bench(Retry()).after(60).ends(Verdict.LATE)


def test_a_refused_retry_is_a_fail_with_the_cause_at_once() -> None:
    bench = Bench(Retry(errtype="TimeoutError", message="slow"))
    bench.pushes()
    assert bench.takes(REFUSAL) is False
    fail = bench.sends(FailCommand)
    assert (fail.errtype, fail.message) == ("TimeoutError", "slow")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"retry": 0}, "no retry is left"),
        ({"retry": -1}, "no retry is left"),
        ({"retry": 1, "failure": {"retry_count": 0, "remaining": 1}}, "no retry is left"),
        ({"custom": {"unique_for": 5}}, "Enterprise"),
        ({"args": msgspec.Raw(DEEP)}, "taken apart"),
    ],
)
def test_a_retry_that_cannot_be_is_a_fail(fields: dict[str, Any], why: str) -> None:
    bench = Bench(Retry(message="again"), **fields)
    assert bench.sends(FailCommand).message == "again"
    assert why in str(bench.takes(None))


def test_a_free_retry_needs_no_retry_left() -> None:
    _, job, _ = Bench(Retry(free=True), retry=0).pushes()
    assert "failure" not in job


def test_a_fail_in_place_of_a_retry_is_rescued_like_any_other() -> None:
    bench = Bench(Retry(), retry=-1)
    bench.sends(FailCommand)
    bench.takes(BUSY)
    bench.pushes()


# -- Dead -----------------------------------------------------------------------------------------


def test_dead_is_a_fail_and_then_a_kill_in_retries() -> None:
    bench = Bench(BURY)
    assert bench.sends(FailCommand).message == "gone"
    assert bench.takes(None) is False
    kill: Mutate = bench.sends(Mutate)
    assert kill == Mutate(
        "kill", "retries", {"regexp": '*"jid":"12345678","queue":"default","jobtype":"order",*'}
    )
    assert bench.takes(None) == End(Verdict.FAILED, "")


@pytest.mark.parametrize(
    "fields", [{"retry": -1}, {"retry": 1, "failure": {"retry_count": 0, "remaining": 1}}]
)
def test_dead_is_a_fail_where_the_server_buries_it_by_itself(fields: dict[str, Any]) -> None:
    bench = Bench(BURY, **fields)
    bench.sends(FailCommand)
    assert bench.takes(None) == End(Verdict.FAILED, "")


def test_a_kill_in_retries_is_repeated_within_10_s_and_then_the_job_stays_there() -> None:
    bench = Bench(BURY)
    bench.sends(FailCommand)
    bench.takes(None)
    bench.sends(Mutate)
    assert bench.takes(BUSY) is True
    bench.after(9.9).sends(Mutate)
    bench.silence()
    assert "stays in retries" in bench.after(0.2).ends(Verdict.FAILED)


def test_a_kill_that_is_refused_leaves_the_job_in_retries() -> None:
    bench = Bench(BURY)
    bench.sends(FailCommand)
    bench.takes(None)
    bench.sends(Mutate)
    assert "stays in retries" in str(bench.takes(ServerError("unknown command MUTATE")))


def test_dead_whose_fail_was_answered_by_an_error_is_rescued_into_the_dead_set() -> None:
    bench = failing(outcome=BURY)
    _, job, ahead = bench.pushes()
    assert ahead > 99 * 365 * 86_400
    bench.takes({})
    assert bench.sends(Mutate).target == "scheduled"
    assert job["failure"]["message"] == "gone"


def test_dead_without_retries_is_pushed_killed_and_acked() -> None:
    bench = Bench(BURY, retry=0)
    _, job, ahead = bench.pushes()
    assert ahead > 99 * 365 * 86_400
    assert job["jid"] == "12345678"
    assert (job["failure"]["message"], job["failure"]["remaining"]) == ("gone", 0)
    bench.takes({})
    assert bench.sends(Mutate).target == "scheduled"
    bench.takes(None)
    bench.sends(AckCommand)
    assert bench.takes(None) == End(Verdict.FAILED, "")


def test_dead_without_retries_that_cannot_be_killed_stays_scheduled_and_is_acked() -> None:
    bench = Bench(BURY, retry=0)
    bench.pushes()
    bench.takes({})
    bench.sends(Mutate)
    bench.silence()
    bench.after(30).sends(AckCommand)
    assert "stays in scheduled" in str(bench.takes(None))


@pytest.mark.parametrize("custom", [{"bid": "b-1"}])
def test_dead_without_retries_and_with_an_option_of_enterprise_is_dropped(custom: Any) -> None:
    bench = Bench(BURY, retry=0, custom=custom)
    bench.sends(FailCommand)
    assert "dropped, not dead" in str(bench.takes(None))


def test_dead_without_retries_that_is_refused_is_dropped() -> None:
    bench = Bench(BURY, retry=0)
    bench.pushes()
    bench.takes(REFUSAL)
    bench.sends(FailCommand)
    assert "dropped, not dead" in str(bench.takes(None))


def test_a_job_that_cannot_be_taken_apart_is_failed_and_not_killed() -> None:
    bench = Bench(BURY, args=msgspec.Raw(DEEP))
    bench.sends(FailCommand)
    assert "not killed" in str(bench.takes(None))


# -- the server's clock ---------------------------------------------------------------------------


def test_what_the_answer_took_counts_as_passed() -> None:
    clock = ServerClock()
    clock.set(datetime.fromtimestamp(NOON, UTC), Moment(10, 500))
    assert clock.now(Moment(15, 505)) == NOON + 5


def test_a_clock_goes_on_while_the_machine_sleeps() -> None:
    clock = ServerClock()
    clock.set(datetime.fromtimestamp(NOON, UTC), Moment(10, 500))
    assert clock.now(Moment(11, 4_100)) == NOON + 3_600


def test_a_server_that_does_not_tell_its_time_has_ours() -> None:
    clock = ServerClock()
    clock.set(None, Moment(10, NOON))
    assert clock.now(Moment(11, NOON + 1)) == NOON + 1


def test_a_clock_is_moved_up_by_what_the_server_has_written_and_never_back() -> None:
    clock, then = ServerClock(), Moment(10, 500)
    clock.saw("2026-01-31T13:00:00Z", then)
    assert not clock.known
    clock.set(datetime.fromtimestamp(NOON, UTC), then)
    for text in ("2026-01-31T11:59:59Z", "junk", None):
        clock.saw(text, then)
        assert clock.now(then) == NOON
    clock.saw("2026-01-31T12:00:07.123456789Z", then)
    assert clock.now(then) == NOON + 7.123456


@SKEWS
def test_a_push_is_judged_by_a_clock_that_was_moved_up(skew: float) -> None:
    bench = Bench(Retry(delay=20), skew=skew)
    bench.pushes()
    bench.silence()
    bench.clock.saw("2026-01-31T12:00:19Z", bench.moment)
    bench.ends(Verdict.UNKNOWN)


# -- never written --------------------------------------------------------------------------------


def test_a_connection_that_was_lost_before_anything_left_leaves_no_doubt() -> None:
    bench = Bench(Retry())
    first, _, _ = bench.pushes()
    assert bench.takes(ConnectionLostError(maybe_executed=False)) is True
    assert bench.after(2).pushes()[0] == first
    other, _, _ = bench.after(2).pushes()
    assert other != first
