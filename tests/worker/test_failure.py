"""From an exception to a FAIL's errtype, message and backtrace."""

import sys
from collections.abc import Callable

import pytest

from faktory_async import Job
from faktory_async.worker import Fail
from faktory_async.worker._failure import cut, failure


class HomeMadeError(Exception):
    pass


def caught(function: Callable[[], object]) -> BaseException:
    try:
        function()
    except BaseException as error:  # noqa: BLE001 - whatever it raises is what the test wants
        return error
    raise AssertionError("it did not raise")


def outer() -> None:
    inner()


def inner() -> None:
    raise ValueError("boom")


def deep(levels: int) -> None:
    if levels:
        deep(levels - 1)
    raise ValueError("bottom")


def place(function: Callable[..., object], lines_below: int) -> str:
    return f"{__file__}:{function.__code__.co_firstlineno + lines_below} in {function.__name__}"


def test_the_backtrace_begins_where_it_was_raised() -> None:
    fail = failure(caught(outer))
    assert fail.errtype == "ValueError"
    assert fail.message == "boom"
    assert fail.backtrace[:2] == (
        place(inner, 1) + ': raise ValueError("boom")',
        place(outer, 1) + ": inner()",
    )
    assert fail.backtrace[2].startswith(place(caught, 2))
    assert len(fail.backtrace) == 3


@pytest.mark.parametrize(("wanted", "lines"), [(0, 50), (1, 1), (7, 7), (50, 50), (1_000, 50)])
def test_a_job_limits_the_lines_and_keeps_the_innermost(wanted: int, lines: int) -> None:
    error = caught(lambda: deep(80))
    fail = failure(error, Job("order", backtrace=wanted))
    assert len(fail.backtrace) == lines
    assert fail.backtrace[0].startswith(place(deep, 3))


def test_without_a_job_there_are_up_to_50_lines() -> None:
    assert len(failure(caught(lambda: deep(80))).backtrace) == 50


def test_a_type_of_a_module_is_named_with_it() -> None:
    assert failure(HomeMadeError()).errtype == f"{__name__}.HomeMadeError"


def test_an_exception_without_a_traceback_has_an_empty_backtrace() -> None:
    assert failure(ValueError("never raised")) == Fail(
        errtype="ValueError", message="never raised", backtrace=()
    )


def test_message_and_errtype_are_cut_to_what_the_server_keeps_between_characters() -> None:
    kind = type("É" * 80, (Exception,), {"__module__": "m"})
    fail = failure(kind("a" + "é" * 600))
    assert fail.errtype == "m." + "É" * 49
    assert fail.message == "a" + "é" * 499
    assert len(fail.errtype.encode()) == 100
    assert len(fail.message.encode()) == 999


def test_a_line_of_the_backtrace_is_cut_too() -> None:
    function = compile("\n" * 4 + "def long():\n    raise ValueError\n", "/" + "x" * 2_000, "exec")
    space: dict[str, Callable[[], None]] = {}
    exec(function, space)  # noqa: S102 - makes a function with a very long file name
    line = failure(caught(space["long"])).backtrace[0]
    assert line == "/" + "x" * 999


def test_lone_surrogates_become_question_marks() -> None:
    assert failure(ValueError("a\ud800b")).message == "a?b"
    assert cut("\udfff", 10) == "?"


@pytest.mark.parametrize("raised", [ValueError("again"), RecursionError(), MemoryError()])
def test_a_text_that_raises_is_explained(raised: Exception) -> None:
    class SilentError(Exception):
        def __str__(self) -> str:
            raise raised

    assert failure(SilentError()).message == (f"(its text cannot be read: {type(raised).__name__})")


def test_a_text_that_is_no_text_is_explained() -> None:
    class SilentError(Exception):
        def __str__(self) -> str:
            return 5  # type: ignore[return-value]  # noqa: PLE0307 - that is the point  # pyright: ignore[reportReturnType]

    assert failure(SilentError()).message == "(its text cannot be read: TypeError)"


def test_a_text_that_cannot_be_encoded_its_own_way_is_encoded_ours() -> None:
    class Stubborn(str):
        __slots__ = ()

        def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
            raise ValueError("no")

    class StubbornError(Exception):
        def __str__(self) -> str:
            return Stubborn("text")

    assert failure(StubbornError()).message == "text"


def test_a_type_without_a_readable_name_still_makes_a_failure() -> None:
    class Nameless(type):
        @property
        def __module__(cls) -> str:  # type: ignore[override]  # that is the point
            raise ValueError("no module")

    kind = Nameless("Odd", (Exception,), {})
    assert failure(kind("boom")) == Fail(
        errtype="(its text cannot be read: ValueError)", message="boom", backtrace=()
    )


def test_a_frame_without_source_is_still_a_line() -> None:
    space: dict[str, Callable[[], None]] = {}
    exec(compile("def gone():\n    raise ValueError\n", "gone.py", "exec"), space)  # noqa: S102 - makes a function without source
    assert failure(caught(space["gone"])).backtrace[0] == "gone.py:2 in gone"


def test_the_end_of_recursion_makes_a_failure() -> None:
    def endless() -> None:
        endless()

    fail = failure(caught(endless))
    assert fail.errtype == "RecursionError"
    assert len(fail.backtrace) == 50
    assert sys.getrecursionlimit() > 50
