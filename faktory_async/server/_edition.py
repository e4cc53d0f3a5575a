"""Which Faktory it is: the free edition, or the one with commands of its own."""

from enum import Enum

from faktory_async.errors import UsageError


class Edition(Enum):
    """An edition of Faktory, by the name that `EmbeddedServer` takes."""

    OSS = "oss"
    ENTERPRISE = "enterprise"


EDITIONS = tuple(edition.value for edition in Edition)


def edition_of(name: str) -> Edition:
    """Return the edition of this name.

    Raises:
        UsageError: there is none; those that there are are named.
    """
    try:
        return Edition(name)
    except ValueError:
        known = " and ".join(map(repr, EDITIONS))
        raise UsageError(f"{name!r} is no edition of Faktory: there are {known}") from None
