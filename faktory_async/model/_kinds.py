"""Exact types of JSON's containers, told in a way that type checkers understand."""

from typing import Any, TypeGuard


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Whether a value is a list and no subclass of it."""
    return type(value) is list


def is_dict(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether a value is a dict and no subclass of it; decoded JSON has only text as keys."""
    return type(value) is dict
