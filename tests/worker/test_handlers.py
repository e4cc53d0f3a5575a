"""What may be registered, and what is said where it may not."""

import functools
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from faktory_async import DuplicateJobTypeError, Job, UsageError, Worker
from faktory_async.worker import Runner


async def order(job: Job) -> None: ...


async def other(job: Job) -> None: ...


def plain(job: Job) -> None: ...


def nothing() -> None: ...


def two(job: Job, more: int) -> None: ...


def generator(job: Job) -> Iterator[None]:
    yield


async def async_generator(job: Job) -> AsyncIterator[None]:
    yield


class Called:
    async def __call__(self, job: Job) -> None: ...

    def plain(self, job: Job) -> None: ...

    async def method(self, job: Job) -> None: ...


class Source:
    def resolve(self, jobtype: str) -> Runner | None:
        return None

    def jobtypes(self) -> Collection[str]:
        return ()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        yield


def test_register_returns_the_handler_in_both_of_its_shapes() -> None:
    worker = Worker()
    assert worker.register("order", order) is order
    assert worker.register("other")(other) is other


@pytest.mark.parametrize(
    "handler",
    [
        order,
        Called(),
        Called().method,
        functools.partial(order),
        functools.partial(Called()),
        AsyncMock(),
    ],
)
def test_everything_that_makes_a_coroutine_is_a_handler(handler: Any) -> None:
    Worker({"order": handler}).register("other", handler)


@pytest.mark.parametrize("handler", [plain, functools.partial(plain), Mock(), print])
def test_any_other_function_is_a_handler_too(handler: Any) -> None:
    Worker({"order": handler}).register("other", handler, run_in="thread")


@pytest.mark.parametrize("handler", [5, None, Called, "order"])
def test_anything_else_is_refused_with_what_to_write(handler: Any) -> None:
    with pytest.raises(UsageError, match=r"'order' must be a function: write `async def"):
        Worker({"order": handler})


@pytest.mark.parametrize("handler", [nothing, two, functools.partial(order, Job("order"))])
def test_what_takes_something_else_than_the_job_is_refused(handler: Any) -> None:
    with pytest.raises(UsageError, match="must take the job and nothing else"):
        Worker({"order": handler})


@pytest.mark.parametrize("handler", [generator, async_generator, functools.partial(generator)])
def test_a_generator_is_refused(handler: Any) -> None:
    with pytest.raises(UsageError, match="is a generator, which does nothing when it is called"):
        Worker({"order": handler})


def test_a_function_is_named_in_the_hint() -> None:
    with pytest.raises(UsageError, match=r"write `async def two\(job: Job\) -> None`, or `def`"):
        Worker({"order": two})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]


def test_a_decorator_without_its_jobtype_is_refused() -> None:
    with pytest.raises(UsageError, match=r'write `@worker.register\("order"\)`'):
        Worker().register(order)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


@pytest.mark.parametrize("run_in", ["thread", "process"])
def test_a_coroutine_function_runs_on_the_loop_alone(run_in: Any) -> None:
    with pytest.raises(UsageError, match=rf"write `def order\(job: Job\)` to run it in a {run_in}"):
        Worker().register("order", order, run_in=run_in)


def test_where_a_handler_runs_is_one_of_two() -> None:
    with pytest.raises(UsageError, match="in a 'thread' or in a 'process', not in 'loop'"):
        Worker().register("order", plain, run_in="loop")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


@pytest.mark.parametrize("timeout", [0, -1, math.nan, math.inf, timedelta(0)])
def test_a_timeout_is_positive_and_finite(timeout: Any) -> None:
    with pytest.raises(UsageError, match="is more than 0 seconds, and finite"):
        Worker().register("order", plain, timeout=timeout)


# -- processes ------------------------------------------------------------------------------------


anonymous: Callable[[Job], None] = lambda job: None  # noqa: E731 - a name would make it another


def local() -> Any:
    def inside(job: Job) -> None: ...

    return inside


@pytest.mark.parametrize("handler", [local(), functools.partial(local()), anonymous])
def test_what_no_process_can_import_is_refused(handler: Any) -> None:
    with pytest.raises(UsageError, match="write `def` at the top of a module"):
        Worker().register("order", handler, run_in="process")


def test_what_cannot_be_pickled_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'order' cannot be pickled \(.*Mock"):
        Worker().register("order", Mock(), run_in="process")


def test_what_can_be_imported_may_be_registered_by_the_decorator() -> None:
    worker = Worker()
    assert worker.register("order", run_in="process")(plain) is plain
    worker.register("method", Called().plain, run_in="process")


def test_two_handlers_for_one_type_are_refused_with_both_places() -> None:
    worker = Worker({"order": order})
    with pytest.raises(DuplicateJobTypeError) as caught:
        worker.register("order", other)
    text = str(caught.value)
    for handler in (order, other):
        assert f"{handler.__name__} ({__file__}:{handler.__code__.co_firstlineno})" in text


def test_the_same_handler_twice_is_a_duplicate_too() -> None:
    worker = Worker({"order": order})
    with pytest.raises(DuplicateJobTypeError):
        worker.register("order", order)


def test_a_duplicate_without_code_is_named_by_its_repr() -> None:
    worker = Worker({"order": order})
    with pytest.raises(DuplicateJobTypeError, match=r"functools\.partial"):
        worker.register("order", functools.partial(other))


def test_an_empty_jobtype_is_refused() -> None:
    with pytest.raises(UsageError, match="a jobtype is not empty"):
        Worker({"": order})


def test_a_worker_with_a_source_registers_nothing() -> None:
    worker = Worker(Source())
    with pytest.raises(UsageError, match="given a HandlerSource: register there"):
        worker.register("order", order)
