"""What README and docs show is executed, and what they promise happens."""

import inspect
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import anyio
import anyio.lowlevel
import pytest

from faktory_async import App, Worker
from faktory_async.testing import Faktory
from tests.docs._snippets import PAGES, ROOT, blocks, run_page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.asyncio
async def test_every_python_block_runs(page: Path) -> None:
    names = run_page(page)
    for name, value in names.items():
        if name.startswith("test_"):
            test = cast(Callable[[], Awaitable[None]], value)
            # Whoever asks for a fixture is run by pytest itself, beside the plugin's own tests.
            if not inspect.signature(test).parameters:
                await test()


@pytest.mark.asyncio
async def test_what_readme_pushes_readme_works(
    faktory: Faktory, capsys: pytest.CaptureFixture[str]
) -> None:
    names = run_page(ROOT / "README.md")
    test = cast(Callable[[Faktory], Awaitable[None]], names["test_sign_up"])
    await test(faktory)
    worker = cast(Worker, names["worker"])
    async with cast(App, names["app"]):
        await cast(Callable[[str], Awaitable[None]], names["sign_up"])("grace@example.org")
    async with anyio.create_task_group() as group:
        group.start_soon(worker.run)
        with anyio.fail_after(10):
            while faktory.counters.processed < 2:
                await anyio.lowlevel.checkpoint()
        worker.stop()
    assert faktory.counters.failures == 0
    assert capsys.readouterr().out == "welcome, ada@example.org\nwelcome, grace@example.org\n"


def test_readme_sets_up_by_two_commands() -> None:
    commands = [block.strip() for block in blocks(ROOT / "README.md", "sh")]
    assert len(commands) == 2
    assert all("\n" not in command for command in commands)
    assert commands[1] == "bash tests/run"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
    for target in targets:
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
