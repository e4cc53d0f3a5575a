"""The table itself, without a server: complete, well-formed, and safe to run."""

import re
from collections import Counter

from tests.conformance._marks import nominal_length
from tests.conformance._script import NIL, Crowd, Dial, Exchange, Row, Stop
from tests.conformance._sections import SECTIONS
from tests.conformance._table import TABLE

BULK = re.compile(rb"\$(\d+)\r\n(.*)\r\n", re.DOTALL)


def exchanges(row: Row) -> list[Exchange]:
    return [step for step in row.steps if isinstance(step, Exchange)]


def templates(row: Row) -> list[bytes]:
    replies = [reply for step in exchanges(row) for reply in step.replies]
    return replies + [step.greeting for step in row.steps if isinstance(step, Dial)]


def is_line(reply: bytes) -> bool:
    return reply.startswith((b"+", b"-")) and reply.find(b"\r\n") == len(reply) - 2


def test_names_the_sections_that_no_row_covers() -> None:
    covered = {row.section for row in TABLE}
    set_aside = {number for number, section in SECTIONS.items() if section.aside}
    assert SECTIONS.keys() - covered == set_aside


def test_no_row_proves_a_section_that_does_not_exist() -> None:
    assert {row.section for row in TABLE} <= SECTIONS.keys()


def test_every_row_has_a_name_of_its_own() -> None:
    assert [name for name, times in Counter(row.id for row in TABLE).items() if times > 1] == []


def test_every_row_expects_something() -> None:
    for row in TABLE:
        others = [step for step in row.steps if isinstance(step, Dial | Crowd | Stop)]
        assert others or any(step.replies or step.closes for step in exchanges(row)), row.id


def test_every_row_expects_whole_replies() -> None:
    for reply in (reply for row in TABLE for reply in templates(row)):
        if bulk := BULK.fullmatch(reply):
            assert int(bulk[1]) == nominal_length(bulk[2]), reply
        else:
            assert reply == NIL or is_line(reply), reply


def test_what_runs_beside_others_touches_its_own_names_only() -> None:
    """INFO, QUEUE and FLUSH beside new queue names kill the real server; PUSH swaps retries."""
    for row in TABLE:
        if (row.slow or row.timer) and not row.private:
            sent = b"".join(step.sent for step in exchanges(row))
            assert not re.search(rb"(?:^|\n)(?:INFO|QUEUE|FLUSH|PUSH )", sent), row.id
