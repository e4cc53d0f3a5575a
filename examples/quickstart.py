"""A web handler, a Faktory and a worker in one process: no server to install.

Run it with `python examples/quickstart.py`. In real life the handler and the worker are two
programs, and `FAKTORY_URL` tells both where the Faktory is.
"""

import asyncio

from faktory_async import Client, EmbeddedServer, Job, Worker


async def sign_up(client: Client, email: str) -> str:
    """What a web handler does: push a job and answer at once."""
    job = await client.push(Job("send_welcome", [email]))
    return f"202 Accepted: {email} will get a mail (job {job.jid})"


async def main() -> None:
    """Everything in one event loop, to be seen from both sides."""
    async with EmbeddedServer() as server, Client(server.url) as client:
        print(f"a Faktory listens on {server.url}")
        worker = Worker(url=server.url)
        addresses = ["ada@example.org", "grace@example.org", "edsger@example.org"]
        left = set(addresses)

        @worker.register("send_welcome")
        async def send_welcome(job: Job) -> None:
            email = job.args[0]
            await asyncio.sleep(0.1)  # here a mail would be sent
            print(f"the worker has welcomed {email}")
            left.discard(email)
            if not left:
                worker.stop()

        for email in addresses:
            print(await sign_up(client, email))
        details = await worker.run()
        print(f"the worker stopped ({details.reason}): {details.acked} jobs done")


asyncio.run(main())
