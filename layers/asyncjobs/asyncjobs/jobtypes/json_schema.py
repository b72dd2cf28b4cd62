"""Check values against JSON Schemas, without the job's code and without pydantic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from asyncjobs.core.errors import InputProblem, InvalidInput

if TYPE_CHECKING:
    import jsonschema_rs

_MOST_PROBLEMS = 20


def check(schema: Mapping[str, Any], value: Any) -> None:
    """Raise `InvalidInput` with each place where the value does not fit, without quoting the value.

    Pass the same object for the same schema: its validator is kept for the next value.
    """
    problems = [problem for error in _validator(schema).iter_errors(value) for problem in _problems(error)]
    if problems:
        raise InvalidInput(problems[:_MOST_PROBLEMS])


def pointer(path: Iterable[str | int]) -> str:
    """Return the path as a JSON pointer (RFC 6901)."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


_validators: dict[int, tuple[Mapping[str, Any], jsonschema_rs.Validator]] = {}
"""By the identity of the schema, which stays here, so that no other object gets the same id."""


def _validator(schema: Mapping[str, Any]) -> jsonschema_rs.Validator:
    import jsonschema_rs  # noqa: PLC0415 - only a submit pays for it

    if id(schema) not in _validators:
        _validators[id(schema)] = schema, jsonschema_rs.validator_for(dict(schema), mask="the value", offline=True)
    return _validators[id(schema)][1]


def _problems(error: jsonschema_rs.ValidationError) -> Iterable[InputProblem]:
    """Return one problem per field: a missing or unknown field has its own pointer, not its parent's."""
    from jsonschema_rs import ValidationErrorKind  # noqa: PLC0415 - see `_validator`

    path = error.instance_path
    match error.kind:
        case ValidationErrorKind.AdditionalProperties(names):
            return [InputProblem(pointer([*path, name]), "is not a known field") for name in names]
        case ValidationErrorKind.Required(name):
            return [InputProblem(pointer([*path, str(name)]), "is required")]
        case ValidationErrorKind.PropertyNames():
            # Its own message quotes the name.
            return [InputProblem(pointer(path), "has a field whose name is not allowed")]
        case _:
            return [InputProblem(pointer(path), error.message)]
