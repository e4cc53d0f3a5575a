"""Fixtures for the tests of the pytest plugin."""

import pytest

from tests.testing._projects import Project


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    """A project of its own, without tests yet."""
    return Project(pytester)
