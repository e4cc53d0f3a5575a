"""The app: typed jobs, where their server is, and what surrounds them in a worker."""

import ssl
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Callable,
    Collection,
    Generator,
    Iterable,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar, overload
from urllib.parse import quote

import msgspec
from msgspec import Struct

from faktory_async.app._arguments import schema_of_model
from faktory_async.app._box import Box
from faktory_async.app._cron import Cron
from faktory_async.app._options import Duration, ReserveFor
from faktory_async.app._policy import RetryOption
from faktory_async.app._router import Router
from faktory_async.app._running import RunMiddleware, runner_of, the_state
from faktory_async.app._schedule import Schedule
from faktory_async.app._scheduler import Scheduler
from faktory_async.app._sync import SyncClient
from faktory_async.app._typed import Binding
from faktory_async.client import Client, PushMiddleware, PushReport
from faktory_async.errors import ClientStateError, UsageError
from faktory_async.model import Job
from faktory_async.net import TLS, Address, Connector, Dial, Limits, Timeouts, here
from faktory_async.server import EmbeddedServer
from faktory_async.worker import Outcome, Runner, Target, current_site

M = TypeVar("M", bound=Callable[..., Any])
PushM = TypeVar("PushM", bound=PushMiddleware)
F = TypeVar("F")
RunM = TypeVar("RunM", bound=RunMiddleware)

Lifespan = Callable[[], AbstractAsyncContextManager[Any]]

_HOW_TO_OPEN: Final = (
    "the app is not open here: write `async with app:` around the program, or use push_sync in "
    "code that is not async"
)
# The app whose handler it is that runs, and where that app pushes to.
_aim: Final[ContextVar[tuple["App", Target]]] = ContextVar("faktory_async_aim")
_SCHEMA: Final = "https://json-schema.org/draft/2020-12/schema"


