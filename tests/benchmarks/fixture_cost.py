"""What the fixture `faktory_server` costs a test: python -m tests.benchmarks.fixture_cost

pytest itself measures the set-up and the tear-down of many tests. Beside those with the fixture
stand tests without any, whose cost is pytest's own.
"""

import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Final

import pytest

_TESTS: Final = 300
_SOURCE: Final = f"""
import anyio
import pytest
from faktory_async import Client, Job

@pytest.mark.parametrize("number", range({_TESTS}))
def test_without(number):
    pass

@pytest.mark.parametrize("number", range({_TESTS}))
def test_unused(number, faktory_server):
    pass

@pytest.mark.parametrize("number", range({_TESTS}))
def test_pushed(number, faktory_server):
    async def push():
        async with Client() as client:
            await client.push(Job("order", [number]))

    anyio.run(push)
"""


class Stopwatch:
    """Collects what pytest measures.

    Attributes:
        seconds: By test function and phase, how long each took.
    """

    def __init__(self) -> None:
        self.seconds: defaultdict[str, dict[str, list[float]]] = defaultdict(
            lambda: {"setup": [], "call": [], "teardown": []}
        )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note one phase of one test."""
        name = report.nodeid.rpartition("::")[2].partition("[")[0]
        self.seconds[name][report.when].append(report.duration)


def main() -> int:
    """Run the tests, print a table, and return pytest's exit status."""
    stopwatch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "test_cost.py"
        file.write_text(_SOURCE, encoding="utf-8")
        options = ["-q", "--no-header", "--no-summary", "--rootdir", folder, "-c", "/dev/null"]
        left_out = ["-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:asyncio"]
        status = pytest.main([str(file), *options, *left_out], plugins=[stopwatch])
    print("milliseconds (median, 95th percentile)  set-up        tear-down     both")
    for name, phases in stopwatch.seconds.items():
        both = list(map(sum, zip(phases["setup"], phases["teardown"], strict=True)))
        shown = [_summary(times) for times in (phases["setup"], phases["teardown"], both)]
        print(f"{name:38}  {'  '.join(shown)}")
    return int(status)


def _summary(times: list[float]) -> str:
    late = statistics.quantiles(times, n=20)[-1]
    return f"{statistics.median(times) * 1e3:5.2f} {late * 1e3:6.2f}"


if __name__ == "__main__":
    sys.exit(main())
