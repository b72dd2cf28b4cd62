"""Job types in the document: their schemas, and the parameters of their routes."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel, TypeAdapter

from asyncjobs.codegen.job_types import operation_id
from asyncjobs.codegen.openapi import document, to_json
from asyncjobs.http.schemas import Json
from tests.support.factories import job_type


def component(schemas: Json, name: str, value: Any) -> bool:
    """Return whether the value is valid for the component."""
    whole = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
    return jsonschema_rs.validator_for(whole, offline=True).is_valid(value)


def schemas_of(input_type: Any, output_type: Any = None) -> Json:
    """Return the components of an API with one job type, `a.b`."""
    type_ = job_type(
        "a.b",
        input_schema=TypeAdapter(input_type).json_schema(),
        output_schema=TypeAdapter(output_type).json_schema(mode="serialization"),
    )
    built = document([type_])
    OpenAPIV31SpecValidator(built).validate()
    schemas: Json = built["components"]["schemas"]
    return schemas


class Leaf(BaseModel):
    """The end of a branch."""

    kind: str = "leaf"
    size: int


class Branch(BaseModel):
    """A recursive model."""

    name: str
    inner: list[Branch] = []
    leaf: Leaf | None = None


def test_recursive_definitions_are_moved_and_found() -> None:
    schemas = schemas_of(Branch, list[Leaf])
    good = {"name": "a", "inner": [{"name": "b", "leaf": {"size": 1}}]}
    assert component(schemas, "a.b.submit", {"jobType": "a.b", "input": good})
    bad = {"name": "a", "inner": [{"name": "b", "leaf": {"size": "large"}}]}
    assert not component(schemas, "a.b.submit", {"jobType": "a.b", "input": bad})
    assert component(schemas, "a.b.output", [{"kind": "leaf", "size": 1}])
    assert not component(schemas, "a.b.output", [{"kind": "leaf"}])
    assert "$defs" not in to_json(schemas)


def test_schema_that_references_its_root_still_does() -> None:
    tree = {
        "type": "object",
        "properties": {"inner": {"$ref": "#"}, "$ref": {"type": "integer"}},
        "additionalProperties": False,
    }
    schemas = document([job_type("a.b", input_schema=tree)])["components"]["schemas"]
    assert component(schemas, "a.b.input", {"inner": {"inner": {"$ref": 1}}})
    assert not component(schemas, "a.b.input", {"inner": {"inner": {"$ref": "1"}}})
    assert not component(schemas, "a.b.input", {"inner": {"outer": {}}})


def test_discriminator_follows_its_moved_schemas() -> None:
    tagged = {
        "$defs": {"Cat": {"type": "object"}},
        "oneOf": [{"$ref": "#/$defs/Cat"}],
        "discriminator": {"propertyName": "kind", "mapping": {"cat": "#/$defs/Cat"}},
    }
    schemas = document([job_type("a.b", input_schema=tagged)])["components"]["schemas"]
    assert schemas["a.b.input"]["discriminator"]["mapping"] == {"cat": "#/components/schemas/a.b.input.Cat"}


def test_submit_is_described_for_each_job_type() -> None:
    schemas = document(
        [
            job_type("a.b", input_schema={"type": "object", "required": ["x"]}),
            job_type("a_b", input_schema={"type": "object", "additionalProperties": False}),
        ]
    )["components"]["schemas"]
    assert component(schemas, "SubmitRequest", {"jobType": "a.b", "input": {"x": 1}})
    assert not component(schemas, "SubmitRequest", {"jobType": "a_b", "input": {"x": 1}})
    assert not component(schemas, "SubmitRequest", {"jobType": "c", "input": {"x": 1}})
    assert not component(schemas, "SubmitRequest", {"jobType": "a.b", "input": {"x": 1}, "owner": "bob"})


def test_input_is_optional_where_an_empty_object_is_valid() -> None:
    schemas = document([job_type("needs", input_schema={"type": "object", "required": ["x"]}), job_type("takes_anything")])[
        "components"
    ]["schemas"]
    assert component(schemas, "SubmitRequest", {"jobType": "takes_anything"})
    assert not component(schemas, "SubmitRequest", {"jobType": "needs"})


def test_changed_schema_of_a_type_is_described_as_it_is_now() -> None:
    for schema, may_be_left_out in (({"required": ["x"]}, False), ({}, True), ({"required": ["x"]}, False)):
        schemas = document([job_type("had.another", input_schema=schema)])["components"]["schemas"]
        assert component(schemas, "SubmitRequest", {"jobType": "had.another"}) is may_be_left_out


def test_building_the_document_does_not_change_the_job_types() -> None:
    schema = {"$defs": {"X": {"type": "integer"}}, "$ref": "#/$defs/X"}
    before = json.dumps(schema)
    document([job_type("a.b", input_schema=schema)])
    assert json.dumps(schema) == before


# ── Client generators ────────────────────────────────────────────────────────────────────────────────


def test_titles_are_left_out_since_generators_name_models_by_them() -> None:
    class Named(BaseModel):
        title: str
        names: dict[str, str] = {"title": "a value"}

    schemas = schemas_of(Named)
    assert "title" not in schemas["a.b.input"]
    assert schemas["a.b.input"]["properties"]["title"] == {"type": "string"}
    assert schemas["a.b.input"]["properties"]["names"]["default"] == {"title": "a value"}


def test_parameters_of_a_route_have_their_schema_in_place() -> None:
    """Generators resolve no reference into a schema, such as `#/components/schemas/a.b.input/properties/name`."""
    type_ = job_type(
        "a.b",
        routes=("GET /import/{name}",),
        input_schema={
            "type": "object",
            "required": ["name", "size"],
            "properties": {"name": {"type": "string", "title": "Name"}, "size": {"$ref": "#/$defs/Size"}},
            "$defs": {"Size": {"type": "integer"}},
        },
    )
    assert document([type_])["paths"]["/import/{name}"]["get"]["parameters"][:2] == [
        {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}},
        {
            "name": "size",
            "in": "query",
            "required": True,
            "schema": {"$ref": "#/components/schemas/a.b.input.Size"},
            "explode": False,
        },
    ]


def test_name_of_a_route_is_made_of_its_words() -> None:
    assert operation_id("POST /import/{file_name}/now") == "postImportFileNameNow"


def test_most_specific_output_comes_first_since_clients_take_the_first_that_fits() -> None:
    anything = job_type("a.anything", output_schema={"type": "object"})
    pages = job_type("b.pages", output_schema={"type": "object", "required": ["text", "pages"]})
    text = job_type("c.text", output_schema={"type": "object", "required": ["text"]})
    result = document([anything, text, pages])["components"]["schemas"]["Result"]
    assert [each["$ref"].rpartition("/")[2] for each in result["anyOf"]] == [
        "b.pages.output",
        "c.text.output",
        "a.anything.output",
    ]


def test_synchronous_route_answers_with_the_output_of_its_type() -> None:
    built = document([job_type("a.b", synchronous_routes=("GET /now",))])
    schema = built["paths"]["/now"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/a.b.output"}
