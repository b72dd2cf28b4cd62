"""Copies of records with some of their fields changed. Every change of a job makes one."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

__all__ = ["replace"]

if TYPE_CHECKING:
    # A type checker checks the names and the types of the changes.
    from dataclasses import replace
else:
    R = TypeVar("R")

    def replace(record: R, /, **changes: Any) -> R:
        """Do what `dataclasses.replace` does, in a quarter of its time, for a frozen dataclass with slots and no base class.

        The fields are copied without a call of `__init__`, so the class must not have a `__post_init__`.
        """
        record_type = type(record)
        copy = _copier(record_type)(record)
        for name, value in changes.items():
            try:
                setattr(copy, name, value)
            except AttributeError:
                raise TypeError(f"{record_type.__name__} has no field {name!r}.") from None
        copy.__class__ = record_type
        return copy


@cache
def _copier(record_type: type) -> Callable[[object], Any]:
    """Return what makes a copy of a record, as an object of a class that has the same slots and is not frozen.

    It is written out, as `dataclasses` writes an `__init__`, so that the interpreter reads and writes each slot directly. A call
    for each field would take four times as long.
    """
    names: tuple[str, ...] = record_type.__slots__  # type: ignore[attr-defined]  # a dataclass with slots has them
    namespace: dict[str, Any] = {"new": object.__new__, "Copy": type(record_type.__name__, (), {"__slots__": names})}
    lines = [f"    copy.{name} = record.{name}" for name in names]
    source = ["def copy_of(record):", "    copy = new(Copy)", *lines, "    return copy"]
    exec("\n".join(source), namespace)  # noqa: S102 - made of field names only # nosec B102
    copier: Callable[[object], Any] = namespace["copy_of"]
    return copier
