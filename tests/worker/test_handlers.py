"""What may be registered, and what is said where it may not."""

import functools
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import AsyncMock

import pytest

from faktory_async import DuplicateJobTypeError, Job, UsageError, Worker
from faktory_async.worker import Runner


async def order(job: Job) -> None: ...


async def other(job: Job) -> None: ...


def plain(job: Job) -> None: ...


class Called:
    async def __call__(self, job: Job) -> None: ...

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


@pytest.mark.parametrize("handler", [plain, 5, None, functools.partial(plain), Called])
def test_anything_else_is_refused_with_what_to_write(handler: Any) -> None:
    with pytest.raises(UsageError, match=r"'order' must be a coroutine function: write `async def"):
        Worker({"order": handler})


def test_a_plain_function_is_named_in_the_hint() -> None:
    with pytest.raises(UsageError, match=r"write `async def plain\(job: Job\) -> None`"):
        Worker().register("order", plain)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportCallIssue]


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
