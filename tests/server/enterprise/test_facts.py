"""Every fact of the tables, by a test of its own."""

from pathlib import Path

import pytest

from tests.server.enterprise import facts_batches, facts_edition, facts_tracking, facts_unique
from tests.server.enterprise._facts import FACTS, Fact
from tests.server.enterprise._setting import Licensed

MODULES = (facts_edition, facts_unique, facts_tracking, facts_batches)


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: f"{fact.check.__name__}")
def test_fact(fact: Fact) -> None:
    fact.check(Licensed())


def test_the_docs_show_the_same_facts_with_the_same_sources() -> None:
    page = (Path(__file__).parents[3] / "docs" / "enterprise.md").read_text(encoding="utf-8")
    shown = [
        tuple(cell.strip() for cell in line.strip("|").split("|"))
        for line in page.splitlines()
        if line.startswith("| ") and not line.startswith("| fact")
    ]
    known = [(fact.statement, fact.sources, fact.standing.value) for fact in FACTS]
    assert sorted(shown) == sorted(known)
