"""What both type checkers refuse: each line that is marked, and no other. It is never run."""

from datetime import UTC, datetime
from typing import Any

from faktory_async import App, Job, JobContext, Retries, Retry

app = App()


class State: ...


@app.job
async def plain(a: int, b: str = "b") -> None: ...


@app.job(queue="mail")
async def stateful(ctx: JobContext[State], a: int, b: str = "b") -> None: ...


@app.job
def threaded(a: int, *rest: str) -> None: ...


@app.stub("Resize")
def resize(image: int, size: str = "large") -> None: ...


async def arguments() -> None:
    await plain.push("1")  # error: wrong type
    await plain.push()  # error: missing argument
    await plain.push(1, "b", 3)  # error: extra argument
    await plain.push(1, c=3)  # error: unknown keyword
    await plain.push(1, b=3)  # error: wrong type of a keyword
    await plain.push(1, None)  # error: None for text
    await plain.push(1, a=1)  # error: given twice
    await threaded.push(1, 2)  # error: wrong type among *args
    await resize.push("1")  # error: wrong type for a stub


async def contexts() -> None:
    await stateful.push(JobContext.fake(State()), 1)  # error: the context is not pushed
    await stateful.push("1")  # error: wrong type beside a context
    await stateful.push()  # error: missing argument beside a context
    await stateful(1)  # error: called without its context
    await stateful(JobContext.fake(5), 1)  # error: called with another state
    await plain(JobContext.fake(), 1)  # error: called with a context that it does not take


async def other_ways() -> None:
    plain.call("1")  # error: wrong type
    plain.push_sync("1")  # error: wrong type
    await plain.using(delay=1).push("1")  # error: wrong type after using
    await stateful.using(delay=1).push(1, c=3)  # error: unknown keyword after using
    plain.using(delay=1)(1)  # error: what using returns is no function
    plain.push(1)  # error: not awaited
    await app.push_many([plain])  # error: a job that is no call
    await app.push_many(plain.push(a) for a in range(5))  # error: pushes in place of calls


def options() -> None:
    plain.using(delai=1)  # error: no such option
    plain.using(delay=datetime.now(UTC))  # error: a time for a delay
    plain.using(at=60)  # error: a delay for a time
    plain.using(retry="never")  # error: no such word
    plain.using(unique_until="later")  # error: no such word
    plain.using(queue=5)  # error: wrong type
    plain.using(queue=None)  # error: None for text
    plain.using("slow")  # error: options have names


def declarations() -> None:
    app.job(quue="mail")  # error: no such option
    app.job(run_in="space")  # error: no such place
    app.job(retry=1.5)  # error: wrong type
    app.stub("Resize", timeout=5)  # error: another program works it
    App(lifespan=5)  # error: no function
    app.middleware("pull")  # error: no such chain
    app.middleware("run")(about_jobs)  # error: a middleware of the other chain
    app.middleware("push")(about_contexts)  # error: a middleware of the other chain
    Retries(on=5)  # error: no classes
    Retry("soon", free="yes")  # error: wrong type


async def about_jobs(job: Job, call_next: Any) -> Job:
    return job


async def about_contexts(ctx: JobContext[Any], call_next: Any) -> object:
    return ctx
