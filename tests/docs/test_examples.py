"""The examples run as they say, each in a process of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from faktory_async import Client, EmbeddedServer
from tests.docs._snippets import ROOT, blocks

EXAMPLES = ROOT / "examples"


def run(script: str, *args: str, url: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if "FAKTORY" not in name}
    if url is not None:
        environment["FAKTORY_URL"] = url
    return subprocess.run(  # noqa: S603 - our own examples
        [sys.executable, EXAMPLES / script, *args],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_quickstart_shows_a_push_and_its_work() -> None:
    result = run("quickstart.py")
    assert (result.returncode, result.stderr) == (0, "")
    for email in ("ada", "grace", "edsger"):
        assert f"202 Accepted: {email}@example.org" in result.stdout
        assert f"the worker has welcomed {email}@example.org" in result.stdout
    assert result.stdout.endswith("the worker stopped (stop()): 3 jobs done\n")


def test_the_web_handler_tells_when_no_faktory_is_there() -> None:
    result = run("web_handler.py", "ada@example.org", url="tcp://127.0.0.1:1")
    assert result.returncode == 1
    assert "is not stored: nothing listens on tcp://127.0.0.1:1" in result.stderr
    assert "Traceback" not in result.stderr


async def until_processed(client: Client, jobs: int) -> None:
    while (await client.info()).total_processed < jobs:
        await anyio.lowlevel.checkpoint()


@pytest.mark.asyncio
async def test_the_worker_works_what_the_web_handler_pushes() -> None:
    async with EmbeddedServer() as server, Client(server.url) as client:
        pushed = await anyio.to_thread.run_sync(
            lambda: run("web_handler.py", "ada@example.org", url=server.url)
        )
        assert (pushed.returncode, pushed.stderr) == (0, "")
        async with await anyio.open_process(
            [sys.executable, EXAMPLES / "worker.py"],
            env={**os.environ, "FAKTORY_URL": server.url},
            stderr=subprocess.PIPE,
        ) as worker:
            with anyio.fail_after(30):
                await until_processed(client, 1)
                worker.send_signal(signal.SIGTERM)
                assert worker.stderr is not None
                log = b"".join([piece async for piece in worker.stderr]).decode()
            await worker.wait()
        assert worker.returncode == 0
    assert "welcome, ada@example.org" in log
    assert "stopped by SIGTERM, 1 jobs done" in log


@pytest.mark.asyncio
async def test_the_embedded_servers_command_serves() -> None:
    [command] = blocks(ROOT / "docs" / "embedded-server.md", "sh")
    words = command.replace("7419", "0").split()  # that port may be in use here
    assert words[0] == "python"
    async with await anyio.open_process([sys.executable, *words[1:]]) as server:
        assert server.stdout is not None
        with anyio.fail_after(30):
            url = (await server.stdout.receive()).decode().split()[-1]
            async with Client(url) as client:
                assert (await client.info()).server.faktory_version == "1.10.0"
            server.send_signal(signal.SIGTERM)
            assert await server.wait() == 0


@pytest.mark.skipif("CI" not in os.environ, reason="installs packages: only where CI is set")
def test_readmes_first_command_works_in_a_fresh_checkout(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    in_shell(f"git clone --quiet {ROOT} {checkout}", tmp_path)
    command = blocks(ROOT / "README.md", "sh")[0].strip()
    assert in_shell(command, checkout).endswith("3 jobs done\n")


def in_shell(command: str, folder: Path) -> str:
    result = subprocess.run(  # noqa: S603 - README's own words
        ["bash", "-c", command],  # noqa: S607 - whichever bash the reader has
        cwd=folder,
        env={name: value for name, value in os.environ.items() if "VIRTUAL_ENV" not in name},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout
