"""Retry policies: which failures are tried again, how often, and how long after. Pure."""

import math
from collections.abc import Callable
from datetime import timedelta
from types import UnionType
from typing import Final, Literal, TypeAlias, cast, get_args

from msgspec import Struct

from faktory_async.errors import UsageError
from faktory_async.model import Job, seconds, world

_WORDS: Final = {"dead": -1, "discard": 0}

Errors: TypeAlias = tuple[type[BaseException], ...]
Duration: TypeAlias = float | str | timedelta


class Backoff(Struct, frozen=True):
    """How long after a failure the next try comes; made by one of its constructors.

    Attributes:
        delay: From how many tries have failed, 1 for the first one, to seconds.
        jitter: Up to which share of it is added at random, so that what failed together does not
            come back together.

    Raises:
        UsageError: one makes no sense.
    """

    delay: Callable[[int], float]
    jitter: float = 0.1

    def __post_init__(self) -> None:
        if not callable(self.delay):
            raise UsageError(
                "the delay of a backoff is a function of the failures so far: write "
                'Backoff.fixed("10s") for always the same'
            )
        if not _is_number(self.jitter) or not 0 <= self.jitter < math.inf:
            raise UsageError("a jitter is 0 or more")

    @staticmethod
    def exponential(
        base: Duration, *, factor: float = 2.0, cap: Duration = "1d", jitter: float = 0.1
    ) -> "Backoff":
        """Return `base`, then `factor` times as long after each further failure, `cap` at most."""
        first, most = _positive(base), _positive(cap)
        if not _is_number(factor) or not 1 <= factor < math.inf:
            raise UsageError("the factor of a backoff is 1 or more")

        def delay(failures: int) -> float:
            try:
                return min(first * factor ** (failures - 1), most)
            except OverflowError:
                return most

        return Backoff(delay, jitter)

    @staticmethod
    def linear(step: Duration, *, cap: Duration = "1d", jitter: float = 0.1) -> "Backoff":
        """Return `step` longer after each failure, `cap` at most."""
        each, most = _positive(step), _positive(cap)
        return Backoff(lambda failures: min(each * failures, most), jitter)

    @staticmethod
    def fixed(delay: Duration, *, jitter: float = 0.1) -> "Backoff":
        """Return always the same."""
        always = _positive(delay)
        return Backoff(lambda _failures: always, jitter)

    def after(self, failures: int) -> float:
        """Return the seconds until the next try.

        Args:
            failures: How many tries have failed, this one included: at least 1.
        """
        return self.delay(failures) * (1 + self.jitter * world().uniform())


class Retries(Struct, frozen=True, kw_only=True):
    """Which failures of a job are tried again.

        patient = Retries(max=5, backoff=Backoff.exponential(10, cap="1h"), fatal=(ValueError,))

        @app.job(retry=patient)

    Attributes:
        max: How many retries the job has; it is the job's `retry`.
        backoff: How long after a failure the next try comes; None leaves that to the server, whose
            retries come after 15 s, 31 s, 96 s and so on, with a random part. Tries are at least
            5 s apart, since Faktory looks every 5 s for what is due.
        on: Which exceptions are tried again; any other one is fatal.
        fatal: Which exceptions are not: the job goes to the dead set at once.

    Raises:
        UsageError: `max` is not a number of 1 or more, or another one is not what it should be.
    """

    max: int = 25
    backoff: Backoff | None = None
    on: Errors = (Exception,)
    fatal: Errors = ()

    def __post_init__(self) -> None:
        if type(self.max) is not int or self.max < 1:
            raise UsageError(
                "Retries(max=...) is a whole number, 1 or more; write "
                'retry="dead" or retry="discard" for none'
            )
        Job("check", retry=self.max)  # says that it is too large
        if not isinstance(self.backoff, Backoff | None):  # pyright: ignore[reportUnnecessaryIsInstance]  # programs without types
            raise UsageError('a backoff is a Backoff, such as Backoff.exponential("10s")')
        for name in ("on", "fatal"):
            if not _are_errors(getattr(self, name)):
                raise UsageError(
                    f"Retries({name}=...) is a tuple of classes of exceptions: (OSError,)"
                )

    def gives_up(self, error: BaseException) -> bool:
        """Tell whether no retry would help after this exception.

        Of a group, when that is so after any of those in it.
        """
        if isinstance(error, self.fatal):
            return True
        if isinstance(error, BaseExceptionGroup):
            group = cast("BaseExceptionGroup[BaseException]", error)
            return any(map(self.gives_up, group.exceptions))
        return not isinstance(error, self.on)


RetryOption: TypeAlias = int | Literal["dead", "discard"] | Retries
"""How often a failed job is tried again: a number, `"dead"` for none and then to the dead set,
`"discard"` for none and then away, or a policy."""


def retry_of(option: RetryOption) -> int:
    """Return the `retry` of a job.

    Raises:
        UsageError: for what is no such option.
    """
    if isinstance(option, Retries):
        return option.max
    if isinstance(option, str):
        if option not in _WORDS:
            raise UsageError('retry is a number, "dead", "discard" or a Retries policy')
        return _WORDS[option]
    return option


def _are_errors(kinds: object) -> bool:
    """Whether `isinstance` takes it, and an exception may be one."""
    if isinstance(kinds, UnionType):
        kinds = get_args(kinds)
    if isinstance(kinds, tuple):
        return all(map(_are_errors, cast("tuple[object, ...]", kinds)))
    return isinstance(kinds, type) and issubclass(kinds, BaseException)


def _positive(duration: Duration) -> float:
    number = seconds(duration)
    if number <= 0:
        raise UsageError("a backoff is more than 0 seconds")
    return number


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)
