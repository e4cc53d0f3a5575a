"""Functions become jobs: names, routers, stubs, and what is inherited from where."""

import math
import re
from typing import Any, cast

import pytest

from faktory_async import (
    App,
    DuplicateJobTypeError,
    EmbeddedServer,
    InvalidJobError,
    Job,
    JobContext,
    Retries,
    Router,
    UsageError,
)
from faktory_async.app import SERVER_DEFAULT, TypedJob
from tests.app import later
from tests.app.working import failure_of, push, work

on_every_loop = pytest.mark.anyio


def one(a: int) -> int:
    """Give it back."""
    return a


# -- what a decorator makes -----------------------------------------------------------------------


def test_a_job_is_its_function_still() -> None:
    job = App().job(one)
    assert job(5) == 5
    assert (job.jobtype, job.__name__, job.__doc__) == ("one", "one", "Give it back.")
    assert job.function is one
    assert repr(job) == "<job one>"


def test_a_name_is_the_jobtype_whatever_the_function_is_called() -> None:
    assert App().job("Resize Image/v2")(one).jobtype == "Resize Image/v2"


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(UsageError, match="a jobtype is not empty"):
        App().job("")
    with pytest.raises(UsageError, match="a jobtype is not empty"):
        App().stub("")


@pytest.mark.parametrize("where", [App, Router])
def test_a_type_that_is_taken_is_refused_by_both_places(where: type[Router]) -> None:
    router = where()
    router.job(one)
    line = one.__code__.co_firstlineno

    def two() -> None: ...

    there = two.__code__.co_firstlineno
    with pytest.raises(DuplicateJobTypeError) as caught:
        router.job("one")(two)
    said = str(caught.value)
    assert "'one' is handled twice: by one (" in said
    assert f"{__file__}:{line})" in said
    assert f"two ({__file__}:{there})" in said


def test_a_stub_and_a_job_are_not_of_one_type() -> None:
    app = App()
    app.stub("one")(one)
    with pytest.raises(DuplicateJobTypeError):
        app.job(one)


# -- options --------------------------------------------------------------------------------------


def job_of(app: Router | None = None, **options: Any) -> Job:
    app = App() if app is None else app
    return app.job(**options)(lambda: None).call()


@pytest.mark.parametrize(
    ("options", "reserve_for"),
    [
        ({}, 600),
        ({"timeout": 10}, 60),
        ({"timeout": 30}, 60),
        ({"timeout": 30.5}, 61),
        ({"timeout": "2m"}, 150),
        ({"reserve_for": 90}, 90),
        ({"reserve_for": 90, "timeout": 30}, 90),
        ({"reserve_for": SERVER_DEFAULT}, None),
        ({"reserve_for": SERVER_DEFAULT, "timeout": 30}, None),
    ],
)
def test_how_long_a_job_is_reserved(options: Any, reserve_for: int | None) -> None:
    job = job_of(**options)
    assert job.reserve_for == reserve_for
    assert (b"reserve_for" in job.to_json()) is (reserve_for is not None)


@pytest.mark.parametrize(
    ("outer", "inner", "reserve_for"),
    [
        ({"timeout": 300}, {}, 330),
        ({"reserve_for": 90}, {}, 90),
        ({"reserve_for": 90}, {"timeout": 300}, 330),
        ({"reserve_for": SERVER_DEFAULT}, {"timeout": 300}, 330),
        ({"timeout": 300}, {"reserve_for": 400}, 400),
        ({"timeout": 300, "reserve_for": 90}, {"timeout": 10}, 60),
    ],
)
def test_the_nearest_word_on_time_counts(outer: Any, inner: Any, reserve_for: int) -> None:
    assert job_of(App(**outer), **inner).reserve_for == reserve_for
    app, router = App(**outer), Router()
    job = router.job(**inner)(one)
    app.include(router)
    assert job.call(1).reserve_for == reserve_for


@pytest.mark.parametrize(
    ("retry", "sent"), [(3, 3), (0, 0), (-1, -1), ("dead", -1), ("discard", 0), (Retries(max=7), 7)]
)
def test_words_and_policies_become_a_retry(retry: Any, sent: int) -> None:
    assert job_of(retry=retry).retry == sent
    assert job_of(App(retry=retry)).retry == sent


