"""Fixtures for all tests."""

import pytest

import faktory_async.worker._worker

pytest_plugins = ["tests.real._servers"]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers dial as soon as they start, not after a moment of chance."""
    monkeypatch.setattr(faktory_async.worker._worker, "SPREAD", 0.0)
