"""`faktory-async worker`, as a process: what it works, says, and ends with."""

import json
import re
import signal
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from faktory_async import Job
from faktory_async.testing import FaktoryServer
from tests.cli._process import Command, push, running

WORKER = ("worker", "hello:app", "--connect-timeout=60")
BURST = (*WORKER, "--burst")


def lines(said: str) -> list[dict[str, Any]]:
    """Read JSON, one object per line."""
    return [json.loads(line) for line in said.splitlines()]


def write(project: Path, name: str, source: str) -> None:
    (project / name).write_text(source)


# -- works --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_works_jobs_until_it_is_told_to_stop(
    project: Path, faktory_server: FaktoryServer, number: signal.Signals
) -> None:
    with running(project, *WORKER) as command:
        command.says("the worker is ready")
        job = Job("greet", ["Ada", 2])
        push(faktory_server.url, job)
        assert command.says("→").endswith(f"→ greet('Ada', 2)  {job.jid}\n")
        end = command.says("←")
        assert "← greet  " in end
        assert end.endswith(f" ms  {job.jid}\n")
        command.send(number)
        assert command.ends() == 0
    assert f"stopped by {number.name}" in command.said
    assert "Traceback" not in command.said
    assert len([line for line in command.said.splitlines() if job.jid in line]) == 2


@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "trio"])
def test_runs_on_every_loop(project: Path, faktory_server: FaktoryServer, loop: str) -> None:
    push(faktory_server.url, Job("greet", ["Ada"]))
    with running(project, *BURST, f"--loop={loop}") as command:
        assert command.ends() == 0
    assert f" · {loop}\n" in command.said
    assert faktory_server.counters.processed == 1


def test_the_banner_says_what_runs_here(project: Path, faktory_server: FaktoryServer) -> None:
    url = faktory_server.url.replace("//", "//:secret@")
    with running(project, *BURST, "-q", "default=3", "-c", "7", FAKTORY_URL=url) as command:
        assert command.ends() == 0
    assert "faktory-async 0." in command.said
    server = f"server tcp://127.0.0.1:{faktory_server.port}"
    assert f"{server} · queues default=3 · 7 at a time" in command.said
    assert "job types: come_back, give_up, greet, leave, log_in" in command.said
    assert "secret" not in command.said
    assert "warning" not in command.said


def test_every_option_is_also_an_environment_variable(
    project: Path, faktory_server: FaktoryServer
) -> None:
    with running(
        project,
        "worker",
        FAKTORY_ASYNC_WORKER_APP="hello:app",
        FAKTORY_ASYNC_WORKER_BURST="1",
        FAKTORY_ASYNC_WORKER_CONCURRENCY="3",
        FAKTORY_ASYNC_WORKER_QUEUE="default other=2",
        FAKTORY_ASYNC_WORKER_LOG_FORMAT="json",
    ) as command:
        assert command.ends() == 0
    start = lines(command.said)[0]
    assert start["queues"] == ["default", "other=2"]
    assert start["concurrency"] == 3


def test_ends_after_so_many_jobs(project: Path, faktory_server: FaktoryServer) -> None:
    push(faktory_server.url, *(Job("greet", [name]) for name in ("Ada", "Grace", "Edsger")))
    with running(project, *WORKER, "--max-jobs=2") as command:
        assert command.ends() == 0
    assert faktory_server.counters.processed == 2


CLOCK = """
from faktory_async import App

app = App()


@app.cron("* * * * * *")
@app.job
async def tick() -> None: ...
"""


def test_the_timetable_is_run_unless_it_is_not_to_be(
    project: Path, faktory_server: FaktoryServer
) -> None:
    write(project, "clock.py", CLOCK)
    with running(project, "worker", "clock", "--no-cron", "--log-format=json") as command:
        assert json.loads(command.says("starting"))["cron"] == []
        command.says("ready")
        command.send(signal.SIGTERM)
        assert command.ends() == 0
    assert faktory_server.scheduled == ()
    with running(project, "worker", "clock") as command:
        command.says("cron: tick (* * * * * * UTC)")
        command.says("→ tick()")
        command.send(signal.SIGTERM)
        assert command.ends() == 0


