"""How Go's decoder puts JSON into typed fields, and its complaint where that cannot be.

A wrong type does not stop the decoding: the first complaint is kept and the other fields are
still filled in. `null` leaves a text or an integer as it is and empties what can be empty.
"""

import re
from typing import Any, Final, Protocol

from msgspec import Struct

from faktory_async.server._gotree import Members, Number, Tree
from faktory_async.server._gowrite import NumberRangeError, format_number

_INTEGER: Final = re.compile(r"-?[0-9]+")
# Only a number with an exponent, or one that is this long, can be beyond every double.
_LONG_NUMBER: Final = 300
# Enough for 64 bits, and few enough for int() to take.
_LONG_INTEGER: Final = 30
INT64: Final = (-(2**63), 2**63 - 1)
UINT8: Final = (0, 255)


class Place(Struct, frozen=True):
    """Where a value stands, as Go names it.

    Attributes:
        struct: The innermost struct around it; "" outside of any.
        path: The names of the fields that lead to it, with dots.
    """

    struct: str = ""
    path: str = ""

    def field(self, struct: str, name: str) -> "Place":
        """Return the place of a field of a struct that stands here."""
        return Place(struct, f"{self.path}.{name}" if self.path else name)


class Complaints:
    """Keeps the first complaint.

    Attributes:
        first: What Go says; None when every value had its type.
    """

    def __init__(self) -> None:
        self.first: str | None = None

    def add(self, what: str, go_type: str, place: Place) -> None:
        """Note that a value is not of the type of its place."""
        if self.first is None:
            into = (
                f"Go struct field {place.struct}.{place.path} of type"
                if place.struct
                else "Go value of type"
            )
            self.first = f"json: cannot unmarshal {what} into {into} {go_type}"


class Target(Protocol):
    """A typed place for a JSON value."""

    def take(self, tree: Tree, old: Any, place: Place, complaints: Complaints) -> Any:
        """Return what the place holds afterwards; `old` is what it held, None if nothing."""
        ...


class Text(Struct, frozen=True):
    """A string.

    Attributes:
        go_type: Its name in complaints.
    """

    go_type: str = "string"

    def take(self, tree: Tree, old: Any, place: Place, complaints: Complaints) -> Any:
        """See `Target`."""
        if isinstance(tree, str):
            return tree
        if tree is not None:
            complaints.add(_kind(tree), self.go_type, place)
        return old


class Integer(Struct, frozen=True):
    """An integer, in digits alone.

    Attributes:
        limits: The smallest and the largest.
        nullable: Whether `null` empties the place.
    """

    limits: tuple[int, int] = INT64
    nullable: bool = False

    def take(self, tree: Tree, old: Any, place: Place, complaints: Complaints) -> Any:
        """See `Target`."""
        if tree is None:
            return None if self.nullable else old
        if not isinstance(tree, Number):
            complaints.add(_kind(tree), "int", place)
            return old
        value = integer(tree.literal, self.limits)
        if value is None:
            complaints.add(f"number {tree.literal}", "int", place)
            return old
        return value


class Values(Struct, frozen=True):
    """An array of anything."""

    def take(self, tree: Tree, old: Any, place: Place, complaints: Complaints) -> Any:
        """See `Target`."""
        if tree is None:
            return None
        if not isinstance(tree, list):
            complaints.add(_kind(tree), "[]interface {}", place)
            return old
        _check_numbers(tree, place, complaints)
        return tree


class Table(Struct, frozen=True):
    """An object of anything; repeated ones merge."""

    def take(self, tree: Tree, old: Any, place: Place, complaints: Complaints) -> Any:
        """See `Target`."""
        if tree is None:
            return None
        if not isinstance(tree, Members):
            complaints.add(_kind(tree), "map[string]interface {}", place)
            return old
        _check_numbers(tree, place, complaints)
        return Members([*old.pairs, *tree.pairs]) if old is not None else tree


class ListOf(Struct, frozen=True):
    """An array of one type; a repeated one is laid over the one before.

    Attributes:
        element: What it holds.
        go_type: Its name in complaints.
        empty: The element that a `null` makes.
    """

    element: Target
    go_type: str
    empty: Any

    def take(self, tree: Tree, old: Any, place: Place, complaints: Complaints) -> Any:
        """See `Target`."""
        if tree is None:
            return None
        if not isinstance(tree, list):
            complaints.add(_kind(tree), self.go_type, place)
            return old
        before: list[Any] = old or []
        result: list[Any] = []
        for index, item in enumerate(tree):
            held = before[index] if index < len(before) else self.empty
            result.append(self.element.take(item, held, place, complaints))
        return result


