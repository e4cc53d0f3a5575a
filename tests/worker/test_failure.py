"""From an exception to a FAIL's errtype, message and backtrace."""

import itertools
import sys
from collections.abc import Callable, Iterator

import pytest

from faktory_async import Job
from faktory_async.protocol import _exception_text as exception_text
from faktory_async.protocol import cut
from faktory_async.worker import Fail
from faktory_async.worker._failure import failure


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


# -- what belongs to an exception -----------------------------------------------------------------


def heads(fail: Fail) -> list[str]:
    """The lines of a backtrace that are no frames."""
    return [line for line in fail.backtrace if "/" not in line]


def from_a_cause() -> None:
    try:
        inner()
    except ValueError as error:
        raise HomeMadeError("no order") from error


def within_a_handler() -> None:
    try:
        inner()
    except ValueError:
        raise HomeMadeError("no order")  # noqa: B904 - that is the point


def from_nothing() -> None:
    try:
        inner()
    except ValueError:
        raise HomeMadeError("no order") from None


@pytest.mark.parametrize(
    ("function", "head"),
    [
        (from_a_cause, ["caused by ValueError: boom"]),
        (within_a_handler, ["while handling ValueError: boom"]),
        (from_nothing, []),
    ],
)
def test_what_led_to_it_follows_with_its_own_frames(
    function: Callable[[], None], head: list[str]
) -> None:
    fail = failure(caught(function))
    assert fail.message == "no order"
    assert fail.backtrace[0].startswith(place(function, 4))
    assert heads(fail) == head
    for line in head:
        below = fail.backtrace[fail.backtrace.index(line) + 1]
        assert below == place(inner, 1) + ': raise ValueError("boom")'


def test_notes_follow_the_message_and_are_told_of_causes_too() -> None:
    cause = ValueError("boom")
    cause.add_note("at 5")
    error = HomeMadeError("no order")
    error.__cause__ = cause
    error.add_note("order 7")
    error.add_note("customer 8")
    fail = failure(error)
    assert fail.message == "no order\norder 7\ncustomer 8"
    assert fail.backtrace == ("caused by ValueError: boom at 5",)


def test_a_group_is_unfolded_into_message_and_backtrace() -> None:
    first, second = caught(inner), KeyError("k")
    second.__cause__ = OSError("disk")
    group = ExceptionGroup("all", [ValueError("x"), ExceptionGroup("some", [second])])
    assert isinstance(first, ValueError)
    fail = failure(ExceptionGroup("top", [group, first]))
    assert fail.errtype == "ExceptionGroup"
    assert fail.message == (
        "top (2 sub-exceptions): ValueError: x; KeyError: 'k'; ValueError: boom"
    )
    assert heads(fail) == [
        "in the group: ExceptionGroup: all (2 sub-exceptions)",
        "in the group: ValueError: x",
        "in the group: ExceptionGroup: some (1 sub-exception)",
        "in the group: KeyError: 'k'",
        "caused by OSError: disk",
        "in the group: ValueError: boom",
    ]
    last = fail.backtrace.index("in the group: ValueError: boom")
    assert fail.backtrace[last + 1].startswith(place(inner, 1))


def test_a_deep_traceback_leaves_room_for_the_cause() -> None:
    error = caught(lambda: deep(80))
    error.__cause__ = caught(inner)
    fail = failure(error)
    assert len(fail.backtrace) == 50
    assert fail.backtrace[0].startswith(place(deep, 3))
    assert fail.backtrace[-2] == "caused by ValueError: boom"
    assert fail.backtrace[-1].startswith(place(inner, 1))


@pytest.mark.parametrize("lines", [1, 2, 3, 5, 8])
def test_however_few_lines_there_are_the_first_is_the_innermost_frame(lines: int) -> None:
    error = caught(lambda: deep(80))
    error.__cause__ = caught(from_a_cause)
    fail = failure(error, Job("order", backtrace=lines))
    assert len(fail.backtrace) == lines
    assert fail.backtrace[0].startswith(place(deep, 3))


