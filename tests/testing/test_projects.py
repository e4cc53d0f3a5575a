"""The fixture in projects like those of our users: no conftest, every way to run tests."""

import pytest

from tests.testing._projects import ANYIO, AUTO, PLAIN, STRICT, Project

WAYS = {
    "plain": (PLAIN, (), 2),
    "pytest-asyncio, strict": (STRICT, ("-o", "asyncio_mode=strict"), 2),
    "pytest-asyncio, auto": (AUTO, ("-o", "asyncio_mode=auto"), 2),
    "anyio on asyncio and trio": (ANYIO, (), 4),
}


@pytest.mark.parametrize(("tests", "options", "count"), WAYS.values(), ids=WAYS)
def test_it_works_and_leaves_nothing_behind(
    project: Project, tests: str, options: tuple[str, ...], count: int
) -> None:
    project.write("test_it.py", tests)
    project.run(*options).assert_outcomes(passed=count)


def test_all_ways_live_in_one_project_in_random_order(project: Project) -> None:
    project.write("test_plain.py", PLAIN)
    project.write("test_asyncio.py", STRICT)
    project.write("test_anyio.py", ANYIO)
    result = project.run("-p", "randomly", "-p", "no:cacheprovider", without=())
    result.assert_outcomes(passed=8)
    result.stdout.fnmatch_lines("Using --randomly-seed=*")


def test_it_works_in_the_processes_of_xdist(project: Project) -> None:
    project.write("test_plain.py", PLAIN)
    project.write("test_anyio.py", ANYIO)
    result = project.run("-n", "2")
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines("*2 workers*")


def test_clients_that_are_never_closed_do_not_hold_it_up(project: Project) -> None:
    project.write(
        "test_it.py",
        """
import socket
import pytest

@pytest.fixture
def peer(faktory_server):
    with socket.socket() as peer:
        yield peer

@pytest.fixture
def late_peer():
    with socket.socket() as peer:
        yield peer

def test_one(late_peer, faktory_server, peer):
    for one in (peer, late_peer):
        one.connect((faktory_server.host, faktory_server.port))
        assert one.recv(100).startswith(b"+HI")
""",
    )
    project.run().assert_outcomes(passed=1)


FAULTS = """
import asyncio
import pytest
from faktory_async import Client, ConnectError, FaktoryError, Job

def test_plain(faktory_server):
    asyncio.run(suffers(faktory_server))

@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_async(faktory_server):
    await suffers(faktory_server)

async def suffers(server):
    faults = server.faults
    async with Client() as client, Client(dial=server.dial) as other:
        for fault in (
            faults.refuse_connections(),
            faults.outage(),
            faults.garbage(on="HI"),
            faults.close_after(1, on="PUSHB"),
            faults.error("ERR no", on="PUSHB"),
        ):
            for each in (client, other):
                with fault, pytest.raises(FaktoryError):
                    await each.push(Job("order"))
                    if fault.hits == 0:
                        raise ConnectError  # by a connection that stays
            await client.push(Job("order"))
        server.advance(days=30)
"""


def test_faults_leave_nothing_behind_either(project: Project) -> None:
    project.write("test_it.py", FAULTS)
    project.run().assert_outcomes(passed=3)


LEAKS = {
    "thread": "threading.Thread(target=kept.wait, name='left', daemon=True).start()",
    "file": "leaked.append(socket.socket())",
    "task": "leaked.append(asyncio.Runner()); leaked[0].get_loop().create_task(forever())",
}


@pytest.mark.parametrize("leak", LEAKS)
def test_the_watch_sees_what_is_left_behind(project: Project, leak: str) -> None:
    project.write(
        "test_it.py",
        f"""
import asyncio, socket, threading

kept = threading.Event()
leaked = []

async def forever():
    await asyncio.get_running_loop().create_future()

def test_leaks():
    {LEAKS[leak]}
""",
    )
    result = project.run()
    assert result.ret == 3
    result.stdout.fnmatch_lines(f"*test_leaks leaves behind: *{leak} *")


# -- what a project sees ----------------------------------------------------------------------

LOADING = """
import sys
import pytest

HEAVY = {"anyio", "msgspec"}

def test_loading_the_plugin_loads_nothing_heavy(request):
    assert request.config.pluginmanager.hasplugin("faktory_async")
    assert HEAVY & set(sys.modules) == set()

def test_using_the_fixture_does(faktory_server):
    assert HEAVY & set(sys.modules) == HEAVY
"""


def test_pytest_loads_it_without_anyio_and_msgspec(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    # anyio brings a plugin too, which loads anyio.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    project.write("test_it.py", LOADING)
    result = project.run("-p", "faktory_async", without=("anyio", "asyncio"))
    result.assert_outcomes(passed=2)


ENVIRONMENT = """
import os

NAMES = ("FAKTORY_PROVIDER", "FAKTORY_URL")

def look():
    return [os.environ.get(name) for name in NAMES]

def test_before():
    assert look() == ["MY_FAKTORY", "tcp://example.org"]

def test_during(faktory_server):
    assert look() == [None, faktory_server.url]

def test_after():
    assert look() == ["MY_FAKTORY", "tcp://example.org"]
"""


def test_the_environment_names_it_for_as_long_as_the_test_runs(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKTORY_PROVIDER", "MY_FAKTORY")
    monkeypatch.setenv("FAKTORY_URL", "tcp://example.org")
    project.write("test_it.py", ENVIRONMENT)
    project.run().assert_outcomes(passed=3)


@pytest.mark.parametrize(
    ("marker", "complaint"),
    [
        ("secret='x'", "*UsageError: faktory_server has no option 'secret'; it has *password*"),
        ("edition='pro'", "*UsageError: 'pro' is no edition of Faktory: *'oss' and 'enterprise'"),
        ("'x'", "*UsageError: the marker faktory_server takes its options by name"),
    ],
)
def test_a_mistaken_marker_is_explained(project: Project, marker: str, complaint: str) -> None:
    project.write(
        "test_it.py",
        f"import pytest\n@pytest.mark.faktory_server({marker})\ndef test(faktory_server): pass\n",
    )
    result = project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(complaint)


def test_pytest_tells_about_the_fixture_and_the_marker(project: Project) -> None:
    project.run("--fixtures").stdout.fnmatch_lines(["faktory_server -- *", "*A Faktory in memory*"])
    project.run("--markers").stdout.fnmatch_lines("@pytest.mark.faktory_server(password=None,*")
