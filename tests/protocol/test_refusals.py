"""What the server's errors mean; a text that is not surely known means "unknown"."""

from typing import Final

import pytest

from faktory_async.errors import (
    AuthenticationError,
    EnterpriseRequiredError,
    FaktoryError,
    JobNotFoundError,
    JobRejectedError,
    NotUniqueError,
    ServerBusyError,
    ServerError,
    TooManyConnectionsError,
    UnknownWorkerError,
)
from faktory_async.protocol import refusal

# The server's texts as it says them, whole.
WHOLE: Final = [
    ("jobs must have a reasonable jid parameter", JobRejectedError),
    ("jobs must have a jobtype parameter", JobRejectedError),
    ("jobs must have an args parameter", JobRejectedError),
    ("jobs cannot be reserved for more than one day", JobRejectedError),
    (
        r'cannot get "a b" queue: queue names must match \A[a-zA-Z0-9._-]+\z',
        JobRejectedError,
    ),
    (
        'cannot get "\n"" queue: x" queue: queue names must match \\A[a-zA-Z0-9._-]+\\z',
        JobRejectedError,
    ),
    ("Job not unique", NotUniqueError),
    ("too many connections: 2001", TooManyConnectionsError),
    ("Invalid password", AuthenticationError),
    ("tracking subsystem is only available in Faktory Enterprise", EnterpriseRequiredError),
    ("batch subsystem is only available in Faktory Enterprise", EnterpriseRequiredError),
    ("must call fetch with at least one queue", ServerError),
    ("missing JID", ServerError),
    ("shutdown in progress", ServerBusyError),
]

# Texts that end with something of the job's or of the server's JSON reader.
OPEN: Final = [
    ("invalid JSON: ", "unexpected end of JSON input", JobRejectedError),
    ("invalid JSON: ", "json: cannot unmarshal array into Go value", JobRejectedError),
    ("invalid timestamp for 'at': ", '"garbage": parsing time "garbage"', JobRejectedError),
    ("Job not found ", "no\npe", JobNotFoundError),
    ("unknown worker ", "nope", UnknownWorkerError),
    ("unknown worker ", "", UnknownWorkerError),
    ("unknown command ", "\x00\udcff", ServerError),
    ("unknown command ", "", ServerError),
    ("invalid ACK ", '{"jid":5}', ServerError),
    ("invalid FAIL ", "", ServerError),
    ("invalid BEAT ", "\n", ServerError),
    ("no such QUEUE subcommand: ", "BOGUS", ServerError),
]

# Whatever was asked may have been done all the same.
UNKNOWN: Final = [
    "context deadline exceeded",
    "internal error",
    "redis: client is closed",
    "cannot add element in the working set: i/o timeout",
    'cannot get "q" queue: unable to store queue name: context deadline exceeded',
    'cannot get "q" queue: ',
    "invalid JSON",
    "invalid json: x",
    "Job not found",
    "unknown commandX",
    "invalid ACKx",
    "invalid PUSH x",
    "NOTUNIQUEjob",
    "",
]


def same(error: FaktoryError, kind: type[FaktoryError], *, maybe_executed: bool) -> None:
    assert type(error) is kind
    assert error.maybe_executed is maybe_executed


@pytest.mark.parametrize(("text", "kind"), WHOLE)
def test_a_whole_text_says_what_and_that_nothing_was_done(
    text: str, kind: type[FaktoryError]
) -> None:
    error = refusal(text)
    same(error, kind, maybe_executed=False)
    assert text in str(error)
    if isinstance(error, ServerError):
        assert (error.text, error.code) == (text, "ERR")


@pytest.mark.parametrize("text", [text for text, _ in WHOLE])
@pytest.mark.parametrize(
    "around", ["x{}", "x {}", "{}x", "{} x", "{}\n", "\n{}", "{}: i/o timeout"]
)
def test_a_text_that_only_holds_such_words_proves_nothing(text: str, around: str) -> None:
    same(refusal(around.format(text)), ServerBusyError, maybe_executed=True)


@pytest.mark.parametrize(("head", "tail", "kind"), OPEN)
def test_a_text_that_ends_with_something_of_the_jobs_is_known_by_its_beginning(
    head: str, tail: str, kind: type[FaktoryError]
) -> None:
    error = refusal(head + tail)
    same(error, kind, maybe_executed=False)
    assert isinstance(error, ServerError)
    assert error.text == head + tail


@pytest.mark.parametrize(("head", "tail"), [(head, tail) for head, tail, _ in OPEN])
def test_such_a_beginning_in_the_middle_proves_nothing(head: str, tail: str) -> None:
    same(refusal(f"x {head}{tail}"), ServerBusyError, maybe_executed=True)


@pytest.mark.parametrize("text", UNKNOWN)
def test_any_other_text_leaves_it_unknown(text: str) -> None:
    error = refusal(text)
    same(error, ServerBusyError, maybe_executed=True)
    assert isinstance(error, ServerError)
    assert error.text == text


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("Job not unique", "NOTUNIQUE", "Job not unique"),
        ("anything", "NOTUNIQUE", "anything"),
        ("", "NOTUNIQUE", ""),
        # In the reply of PUSHB there is no code but in the text.
        ("NOTUNIQUE Job not unique", "ERR", "Job not unique"),
        ("NOTUNIQUE anything", "ERR", "anything"),
        ("NOTUNIQUE", "ERR", ""),
    ],
)
def test_the_code_notunique_says_so_whatever_the_text(text: str, code: str, words: str) -> None:
    error = refusal(text, code=code)
    same(error, NotUniqueError, maybe_executed=False)
    assert isinstance(error, NotUniqueError)
    assert (error.code, error.text) == ("NOTUNIQUE", words)


def test_another_code_is_kept() -> None:
    error = refusal("no", code="LIMIT")
    same(error, ServerBusyError, maybe_executed=True)
    assert isinstance(error, ServerBusyError)
    assert error.code == "LIMIT"
