"""Schemas are made of parts that a JSON Schema validator reads as meant."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest

from asyncjobs.http.schemas import STRING, Json, answer_object, described, ref
from asyncjobs.jobtypes.json_schema import nullable


def is_valid(schema: Json, value: Any) -> bool:
    whole = {**schema, "components": {"schemas": {"Text": STRING}}}
    return jsonschema_rs.validator_for(whole, offline=True).is_valid(value)


@pytest.mark.parametrize("schema", [STRING, ref("Text"), described("A text.", STRING)], ids=str)
def test_nullable_value_may_be_null_and_nothing_else(schema: Json) -> None:
    assert [is_valid(nullable(schema), value) for value in ("x", None, 7)] == [True, True, False]


def test_answer_needs_its_members_and_may_have_more() -> None:
    schema = answer_object("A text.", {"text": STRING, "author": STRING}, optional=("author",))
    assert is_valid(schema, {"text": "x", "pages": 9})
    assert not is_valid(schema, {"author": "x"})
    assert not is_valid(schema, {"text": "x", "author": 7})


def test_description_leaves_the_schema_itself_unchanged() -> None:
    assert described("A text.", STRING) == {"type": "string", "description": "A text."}
    assert STRING == {"type": "string"}
