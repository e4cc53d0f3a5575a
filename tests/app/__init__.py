"""Tests of the App."""