def test_without_queues_it_listens_where_the_apps_jobs_go(
    project: Path, faktory_server: FaktoryServer
) -> None:
    write(
        project,
        "two.py",
        "from faktory_async import App\n"
        "app = App(queue='mail')\n"
        "@app.job\nasync def send() -> None: ...\n"
        "@app.job(queue='bulk')\nasync def resize() -> None: ...\n"
        "@app.stub(queue='elsewhere')\ndef other() -> None: ...\n",
    )
    push(faktory_server.url, Job("send", [], queue="mail"), Job("resize", [], queue="bulk"))
    with running(project, "worker", "two:app", "--burst") as command:
        assert command.ends() == 0
    assert "queues bulk=1, mail=1" in command.said
    assert faktory_server.counters.processed == 2


def test_warns_of_jobs_and_queues_that_do_not_meet(
    project: Path, faktory_server: FaktoryServer
) -> None:
    assert faktory_server.is_idle
    with running(project, *BURST, "-q", "mail") as command:
        assert command.ends() == 0
    assert "warning: job type greet goes to queue default, this worker listens to mail" in (
        command.said
    )
    assert "warning: no job type of the app goes to queue mail" in command.said


# -- the lines of jobs --------------------------------------------------------------------------


def test_tells_every_end_in_one_line(project: Path, faktory_server: FaktoryServer) -> None:
    jobs = [
        Job("log_in", ["Ada", "s3cret"]),
        Job("greet", [1]),
        Job("gret", ["Ada"]),
        Job("give_up", []),
        Job("come_back", []),
    ]
    push(faktory_server.url, *jobs)
    with running(project, *BURST) as command:
        assert command.ends() == 1
    said = command.said
    assert "→ log_in('Ada', ***)" in said
    assert "✗ log_in failed: ValueError: no such user (" in said
    assert "✗ greet failed: ArgumentsError: args[0]" in said
    assert "→ gret(…)" in said
    assert "did you mean 'greet'?" in said
    assert "⊘ give_up is discarded: not worth it" in said
    assert "↻ come_back runs again in 60 s" in said
    assert "s3cret" not in said
    for job in jobs:
        assert said.count(job.jid) == 2, said


def test_json_is_one_object_per_line(project: Path, faktory_server: FaktoryServer) -> None:
    good, bad = Job("greet", ["Ada"]), Job("log_in", ["Ada", "s3cret"])
    push(faktory_server.url, good, bad)
    with running(project, *BURST, "--log-format=json") as command:
        assert command.ends() == 1
    told = lines(command.said)
    [start, end] = [line for line in told if line.get("jid") == good.jid]
    assert start["event"] == "job_start"
    assert end["event"] == "job_end"
    assert end["outcome"] == "ack"
    assert end["duration_ms"] > 0
    for line in (start, end):
        assert (line["jobtype"], line["queue"], line["attempt"]) == ("greet", "default", 0)
    [_, failed] = [line for line in told if line.get("jid") == bad.jid]
    assert (failed["outcome"], failed["errtype"]) == ("fail", "ValueError")
    assert failed["level"] == "warning"
    assert {"starting", "ready", "stopped"} <= {line.get("event") for line in told}


def test_arrows_are_ascii_where_the_terminal_has_no_others(
    project: Path, faktory_server: FaktoryServer
) -> None:
    push(faktory_server.url, Job("greet", ["Ada"]))
    with running(project, *BURST, PYTHONIOENCODING="ascii") as command:
        assert command.ends() == 0
    assert command.said.isascii()
    assert "-> greet('Ada')" in command.said
    assert "<- greet  " in command.said


def test_at_level_debug_a_failure_shows_where(project: Path, faktory_server: FaktoryServer) -> None:
    push(faktory_server.url, Job("log_in", ["Ada", "x"]))
    with running(project, *BURST, "--log-level=debug") as command:
        assert command.ends() == 1
    assert re.search(r"^    /.*hello.py:\d+ in log_in", command.said, re.MULTILINE)


# -- exit codes ---------------------------------------------------------------------------------


def test_what_a_handler_exits_with_is_the_exit_code(
    project: Path, faktory_server: FaktoryServer
) -> None:
    push(faktory_server.url, Job("leave", []))
    with running(project, *WORKER) as command:
        assert command.ends() == 42
    assert len(faktory_server.retries) == 1


