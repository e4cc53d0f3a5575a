"""A web handler's push and a worker's handler in one file, without a server to install.

    python examples/quickstart.py

In real life the two are different programs, and `FAKTORY_URL` tells both where the Faktory is.
"""

import asyncio

from faktory_async import App

app = App()


@app.job(queue="mail", retry=5)
async def send_welcome(email: str, template: str = "plain") -> str:
    await asyncio.sleep(0.1)  # here a mail would be sent
    return f"{email} has got a {template} welcome"


async def main() -> None:
    async with app.in_memory() as box:  # elsewhere: `async with app:`
        job = await send_welcome.push("ada@example.org")
        print(f"pushed {job.jobtype} {job.jid} to the queue {job.queue}")
        await send_welcome.push("grace@example.org", template="rich")

        for ran in await box.drain():  # elsewhere: faktory-async worker quickstart:app
            print(f"done: {ran.result}")


if __name__ == "__main__":
    asyncio.run(main())
