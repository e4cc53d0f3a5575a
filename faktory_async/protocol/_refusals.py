"""What the server's error texts mean: which exception, and whether something was stored."""

import re
from collections.abc import Callable
from typing import Final

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

_NOTUNIQUE: Final = "NOTUNIQUE"
_QUEUE_NAMES: Final = r"queue names must match \A[a-zA-Z0-9._-]+\z"


def _not_executed(text: str, *, code: str) -> ServerBusyError:
    return ServerBusyError(text, code=code, maybe_executed=False)


def _too_many(text: str, *, code: str) -> FaktoryError:  # noqa: ARG001 - one shape for all rows
    return TooManyConnectionsError(f"the server has its limit of connections: {text}")


def _wrong_password(text: str, *, code: str) -> FaktoryError:  # noqa: ARG001 - see above
    return AuthenticationError(f"the server refused the password: {text}")


_Make = Callable[..., FaktoryError]

# Whole texts: only what stands here proves that nothing was stored, and a text that only holds
# such words proves nothing. `cannot get "q" queue` does so only with the sentence about names: a
# stalled Redis answers with the same beginning.
_MEANINGS: Final[tuple[tuple[re.Pattern[str], _Make], ...]] = tuple(
    (re.compile(pattern, re.DOTALL), make)
    for pattern, make in (
        (r"Job not found .*", JobNotFoundError),
        (r"unknown worker .*", UnknownWorkerError),
        (r"jobs must have a reasonable jid parameter", JobRejectedError),
        (r"jobs must have a jobtype parameter", JobRejectedError),
        (r"jobs must have an args parameter", JobRejectedError),
        (r"jobs cannot be reserved for more than one day", JobRejectedError),
        (r"invalid timestamp for 'at': .*", JobRejectedError),
        (rf'cannot get ".*" queue: {re.escape(_QUEUE_NAMES)}', JobRejectedError),
        (r"invalid JSON: .*", JobRejectedError),
        (r"shutdown in progress", _not_executed),
        (r"too many connections: \d+", _too_many),
        (r"Invalid password", _wrong_password),
        (
            r"(tracking|batch) subsystem is only available in Faktory Enterprise",
            EnterpriseRequiredError,
        ),
        (r"Job not unique", NotUniqueError),
        (r"unknown command .*|no such QUEUE subcommand: .*", ServerError),
        (r"invalid (ACK|FAIL|BEAT) .*", ServerError),
        (r"must call fetch with at least one queue|missing JID", ServerError),
    )
)


def refusal(text: str, *, code: str = "ERR") -> FaktoryError:
    """Return the exception for a server's error.

    Args:
        text: The error without its code.
        code: The first word of an error line.
    """
    first, _, rest = text.partition(" ")
    if first == _NOTUNIQUE:  # in the reply of PUSHB the code is part of the text
        code, text = first, rest
    if code == _NOTUNIQUE:
        return NotUniqueError(text, code=code)
    for pattern, make in _MEANINGS:
        if pattern.fullmatch(text):
            return make(text, code=code)
    return ServerBusyError(text, code=code)


def refusal_of_job(text: str) -> FaktoryError:
    """Return the exception for a value in the reply of PUSHB.

    Enterprise's words for a job that is there already are known from other clients only, and from
    them as the reply of PUSH: so in a map they count wherever they stand.
    """
    if "not unique" in text.lower():
        return NotUniqueError(text.removeprefix(_NOTUNIQUE).lstrip(), code=_NOTUNIQUE)
    return refusal(text)