class App(Router):
    """Typed jobs and where they go: for the program that pushes and the worker that runs them.

        app = App()

        @app.job(queue="mail", retry=5)
        async def send_welcome(email: str, template: str = "plain") -> None: ...

        async with app:
            await send_welcome.push("a@b.c")

        await Worker(app, queues=["mail"]).run()

    `async with app:` opens connections to push over and nothing else; it may be opened more than
    once, and in several event loops. A worker opens it for its handlers, from before the first
    FETCH until after the last report.

    Args:
        url: Where the server is; by default what the environment says when the app is opened, see
            `Client`.
        lifespan: A function that returns an async context manager, such as one made by
            `@asynccontextmanager`. A worker is inside of it as long as it runs, and what it gives
            is `JobContext.state`. Never entered for pushing.
        queue: Where jobs go that do not say so themselves; and so for the others.
        retry: How often a failed job is tried again; 25 by default.
        reserve_for: How long a worker has a job; see `Router.job`.
        timeout: How long a handler may take; by default as long as its job is reserved.
        middleware: What runs around every handler, the first one outermost; see `RunMiddleware`.
        push_middleware: What runs around every push, as `Client(middleware=...)`.
        limits: How many connections, and how large a job may be.
        timeouts: How long connecting and pushing may take.
        tls: How a `tcp+tls://` URL is trusted.
        dial: Opens links in place of TCP.

    Attributes:
        url: As given, and so for dial, tls, timeouts and limits.

    Raises:
        UsageError: an option makes no sense.
    """

    def __init__(
        self,
        url: str | Address | None = None,
        *,
        lifespan: Lifespan | None = None,
        queue: str = "default",
        retry: RetryOption = 25,
        reserve_for: ReserveFor = None,
        timeout: Duration | None = None,
        middleware: Sequence[RunMiddleware] = (),
        push_middleware: Sequence[PushMiddleware] = (),
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
        tls: TLS | ssl.SSLContext | None = None,
        dial: Dial | None = None,
    ) -> None:
        super().__init__(queue=queue, retry=retry, timeout=timeout, reserve_for=reserve_for)
        _check_is("url", url, (str, Address), "a str or Address")
        _check_is("limits", limits, Limits, "a Limits")
        _check_is("timeouts", timeouts, Timeouts, "a Timeouts")
        _check_is("tls", tls, (TLS, ssl.SSLContext), "a TLS or SSLContext")
        _check_is("dial", dial, Callable, "a function that opens a link")
        said = "a function that returns an async context manager"
        _check_is("lifespan", lifespan, Callable, said)
        self.url = url
        self.limits = limits
        self.timeouts = timeouts
        self.tls: TLS | ssl.SSLContext | None = tls
        self.dial = dial
        self._lifespan = lifespan
        self._run_middleware = _functions("middleware", middleware)
        self._push_middleware = _functions("push_middleware", push_middleware)
        self._runners: dict[str, Runner] = {}
        self._opened: dict[object, _Opened] = {}
        self._aims: list[Target] = []
        self._sync = SyncClient(self._make_client, self._target_here)

    def __repr__(self) -> str:
        return f"<App {len(self._bindings)} jobs>"

    # -- middleware ---------------------------------------------------------------------------

    @overload
    def middleware(self, chain: Literal["push"], /) -> Callable[[PushM], PushM]: ...

    @overload
    def middleware(self, chain: Literal["run"], /) -> Callable[[RunM], RunM]: ...

    def middleware(self, chain: str, /) -> Callable[[M], M]:
        """Add a middleware inside of the others; a decorator.

            @app.middleware("run")
            async def timed(ctx, call_next):
                ...
                return await call_next(ctx)

        Args:
            chain: `"run"`, around handlers: `async (ctx, call_next)`; or `"push"`, around pushes:
                `async (job, call_next) -> Job`.

        Raises:
            UsageError: there is no such chain, or the app is open.
        """
        if chain not in ("push", "run"):
            raise UsageError('there are two chains: "push" and "run"')
        if self._opened or self._sync.is_open:
            raise UsageError("the app is open: its middleware is added before")
        wanted: list[Any] = self._push_middleware if chain == "push" else self._run_middleware

        def add(layer: M) -> M:
            if not callable(layer):
                raise UsageError(f"a middleware is a function, not {layer!r}")
            wanted.append(layer)
            self._runners.clear()
            return layer

        return add

    # -- pushing ------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self._enter(self._target)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._leave()

    async def _enter(self, target: Target) -> Target:
        """Open the app in this event loop, and return where it pushes."""
        opened = self._opened.get(here())
        if opened is None:
            client = self._make_client(target)
            await client.open()
            opened = self._opened[here()] = _Opened(client, target)
        opened.count += 1
        return opened.target

    async def _leave(self) -> None:
        opened = self._opened[here()]
        opened.count -= 1
        if not opened.count:
            del self._opened[here()]
            await opened.client.aclose()

    def client(self) -> Client:
        """Return the open client that the app pushes with, for whatever else it can do.

        Raises:
            ClientStateError: the app is not open in this event loop.
        """
        opened = self._opened.get(here())
        if opened is None:
            raise ClientStateError(_HOW_TO_OPEN)
        return opened.client

    async def push_many(
        self,
        calls: Iterable[Job] | AsyncIterable[Job],
        *,
        report: PushReport | None = None,
        progress: Callable[[PushReport], None] | None = None,
    ) -> PushReport:
        """Store many jobs, in frames of up to 1,000.

            await app.push_many(resize.call(image) for image in images)

        Args:
            calls: Jobs, made by `call`; any iterable or async iterable, read as it is sent.
            report: As in `Client.push_bulk`.
            progress: Likewise.

        Returns:
            What became of the jobs, see `PushReport`.

        Raises and cancelled: as `Client.push_bulk`.
        """
        return await self.client().push_bulk(calls, report=report, progress=progress)

    def push_sync(self, job: Job) -> Job:
        """Push one job from code that is not async; see `JobType.push_sync`."""
        return self._sync.push(job)

    def close_sync(self) -> None:
        """Close the connections of `push_sync`; its next use opens new ones."""
        self._sync.close()

    @asynccontextmanager
    async def asgi_lifespan(self, _app: object = None) -> AsyncGenerator[None]:
        """Open the app for pushing: the `lifespan=` of Starlette, FastAPI or Litestar."""
        async with self:
            yield

    # -- working ------------------------------------------------------------------------------

    def resolve(self, jobtype: str) -> Runner | None:
        """Return what works jobs of this type; None where nothing here does."""
        runner = self._runners.get(jobtype)
        if runner is None:
            binding = self._bindings.get(jobtype)
            if binding is None or binding.stub:
                return None
            runner = runner_of(self, binding, self._run_middleware)
            self._runners[jobtype] = runner
        return runner

    def jobtypes(self) -> Collection[str]:
        """Return the types that are worked here."""
        return [binding.jobtype for binding in self._bindings.values() if not binding.stub]

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Open the app for a worker: its connections, to the worker's server, then its lifespan.

        Where the app is open already in this event loop, it goes on pushing where it did.

        Raises:
            UsageError: an annotation of a handler cannot be read.
            Exception: whatever the lifespan raises.
        """
        for binding in self._bindings.values():
            binding.function.arguments  # noqa: B018 - said before the first FETCH, if ever
        site = current_site()
        site.listen("on_exhausted", self._exhausted)
        if schedule := Schedule(self._bindings.values()):
            site.schedules.append(Scheduler(schedule, _connector(site.target)).run)
        token = _aim.set((self, await self._enter(site.target)))
        try:
            async with self._living():
                yield
        finally:
            _aim.reset(token)
            await self._leave()

    @asynccontextmanager
    async def _living(self) -> AsyncGenerator[None]:
        async with nullcontext() if self._lifespan is None else self._lifespan() as state:
            token = the_state.set(state)
            try:
                yield
            finally:
                the_state.reset(token)

    async def run_cron(self) -> None:
        """Push the ticks of the app's cron jobs, for ever: for a process that does nothing else.

        Workers do so by themselves, unless they are told not to by `Worker(cron=False)`.

        Raises:
            UsageError: the app has no cron job.
            AuthenticationError: the server does not take the password.

        A server that is away is waited for. Cancelled, it ends at once.
        """
        await Scheduler(Schedule(self._bindings.values()), _connector(self._target)).run()

    def bindings(self) -> Collection[Binding]:
        """Return every job of the app, stubs included."""
        return self._bindings.values()

    @contextmanager
    def aimed_at(self, url: str | Address, dial: Dial | None = None) -> Generator[None]:
        """Let the app push to another server, and its workers fetch there, within the block.

        Where the app is open already, it goes on pushing to the server that it was opened for.

        Args:
            url: Where the server is.
            dial: Opens links in place of TCP.
        """
        aim = Target(url, dial, None, self.timeouts)
        if not self._aims:
            self._aims.append(self._target)
        self._aims.append(aim)
        self._take_aim()
        try:
            yield
        finally:
            # Blocks may overlap: in whatever order they end, the app is as it was after the last.
            self._aims = [other for other in self._aims if other is not aim]
            self._take_aim()
            if len(self._aims) == 1:
                self._aims.clear()

    @asynccontextmanager
    async def in_memory(self) -> AsyncGenerator[Box]:
        """Open the app for pushing to a Faktory in memory, which is gone at the end of the block.

            async with app.in_memory() as box:
                await greet.push("Ada")
                [ran] = await box.drain()
                print(ran.result)

        For scripts of one file, notebooks and bug reports.

        Raises:
            UsageError: the app is open already, and pushes to the server that it was opened for.
        """
        if here() in self._opened:
            raise UsageError("the app is open already: write `async with app.in_memory()` alone")
        async with EmbeddedServer() as server:
            with self.aimed_at(server.url, server.dial):
                async with self:
                    yield Box(self, server)

    def json_schema(self) -> dict[str, Any]:
        """Describe every job for producers in other languages.

        Returns:
            A JSON Schema of the draft 2020-12 that one job satisfies when it has one of these types
            and the args of its type; each type's args are under `$defs`, as `args of <type>`.
        """
        bindings = list(self._bindings.values())
        types = [kind for binding in bindings for kind in binding.function.arguments.types()]
        schemas, components = msgspec.json.schema_components(
            types, schema_hook=schema_of_model, ref_template="#/$defs/{name}"
        )
        found = iter(schemas)
        defs: dict[str, Any] = dict(components)
        jobs: list[dict[str, Any]] = []
        for binding in bindings:
            arguments = binding.function.arguments
            name = f"args of {binding.jobtype}"
            defs[name] = arguments.schema([next(found) for _ in arguments.types()])
            jobs.append(_job_schema(binding, name))
        one_of: list[Any] = [*jobs] or [False]  # which nothing satisfies
        return {"$schema": _SCHEMA, "title": "Faktory jobs", "oneOf": one_of, "$defs": defs}

    def hand_over(self, check: Callable[[Binding], None]) -> Collection[Binding]:  # noqa: ARG002 - one shape for both
        """Refuse to be included.

        Raises:
            UsageError: always.
        """
        raise UsageError("an app is not included: write its jobs in a Router")

    # -- inside -------------------------------------------------------------------------------

    def _add(self, binding: Binding) -> None:
        binding.inherit(self.options)
        super()._add(binding)
        binding.bind(self)

    def _add_cron(self, binding: Binding, cron: Cron) -> None:
        if binding.bound and binding.app is not self:
            raise UsageError(
                f"{binding.function.place} is a job of {binding.app!r}, not of this {self!r}: "
                "write the `cron` of its own app above it"
            )
        self._check_timed_by(binding)
        super()._add_cron(binding, cron)
        binding.timed_by = self

    def _check(self, jobtype: str, binding: Binding) -> None:
        super()._check(jobtype, binding)
        self._check_timed_by(binding)

    def _check_timed_by(self, binding: Binding) -> None:
        if binding.timed_by not in (None, self):
            raise UsageError(
                f"{binding.function.place} has times of {binding.timed_by!r}, not of this {self!r}:"
                " write the `cron` of its router above it"
            )

    def _take_aim(self) -> None:
        aim = self._aims[-1]
        self.url, self.dial, self.tls = aim.url, aim.dial, aim.tls

    @property
    def _target(self) -> Target:
        return Target(self.url, self.dial, self.tls, self.timeouts)

    def _target_here(self) -> Target:
        """Return where the app pushes from here: a handler's jobs go where its worker's do."""
        app, target = _aim.get((None, None))
        return target if app is self and target is not None else self._target

    def _make_client(self, target: Target) -> Client:
        return Client(
            target.url,
            dial=target.dial,
            tls=target.tls,
            limits=self.limits,
            timeouts=target.timeouts,
            middleware=self._push_middleware,
        )

    def _exhausted(self, job: Job, outcome: Outcome) -> object:
        binding = self._bindings.get(job.jobtype)
        if binding is None or binding.on_exhausted is None:
            return None
        return binding.on_exhausted(job, outcome)


def _check_is(name: str, value: object, kinds: Any, said: str) -> None:
    if value is not None and not isinstance(value, kinds):
        # Not the value: a URL may hold a password.
        raise UsageError(f"{name} is {said}, not {type(value).__name__}")


def _functions(name: str, layers: Sequence[F]) -> list[F]:
    if callable(layers):
        shown = getattr(layers, "__name__", "...")
        raise UsageError(f"{name} is a list of functions: write {name}=[{shown}]")
    are_many = isinstance(layers, Iterable)  # pyright: ignore[reportUnnecessaryIsInstance]  # programs without types
    found = list(layers) if are_many else []
    if not are_many or not all(map(callable, found)):
        raise UsageError(f"{name} is a list of functions, not {layers!r}")
    return found


class _Opened(Struct):
    """An app that is open in one event loop: its client, whose server, and how often."""

    client: Client
    target: Target
    count: int = 0


def _connector(target: Target) -> Connector:
    address = Address.resolve(target.url)
    return Connector(address, tls=target.tls, dial=target.dial, timeouts=target.timeouts)


def _job_schema(binding: Binding, args: str) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "jobtype": {"const": binding.jobtype},
        "args": {"$ref": f"#/$defs/{quote(args.replace('~', '~0').replace('/', '~1'))}"},
        "queue": {"type": "string", "default": binding.stamp.fields.get("queue", "default")},
    }
    schema = {
        "title": binding.jobtype,
        "type": "object",
        "properties": properties,
        "required": ["jobtype", "args"],
    }
    if text := binding.function.function.__doc__:
        schema["description"] = text.strip().splitlines()[0]
    return schema
