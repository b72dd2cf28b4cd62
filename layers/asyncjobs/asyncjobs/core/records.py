"""Copies of records with some of their fields changed. Every change of a job makes one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

__all__ = ["replace"]

if TYPE_CHECKING:
    # A type checker checks the names and the types of the changes.
    from dataclasses import replace
else:
    R = TypeVar("R")

    def replace(record: R, /, **changes: Any) -> R:
        """Do what `dataclasses.replace` does, in a quarter of its time, for a frozen dataclass with slots.

        The fields are copied without a call of `__init__`, so the class must not have a `__post_init__`.
        """
        copy_fields, setters = _copier(type(record))
        copy = object.__new__(type(record))
        copy_fields(copy, record)
        for name, value in changes.items():
            if name not in setters:
                raise TypeError(f"{type(record).__name__} has no field {name!r}.")
            setters[name](copy, value)
        return copy


@cache
def _copier(record_type: type) -> tuple[Callable[[object, object], None], Mapping[str, Callable[[object, Any], None]]]:
    """Return what copies all fields of a record, and what sets each of them.

    The copying function is written out, as `dataclasses` writes an `__init__`: a loop would take twice the time.
    """
    names: tuple[str, ...] = record_type.__slots__  # type: ignore[attr-defined]  # a dataclass with slots has them
    setters = {name: getattr(record_type, name).__set__ for name in names}
    lines = [f"    set_{name}(copy, record.{name})" for name in names]
    namespace: dict[str, Any] = {f"set_{name}": setter for name, setter in setters.items()}
    exec("\n".join(["def copy_fields(copy, record):", *lines]), namespace)  # noqa: S102 - made of field names only # nosec B102
    return namespace["copy_fields"], setters
