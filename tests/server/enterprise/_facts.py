"""Facts about Enterprise: what each says, where it is known from, and the test of it.

`docs/enterprise.md` shows the same statements in the same order; a test compares the two.
"""

from collections.abc import Callable
from enum import Enum
from typing import Final

from msgspec import Struct

from tests.server.enterprise._setting import Licensed

# The public suites of other clients, which their authors run against an Enterprise server, and
# the server's own public wiki.
RUST: Final = "R"
GO: Final = "G"
RUBY: Final = "U"
WIKI: Final = "W"


class Standing(Enum):
    """How sure a fact is, in the words of the docs."""

    VERIFIED = "verified by other clients' suites"
    DOCUMENTED = "documented, unverified"
    UNVERIFIED = "unverified"


class Fact(Struct, frozen=True):
    """One fact.

    Attributes:
        subject: What it is about.
        statement: What is so.
        sources: Where it is known from, "" where it is our own decision.
        check: Asserts it.
    """

    subject: str
    statement: str
    sources: str
    check: Callable[[Licensed], None]

    @property
    def standing(self) -> Standing:
        """How sure it is."""
        if set(self.sources.split()) & {RUST, GO, RUBY}:
            return Standing.VERIFIED
        return Standing.DOCUMENTED if self.sources else Standing.UNVERIFIED


FACTS: Final[list[Fact]] = []


def fact(
    subject: str, statement: str, *sources: str
) -> Callable[[Callable[[Licensed], None]], Callable[[Licensed], None]]:
    """Let a function be the test of a fact."""

    def register(check: Callable[[Licensed], None]) -> Callable[[Licensed], None]:
        FACTS.append(Fact(subject, statement, " ".join(sources), check))
        return check

    return register
