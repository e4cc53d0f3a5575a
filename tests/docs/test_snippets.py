"""What README and docs show is executed, and what they promise happens."""

import inspect
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import anyio
import anyio.lowlevel
import pytest

from faktory_async import Client, EmbeddedServer, Worker
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
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with EmbeddedServer() as server:
        monkeypatch.setenv("FAKTORY_URL", server.url)
        names = run_page(ROOT / "README.md")
        worker = cast(Worker, names["worker"])
        sign_up = cast(Callable[[Client, str], Awaitable[None]], names["sign_up"])
        async with Client() as client, anyio.create_task_group() as group:
            await sign_up(client, "ada@example.org")
            group.start_soon(worker.run)
            with anyio.fail_after(10):
                while (await client.info()).total_processed == 0:
                    await anyio.lowlevel.checkpoint()
            worker.stop()
            assert (await client.info()).total_failures == 0
    assert capsys.readouterr().out == "welcome, ada@example.org\n"


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