def test_no_server_is_4_and_says_what_to_do(project: Path) -> None:
    with running(
        project, "worker", "hello:app", "--connect-timeout=0.1", FAKTORY_URL="tcp://127.0.0.1:1"
    ) as command:
        assert command.ends() == 4
    assert "nothing listens on tcp://127.0.0.1:1" in command.said
    assert "faktory-async dev hello:app" in command.said
    assert "Traceback" not in command.said


@pytest.mark.faktory_server(password="secret")
def test_a_wrong_password_is_5(project: Path, faktory_server: FaktoryServer) -> None:
    url = faktory_server.url.replace("secret", "wrong")
    with running(project, *WORKER, FAKTORY_URL=url) as command:
        assert command.ends() == 5
    assert "Traceback" not in command.said


def test_tls_that_cannot_be_agreed_on_is_5(project: Path, faktory_server: FaktoryServer) -> None:
    url = faktory_server.url.replace("tcp://", "tcp+tls://")
    with running(project, *WORKER, FAKTORY_URL=url) as command:
        assert command.ends() == 5
    assert "does not speak TLS: use tcp://" in command.said.splitlines()[-1]


def test_a_url_that_is_none_is_2(project: Path) -> None:
    with running(project, *WORKER, FAKTORY_URL="http://localhost") as command:
        assert command.ends() == 2
    assert "http:// is not spoken here" in command.said


def test_a_job_that_is_cut_short_is_6(project: Path, faktory_server: FaktoryServer) -> None:
    write(
        project,
        "slow.py",
        "import anyio\nfrom faktory_async import App\napp = App()\n"
        "@app.job\nasync def sleep() -> None:\n    await anyio.sleep_forever()\n",
    )
    job = Job("sleep", [])
    push(faktory_server.url, job)
    with running(project, "worker", "slow", "--grace=0") as command:
        command.says("→ sleep()")
        command.send(signal.SIGTERM)
        assert command.ends() == 6
    assert "✗ sleep failed: Interrupted" in command.said
    assert "left unfinished: 1 interrupted" in command.said
    assert [entry.job.jid for entry in faktory_server.retries] == [job.jid]


DEAF = """
import threading
import anyio
from faktory_async import App

app = App()


@app.job
async def deaf() -> None:
    while True:
        try:
            await anyio.sleep_forever()
        except BaseException:
            pass


@app.job
def stuck() -> None:
    threading.Event().wait()
"""


def test_what_heeds_no_cancellation_does_not_keep_the_process(
    project: Path, faktory_server: FaktoryServer
) -> None:
    write(project, "deaf.py", DEAF)
    jobs = [Job("deaf", []), Job("stuck", [])]
    push(faktory_server.url, *jobs)
    with running(project, "worker", "deaf:app", "--grace=0", "--loop=asyncio") as command:
        command.says("→")
        command.says("→")
        command.send(signal.SIGTERM)
        ended = command.says("ended, although this goes on: ")
        assert all(f"{job.jobtype} {job.jid}" in ended for job in jobs)
        assert command.ends() == 6
    assert {entry.job.jid for entry in faktory_server.retries} == {job.jid for job in jobs}


# -- the app ------------------------------------------------------------------------------------


def test_an_import_error_is_shown_as_python_shows_it(project: Path) -> None:
    write(project, "inner.py", "def fail():\n    raise RuntimeError('no luck')\n\n\nfail()\n")
    write(project, "broken.py", "import inner\n")
    with running(project, "worker", "broken:app") as command:
        assert command.ends() == 3
    assert command.said.startswith("Traceback (most recent call last):\n")
    assert command.said.endswith("\nRuntimeError: no luck\n")
    assert command.said.count("  File ") == 3
    assert "faktory_async" not in command.said
    assert "importlib" not in command.said


def test_a_syntax_error_is_shown_with_its_line(project: Path) -> None:
    write(project, "broken.py", "app = (\n")
    with running(project, "worker", "broken:app") as command:
        assert command.ends() == 3
    assert command.said.startswith('  File "')
    assert "SyntaxError: '(' was never closed" in command.said


