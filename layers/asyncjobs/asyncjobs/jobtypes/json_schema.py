"""Check values against JSON Schemas, without the job's code and without pydantic."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from asyncjobs.core.errors import InputProblem, InvalidInput
from asyncjobs.core.exact_json import INTEGER_LIMIT
from asyncjobs.jobtypes.formats import FORMATS

if TYPE_CHECKING:
    import jsonschema_rs

_MOST_PROBLEMS = 20
_MOST_OPTIONS = 20
_LONGEST_POINTER = 500
"""Characters. Names in an input may be as long as the input."""


def check(schema: Mapping[str, Any], value: Any) -> None:
    """Raise `InvalidInput` with each place where the value does not fit, without quoting the value.

    Pass the same object for the same schema: its validator is kept for the next value.
    """
    found = chain.from_iterable(map(_problems, _validator(schema).iter_errors(value)))
    if problems := list(islice(found, _MOST_PROBLEMS)):
        raise InvalidInput(problems)


def check_schema(schema: Mapping[str, Any]) -> None:
    """Raise `ValueError` for a schema that no value can be checked against, such as one with an invalid pattern."""
    _new_validator(schema)


def allows(schema: Mapping[str, Any], value: Any) -> bool:
    """Return whether the value fits the schema."""
    return _validator(schema).is_valid(value)


def nullable(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of such a value or null."""
    if "type" in schema:
        return {**schema, "type": [schema["type"], "null"]}
    if "enum" in schema:
        return {**schema, "enum": [*schema["enum"], None]}
    if not schema:
        return {}
    about = {key: value for key, value in schema.items() if key == "description"}
    return {"anyOf": [{key: value for key, value in schema.items() if key not in about}, {"type": "null"}], **about}


