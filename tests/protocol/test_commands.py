"""The commands beyond their golden rows: what is refused, and what replies are no answers."""

import json
from typing import Any

import pytest

from faktory_async.errors import (
    FaktoryError,
    JobRejectedError,
    NotUniqueError,
    ProtocolError,
    ServerBusyError,
    UsageError,
)
from faktory_async.protocol import (
    NULL,
    OK,
    PRODUCER,
    Ack,
    Beat,
    BulkReply,
    Command,
    End,
    ErrorReply,
    Fail,
    Fetch,
    Flush,
    Greeting,
    Hello,
    Info,
    Push,
    PushBulk,
    Raw,
    Reply,
    SimpleReply,
)

ONE_OF_EACH: list[Command[Any]] = [
    Hello(Greeting(), PRODUCER),
    Push(b"{}"),
    PushBulk([b"{}"]),
    Fetch(["q"]),
    Ack("j"),
    Fail("j", "E", "m"),
    Beat("w"),
    Info(),
    Flush(),
    End(),
]

for_each_command = pytest.mark.parametrize(
    "command", ONE_OF_EACH, ids=[type(command).__name__ for command in ONE_OF_EACH]
)

UNASKED: dict[type[Command[Any]], list[Reply]] = {
    Hello: [SimpleReply("KO"), BulkReply(b"OK"), NULL],
    Push: [SimpleReply("QUEUED"), BulkReply(b"{}"), NULL],
    PushBulk: [
        OK,
        NULL,
        BulkReply(b""),
        BulkReply(b"[]"),
        BulkReply(b'{"jid":5}'),
        BulkReply(b'{"jid":"x"'),
        BulkReply(b'{"\xff":"x"}'),
    ],
    Fetch: [OK, SimpleReply("{}")],
    Ack: [SimpleReply("ok"), BulkReply(b"OK"), NULL],
    Fail: [SimpleReply(""), BulkReply(b""), NULL],
    Beat: [
        SimpleReply('{"state":"quiet"}'),
        NULL,
        BulkReply(b""),
        BulkReply(b"{}"),
        BulkReply(b'{"state":5}'),
        BulkReply(b'{"state":"\xff"}'),
        BulkReply(b'{"state":"quiet","x":' + b"[" * 60_000),
    ],
    Info: [OK, NULL, BulkReply(b"{}"), BulkReply(b"[]"), BulkReply(b"\xff"), BulkReply(b"")],
    Flush: [SimpleReply("OKAY"), BulkReply(b"OK"), NULL],
    End: [OK, NULL, BulkReply(b"")],
}


@pytest.mark.parametrize(
    ("command", "reply"),
    [(command, reply) for command in ONE_OF_EACH for reply in UNASKED[type(command)]],
    ids=lambda value: repr(value)[:40],
)
def test_a_reply_that_no_faktory_gives_is_refused_and_leaves_it_unknown(
    command: Command[Any], reply: Reply
) -> None:
    with pytest.raises(ProtocolError, match=command.verb.decode()) as caught:
        command.decode(reply)
    assert caught.value.maybe_executed


@for_each_command
def test_an_error_is_a_refusal_for_every_command(command: Command[Any]) -> None:
    with pytest.raises(ServerBusyError, match="context deadline exceeded") as caught:
        command.decode(ErrorReply("ERR", "context deadline exceeded"))
    assert caught.value.maybe_executed


@for_each_command
def test_the_code_of_an_error_reaches_the_exception(command: Command[Any]) -> None:
    with pytest.raises(NotUniqueError) as caught:
        command.decode(ErrorReply("NOTUNIQUE", "Job not unique"))
    assert (caught.value.code, caught.value.text) == ("NOTUNIQUE", "Job not unique")


@for_each_command
def test_a_line_is_one_line(command: Command[Any]) -> None:
    line = command.encode()
    assert line.startswith(command.verb)
    assert line.index(b"\r\n") == len(line) - 2
    assert line.count(b"\n") == 1


def test_a_command_without_a_meaning_of_its_replies_is_not_complete() -> None:
    class Half(Command[None], frozen=True):
        verb = b"HALF"

    assert Half().encode() == b"HALF\r\n"
    with pytest.raises(NotImplementedError):
        Half().decode(OK)


# -- nothing can begin another command --------------------------------------------------------


