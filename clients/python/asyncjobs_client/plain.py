"""Forms in JSON of values that JSON does not have."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

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
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    for kind, plain in _PLAIN.items():
        if isinstance(value, kind):
            return plain(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON: convert it before.")
