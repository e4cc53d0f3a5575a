"""Jobs that come by themselves, on the free server: needs `pip install "faktory-async[cron]"`.

    cd examples && faktory-async worker cron:app

Start as many workers as you like: each tick is one job.
"""

from datetime import UTC, datetime

from faktory_async import App, JobContext

app = App()


@app.cron("*/5 * * * *")
async def poll_orders() -> None:
    print("orders are looked for")


@app.cron("0 3 * * *", tz="Europe/Paris", args=("full",))
@app.cron("0 */6 * * *", args=("quick",))
@app.job(queue="reports", timeout="10m")
async def report(ctx: JobContext, kind: str) -> None:
    due = ctx.job.at or datetime.now(UTC)
    print(f"a {kind} report for {due:%H:%M} UTC")
