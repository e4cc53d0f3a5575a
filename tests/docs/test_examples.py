"""The examples run as they say, each in a process of its own."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from faktory_async import Client
from faktory_async.testing import FaktoryServer
from tests.docs._snippets import ROOT, blocks
from tests.docs._web import serving

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
    assert re.fullmatch(
        r"pushed send_welcome [0-9a-f]{24} to the queue mail\n"
        r"done: ada@example.org has got a plain welcome\n"
        r"done: grace@example.org has got a rich welcome\n",
        result.stdout,
    )


def test_retries_show_what_becomes_of_failures() -> None:
    result = run("retries.py")
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    for line in (
        "flaky try 1: Fail, try 1",
        "flaky try 3: Fail, try 3",
        "charge try 2: Retry, the bank does not answer",
        "charge try 3: Ack, 999 charged at the third try",
        "poll try 1: Discard, nobody wants it any more",
        "poll try 1: Dead, there is no such order",
        "poll try 2: Ack, order 1 has arrived",
    ):
        assert line in lines
    assert lines[-1] == "dead: poll flaky"
    assert any(line.startswith("flaky has failed for good") for line in lines)


def test_the_tests_of_jobs_pass() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_jobs.py"],
        cwd=EXAMPLES,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"\b8 passed", result.stdout)  # each on asyncio and on trio


# -- a web application and its worker -------------------------------------------------------------


def sign_up(web: str, email: str) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(f"{web}/sign-up?email={email}", method="POST")  # noqa: S310 - ours
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - likewise
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


@contextmanager
def working(app: str, url: str, folder: Path = EXAMPLES) -> Generator[subprocess.Popen[str]]:
    """Run the worker of an example by the command."""
    with subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "faktory_async", "worker", app],
        cwd=folder,
        env={**os.environ, "FAKTORY_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def until_idle(server: FaktoryServer) -> None:
    """Wait until all that was pushed is worked and reported."""

    async def wait() -> None:
        with anyio.fail_after(30):
            await server.settled()

    anyio.run(wait)


def test_the_worker_works_what_the_web_application_pushes(faktory_server: FaktoryServer) -> None:
    with serving(faktory_server.url) as web:
        status, answer = sign_up(web, "ada@example.org")
        assert (status, len(answer["jid"])) == (202, 24)
        with working("jobs:app", faktory_server.url) as worker:
            until_idle(faktory_server)
            worker.terminate()
            output = worker.communicate(timeout=30)[0]
        assert worker.returncode == 0
        counters = faktory_server.counters
        assert (counters.processed, counters.failures) == (1, 0)
        assert "1 mails sent" in output
        with faktory_server.faults.outage():
            status, answer = sign_up(web, "grace@example.org")
        assert (status, answer["maybe stored"]) == (503, False)
        with faktory_server.faults.stall(on="PUSHB"):
            began = time.monotonic()
            status, answer = sign_up(web, "grace@example.org")
            assert (status, answer["maybe stored"]) == (503, True)
            assert time.monotonic() - began < 10  # 3 s, and what a slow machine takes


def test_cron_jobs_come_by_themselves(faktory_server: FaktoryServer) -> None:
    past = faktory_server.now.timestamp() % 300
    faktory_server.advance(seconds=300 - past + 240)  # a minute before a tick
    pushed = threading.Event()
    faktory_server.on_push(lambda _job: pushed.set())
    with working("cron:app", faktory_server.url) as worker:
        assert pushed.wait(30), "no tick was pushed"
        faktory_server.advance(seconds=70)
        until_idle(faktory_server)
        worker.terminate()
        assert "orders are looked for" in worker.communicate(timeout=30)[0]
    assert faktory_server.counters.processed == 1


def test_another_language_pushes_by_the_schema(
    faktory_server: FaktoryServer, tmp_path: Path
) -> None:
    node = shutil.which("node")
    if node is None and "CI" in os.environ:
        pytest.fail("there is no node here: install nodejs")
    if node is None:
        pytest.skip("there is no node here: install nodejs")
    folder = tmp_path / "polyglot"
    shutil.copytree(EXAMPLES / "polyglot", folder)
    schema = run("polyglot/images.py")
    (folder / "jobs.schema.json").write_text(schema.stdout, encoding="utf-8")

    def push(jobtype: str, args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - our own example
            [node, folder / "push.mjs", jobtype, args],
            env={**os.environ, "FAKTORY_URL": faktory_server.url},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    assert "no job shrink" in push("shrink", "[]").stderr
    assert "resize takes image,size" in push("resize", "[]").stderr
    assert "size is one of large,small, not huge" in push("resize", '[42, "huge"]').stderr
    assert push("resize", '["42", "large"]').stdout.startswith("pushed ")
    [job] = faktory_server.queues["default"].jobs
    assert (job.jobtype, job.args) == ("resize", ["42", "large"])
    with working("images:app", faktory_server.url, folder):
        until_idle(faktory_server)
    counters = faktory_server.counters
    assert (counters.processed, counters.failures) == (1, 0)


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
    assert in_shell(command, checkout).endswith("has got a rich welcome\n")


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
