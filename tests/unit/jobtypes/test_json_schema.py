"""Inputs are checked against JSON Schemas: each problem is named, no value is quoted."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import jsonschema_rs
import pytest

from asyncjobs.core.errors import InputProblem, InvalidInput
from asyncjobs.jobtypes import json_schema


def problems(schema: dict[str, Any], value: Any) -> list[InputProblem]:
    """Return the problems of the value."""
    try:
        json_schema.check(schema, value)
    except InvalidInput as error:
        return list(error.problems)
    return []


def test_valid_value_passes() -> None:
    assert problems({"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}, {"a": 1}) == []


@pytest.mark.parametrize("value", [True, 1.5, "1", None])
def test_only_a_number_is_an_integer(value: Any) -> None:
    assert problems({"type": "integer"}, value)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "minLength": 1},
        {"enum": ["a"]},
        {"const": "a", "description": "An a."},
        {"$ref": "#/$defs/a", "description": "An a."},
        {},
    ],
    ids=str,
)
def test_nullable_schema_allows_null_and_keeps_its_rule(schema: dict[str, Any]) -> None:
    defs = {"a": {"const": "a"}}
    nullable = {**json_schema.nullable(schema), "$defs": defs}
    assert [json_schema.allows(nullable, value) for value in ("a", None, 7)] == [True, True, schema == {}]
    assert nullable.get("description") == schema.get("description")


def test_null_stands_for_what_may_be_left_out_alone() -> None:
    schema = json_schema.nulls_left_out(
        {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}
    )
    assert problems(schema, {"a": 1, "b": None}) == []
    assert [found.pointer for found in problems(schema, {"a": None, "b": None})] == ["/a"]
    assert json_schema.without_nulls({"a": 0, "b": None, "c": ""}) == {"a": 0, "c": ""}


def test_whole_float_is_an_integer() -> None:
    assert problems({"type": "integer"}, 2.0) == []


def test_numbers_of_38_digits_are_compared_exactly() -> None:
    most = 10**38 - 1
    assert problems({"maximum": most - 1}, most)
    assert problems({"maximum": most}, most) == []


def test_each_problem_is_named_by_its_pointer() -> None:
    schema = {
        "type": "object",
        "additionalProperties": False,
        "required": ["name", "title"],
        "properties": {
            "name": {"type": "string"},
            "title": {"type": "string"},
            "pages": {"items": {"properties": {"number": {"type": "integer"}}}},
        },
    }
    value = {"name": 7, "pages": [{"number": 1}, {"number": "2"}], "extra": 1, "a/b~c": 2}
    assert sorted(problem.pointer for problem in problems(schema, value)) == [
        "/a~1b~0c",
        "/extra",
        "/name",
        "/pages/1/number",
        "/title",
    ]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer"}, "canary"),
        ({"enum": ["a", "b"]}, "canary"),
        ({"const": "a"}, "canary"),
        ({"pattern": "^a$"}, "canary"),
        ({"maxLength": 2}, "canary"),
        ({"minLength": 20}, "canary"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "canary"),
        ({"oneOf": [{"type": "string"}, {"type": ["string", "null"]}]}, "canary"),
        ({"not": {"type": "string"}}, "canary"),
        ({"contains": {"type": "integer"}}, ["canary"]),
        ({"uniqueItems": True}, ["canary", "canary"]),
        ({"maxItems": 0}, ["canary"]),
        ({"minProperties": 2}, {"a": "canary"}),
        ({"propertyNames": {"pattern": "^a$"}}, {"canary": 1}),
        ({"properties": {"a": False}}, {"a": "canary"}),
        ({"if": {"type": "string"}, "then": {"maxLength": 1}}, "canary"),
    ],
    ids=lambda part: next(iter(part)) if isinstance(part, dict) else "",
)
def test_problem_does_not_quote_the_value(schema: dict[str, Any], value: Any) -> None:
    found = problems(schema, value)
    assert found
    assert "canary" not in str(found)


NODE = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string", "minLength": 1}}}
NULL = {"type": "null"}


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"anyOf": [{"type": "string", "minLength": 1}, NULL]}, "", [("", "the value is shorter than 1 character")]),
        ({"anyOf": [NODE, NULL]}, {}, [("/id", "is required")]),
        ({"anyOf": [{"type": "array", "items": NODE}, NULL]}, [{}, {"id": ""}], ["/0/id", "/1/id"]),
        ({"oneOf": [NODE, {"type": "string"}]}, {"id": 7}, [("/id", 'the value is not of type "string"')]),
        ({"anyOf": [{"anyOf": [NODE, {"type": "integer"}]}, NULL]}, {}, [("/id", "is required")]),
        ({"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, {}, [("", "needs one of these fields: a, b")]),
        ({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, {"c": 1}, [("", "needs one of these fields: a, b")]),
    ],
    ids=["text", "field", "items", "of one type", "nested", "any of the fields", "one of the fields"],
)
def test_problem_is_that_of_the_alternative_of_the_values_type(schema: dict[str, Any], value: Any, expected: list[Any]) -> None:
    found = [(problem.pointer, problem.detail) for problem in problems(schema, value)]
    assert [each if isinstance(want, tuple) else each[0] for each, want in zip(found, expected, strict=True)] == expected


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"anyOf": [NODE, NULL]}, 7),
        ({"anyOf": [NODE, {"type": "object", "required": ["name"]}]}, {"id": 7}),
        ({"oneOf": [{"required": ["a", "b"]}, {"required": ["c"]}]}, {}),
    ],
    ids=["no alternative of its type", "two of its type", "two fields together"],
)
def test_value_with_several_alternatives_or_none_is_one_problem(schema: dict[str, Any], value: Any) -> None:
    (problem,) = problems(schema, value)
    assert (problem.pointer, "not valid under any" in problem.detail) == ("", True)


def test_only_the_first_20_problems_are_named() -> None:
    found = problems({"items": {"type": "integer"}}, ["x"] * 1000)
    assert [problem.pointer for problem in found] == [f"/{index}" for index in range(20)]


def test_problem_in_a_place_with_a_long_name_is_named_by_the_place_around_it() -> None:
    schema = {"additionalProperties": {"additionalProperties": {"type": "integer"}}}
    found = problems(schema, {"a": {"n" * 100_000: "x", "b": "x"}})
    assert sorted(problem.pointer for problem in found) == ["/a", "/a/b"]
    assert problems({"additionalProperties": False}, {"n" * 100_000: 1})[0].pointer == ""


def test_unevaluated_fields_are_named_by_their_pointers() -> None:
    schema = {"properties": {"a": {}}, "unevaluatedProperties": False}
    assert [(found.pointer, found.detail) for found in problems(schema, {"a": 1, "canary": 2})] == [
        ("/canary", "is not a known field")
    ]


@pytest.mark.parametrize(
    "schema", [{"pattern": "(unclosed"}, {"$ref": "#/$defs/none"}, {"$ref": "http://127.0.0.1:9/x"}, {"type": 7}]
)
def test_schema_that_nothing_can_be_checked_against_is_an_error(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the text is jsonschema's
        json_schema.check_schema(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer"},
        {"type": ["integer", "null"]},
        {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/Number"}], "$defs": {"Number": {"type": "integer"}}},
    ],
)
def test_integer_has_38_digits_at_most(schema: dict[str, Any]) -> None:
    for value in (10**38, 1e38, 1e300, -1e300, Decimal("1E+38")):
        assert problems(schema, value)
    for value in (10**38 - 1, 1e37, -(10**38) + 1):
        assert problems(schema, value) == []


def test_number_and_names_of_keywords_have_no_such_limit() -> None:
    assert problems({"type": ["integer", "number"]}, 1e300) == []
    assert problems({"properties": {"type": {"const": "integer"}}, "enum": [{"type": "integer"}]}, {"type": "integer"}) == []


def test_reference_inside_the_schema_is_followed() -> None:
    schema = {"$defs": {"Page": {"type": "integer"}}, "properties": {"page": {"$ref": "#/$defs/Page"}}}
    assert [problem.pointer for problem in problems(schema, {"page": "x"})] == ["/page"]


def test_reference_to_the_network_is_not_followed() -> None:
    with pytest.raises(ValueError, match="Retrieval is disabled"):
        json_schema.check({"$ref": "http://127.0.0.1:9/schema"}, 1)


def test_catastrophic_pattern_rejects_instead_of_backtracking() -> None:
    assert problems({"pattern": "^(a+)+(?<!x)$"}, "a" * 40 + "!")


@pytest.mark.parametrize(("path", "expected"), [((), ""), (("a", 0, "b"), "/a/0/b"), (("a/b", "~"), "/a~1b/~0"), (("",), "/")])
def test_pointer_follows_rfc_6901(path: tuple[str | int, ...], expected: str) -> None:
    assert json_schema.pointer(path) == expected


def test_each_schema_has_its_own_validator() -> None:
    """A new object may have the address of a deleted one."""
    for number in range(100):
        assert problems({"const": number}, number) == []
        assert problems({"const": number}, number + 1)


def test_validator_of_a_schema_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = {"const": 1}
    assert problems(schema, 1) == []
    monkeypatch.delattr(jsonschema_rs, "validator_for")
    assert problems(schema, 2)


def test_refused_field_is_answered_with_the_schemas_reason() -> None:
    schema = {
        "properties": {
            "password": {"not": {"description": "must not be sent: name a secret"}},
            "other": {"not": {"minLength": 9}},
        }
    }
    assert problems(schema, {"password": "canary"}) == [InputProblem("/password", "must not be sent: name a secret")]
    assert problems(schema, {"password": None}) == [InputProblem("/password", "must not be sent: name a secret")]
    (other,) = problems(schema, {"other": "canary-canary"})
    assert "canary" not in other.detail
    assert problems(schema, {}) == []


def test_value_outside_a_list_is_answered_with_all_that_may_be_sent() -> None:
    assert problems({"enum": ["high", "low", 3, None]}, "urgent") == [InputProblem("", "must be one of high, low, 3, null")]
    (found,) = problems({"enum": list(range(100))}, "urgent")
    assert len(found.detail) < 100