def nulls_left_out(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of an object with null for each property that may be left out, as clients of typed languages write it."""
    required = schema.get("required", ())
    fields = {name: field if name in required else nullable(field) for name, field in schema["properties"].items()}
    return {**schema, "properties": fields}


def without_nulls(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the object without the properties that are null."""
    return {name: member for name, member in value.items() if member is not None}


def pointer(path: Iterable[str | int]) -> str:
    """Return the path as a JSON pointer (RFC 6901)."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


_validators: dict[int, tuple[Mapping[str, Any], jsonschema_rs.Validator]] = {}
"""By the identity of the schema, which stays here, so that no other object gets the same id."""


def _validator(schema: Mapping[str, Any]) -> jsonschema_rs.Validator:
    if id(schema) not in _validators:
        _validators[id(schema)] = schema, _new_validator(schema)
    return _validators[id(schema)][1]


def _new_validator(schema: Mapping[str, Any]) -> jsonschema_rs.Validator:
    import jsonschema_rs  # noqa: PLC0415 - only a submit pays for it

    return jsonschema_rs.validator_for(
        _with_integer_limit(schema),
        formats=dict(FORMATS),
        validate_formats=True,
        keywords={"contentMediaType": partial(_JsonText, schema.get("$defs", {}))},  # type: ignore[dict-item]  # it is only called
        mask="the value",
        offline=True,
    )


class _JsonText:
    """The keywords of a text that holds JSON, pydantic's `Json[...]`. JSON Schema itself only describes such a text."""

    def __init__(self, definitions: Mapping[str, Any], parent: Mapping[str, Any], media_type: str, _path: object) -> None:
        schema = parent.get("contentSchema", {})
        self._validator = _new_validator({"$defs": definitions, **schema}) if media_type == "application/json" else None

    def validate(self, value: Any) -> None:
        """Raise `ValueError` for a text that is not JSON of its schema."""
        if self._validator is None or not isinstance(value, str):
            return
        try:
            fits = self._validator.is_valid(json.loads(value))
        except (ValueError, RecursionError):
            fits = False
        if not fits:
            raise ValueError("the value is not JSON of its schema")


def _with_integer_limit(schema: Any) -> Any:
    """Return the schema with a limit at each integer, which has 38 digits at most, also when it is written as 1e38.

    Python would write such a number with an exponent, and then no integer reads it.
    """
    if not isinstance(schema, Mapping):
        return schema
    limited = {keyword: _with_limits_in(keyword, part) for keyword, part in schema.items()}
    kind = schema.get("type")
    if kind == "integer" or (isinstance(kind, list) and "integer" in kind and "number" not in kind):
        limited["allOf"] = [*limited.get("allOf", ()), _INTEGER]
    return limited


def _with_limits_in(keyword: str, part: Any) -> Any:
    if keyword in _NAMED and isinstance(part, Mapping):
        return {name: _with_integer_limit(schema) for name, schema in part.items()}
    if keyword in _LISTED and isinstance(part, list):
        return [_with_integer_limit(schema) for schema in part]
    return _with_integer_limit(part) if keyword in _SINGLE else part


_INTEGER = {"minimum": 1 - INTEGER_LIMIT, "maximum": INTEGER_LIMIT - 1}
_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_LISTED = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_SINGLE = frozenset(
    {"items", "additionalProperties", "unevaluatedItems", "unevaluatedProperties", "contains", "not", "if", "then", "else"}
)
"""The keywords whose values are schemas; others, such as `const`, have values of any kind."""


def _problems(error: jsonschema_rs.ValidationError) -> Iterable[InputProblem]:
    """Return one problem per field: a missing or unknown field has its own pointer, not its parent's."""
    from jsonschema_rs import ValidationErrorKind  # noqa: PLC0415 - see `_new_validator`

    path = error.instance_path
    match error.kind:
        case ValidationErrorKind.AdditionalProperties(names) | ValidationErrorKind.UnevaluatedProperties(names):
            return (InputProblem(_place([*path, name]), "is not a known field") for name in names)
        case ValidationErrorKind.Required(name):
            return [InputProblem(_place([*path, str(name)]), "is required")]
        case ValidationErrorKind.AnyOf(alternatives) | ValidationErrorKind.OneOfNotValid(alternatives):
            return _of_alternatives(error, alternatives)
        case ValidationErrorKind.PropertyNames():
            # Its own message quotes the name.
            detail = "has a field whose name is not allowed"
        case ValidationErrorKind.Enum(options) if len(options) <= _MOST_OPTIONS:
            # Its own message names two of them.
            named = ", ".join(each if isinstance(each, str) else json.dumps(each) for each in options)
            detail = f"must be one of {named}"
        case ValidationErrorKind.Not({"description": str(reason)}):
            # A field that must not be sent, such as a password: the schema's author says why.
            detail = reason
        case _:
            detail = error.message
    return [InputProblem(_place(path), detail)]


def _of_alternatives(
    error: jsonschema_rs.ValidationError, alternatives: Sequence[Sequence[jsonschema_rs.ValidationError]]
) -> Iterable[InputProblem]:
    """Return the problems of the one alternative that has the value's type, as an optional field has; or the fields to choose from."""
    from jsonschema_rs import ValidationErrorKind  # noqa: PLC0415 - see `_new_validator`

    path = error.instance_path
    kinds = [[each.kind for each in errors if each.instance_path == path] for errors in alternatives]
    of_its_type = [
        errors
        for errors, own in zip(alternatives, kinds, strict=True)
        if not any(isinstance(kind, ValidationErrorKind.Type) for kind in own)
    ]
    if len(of_its_type) == 1:
        return chain.from_iterable(map(_problems, of_its_type[0]))
    required = [str(kind.property) for own in kinds for kind in own if isinstance(kind, ValidationErrorKind.Required)]
    if len(required) == len(alternatives) == sum(map(len, alternatives)):
        return [InputProblem(_place(path), f"needs one of these fields: {', '.join(required)}")]
    return [InputProblem(_place(path), error.message)]


def _place(path: list[str | int]) -> str:
    """Return the pointer of the path or, if it is too long to answer with, that of the nearest place around it."""
    while len(found := pointer(path)) > _LONGEST_POINTER:
        path = path[:-1]
    return found
