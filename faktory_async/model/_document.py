"""Jobs written as JSON by this library or by people, read strictly."""

import re
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, Final

import msgspec

from faktory_async.errors import InvalidJobError
from faktory_async.model._failure import Failure
from faktory_async.model._kinds import is_dict, is_list

UNREADABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What msgspec raises for bytes that it cannot decode; they have no base of their own."""

_RFC3339: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})"
)
# Absent means None, not the default of Job(...): that is how None is written.
_NULLABLE: Final = ("created_at", "enqueued_at", "at", "reserve_for", "failure")


def read_document(data: bytes | str, fields: Collection[str]) -> dict[str, Any]:
    """Return the keyword arguments that make the job of a JSON document; not yet checked.

    Args:
        data: The document.
        fields: The fields that it may have.

    Raises:
        InvalidJobError: for what is no JSON object, an unknown field or an unreadable time.
    """
    try:
        document: Any = msgspec.json.decode(data)
    except UNREADABLE as error:
        raise InvalidJobError(f"is not readable as JSON: {error}") from None
    values = _object(document, "")
    _check_known(values, fields, "")
    if "jobtype" not in values:
        raise InvalidJobError("is missing", path="jobtype")
    values = {**dict.fromkeys(_NULLABLE), **values}
    for field in ("created_at", "enqueued_at", "at"):
        values[field] = _read_time(values[field], field)
    values["failure"] = _read_failure(values["failure"])
    return values


def _object(value: Any, field: str) -> dict[str, Any]:
    if not is_dict(value):
        raise InvalidJobError("must be a JSON object", path=field)
    return value


def _check_known(document: dict[str, Any], fields: Collection[str], prefix: str) -> None:
    for key in document:
        if key not in fields:
            raise InvalidJobError("is no field of a job", path=f"{prefix}{key}")


def _read_time(value: Any, field: str) -> datetime | None:
    if value is None:
        return None
    if type(value) is not str or not _RFC3339.fullmatch(value):
        raise InvalidJobError(
            "must be a time such as 2026-01-31T12:00:00.000001Z, with a zone and at most"
            " microseconds",
            path=field,
        )
    try:
        return datetime.fromisoformat(value)
    except ValueError as error:
        raise InvalidJobError(f"is no time: {error}", path=field) from None


def _read_failure(value: Any) -> Failure | None:
    if value is None:
        return None
    members = _object(value, "failure")
    readers: dict[str, Callable[[Any, str], Any]] = {
        "failed_at": _read_time,
        "next_at": _read_time,
        "backtrace": _read_lines,
    }
    _check_known(members, Failure.__struct_fields__, "failure.")
    values: dict[str, Any] = {
        key: readers[key](item, f"failure.{key}") if key in readers else item
        for key, item in members.items()
    }
    return Failure(**values)


def _read_lines(value: Any, field: str) -> tuple[Any, ...] | None:
    if value is None:
        return None
    if not is_list(value):
        raise InvalidJobError("must be a list of lines", path=field)
    return tuple(value)