def test_a_job_that_cannot_be_one_is_shown_where_it_stands(project: Path) -> None:
    write(
        project,
        "broken.py",
        "from faktory_async import App\napp = App()\n"
        "@app.job\nasync def f(*, size: int) -> None: ...\n",
    )
    with running(project, "worker", "broken:app") as command:
        assert command.ends() == 3
    assert command.said.count("  File ") == 1
    assert 'broken.py", line 3' in command.said


def test_a_module_that_wants_one_that_is_not_there_shows_where(project: Path) -> None:
    write(project, "broken.py", "import not_there\n")
    with running(project, "worker", "broken:app") as command:
        assert command.ends() == 3
    assert "    import not_there\n" in command.said
    assert "ModuleNotFoundError: No module named 'not_there'" in command.said


def test_a_lifespan_that_raises_is_3(project: Path, faktory_server: FaktoryServer) -> None:
    write(
        project,
        "broken.py",
        "from contextlib import asynccontextmanager\nfrom faktory_async import App\n"
        "@asynccontextmanager\nasync def lifespan():\n"
        "    raise RuntimeError('no database')\n    yield\n"
        "app = App(lifespan=lifespan)\n@app.job\nasync def f() -> None: ...\n",
    )
    with running(project, "worker", "broken:app") as command:
        assert command.ends() == 3
    assert "RuntimeError: no database" in command.said
    assert "the app could not be started" in command.said
    assert faktory_server.is_idle


def test_a_script_that_runs_its_own_worker_is_told_of_the_second_app(project: Path) -> None:
    with (project / "hello.py").open("a") as script:
        script.write("\nif __name__ == '__main__':\n")
        script.write("    from faktory_async.cli import main\n    main(['worker', 'hello:app'])\n")
    with running(project, script="hello.py") as command:
        assert command.ends() == 2
    assert "was loaded twice, as __main__ and as hello" in command.said
    assert "`faktory-async worker hello:app`" in command.said


@pytest.mark.parametrize("missing", ["click", "rich_click", "watchfiles"])
def test_without_the_extra_it_says_what_to_install(project: Path, missing: str) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from faktory_async.cli import main; main(['dev', 'hello:app'])"
    )
    with running(project, code=code) as command:
        assert command.ends() == 2
    assert command.said == 'the command line needs: pip install "faktory-async[standard]"\n'


def test_help_needs_neither_an_app_nor_the_rest_of_the_library(project: Path) -> None:
    code = (
        "import sys\nfrom faktory_async.cli import main\n"
        "try:\n    main(['worker', '--help'])\n"
        "finally:\n    print(sorted({'asyncio', 'ssl', 'faktory_async.worker'} & {*sys.modules}))"
    )
    with running(project, code=code) as command:
        assert command.ends() == 0
    assert command.said.splitlines()[-1] == "[]"


BLOCKING = """
import threading

from faktory_async import App

app = App()


@app.job
async def block() -> None:
    print("blocked", flush=True)
    threading.Event().wait()
"""


@contextmanager
def blocked(project: Path, server: FaktoryServer, *options: str) -> Generator[Command]:
    """Run a worker whose only handler blocks the event loop for good."""
    write(project, "blocking.py", BLOCKING)
    push(server.url, Job("block", []))
    with running(project, "worker", "blocking:app", *options) as command:
        command.says("blocked")
        yield command


@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "trio"])
def test_the_first_signal_ends_it_in_time_though_a_handler_blocks_the_event_loop(
    project: Path, faktory_server: FaktoryServer, loop: str
) -> None:
    with blocked(project, faktory_server, "--grace=0", f"--loop={loop}") as command:
        command.send(signal.SIGTERM)
        assert command.ends() == 6
    assert "ended, although this goes on: block" in command.said


@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "trio"])
def test_the_third_signal_ends_it_at_once_though_a_handler_blocks_the_event_loop(
    project: Path, faktory_server: FaktoryServer, loop: str
) -> None:
    with blocked(project, faktory_server, f"--loop={loop}") as command:
        # Signals of one kind that come before the first one was handled are one.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            command.send(number)
        while command.is_alive:
            command.send(signal.SIGINT)
        assert -command.ends() in (signal.SIGINT, signal.SIGTERM)