@pytest.mark.parametrize(
    "queues",
    [
        [""],
        ["a b"],
        ["a\n"],
        ["a\nFLUSH"],
        ["a\r\nFLUSH"],
        ["\0"],
        ["a\t"],
        ["é"],
        ["\udcff"],
        ["*"],
        ["a", ""],
        ["a", "b\n"],
    ],
)
def test_a_queue_that_no_job_can_be_on_is_refused(queues: list[str]) -> None:
    with pytest.raises(UsageError, match="no name of a queue"):
        Fetch(queues)


@pytest.mark.parametrize("queues", [[], (), "", "default"])
def test_no_queue_or_a_bare_name_is_refused(queues: Any) -> None:
    with pytest.raises(UsageError, match="at least one queue"):
        Fetch(queues)


def test_thousands_of_queues_can_be_fetched_from() -> None:
    names = [f"queue-{number}" for number in range(5000)]
    assert Fetch(names).encode() == f"FETCH {' '.join(names)}\r\n".encode()


@pytest.mark.parametrize("jid", ['a"b', "a\\b", "no\npe", "a\r\nFLUSH", "\0", "é", "\u2028"])
def test_a_jid_goes_out_as_json(jid: str) -> None:
    for command in (Ack(jid), Fail(jid, jid, jid, [jid])):
        line = command.encode()
        assert line.count(b"\n") == 1
        fields = json.loads(line.split(b" ", 1)[1])
        assert fields == (
            {"jid": jid}
            if isinstance(command, Ack)
            else {"jid": jid, "errtype": jid, "message": jid, "backtrace": [jid]}
        )


@pytest.mark.parametrize(
    "command",
    [Push(b"{}\nFLUSH"), Push(b'{\n"jid":1}'), PushBulk([b"{}", b"{}\r\nFLUSH"])],
)
def test_a_raw_newline_is_refused(command: Command[Any]) -> None:
    with pytest.raises(UsageError, match="newline"):
        command.encode()


@pytest.mark.parametrize(
    "command", [Ack("\ud800"), Fail("j", "E", "\udcff"), Fail("j", "E", "", ["\ud800"])]
)
def test_text_that_is_no_unicode_is_refused(command: Command[Any]) -> None:
    with pytest.raises(UsageError, match="lone surrogate"):
        command.encode()


@pytest.mark.parametrize("line", ["\ud800FOO", "FOO \udcff"])
def test_a_line_of_ones_own_that_is_no_unicode_is_refused(line: str) -> None:
    with pytest.raises(UsageError, match="lone surrogate"):
        Raw(line)


@pytest.mark.parametrize("wid", ["", "a b", "a\n", "é"])
def test_a_beat_is_refused_with_a_wid_that_no_hello_can_have(wid: str) -> None:
    with pytest.raises(UsageError, match="is no wid"):
        Beat(wid)


# -- meanings ---------------------------------------------------------------------------------


def test_each_job_that_was_not_stored_has_an_error_of_its_own() -> None:
    map_ = (
        b'{"late":"context deadline exceeded",'
        b'"same":"NOTUNIQUE Job not unique",'
        b'"also":"unable to push: job is not unique",'
        b'"code":"NOTUNIQUE",'
        b'"short":"jobs must have a reasonable jid parameter"}'
    )
    errors = PushBulk([]).decode(BulkReply(map_))
    assert {jid: (type(error), error.maybe_executed) for jid, error in errors.items()} == {
        "late": (ServerBusyError, True),
        "same": (NotUniqueError, False),
        "also": (NotUniqueError, False),
        "code": (NotUniqueError, False),
        "short": (JobRejectedError, False),
    }


def test_a_map_is_read_as_json_whatever_its_layout() -> None:
    assert PushBulk([]).decode(BulkReply(b"{ }")) == {}
    errors: dict[str, FaktoryError] = PushBulk([]).decode(BulkReply(b'{"\\u003cjid":"x"}'))
    assert list(errors) == ["<jid"]


def test_a_fetched_job_is_given_out_as_it_came() -> None:
    assert Fetch(["q"]).decode(BulkReply(b"no JSON \xff")) == b"no JSON \xff"
    assert Fetch(["q"]).decode(BulkReply(b"")) is None


def test_a_wish_that_says_more_than_a_state_is_understood() -> None:
    assert Beat("w").decode(BulkReply(b'{"since":1,"state":"quiet"}')) == "quiet"