class Record(Struct, frozen=True):
    """A struct, as a dict of the fields that were given.

    Attributes:
        go_type: Its name in complaints about itself.
        name: Its name in complaints about its fields.
        fields: What it holds; keys match whatever their case.
        nullable: Whether `null` empties the place.
    """

    go_type: str
    name: str
    fields: dict[str, Target]
    nullable: bool = False

    def take(self, tree: Tree, old: Any, place: Place, complaints: Complaints) -> Any:
        """See `Target`."""
        if tree is None:
            return None if self.nullable else old
        if not isinstance(tree, Members):
            complaints.add(_kind(tree), self.go_type, place)
            return old
        values: dict[str, Any] = {} if old is None else old
        for key, value in tree.pairs:
            name = fold(key)
            target = self.fields.get(name)
            if target is not None:
                inner = place.field(self.name, name)
                values[name] = target.take(value, values.get(name), inner, complaints)
        return values


class Fields:
    """What was read into a struct; what is not there is Go's zero value.

    Args:
        values: The fields that were given.
    """

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, Any] | None) -> None:
        self._values: dict[str, Any] = values or {}

    def text(self, name: str) -> str:
        """Return a string."""
        return self._values.get(name) or ""

    def integer(self, name: str) -> int:
        """Return an integer."""
        return self._values.get(name) or 0

    def number(self, name: str) -> int | None:
        """Return an integer that may be missing."""
        return self._values.get(name)

    def texts(self, name: str) -> list[str]:
        """Return a list of strings."""
        return self._values.get(name) or []

    def record(self, name: str) -> "Fields | None":
        """Return a struct that may be missing."""
        values = self._values.get(name)
        return None if values is None else Fields(values)

    def tree(self, name: str) -> Tree:
        """Return an array or an object of anything; None where there is none."""
        return self._values.get(name)


def decode(record: Record, tree: Tree) -> tuple[Fields, str | None]:
    """Return what a struct makes of a JSON value, and Go's complaint if there is one."""
    complaints = Complaints()
    return Fields(record.take(tree, None, Place(), complaints)), complaints.first


def decode_all(record: Record, tree: Tree) -> tuple[list[Fields], str | None]:
    """Return what an array of a struct makes of a JSON value, and Go's complaint if any."""
    complaints = Complaints()
    values: list[dict[str, Any] | None] | None = ListOf(record, f"[]{record.go_type}", None).take(
        tree, None, Place(), complaints
    )
    return [Fields(value) for value in values or []], complaints.first


def fold(key: str) -> str:
    """Return the key by which Go finds a field: case does not matter, nor the long s."""
    return key.replace("\u017f", "s").lower()


def _kind(tree: Tree) -> str:
    match tree:
        case str():
            return "string"
        case bool():
            return "bool"
        case Number():
            return "number"
        case list():
            return "array"
        case _:
            return "object"


def integer(literal: str, limits: tuple[int, int] = INT64) -> int | None:
    """Return an integer written in digits alone and within the limits, else None."""
    if len(literal) > _LONG_INTEGER or not _INTEGER.fullmatch(literal):
        return None
    if limits[0] == 0 and literal[0] == "-":
        return None  # what has no sign takes none, not even that of -0
    value = int(literal)
    return value if limits[0] <= value <= limits[1] else None


def _check_numbers(tree: Tree, place: Place, complaints: Complaints) -> None:
    """Complain about the first number, in the order of writing, that no double can hold."""
    todo: list[Tree] = [tree]
    while todo:
        item = todo.pop()
        if isinstance(item, Number):
            if _is_out_of_range(item.literal):
                complaints.add(f"number {item.literal}", "float64", place)
                return
        elif isinstance(item, list):
            todo += reversed(item)
        elif isinstance(item, Members):
            todo += [value for _, value in reversed(item.pairs)]


def _is_out_of_range(literal: str) -> bool:
    if len(literal) < _LONG_NUMBER and "e" not in literal and "E" not in literal:
        return False
    try:
        format_number(literal)
    except NumberRangeError:
        return True
    return False
