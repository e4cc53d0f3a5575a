"""jobtype → what works it here, whatever the type: a handler, the default one, or a failure."""

import difflib
from collections.abc import Collection, Sequence
from typing import Final

from faktory_async.model import Job
from faktory_async.worker._handlers import HandlerSource, Runner
from faktory_async.worker._middleware import Middleware, chained
from faktory_async.worker._outcome import Fail, Outcome

_LONGEST: Final = 100  # characters of a jobtype that is quoted, or compared


class Dispatch:
    """Finds the runner of a job.

    Args:
        source: The handlers.
        middleware: What runs around each of them, the first one outermost.
        default: What works jobs of types that the source does not know.
    """

    def __init__(
        self,
        source: HandlerSource,
        middleware: Sequence[Middleware] = (),
        default: Runner | None = None,
    ) -> None:
        self._source = source
        self._middleware = tuple(middleware)
        self._default = None if default is None else chained(self._middleware, default)
        self._chains: dict[str, tuple[Runner, Runner]] = {}

    def __call__(self, jobtype: str) -> Runner:
        """Return what works jobs of this type."""
        runner = self._source.resolve(jobtype)
        if runner is None:
            return self._default or self._unknown
        return self._chain(jobtype, runner) if self._middleware else runner

    def _chain(self, jobtype: str, runner: Runner) -> Runner:
        """Return the runner within the middleware, made once as long as it is the same runner."""
        inner, chain = self._chains.get(jobtype, (None, runner))
        if inner is not runner:
            chain = chained(self._middleware, runner)
            self._chains[jobtype] = (runner, chain)
        return chain

    async def _unknown(self, job: Job) -> Outcome:
        return Fail(
            errtype="UnknownJobType", message=_no_handler(job.jobtype, self._source.jobtypes())
        )


def _no_handler(jobtype: str, known: Collection[str]) -> str:
    names = ", ".join(sorted(map(repr, known))) or "none"
    # To compare takes time, and jobtypes are made by anybody.
    close = difflib.get_close_matches(jobtype, known, n=1) if len(jobtype) <= _LONGEST else ()
    hint = "".join(f", did you mean {name!r}?" for name in close) or ";"
    return f"no handler for {jobtype[:_LONGEST]!r}{hint} registered here: {names}"