NONSENSE: list[tuple[dict[str, Any], str]] = [
    ({"queue": "a b"}, "queue: must consist of"),
    ({"queue": 5}, "queue: must be a str, not int"),
    ({"retry": "never"}, 'retry is a number, "dead", "discard" or a Retries policy'),
    ({"retry": True}, "retry: must be an int"),
    ({"retry": -2}, "retry: must be at least -1"),
    ({"timeout": 0}, "a timeout is more than 0 seconds"),
    ({"timeout": -1}, "a timeout is more than 0 seconds"),
    ({"timeout": math.nan}, "a duration is a finite number of seconds"),
    ({"timeout": "soon"}, "'soon' is no duration"),
    ({"reserve_for": 59}, "reserve_for: must be at least 60"),
    ({"reserve_for": 10**6}, "reserve_for: must be at most 86400"),
    ({"reserve_for": "1h"}, "reserve_for: must be an int, not str"),
]
OF_JOBS: list[tuple[dict[str, Any], str]] = [
    ({"custom": {"a": object()}}, r'custom\["a"\]'),
    ({"custom": 5}, "custom: must be a mapping, not int"),
    ({"custom": []}, "custom: must be a mapping, not list"),
    ({"on_exhausted": 5}, r"on_exhausted is a function, called with \(job, outcome\), not 5"),
    ({"redact": "a"}, r'redact is several names: write redact=\("a",\)'),
    ({"redact": 5}, "redact is several names of parameters, not 5"),
    ({"redact": [5]}, r"redact is several names of parameters, not \[5\]"),
]


