"""Every fact of the tables, by a test of its own."""

import pytest

from tests.server.enterprise import facts_batches, facts_edition, facts_tracking, facts_unique
from tests.server.enterprise._facts import FACTS, Fact
from tests.server.enterprise._setting import Licensed

MODULES = (facts_edition, facts_unique, facts_tracking, facts_batches)


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: f"{fact.check.__name__}")
def test_fact(fact: Fact) -> None:
    fact.check(Licensed())
