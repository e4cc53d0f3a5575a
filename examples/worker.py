"""The working half: a process that works jobs until it gets SIGTERM, SIGINT or Ctrl-C.

Run it with `python examples/worker.py`; `FAKTORY_URL` names the Faktory.
"""

import asyncio
import logging

from faktory_async import Job, Worker

log = logging.getLogger("mail")
worker = Worker(queues=["mail", "default"], concurrency=100)


@worker.register("send_welcome")
async def send_welcome(job: Job) -> None:
    """Returns, and the job is done; raises, and Faktory runs it again later."""
    (email,) = job.args
    log.info("welcome, %s", email)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    details = asyncio.run(worker.run())
    log.info("stopped by %s, %d jobs done", details.reason, details.acked)