@pytest.mark.parametrize(
    ("options", "said"), [*NONSENSE, *OF_JOBS, ({"run_in": "space"}, "runs in a 'thread' or in a")]
)
def test_options_that_make_no_sense_are_refused_at_once(options: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        App().job(**options)(one)


@pytest.mark.parametrize(("options", "said"), [*NONSENSE, *OF_JOBS])
def test_options_are_refused_before_there_is_a_function(options: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        App().job("one", **options)


@pytest.mark.parametrize("where", [App, Router])
@pytest.mark.parametrize(("options", "said"), NONSENSE)
def test_an_app_and_a_router_refuse_them_without_any_job(
    where: type[Router], options: Any, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        where(**options)


@pytest.mark.parametrize(
    ("options", "said"),
    [each for each in [*NONSENSE, *OF_JOBS[:3]] if "timeout" not in each[0]],
)
def test_a_stub_refuses_them_before_there_is_a_function(options: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        App().stub("one", **options)


def test_a_timeout_that_no_reservation_holds_is_for_jobs_with_one_of_their_own() -> None:
    app = App(timeout="2d")
    assert job_of(app, reserve_for=86_400).reserve_for == 86_400
    with pytest.raises(UsageError, match="reserve_for: must be at most 86400"):
        app.job(one)
    assert app.jobtypes() == ["<lambda>"]  # nothing is left of what was refused


@pytest.mark.parametrize(("custom", "name"), [(None, "None"), (5, "int"), ([("a", 1)], "list")])
def test_custom_data_of_one_push_is_a_mapping(custom: Any, name: str) -> None:
    job = App().job(custom={"a": 1})(one)
    with pytest.raises(UsageError, match=f"custom: must be a mapping, not {name}"):
        job.using(custom=custom)


def test_an_async_def_runs_nowhere_else() -> None:
    async def coroutine() -> None: ...

    with pytest.raises(UsageError, match="which runs on the event loop"):
        App().job(run_in="thread")(coroutine)


def test_a_process_must_find_the_function() -> None:
    def local() -> None: ...

    with pytest.raises(UsageError, match="a worker process must be able to import"):
        App().job(run_in="process")(local)


def test_custom_data_is_in_every_job_and_shared_by_none() -> None:
    job = App().job(custom={"a": {"b": 1}})(one)
    first, second = job.call(1), job.call(1)
    first.custom["c"] = 1
    assert second.custom == {"a": {"b": 1}}
    assert job.using(custom={"d": 2}).call(1).custom == {"a": {"b": 1}, "d": 2}
    assert job.using(custom={"a": 2}).using(custom={"d": 2}).call(1).custom == {"a": 2, "d": 2}


@pytest.mark.parametrize("decorator", ["job", "stub", "cron"])
def test_a_method_is_no_job(decorator: str) -> None:
    app = App()
    decorate: Any = {"job": app.job, "stub": app.stub(), "cron": app.cron("0 3 * * *")}[decorator]
    said = r"send is a method of .*Mails, and a job has no self: write it at the top of a module"

    class Mails:
        def send(self, to: str) -> None: ...

    with pytest.raises(UsageError, match=said):
        decorate(Mails.send)
    assert not app.bindings()


def test_what_only_looks_like_a_method_is_a_job() -> None:
    app = App()

    class Mails:
        @staticmethod
        def send(to: str) -> str:
            return to

    def local(self: str) -> str:
        return self

    assert app.job(Mails.send)("a") == app.job(local)("a") == "a"


# -- apps -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"url": 5}, "url is a str or Address, not int"),
        ({"url": b"tcp://:secret@host"}, "url is a str or Address, not bytes"),
        ({"middleware": None}, "middleware is a list of functions, not None"),
        ({"lifespan": 5}, "lifespan is a function that returns an async context manager, not int"),
        ({"dial": 5}, "dial is a function that opens a link, not int"),
        ({"limits": 5}, "limits is a Limits, not int"),
        ({"timeouts": 5}, "timeouts is a Timeouts, not int"),
        ({"tls": True}, "tls is a TLS or SSLContext, not bool"),
        ({"middleware": one}, r"middleware is a list of functions: write middleware=\[one\]"),
        ({"push_middleware": one}, r"is a list of functions: write push_middleware=\[one\]"),
        ({"middleware": 5}, "middleware is a list of functions, not 5"),
        ({"middleware": [5]}, r"middleware is a list of functions, not \[5\]"),
        ({"push_middleware": "ab"}, "push_middleware is a list of functions, not 'ab'"),
    ],
)
def test_an_app_refuses_what_is_something_else(options: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        App(**options)


def test_what_is_no_function_is_no_middleware() -> None:
    add: Any = App().middleware("run")
    with pytest.raises(UsageError, match="a middleware is a function, not 5"):
        add(5)


# -- routers --------------------------------------------------------------------------------------


def test_a_job_of_a_router_belongs_to_the_app_that_includes_it() -> None:
    app, outer, inner = App(queue="app", retry=1), Router(queue="outer", timeout=60), Router()
    job = inner.job(one)
    own = inner.job("own", queue="own", retry=9, timeout=100)(one)
    outer.include(inner, prefix="in.")
    app.include(outer, prefix="out.")
    assert (job.jobtype, own.jobtype) == ("out.in.one", "out.in.own")
    assert set(app.jobtypes()) == {"out.in.one", "out.in.own"}
    pushed, other = job.call(1), own.call(1)
    assert (pushed.queue, pushed.retry, pushed.reserve_for) == ("outer", 1, 90)
    assert (other.queue, other.retry, other.reserve_for) == ("own", 9, 130)


def test_options_used_before_the_app_is_known_hide_nothing_of_it() -> None:
    app, router = App(queue="app", retry=1), Router(timeout=60)
    later = router.job(one).using(delay=60, custom={"a": 1})
    even_later = later.using(retry=5)
    app.include(router, prefix="p.")
    pushed, other = later.call(1), even_later.call(1)
    assert (pushed.jobtype, pushed.queue, pushed.retry) == ("p.one", "app", 1)
    assert (pushed.reserve_for, pushed.custom) == (90, {"a": 1})
    assert pushed.at is not None
    assert (other.jobtype, other.queue, other.retry) == ("p.one", "app", 5)


@on_every_loop
async def test_without_an_app_nothing_is_pushed() -> None:
    job = Router().job(one)
    with pytest.raises(UsageError, match="belongs to a router that no app includes"):
        await job.push(1)
    with pytest.raises(UsageError, match="belongs to a router that no app includes"):
        job.push_sync(1)


def test_a_router_is_included_once_and_complete() -> None:
    app, router = App(), Router()
    app.include(router)
    with pytest.raises(UsageError, match="a router is included once"):
        app.include(router)
    with pytest.raises(UsageError, match="include it when all jobs are there"):
        router.job(one)
    late = Router()
    late.job(one)
    with pytest.raises(UsageError, match="include it when all jobs are there"):
        router.include(late)
    app.include(late)  # which it was not given away by that
    with pytest.raises(UsageError, match="does not include itself"):
        app.include(app)


def test_a_router_that_does_not_fit_in_can_be_included_elsewhere() -> None:
    app, router = App(), Router()
    app.job("order")(one)
    router.job("other")(one)
    job = router.job("order")(one)
    with pytest.raises(DuplicateJobTypeError):
        app.include(router)
    assert [binding.jobtype for binding in app.bindings()] == ["order"]
    app.include(router, prefix="shop.")
    assert job.jobtype == "shop.order"


@pytest.mark.parametrize("router", [5, None, math, Router])
def test_what_is_no_router_is_not_included(router: Any) -> None:
    with pytest.raises(UsageError, match="include takes a Router, not "):
        App().include(router)


@pytest.mark.parametrize(("prefix", "said"), [(5, "int"), (None, "None"), (b"mail.", "bytes")])
def test_a_prefix_is_text(prefix: Any, said: str) -> None:
    app, router = App(), Router()
    router.job(one)
    with pytest.raises(UsageError, match=f"a prefix is a str such as 'mail.', not {said}"):
        app.include(router, prefix)
    with pytest.raises(UsageError, match="jobtype: is text with a lone surrogate"):
        app.include(router, "\ud800")
    app.include(router, "mail.")  # which was not given away by that


def test_a_router_whose_jobs_cannot_inherit_is_not_half_included() -> None:
    app, router = App(timeout="2d"), Router()
    router.job("first", reserve_for=600)(one)
    router.job("second")(one)
    with pytest.raises(UsageError, match="reserve_for: must be at most 86400"):
        app.include(router)
    assert app.jobtypes() == []
    App().include(router)  # which was not given away by that


def test_an_app_is_not_included() -> None:
    app, other = App(), App()
    job = other.job(one)
    with pytest.raises(UsageError, match="an app is not included"):
        app.include(other)
    assert job.binding.app is other


def test_a_router_that_brings_a_type_twice_is_refused() -> None:
    app, router = App(), Router()
    app.job(one)
    router.job(one)
    with pytest.raises(DuplicateJobTypeError):
        app.include(router)


# -- stubs ----------------------------------------------------------------------------------------


@on_every_loop
async def test_a_stub_is_pushed_and_not_worked(app: App, server: EmbeddedServer) -> None:
    @app.stub("Resize", queue="images", retry=2, reserve_for=70, custom={"a": 1})
    def resize(image: int, size: str = "large") -> None: ...

    async with app:
        pushed = await resize.push(5, size="small")
    assert (pushed.jobtype, pushed.args) == ("Resize", [5, "small"])
    assert (pushed.queue, pushed.retry, pushed.reserve_for) == ("images", 2, 70)
    assert app.resolve("Resize") is None
    assert app.jobtypes() == []
    with pytest.raises(UsageError, match="Resize is a stub: another program works it"):
        resize(5)
    assert (await work(app, queues=["images"])).failed == 1
    assert failure_of(server)[0] == "UnknownJobType"


@pytest.mark.parametrize("where", [App, Router])
def test_a_stub_without_parentheses_is_refused(where: type[Router]) -> None:
    stub: Any = where().stub
    with pytest.raises(UsageError, match=r'write @app.stub\(\) or @app.stub\("Resize"\)'):
        stub(one)


@pytest.mark.parametrize(
    ("name", "said"),
    [("\ud800", "jobtype: is text with a lone surrogate"), (5, "jobtype: must be a str, not int")],
)
def test_what_is_no_name_is_refused(name: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        App().stub(name)
    if isinstance(name, str):
        with pytest.raises(UsageError, match=said):
            App().job(name)


# -- annotations ----------------------------------------------------------------------------------


@on_every_loop
async def test_annotations_may_name_what_is_defined_later(app: App) -> None:
    router = Router()
    order = cast("TypedJob[..., Any]", router.job(cast("Any", later.order).function))
    app.include(router)
    pushed = order.call(later.Item(), 3)
    assert pushed.args == [{}, 3]
    state = later.State()
    state.seen = []
    await order.function(JobContext.fake(state), *order.binding.function.arguments.decode([{}, 3]))
    [(item, count)] = state.seen
    assert isinstance(item, later.Item)
    assert count == 3


@on_every_loop
async def test_an_annotation_that_means_nothing_is_named_before_the_first_fetch(app: App) -> None:
    router = Router()
    unclear = cast("TypedJob[..., Any]", router.job(cast("Any", later.unclear).function))
    app.include(router)
    said = re.escape("an annotation cannot be read: name 'Nothing' is not defined")
    with pytest.raises(UsageError, match=said):
        unclear.call(1)
    with pytest.raises(UsageError, match=rf"unclear \(.*later.py:\d+\): {said}"):
        await work(app)


@pytest.mark.parametrize("context", [JobContext, JobContext[int]])
def test_a_context_is_the_first_parameter_or_none(context: Any) -> None:
    def second(a: int, ctx: Any) -> None: ...

    second.__annotations__["ctx"] = context
    with pytest.raises(UsageError, match="the JobContext is the first parameter, and only it"):
        App().job(second)


def in_a_process(ctx: JobContext) -> None: ...


def test_a_process_gets_no_context() -> None:
    with pytest.raises(UsageError, match="a JobContext does not reach a worker process"):
        App().job(run_in="process")(in_a_process)


@on_every_loop
async def test_types_that_are_not_here_fail_and_the_right_one_is_named(
    app: App, server: EmbeddedServer
) -> None:
    app.job(one)
    await push(app, Job("onee", [1]))
    await work(app)
    assert failure_of(server) == (
        "UnknownJobType",
        "no handler for 'onee', did you mean 'one'? registered here: 'one'",
    )


def test_what_no_server_takes_is_no_job() -> None:
    with pytest.raises(InvalidJobError, match="jid: must have at least 8 characters"):
        App().job(one).using(jid="short")
