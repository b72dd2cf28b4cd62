"""Values of the caller's as JSON, and JSON as values of the caller's."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from os import PathLike
from typing import Any, BinaryIO, TypeVar

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class File:
    """A file inside an input. It is uploaded before the submit, and its key takes its place."""

    source: str | PathLike[str] | bytes | BinaryIO
    content_type: str | None = None


def to_json(value: object) -> bytes:
    """Return JSON in UTF-8. Models of pydantic, dataclasses, times, UUIDs, enums and sets may be anywhere in the value."""
    return json.dumps(value, default=_other, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _other(value: Any) -> Any:
    from asyncjobs_client.plain import plain  # noqa: PLC0415 - most inputs are plain, and its modules take milliseconds

    return plain(value)


def converted(value: Any, as_: Callable[..., T] | None) -> Any:
    """Return a result as `as_`: a model or type adapter of pydantic, a dataclass, or any function of the value."""
    if as_ is None:
        return value
    for name in ("model_validate", "validate_python"):
        validate = getattr(as_, name, None)
        if validate is not None:
            return validate(value)
    if dataclasses.is_dataclass(as_) and isinstance(value, dict):
        return as_(**value)
    return as_(value)


def files_in(value: Any) -> Iterator[File]:
    """Yield the files inside an input, in the order in which `with_keys` replaces them."""
    match value:
        case File():
            yield value
        case dict():
            for each in value.values():
                yield from files_in(each)
        case _ if is_record(value):
            yield from files_in(members(value))
        case list() | tuple():
            for each in value:
                yield from files_in(each)


def with_keys(value: Any, keys: Iterator[str]) -> Any:
    """Return the input with the keys of its files in their places."""
    match value:
        case File():
            return next(keys)
        case dict():
            return {name: with_keys(each, keys) for name, each in value.items()}
        case _ if is_record(value):
            return with_keys(members(value), keys)
        case list() | tuple():
            return [with_keys(each, keys) for each in value]
    return value


def is_record(value: Any) -> bool:
    """Return whether a value is a dataclass's, and its members become those of a JSON object. A model has a form of its own."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type) and not hasattr(value, "model_dump")


def members(record: Any) -> dict[str, Any]:
    """Return the members of a dataclass's value."""
    return {each.name: getattr(record, each.name) for each in dataclasses.fields(record)}
