"""What becomes of failures: the server's retries, ours, and giving up.

    python examples/retries.py

The clock of the server in memory is moved on, so that nobody waits for the retries.
"""

import asyncio
import logging

from faktory_async import App, Backoff, Dead, Discard, Job, JobContext, Retries, Retry
from faktory_async.worker import Outcome

app = App()


def tell(job: Job, outcome: Outcome) -> None:
    print(f"{job.jobtype} has failed for good ({type(outcome).__name__}): look at {job.jid}")


@app.job(retry=2, on_exhausted=tell)
async def flaky(ctx: JobContext) -> None:
    """Any exception: the server tries again, twice, after about 15 and 31 s."""
    raise ConnectionError(f"try {ctx.attempt + 1}")


patient = Retries(max=5, backoff=Backoff.exponential("10s", cap="1h"), fatal=(ValueError,))


@app.job(retry=patient)
async def charge(ctx: JobContext, cents: int) -> str:
    """A policy: our own times, and a ValueError is not tried again."""
    if ctx.attempt < 2:
        raise TimeoutError("the bank does not answer")
    return f"{cents} charged at the third try"


@app.job
async def poll(ctx: JobContext, number: int) -> str:
    """A word of the handler: when to run again, or never."""
    if number < 0:
        raise Discard("nobody wants it any more")
    if number == 0:
        raise Dead("there is no such order")
    if ctx.attempt == 0:
        raise Retry("30s")
    return f"order {number} has arrived"


async def main() -> None:
    logging.disable()  # the worker's own lines would say the same
    async with app.in_memory() as box:
        await flaky.push()
        await charge.push(999)
        for number in (-1, 0, 1):
            await poll.push(number)
        for ran in await box.drain(retries=True, raises=False):
            said = ran.result or ran.error
            print(f"{ran.job.jobtype} try {ran.attempt + 1}: {type(ran.outcome).__name__}, {said}")
        print("dead:", *(entry.job.jobtype for entry in box.server.dead))


if __name__ == "__main__":
    asyncio.run(main())
