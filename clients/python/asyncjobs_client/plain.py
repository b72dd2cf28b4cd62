"""Forms in JSON of values that JSON does not have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from asyncjobs_client.values import File, is_record, members

_PLAIN: dict[Any, Callable[[Any], Any]] = {
    (datetime, date, time): lambda value: value.isoformat(),
    timedelta: timedelta.total_seconds,
    (UUID, Decimal, PurePath): str,
    Enum: lambda value: value.value,
    (set, frozenset): list,
    Mapping: dict,
}


def plain(value: Any) -> Any:
    """Return the form in JSON of a value that is none of JSON's own."""
    if _has_file(value):
        raise TypeError("This File is in a set, a mapping or a model: upload it first, and put its key there.")
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True)
    if is_record(value):
        return members(value)
    for kind, plain in _PLAIN.items():
        if isinstance(value, kind):
            return plain(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON: convert it before.")


def _has_file(value: Any) -> bool:
    """Return whether a value is a file, or a model with one, of which pydantic would write the path."""
    if hasattr(value, "model_dump"):
        return any(_has_file(each) for each in getattr(value, "__dict__", {}).values())
    match value:
        case dict():
            return any(_has_file(each) for each in value.values())
        case list() | tuple() | set() | frozenset():
            return any(_has_file(each) for each in value)
    return isinstance(value, File) or (is_record(value) and _has_file(members(value)))
