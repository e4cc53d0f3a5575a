"""The producing half: push to the Faktory that `FAKTORY_URL` names, else tcp://localhost:7419.

Run it with `python examples/web_handler.py ada@example.org`, and `examples/worker.py` beside it.
"""

import asyncio
import sys

from faktory_async import Client, Job, UnavailableError


async def main(emails: list[str]) -> int:
    """Push one job for each address; return the exit status."""
    async with Client() as client:
        for email in emails:
            try:
                job = await client.push(Job("send_welcome", [email], queue="mail", retry=5))
            except UnavailableError as error:
                fate = "may be stored" if error.maybe_executed else "is not stored"
                print(f"the job for {email} {fate}: {error}", file=sys.stderr)
                return 1
            print(f"pushed {job.jid} for {email}")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:] or ["ada@example.org"])))
