"""How log records are shown."""

import copy
import io
import json
import logging
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from msgspec.structs import force_setattr

from faktory_async import Job
from faktory_async.app import App
from faktory_async.cli._lines import Lines
from faktory_async.cli._logs import JsonFormatter, PlainFormatter, set_up_logging
from faktory_async.cli._settings import LogFormat
from faktory_async.worker import Ack, Dead, Discard, Fail, Outcome, Retry


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def record(message: str, name: str = "somebody", **extra: Any) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": message, "name": name, "levelname": "INFO", **extra})


def decoded(**extra: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(JsonFormatter().format(record("hi", **extra)))
    return found


def test_json_has_what_was_given_as_extra() -> None:
    line = decoded(answer=42, where={"a": [1]}, odd=object)
    assert (line["message"], line["logger"], line["level"]) == ("hi", "somebody", "info")
    assert (line["answer"], line["where"]) == (42, {"a": [1]})
    assert line["odd"] == "<class 'object'>"


def test_json_keeps_what_the_record_itself_says_whatever_the_extra_is_called() -> None:
    own = decoded(created=0.0, time="noon", level=9, logger="me", exception="none", extra_time=1)
    assert (own["level"], own["logger"]) == ("info", "somebody")
    assert datetime.fromisoformat(own["time"]).year == 1970
    assert "exception" not in own
    assert (own["extra_level"], own["extra_logger"], own["extra_exception"]) == (9, "me", "none")
    assert {own["extra_time"], own["extra_extra_time"]} == {"noon", 1}

    failed = decoded(exception="none", exc_info=(ValueError, ValueError("no"), None))
    assert "ValueError: no" in failed["exception"]
    assert failed["extra_exception"] == "none"


@pytest.mark.parametrize("value", ["\ud800", {"\ud800": 1}, {1.5: 2, None: 3}])
def test_json_tells_what_cannot_be_encoded_as_text(value: object) -> None:
    assert decoded(value=value)["message"] == "hi"


def test_exceptions_are_shown_in_every_form() -> None:
    error = ValueError("no")
    failed = record("hi", exc_info=(ValueError, error, None))
    assert "ValueError: no" in json.loads(JsonFormatter().format(failed))["exception"]
    assert PlainFormatter(io.StringIO()).format(failed).endswith("ValueError: no")


def test_stacks_that_somebody_asks_for_are_shown_in_every_form() -> None:
    asked = record("hi", stack_info="Stack:\n  here")
    assert json.loads(JsonFormatter().format(asked))["stack"] == "Stack:\n  here"
    assert PlainFormatter(io.StringIO()).format(asked).endswith("hi\nStack:\n  here")


def test_a_terminal_gets_colours_and_others_do_not(root_logger: logging.Logger) -> None:
    shown: dict[bool, str] = {}
    for stream in (Terminal(), io.StringIO()):
        set_up_logging("info", "auto", stream)
        try:
            logging.getLogger("somebody").error("careful [bold]")
        finally:
            root_logger.removeHandler(root_logger.handlers[-1])
        shown[stream.isatty()] = stream.getvalue()
    assert "error somebody: careful [bold]" in shown[False]
    assert "careful [bold]" in shown[True]


def test_what_the_job_s_own_line_says_is_not_said_again(root_logger: logging.Logger) -> None:
    stream = io.StringIO()
    set_up_logging("info", "plain", stream)
    log = logging.getLogger("faktory_async.worker")
    log.info("told by the line", extra={"event": "job_reported"})
    log.warning("the server did not know it", extra={"event": "job_reported"})
    assert "told by the line" not in stream.getvalue()
    assert "the server did not know it" in stream.getvalue()
    root_logger.setLevel(logging.DEBUG)
    log.info("all there is", extra={"event": "job_reported"})
    assert "all there is" in stream.getvalue()


TOMORROW = datetime(2026, 11, 28, 9, 30, 0, 123_456, timezone(timedelta(hours=1)))
FAIL = Fail(errtype="E", message="first\nsecond", backtrace=("a.py:1 in f",))


@pytest.mark.parametrize(
    ("outcome", "failed", "words"),
    [
        (Ack(), 0, "← f  "),
        (Discard(reason="why"), 0, "⊘ f is discarded: why  "),
        (Retry(delay=5, errtype="E", message="m", free=True), 0, "↻ f runs again in 5 s: E: m  "),
        (Retry(delay=5, errtype="E", message="m"), 1, "↻ f runs again in 5 s: E: m  "),
        (Retry(at=TOMORROW, errtype="E", message="m"), 1, " again at 2026-11-28 09:30:00+01:00: "),
        (FAIL, 1, "✗ f failed: E: first … (a.py:1 in f)  "),
        (Dead(errtype="E", message="\x1b[2J"), 1, "✗ f is dead: E: \\x1b[2J  "),
    ],
)
def test_each_outcome_has_its_line(
    root_logger: logging.Logger, outcome: Outcome, failed: int, words: str
) -> None:
    stream = io.StringIO()
    set_up_logging("info", "plain", stream)
    assert root_logger.handlers
    lines, job = Lines(App()), Job("f", [])
    lines.on_job_start(job)
    lines.on_job_end(job, outcome)
    assert words in stream.getvalue()
    assert lines.failures == failed


@pytest.mark.parametrize(
    ("retry", "words", "outcome"),
    [
        (0, "✗ f has failed for the last time: E: m", "fail"),
        (-1, "✗ f has failed for the last time: E: m", "fail"),
        (1, "↻ f runs again in 60 s: E: m", "retry"),
    ],
)
def test_a_retry_that_the_server_will_not_grant_is_not_promised(
    root_logger: logging.Logger, retry: int, words: str, outcome: str
) -> None:
    forms: list[tuple[LogFormat, str]] = [("plain", words), ("json", f'"outcome":"{outcome}"')]
    for kind, expected in forms:
        stream = io.StringIO()
        set_up_logging("info", kind, stream)
        assert root_logger.handlers
        lines, job = Lines(App()), Job("f", [], retry=retry)
        lines.on_job_start(job)
        lines.on_job_end(job, Retry(delay=60, errtype="E", message="m"))
        assert expected in stream.getvalue()


def test_what_anybody_may_have_sent_cannot_play_tricks_on_a_terminal(
    root_logger: logging.Logger,
) -> None:
    stream = io.StringIO()
    set_up_logging("info", "plain", stream)
    assert root_logger.handlers
    lines, app = Lines(App()), App()

    @app.job
    async def shout(text: str) -> None: ...

    Lines(app).on_job_start(Job("shout", ["\x1b[2J" + "a" * 1_000]))
    lines.on_job_start(Job("\x1b[2J\n", []))
    of_another_program = copy.copy(Job("f", []))
    force_setattr(of_another_program, "jid", "\x1b[2J\n12345678")
    lines.on_job_start(of_another_program)
    said = stream.getvalue()
    assert "\x1b" not in said
    assert len(said.splitlines()) == 3
    assert len(said) < 500
    assert shout.jobtype == "shout"


def test_a_failure_is_told_by_its_line_or_else_by_the_worker() -> None:
    lines, job = Lines(App()), Job("f", [])
    failed = record("failed", event="job_failed", jid=job.jid)
    assert lines.untold(failed)  # a job that could not even be decoded
    lines.on_job_start(job)
    assert not lines.untold(failed)
    assert lines.untold(record("anything else"))
    lines.on_job_end(job, Ack())
    assert lines.untold(failed)
