"""The loops that coroutines run in here: real ones, and ones whose time jumps."""

import asyncio
import functools
import selectors
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, ParamSpec

import anyio
import pytest
import trio
import trio.testing

__all__ = [
    "JumpingLoop",
    "backend",
    "in_virtual_time",
    "jump",
    "on_asyncio_loops",
    "on_every_loop",
    "on_trio",
    "on_virtual_asyncio",
    "on_virtual_trio",
]

P = ParamSpec("P")

_PATIENCE: Final = 60.0  # seconds that a test may take
_VIRTUAL_PATIENCE: Final = 3600.0
_STUCK: Final = 5.0  # real seconds without an event after which a loop in virtual time is stuck


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits for time to pass: says at once that it has."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            if not (events := super().select(_STUCK)):
                raise AssertionError("nothing can ever happen in this loop")
            return events
        events = super().select(0)
        if not events and timeout > 0:
            self.now += timeout
        return events


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop for work in memory: when there is nothing to do, its clock jumps."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def jump(self, seconds: float) -> None:
        """Let time pass as a handler that blocks the loop does."""
        self._jumping.now += seconds


def jump(seconds: float) -> None:
    """Let virtual time pass without giving anybody a turn."""
    _clock().jump(seconds)


def _clock() -> JumpingLoop | trio.testing.MockClock:
    try:
        clock: object = asyncio.get_running_loop()
    except RuntimeError:
        clock = trio.lowlevel.current_clock()
    assert isinstance(clock, JumpingLoop | trio.testing.MockClock)
    return clock


# Lets tasks begin within the call that makes them. New in Python 3.12.
_EAGER: Final = getattr(asyncio, "eager_task_factory", None)


def _eager_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.set_task_factory(_EAGER)
    return loop


EAGER: Final = pytest.param(
    "asyncio-eager", marks=pytest.mark.skipif(_EAGER is None, reason="new in Python 3.12")
)

_BACKENDS: Final[Mapping[str, Callable[[], tuple[str, dict[str, Any]]]]] = {
    "asyncio": lambda: ("asyncio", {}),
    "asyncio-eager": lambda: ("asyncio", {"loop_factory": _eager_loop}),
    "uvloop": lambda: ("asyncio", {"use_uvloop": True}),
    "trio": lambda: ("trio", {}),
    "asyncio-virtual": lambda: ("asyncio", {"loop_factory": JumpingLoop}),
    "trio-virtual": lambda: ("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}),
}


def backend(name: str) -> tuple[str, dict[str, Any]]:
    """Return what anyio's plugin needs to run a test on the backend of that name."""
    return _BACKENDS[name]()


def _on(
    *names: str, patience: float = _PATIENCE
) -> Callable[[Callable[P, Awaitable[None]]], Callable[P, Awaitable[None]]]:
    def decorate(test: Callable[P, Awaitable[None]]) -> Callable[P, Awaitable[None]]:
        @functools.wraps(test)
        async def bounded(*args: P.args, **kwargs: P.kwargs) -> None:
            with anyio.fail_after(patience):
                await test(*args, **kwargs)

        return pytest.mark.anyio(
            pytest.mark.parametrize("anyio_backend", names, indirect=True)(bounded)
        )

    return decorate


on_every_loop = _on("asyncio", "uvloop", "trio")
"""Run a test that uses sockets; like its siblings, it fails a test that hangs."""
on_asyncio_loops = _on("asyncio", "uvloop")
in_virtual_time = _on("asyncio-virtual", "trio-virtual", patience=_VIRTUAL_PATIENCE)
on_virtual_asyncio = _on("asyncio-virtual", patience=_VIRTUAL_PATIENCE)
on_virtual_trio = _on("trio-virtual", patience=_VIRTUAL_PATIENCE)
on_trio = _on("trio")
