"""The jobs of a program, and what their handlers share.

    cd examples && faktory-async worker jobs:app

`lifespan` is entered once for a worker, never for pushing.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from faktory_async import App, JobContext, Timeouts


@dataclass
class State:
    """What handlers share: here would be a pool of connections to a mail server."""

    sent: list[str] = field(default_factory=list)


@asynccontextmanager
async def resources() -> AsyncGenerator[State]:
    state = State()
    yield state
    print(f"{len(state.sent)} mails sent")


# A web handler must answer soon, whatever the Faktory does.
app = App(lifespan=resources, timeouts=Timeouts(connect=1, pool=1, command=3))


@app.job(queue="mail", retry=5, timeout="30s")
async def send_welcome(ctx: JobContext[State], email: str) -> None:
    ctx.state.sent.append(email)
    ctx.log.info("welcome, %s", email)


@app.job(queue="images")
def make_thumbnail(image: int, width: int = 200) -> str:  # a `def` runs in a thread
    return f"{image}-{width}.webp"