def test_a_line_about_another_exception_is_one_line() -> None:
    error = ValueError("boom")
    error.__cause__ = OSError("one\ntwo" + " three" * 1_000)
    [line] = failure(error).backtrace
    assert line.startswith("caused by OSError: one two three")
    assert len(line) < 400


# -- and whatever that does -----------------------------------------------------------------------


def test_a_chain_of_causes_without_an_end_ends() -> None:
    first = error = ValueError("0")
    for number in range(1, 10_000):
        error.__cause__ = ValueError(str(number))
        error = error.__cause__
    error.__cause__ = first
    fail = failure(first)
    assert list(fail.backtrace) == [f"caused by ValueError: {n}" for n in range(1, 11)]


def test_a_circle_of_causes_is_told_once() -> None:
    error, other = ValueError("a"), ValueError("b")
    error.__cause__, other.__cause__ = other, error
    assert failure(error).backtrace == ("caused by ValueError: b",)


def test_a_group_nested_deeply_and_a_wide_one_are_told_in_part() -> None:
    nested: Exception = ValueError("core")
    for _ in range(500):
        nested = ExceptionGroup[Exception]("g", [nested])
    assert len(failure(nested).backtrace) == 10
    wide = failure(ExceptionGroup("wide", [ValueError(n) for n in range(10_000)]))
    assert len(wide.backtrace) == 10
    assert wide.message.endswith("ValueError: 8; ValueError: 9")


class Hostile(BaseException):
    """Raises at every look at it."""

    def __getattribute__(self, name: str) -> object:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise SystemExit


def test_an_exception_that_raises_at_every_look_is_reported() -> None:
    fail = failure(caught(lambda: (_ for _ in ()).throw(Hostile())))
    assert fail.errtype.endswith("Hostile")
    assert fail.message == "(its text cannot be read: SystemExit)"
    assert fail.backtrace
    outer_one = ValueError("boom")
    outer_one.__cause__ = Hostile()
    assert heads(failure(outer_one))[0].endswith("(its text cannot be read: SystemExit)")


def endless_notes() -> Iterator[int]:
    return itertools.count()


@pytest.mark.parametrize(
    ("notes", "message"),
    [
        (5, "boom"),
        (None, "boom"),
        ([7, "\ud800"], "boom\n7\n?"),
        (endless_notes(), "boom\n" + "\n".join(map(str, range(10)))),
    ],
)
def test_notes_of_any_kind_are_told_where_they_can_be(notes: object, message: str) -> None:
    error = ValueError("boom")
    error.__notes__ = notes  # type: ignore[assignment]  # that is the point  # pyright: ignore[reportAttributeAccessIssue]
    assert failure(error).message == message


def test_a_text_with_a_format_of_its_own_is_told_in_a_group() -> None:
    class Stubborn(str):
        __slots__ = ()

        def __format__(self, spec: str) -> str:
            raise ValueError("no")

    class StubbornError(Exception):
        def __str__(self) -> str:
            return Stubborn("text")

    assert failure(ExceptionGroup("g", [StubbornError()])).message.endswith("StubbornError: text")


def test_surrogates_in_a_backtrace_become_question_marks() -> None:
    space: dict[str, Callable[[], None]] = {}
    exec(compile("def f():\n    raise ValueError\n", "a\udc80.py", "exec"), space)  # noqa: S102 - makes a function of a file with an odd name
    assert failure(caught(space["f"])).backtrace[0] == "a?.py:2 in f"


def test_frames_that_cannot_be_read_are_named_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> None:
        raise ValueError("no")

    monkeypatch.setattr(exception_text, "_read_frames", broken)
    assert failure(caught(inner)).backtrace == ("(its backtrace cannot be read)",)


def test_an_interrupt_from_the_keyboard_is_not_taken_for_a_broken_text() -> None:
    class InterruptedError_(Exception):  # noqa: N801, N818 - of this test alone
        def __str__(self) -> str:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        failure(InterruptedError_())
