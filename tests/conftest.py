"""Fixtures for all tests."""

pytest_plugins = ["tests.real._servers"]
