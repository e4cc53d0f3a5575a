"""What a job must be, so that the server stores exactly what was said.

The encoder is no judge of that: it takes dates, UUIDs, sets, NaN, bytes and integer keys and turns
them silently into something else, and its bytes do not show it. So values are judged here, by
their exact types, before they are encoded.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any, Final, TypeAlias, TypeGuard

import msgspec

from faktory_async.errors import InvalidJobError
from faktory_async.model._kinds import is_dict, is_list

MAX_NESTING: Final = 500
"""The deepest nesting that is sent; `args` and `custom` themselves are the first level."""

MAX_INT: Final = 2**53
"""The server keeps numbers as 64-bit floats: integers beyond ±2^53 would be altered."""

MIN_JID_LENGTH: Final = 8
MIN_RESERVE_FOR: Final = 60
MAX_RESERVE_FOR: Final = 86_400

_is_queue: Final = re.compile(r"[a-zA-Z0-9._-]+").fullmatch
# Programs use few queues again and again, but a hostile server could name ever new and long ones.
_QUEUES_REMEMBERED: Final = 256
_LONGEST_REMEMBERED: Final = 64
_sound_queues: Final[set[str]] = set()
# The server stores these escaped, so that its own filters would not find the job by its jid.
_ESCAPED_BY_SERVER: Final = frozenset('"\\<>&')
_is_plain_jid: Final = re.compile(r"[!#-%'-;=?-\[\]-~]{8,}").fullmatch
# Other, surrogate and separator categories; not "unassigned", which depends on Python's version.
_REFUSED_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"})
_SHOWN_KEY_LENGTH: Final = 60
_INSTEAD: Final = {
    "datetime": "value.isoformat()",
    "date": "value.isoformat()",
    "time": "value.isoformat()",
    "timedelta": "value.total_seconds()",
    "UUID": "str(value)",
    "Decimal": "str(value) or float(value)",
    "bytes": "base64 text",
    "bytearray": "base64 text",
    "memoryview": "base64 text",
    "set": "sorted(value)",
    "frozenset": "sorted(value)",
    "tuple": "list(value)",
}

# The holder's own place (None for the field itself), the key in it, the container.
_Place: TypeAlias = "tuple[_Place | None, str | int, list[Any] | dict[Any, Any]]"


# -- args and custom ------------------------------------------------------------------------------


def as_args(value: Sequence[Any]) -> list[Any]:
    """Return the arguments as a list of its own, checked.

    Raises:
        InvalidJobError: for anything but a sequence of JSON values that arrive as they are.
    """
    if not isinstance(value, list) and not _is_sequence(value):
        raise InvalidJobError(
            f"must be a sequence of JSON values such as [1, 2], not {_name(value)}", path="args"
        )
    args = list(value)
    if others := no_scalars(args):
        check_others(others, args, "args")
    return args


def as_custom(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the custom data as a dict of its own, checked.

    Raises:
        InvalidJobError: for anything but a mapping of text to JSON values that arrive as they are.
    """
    if not isinstance(value, dict) and not _is_mapping(value):
        raise InvalidJobError(f"must be a mapping, not {_name(value)}", path="custom")
    custom = dict(value)
    if custom:
        check_custom(custom)
    return custom


def check_custom(custom: dict[str, Any]) -> None:
    """Check that custom data arrives at the other end as it is.

    Raises:
        InvalidJobError: otherwise.
    """
    if not _are_sound_keys(custom):
        raise _first_fault(custom, "custom")
    if others := no_scalars(custom.values()):
        check_others(others, custom, "custom")


def _is_sequence(value: Any) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(
        value, str | bytes | bytearray | memoryview
    )


def _is_mapping(value: Any) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping)


def no_scalars(values: Iterable[object]) -> list[object]:
    """Return the values that are no sound scalars: containers, and what cannot be sent."""
    others: list[object] = []
    for value in values:
        if type(value) is str and (value.isascii() or is_encodable(value)):
            continue
        if type(value) is int and -MAX_INT <= value <= MAX_INT:
            continue
        if type(value) is bool or value is None:
            continue
        if type(value) is float and isfinite(value):
            continue
        others.append(value)
    return others


