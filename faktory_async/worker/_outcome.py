"""How the work on a job ends. Pure."""

from typing import Final, TypeAlias

from msgspec import Struct


class Ack(Struct, frozen=True):
    """The job is done."""


class Fail(Struct, frozen=True, kw_only=True):
    """The job failed; the server decides by its `retry` whether it runs again.

    Attributes:
        errtype: The kind of failure, at most 100 bytes of UTF-8.
        message: What happened, at most 1,000 bytes of UTF-8.
        backtrace: Where, innermost frame first, at most 50 lines.
    """

    errtype: str
    message: str
    backtrace: tuple[str, ...] = ()


Outcome: TypeAlias = Ack | Fail

INTERRUPTED: Final = Fail(
    errtype="Interrupted", message="the worker stopped before the job was finished"
)
"""The outcome of a job that was cut short, or not begun."""
