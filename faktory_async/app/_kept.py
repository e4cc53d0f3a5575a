"""Whether a value comes through JSON as what it was: what was given, beside what a worker reads."""

from collections.abc import Mapping, Sequence
from enum import Enum
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias, cast

import msgspec
from msgspec import Struct
from msgspec.inspect import DataclassType, StructType

_LISTS: Final = (list, tuple)
_SETS: Final = (set, frozenset)
# What dataclasses, Structs and classes of attrs have.
_DESCRIBED: Final = ("__dataclass_fields__", "__struct_fields__", "__attrs_attrs__")
_MODEL: Final = "model_fields"  # what models of pydantic have


class Change(Struct, frozen=True):
    """What a value has become on its way.

    Attributes:
        path: Where, such as `[0].when`.
        what: What is to be said of it, without showing the value.
    """

    path: str
    what: str


class _Pair(NamedTuple):
    """A value as it was given and as it is read.

    Attributes:
        path: Where it is.
        given: The one.
        read: The other.
        made: Whether it belongs to an object that was given as a dict: its class may make of plain
            values what it likes.
    """

    path: str
    given: Any
    read: Any
    made: bool


_Found: TypeAlias = Change | Sequence[_Pair]


def change(given: Any, read: Any) -> Change | None:
    """Return the first thing that is not read as it was given; None where everything is.

    A list may be read as a tuple or as a set, a dict as an object that has all of its keys, and a
    member of an enumeration may be given by its value: the signature says what comes of them.
    """
    waiting = [_Pair("", given, read, made=False)]
    while waiting:
        pair = waiting.pop()
        if _are_equal(pair.given, pair.read):  # nearly always, and at the speed of C
            continue
        found = _look(pair)
        if isinstance(found, Change):
            return found
        waiting += reversed(found)
    return None


def _are_equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001 - a class of the program's own, or bytes beside text under -bb
        return False


def _look(pair: _Pair) -> _Found:
    given, read = pair.given, pair.read
    if _is(given, dict):
        return _of_dict(pair, given)
    if isinstance(given, _SETS):
        return _changed(pair) if isinstance(read, _SETS) else _other(pair)
    if isinstance(given, _LISTS):
        return _of_list(pair, cast("Sequence[Any]", given))
    # Of a class that is read, the annotations mean something; of another one perhaps not.
    fields = _fields_of(given) if type(given) is type(read) else None
    if fields is None:
        return _of_scalar(pair)
    return [
        _Pair(f"{pair.path}.{name}", getattr(given, name), getattr(read, name), pair.made)
        for name in dict.fromkeys(fields.values())
    ]


def _of_dict(pair: _Pair, given: dict[Any, Any]) -> _Found:
    path, read = pair.path, pair.read
    if isinstance(read, dict):
        lost = [key for key in given if key not in read]
        pairs = [
            _Pair(_at(path, key), value, read[key], pair.made)
            for key, value in given.items()
            if key in read
        ]
    else:
        # Without fields it is of a class that reads dicts its own way.
        fields = _fields_of(read) or {}
        lost = [key for key in given if fields and key not in fields and key != _tag(read)]
        pairs = [
            _Pair(f"{path}.{key}", value, getattr(read, fields[key]), made=True)
            for key, value in given.items()
            if key in fields
        ]
    return _lost(path, lost[0]) if lost else pairs


def _of_list(pair: _Pair, given: Sequence[Any]) -> _Found:
    if hasattr(given, "_fields") and type(pair.read) is not type(given):
        return _other(pair)  # its names are lost
    if isinstance(pair.read, _SETS):
        there = cast("set[Any]", pair.read)
        return [] if len(there) == len(given) else _changed(pair)
    if not isinstance(pair.read, _LISTS):
        return []  # a Struct that is an array in JSON
    read = cast("Sequence[Any]", pair.read)
    return [
        _Pair(f"{pair.path}[{number}]", value, read[number], pair.made)
        for number, value in enumerate(given)
    ]


def _of_scalar(pair: _Pair) -> _Found:
    given, read = pair.given, pair.read
    if pair.made and not _is_object(given):
        return []
    if isinstance(read, Enum) and _are_equal(given, read.value):
        return []
    if type(given) is type(read):
        is_nan = not _are_equal(given, given) and not _are_equal(read, read)
        return [] if is_nan else _changed(pair)
    # Whether an integer is too large is the job's to say.
    return [] if isinstance(given, int) and isinstance(read, float) else _other(pair)


def _is(value: Any, kind: type) -> bool:
    return isinstance(value, kind)


def _changed(pair: _Pair) -> Change:
    return Change(pair.path, "is not the same any more when a worker reads it")


def _other(pair: _Pair) -> Change:
    given, read = _name(pair.given), _name(pair.read)
    return Change(pair.path, f"is of type {given}, which a worker would read as {read}")


def _lost(path: str, key: object) -> Change:
    if isinstance(key, str):
        return Change(_at(path, key), "has a key that a worker would not see")
    what = f"has a key of type {_name(key)}, which a worker would read as something else"
    return Change(path, what)


def _name(value: object) -> str:
    return type(value).__qualname__


def _at(path: str, key: object) -> str:
    return f"{path}[{msgspec.json.encode(str(key)).decode()}]"


# -- objects --------------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def _fields(kind: Any) -> Mapping[str, str] | None:
    """Return the attributes of a class by their names in JSON; None where it describes none."""
    described = any(hasattr(kind, name) for name in _DESCRIBED)
    info = msgspec.inspect.type_info(kind) if described else None
    if isinstance(info, StructType | DataclassType):
        return {field.encode_name: field.name for field in info.fields}
    return _fields_of_model(kind)


def _fields_of(value: Any) -> Mapping[str, str] | None:
    return _fields(cast("Any", type(value)))


def _is_object(value: object) -> bool:
    return isinstance(value, Enum) or any(
        hasattr(type(value), name) for name in (*_DESCRIBED, _MODEL)
    )


def _tag(value: object) -> str | None:
    """Return the key that says which Struct it is."""
    return value.__struct_config__.tag_field if isinstance(value, Struct) else None


def _fields_of_model(kind: Any) -> Mapping[str, str] | None:
    """Return those of a class of pydantic's."""
    described: Mapping[str, Any] | None = getattr(kind, _MODEL, None)
    if described is None or getattr(kind, "model_config", {}).get("extra") == "allow":
        return None
    if getattr(kind, "__pydantic_root_model__", False):
        return None  # in JSON it is its value, without a name
    fields: dict[str, str] = {}
    for name, field in described.items():
        aliases = {field.alias, field.validation_alias, field.serialization_alias} - {None}
        if not all(isinstance(alias, str) for alias in aliases):
            return None  # a path to a value, or a choice of them
        fields.update(dict.fromkeys([name, *aliases], name))
    return fields