def check_others(others: list[object], root: list[Any] | dict[Any, Any], field: str) -> None:
    """Check that those values of a container that are no scalars arrive as they are, all through.

    Args:
        others: What `no_scalars` says of the container's values.
        root: The container.
        field: The field that it is.

    Raises:
        InvalidJobError: naming the path of the first value that would not, nearest to the root.
    """
    # Paths cost more than all the rest, so they are worked out only where one is asked for.
    if not _are_sound(others):
        raise _first_fault(root, field)


def _are_sound(others: Iterable[object]) -> bool:
    """Whether the values of a root that are no scalars are containers of JSON, not too deep."""
    for _ in range(MAX_NESTING - 1):
        # By identity: a container that holds itself twice must not double the work per level.
        level = {id(value): value for value in others}
        deeper: list[object] = []
        for container in level.values():
            if is_list(container):
                deeper += no_scalars(container)
            elif is_dict(container) and _are_sound_keys(container):
                deeper += no_scalars(container.values())
            else:
                return False
        if not deeper:
            return True
        others = deeper
    return False


def _are_sound_keys(keys: Iterable[object]) -> bool:
    for key in keys:
        if type(key) is str and key.isascii():
            continue
        if _key_complaint(key):
            return False
    return True


def _first_fault(root: list[Any] | dict[Any, Any], field: str) -> InvalidJobError:
    """Return the error for a container that is not sound: breadth first, as that was found."""
    level: Iterable[_Place] = ((None, field, root),)
    for _ in range(MAX_NESTING):
        deeper: dict[int, _Place] = {}
        for place in level:
            fault = _fault_in(place, deeper)
            if fault is not None:
                return fault
        level = deeper.values()
    return InvalidJobError(f"is nested more than {MAX_NESTING} deep, or holds itself", path=field)


def _fault_in(place: _Place, deeper: dict[int, _Place]) -> InvalidJobError | None:
    container = place[2]
    items: Iterable[tuple[Any, object]] = enumerate(container)
    if isinstance(container, dict):
        for complaint in filter(None, map(_key_complaint, container)):
            return InvalidJobError(complaint, path=_path(place))
        items = container.items()
    for key, value in items:
        if _is_container(value):
            deeper[id(value)] = (place, key, value)
        elif complaint := _complaint(value):
            return InvalidJobError(complaint, path=f"{_path(place)}[{_shown(key)}]")
    return None


def _is_container(value: object) -> TypeGuard[list[Any] | dict[Any, Any]]:
    return type(value) is list or type(value) is dict


def _key_complaint(key: object) -> str:
    """Say why a key of a dict cannot be sent; "" when it can."""
    if type(key) is not str:
        return f"has a key of type {type(key).__name__}; JSON has only text as keys"
    return "" if is_encodable(key) else "has a key with a lone surrogate, not valid Unicode"


def _complaint(value: object) -> str:
    """Say why a value that is no container cannot be sent; "" when it can."""
    if type(value) is int:
        if -MAX_INT <= value <= MAX_INT:
            return ""
        return "is an integer beyond ±2^53, which the server would alter; send it as text"
    if value is None or type(value) is bool:
        return ""
    if type(value) is float:
        return "" if isfinite(value) else "is not finite; JSON has no NaN and no infinities"
    if type(value) is str:
        return "" if is_encodable(value) else "is text with a lone surrogate, not valid Unicode"
    name = type(value).__name__
    instead = _INSTEAD.get(name)
    hint = f"; write {instead}" if instead else ""
    return f"is of type {name}, which JSON does not have{hint}"


def _path(place: _Place) -> str:
    steps: list[str] = []
    here: _Place | None = place
    while here is not None:
        holder, key, _ = here
        steps.append(str(key) if holder is None else f"[{_shown(key)}]")
        here = holder
    return "".join(reversed(steps))


def _shown(key: str | int) -> str:
    if isinstance(key, int):
        return str(key)
    short = key if len(key) <= _SHOWN_KEY_LENGTH else f"{key[:_SHOWN_KEY_LENGTH]}…"
    return msgspec.json.encode(short).decode()


