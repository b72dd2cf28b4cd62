"""A job's result: what the job returned as JSON of its declared type, and the limit of its size."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from decimal import Decimal
from enum import Enum
from traceback import walk_tb
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from asyncjobs.core.errors import Fatal
from asyncjobs.core.exact_json import write_json
from asyncjobs.core.job import Result
from asyncjobs.core.ports import ResultWriter
from asyncjobs.jobtypes.decorator import JobDefinition


def result_json(definition: JobDefinition, returned: Any, *, limit: int) -> bytes:
    """Return the job's output as JSON.

    Raises `Fatal`: `RESULT_NOT_SERIALIZABLE` for a value that is not of the declared type or has no JSON of its own, such as
    NaN, and `RESULT_TOO_LARGE`. Whatever the job's own code raises here (a generator, a validator, a serializer) is raised
    as it is: its attempt ends as if the function had raised it.
    """
    try:
        returned = _with_lists(returned)
    except RecursionError as error:
        raise _not_serializable(f"{type(error).__name__}.") from error
    checked = _validated(definition, returned)
    members = _serialized(definition, checked, mode="json")
    # In this mode, keys and numbers are still what they were.
    _check_members(_serialized(definition, checked, mode="python"))
    try:
        data = write_json(members).encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise _not_serializable(f"{type(error).__name__}.") from error
    if len(data) > limit:
        raise too_large(limit)
    return data


def too_large(limit: int, what: str = "result") -> Fatal:
    """Return the error of a result or an artifact with more bytes than the limit."""
    return Fatal(
        f"The {what} is larger than {limit // 1_000_000} MB, the most that this deployment stores (MaxResultMegabytes). Submit a "
        "smaller input, or one for a part of the result.",
        code="RESULT_TOO_LARGE",
    )


class LimitedResult(ResultWriter):
    """A `ResultWriter` that ends the job when its result gets larger than the limit, before the part is stored."""

    what = "result"

    def __init__(self, writer: ResultWriter, limit: int) -> None:
        self._writer = writer
        self._limit = limit
        self._size = 0

    def write(self, data: bytes, /) -> int:
        self._size += len(data)
        self._check_size()
        return self._writer.write(data)

    def close(self) -> Result:
        self._check_size()
        return self._writer.close()

    def discard(self) -> None:
        self._writer.discard()

    def _check_size(self) -> None:
        if self._size > self._limit:
            self.discard()
            raise too_large(self._limit, self.what)


class Artifact(LimitedResult):
    """An `ArtifactStream`. It is open until it was closed or discarded."""

    what = "artifact"

    def __init__(self, writer: ResultWriter, limit: int, reference: str) -> None:
        super().__init__(writer, limit)
        self.reference = reference
        self.is_open = True

    def close(self) -> Result:
        self.is_open = False
        self._check_size()
        return self._writer.close()

    def discard(self) -> None:
        self.is_open = False
        super().discard()


def places(errors: Any, *, is_input: bool) -> str:
    """Return where a value is not valid, and why. The text of an exception is left out, unless a validator wrote it."""
    return "; ".join(f"/{'/'.join(map(str, error['loc']))}: {_reason(error, is_input=is_input)}" for error in errors[:10])


def _reason(error: Any, *, is_input: bool) -> str:
    """Return pydantic's message. It may quote an exception, which only an input's validator raises for its client."""
    cause = error.get("ctx", {}).get("error")
    if cause is None or (is_input and type(cause) in (ValueError, AssertionError)):
        return str(error["msg"])
    return f"a validator raised {type(cause).__name__}" if isinstance(cause, Exception) else str(error["type"])


def _with_lists(value: Any) -> Any:
    """Return the value with a list in place of each generator, so that what the generator raises is not lost in pydantic."""
    kind = type(value)
    if kind is dict:
        # Also here, since a mapping of another key type makes one key of two: 1 and "1" are one integer.
        _check_names(value)
        return {name: member if type(member) in _PLAIN else _with_lists(member) for name, member in value.items()}
    if kind is list or kind is tuple:
        # Most members are plain, and a call for each would take half of the time of the whole result.
        return kind([member if type(member) in _PLAIN else _with_lists(member) for member in value])
    if kind in _PLAIN or not isinstance(value, Iterator):
        return value
    return [_with_lists(item) for item in value]


_PLAIN = frozenset({str, int, float, bool, type(None)})
_FINITE = _PLAIN - {float}


def _validated(definition: JobDefinition, returned: Any) -> Any:
    try:
        return definition.output_adapter.validator.validate_python(returned)
    except ValidationError as error:
        raise _not_serializable(places(error.errors(include_input=False), is_input=False)) from error


def _serialized(definition: JobDefinition, checked: Any, *, mode: str) -> Any:
    try:
        return definition.output_adapter.serializer.to_python(checked, mode=mode, by_alias=True)
    except PydanticSerializationError as error:
        if error.__cause__ is not None:
            # A serializer of the job's raised it.
            raise error.__cause__ from None
        raise _not_serializable(f"{type(error).__name__}.") from error
    except (ValueError, TypeError, RecursionError) as error:
        if [frame for frame, _ in walk_tb(error.__traceback__)][1:]:
            # A property of the job's raised it.
            raise
        raise _not_serializable(f"{type(error).__name__}.") from error


def _check_members(value: Any) -> None:
    """Raise `Fatal` for numbers that pydantic writes as null, and for names that are one name in JSON (1 and "1")."""
    todo = [value]
    while todo:
        part = todo.pop()
        if isinstance(part, dict):
            _check_names(part)
            todo.extend(member for member in part.values() if type(member) not in _FINITE)
        elif isinstance(part, (list, tuple, set, frozenset, deque)):
            todo.extend(member for member in part if type(member) not in _FINITE)
        elif isinstance(part, Enum):
            todo.append(part.value)
        elif isinstance(part, (float, Decimal)) and not math.isfinite(part):
            raise _not_serializable("NaN and infinity are not JSON.")


def _check_names(part: dict[Any, Any]) -> None:
    """Raise `Fatal` if two keys are one name in JSON, or one is not a number."""
    if all(type(name) is str for name in part):
        return
    if any(isinstance(name, (float, Decimal)) and not math.isfinite(name) for name in part):
        raise _not_serializable("NaN and infinity are not JSON.")
    if len(to_jsonable_python(dict.fromkeys(part), serialize_unknown=True)) < len(part):
        raise _not_serializable("Two keys of an object are the same text in JSON.")


def _not_serializable(what: str) -> Fatal:
    return Fatal(f"The job's output is not JSON of its declared type. {what}", code="RESULT_NOT_SERIALIZABLE")