def is_encodable(text: str) -> bool:
    """Whether a text is valid Unicode: it holds no lone surrogate."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# -- the other fields -----------------------------------------------------------------------------


def check_names(jobtype: str, jid: str, queue: str) -> None:
    """Check the three texts that name a job.

    Raises:
        InvalidJobError: for the first of them that cannot be sent.
    """
    # Nearly all are seen to be sound at once; what is wrong with one, its own check says.
    if type(jobtype) is not str or not jobtype or not jobtype.isascii():
        check_jobtype(jobtype)
    # Most are letters and digits, which bytes tell sooner than text with its tables of Unicode.
    if (
        type(jid) is not str
        or not jid.isascii()
        or not jid.encode().isalnum()
        or len(jid) < MIN_JID_LENGTH
    ):
        check_jid(jid)
    if type(queue) is not str or queue not in _sound_queues:
        check_queue(queue)


def check_jobtype(value: str) -> None:
    """Check that a jobtype is text and not empty.

    Raises:
        InvalidJobError: otherwise.
    """
    check_text(value, "jobtype")
    if not value:
        raise InvalidJobError("is empty", path="jobtype")


def check_queue(value: str) -> None:
    """Check the name of a queue: letters, digits, dot, underscore and hyphen of ASCII.

    Raises:
        InvalidJobError: otherwise.
    """
    if type(value) is not str or not _is_queue(value):
        check_text(value, "queue")
        raise InvalidJobError("must consist of a-z, A-Z, 0-9, '.', '_' and '-'", path="queue")
    if len(_sound_queues) < _QUEUES_REMEMBERED and len(value) <= _LONGEST_REMEMBERED:
        _sound_queues.add(value)


def check_jid(value: str) -> None:
    """Check that a jid has at least 8 characters and none that gets in the way.

    Refused are control characters, spaces of all kinds, and the characters that the server stores
    escaped, since it could not find the job by its jid again: `"`, backslash, `<`, `>`, `&`.

    Raises:
        InvalidJobError: otherwise.
    """
    if type(value) is str and _is_plain_jid(value):
        return
    check_text(value, "jid")
    if len(value) < MIN_JID_LENGTH:
        raise InvalidJobError(f"must have at least {MIN_JID_LENGTH} characters", path="jid")
    if any(unicodedata.category(character) in _REFUSED_CATEGORIES for character in value):
        raise InvalidJobError("must not have control characters or spaces", path="jid")
    if not _ESCAPED_BY_SERVER.isdisjoint(value):
        raise InvalidJobError('must not have any of " \\ < > &', path="jid")


def check_int(value: int, field: str, low: int, high: int = MAX_INT) -> None:
    """Check that a value is an integer, not a bool, from `low` to `high`, both included.

    Raises:
        InvalidJobError: otherwise.
    """
    if type(value) is not int:
        raise InvalidJobError(f"must be an int, not {_name(value)}", path=field)
    if not low <= value <= high:
        limits = f"at least {low}" if value < low else f"at most {high}"
        raise InvalidJobError(f"must be {limits}", path=field)


def as_seconds(value: int | timedelta | None) -> int | None:
    """Return a reservation's length in seconds.

    Raises:
        InvalidJobError: unless it is None or from 60 seconds to a day, in whole seconds.
    """
    if isinstance(value, timedelta):
        if value.microseconds:
            raise InvalidJobError("must be a whole number of seconds", path="reserve_for")
        value = value.days * 86_400 + value.seconds
    if value is not None:
        check_int(value, "reserve_for", MIN_RESERVE_FOR, MAX_RESERVE_FOR)
    return value


def as_utc(value: Any, field: str) -> datetime | None:
    """Return the same moment in UTC, as a plain `datetime`.

    Raises:
        InvalidJobError: for a naive one, and where UTC cannot express it.
    """
    if value is None or (type(value) is datetime and value.tzinfo is UTC):
        return value
    if not isinstance(value, datetime):
        raise InvalidJobError(f"must be an aware datetime, not {_name(value)}", path=field)
    if value.utcoffset() is None:
        raise InvalidJobError(
            "is a naive datetime, which names no moment; write datetime.now(UTC) instead of"
            " datetime.now(), or value.astimezone(UTC) if it is in local time",
            path=field,
        )
    try:
        moment = value.astimezone(UTC)
    except OverflowError:
        raise InvalidJobError("is out of range in UTC", path=field) from None
    # A subclass may encode itself in its own way.
    return datetime.combine(moment.date(), moment.time(), UTC)


def check_text(value: Any, field: str) -> None:
    """Check that a value is text that can be sent.

    Raises:
        InvalidJobError: otherwise.
    """
    if type(value) is not str:
        raise InvalidJobError(f"must be a str, not {_name(value)}", path=field)
    if not is_encodable(value):
        raise InvalidJobError("is text with a lone surrogate, not valid Unicode", path=field)


def _name(value: Any) -> str:
    return "None" if value is None else type(value).__name__
