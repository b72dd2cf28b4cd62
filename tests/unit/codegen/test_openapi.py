"""The OpenAPI document: valid, and the same as the template's routes and the API's codes."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel, TypeAdapter

from asyncjobs.codegen.openapi import CODES, OPERATIONS, Json, document, to_json
from asyncjobs.core.errors import AsyncJobsError
from asyncjobs.http import handlers, parse, problems, render, request
from asyncjobs.jobtypes import catalog
from asyncjobs.jobtypes.catalog import Catalog
from tests.support.factories import job_type
from tests.template.source import ROOT, resources

DOCUMENT = json.loads(catalog.openapi_path().read_text())


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


# ── Whole document ─────────────────────────────────────────────────────────────────────────────────


def test_document_is_valid_openapi() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_document_without_job_types_is_valid_openapi() -> None:
    built = document([])
    OpenAPIV31SpecValidator(built).validate()
    assert not component(built["components"]["schemas"], "SubmitRequest", {"jobType": "a.b"})


def test_same_job_types_give_the_same_text() -> None:
    assert to_json(document(catalog.collect())) == to_json(document(Catalog.read()))


def test_document_has_exactly_the_routes_of_the_template() -> None:
    (server,) = DOCUMENT["servers"]
    described = {f"{method.upper()} {server['url']}{path}" for path, methods in DOCUMENT["paths"].items() for method in methods}
    routed = {
        f"{event['Properties']['Method']} {event['Properties']['Path']}"
        for function in resources("AWS::Serverless::Function").values()
        for event in function["Properties"].get("Events", {}).values()
        if event["Type"] == "HttpApi"
    }
    assert described == routed


def test_operations_without_a_token_are_those_the_template_leaves_open() -> None:
    left_open = {
        f"{event['Properties']['Method']} {event['Properties']['Path']}"
        for function in resources("AWS::Serverless::Function").values()
        for event in function["Properties"].get("Events", {}).values()
        if event["Properties"].get("Auth") == {"Authorizer": "NONE"}
    }
    assert {operation.route for operation in OPERATIONS if operation.is_open} == left_open
    for operation in OPERATIONS:
        described = DOCUMENT["paths"][operation.route.split()[1].removeprefix("/api/v1")][operation.route.split()[0].lower()]
        needs_none = operation.is_open and not operation.by_worker
        assert ("401" not in described["responses"]) == needs_none
        assert (described.get("security") == []) == needs_none


def test_operation_ids_are_unique_and_links_name_one() -> None:
    names = [operation.name for operation in OPERATIONS]
    assert len(set(names)) == len(names)
    links = {
        link["operationId"]
        for methods in DOCUMENT["paths"].values()
        for described in methods.values()
        for answer in described["responses"].values()
        for link in answer.get("links", {}).values()
    }
    assert {"getJob", "getJobResult", "cancelJob"} <= links <= set(names)


def strings(tree: ast.AST) -> Iterator[str]:
    return (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))


def test_every_code_in_the_source_is_described() -> None:
    # Any constant in capitals in these modules is a code.
    found = {
        text
        for module in (handlers, render, request, parse, problems)
        for text in strings(
            ast.parse((ROOT / "layers/asyncjobs/asyncjobs" / f"http/{module.__name__.rpartition('.')[2]}.py").read_text())
        )
        if re.fullmatch("[A-Z][A-Z_]{3,}", text)
    }
    assert found == set(CODES)


@pytest.mark.parametrize("error", problems.PROBLEMS, ids=lambda error: error.__name__)
def test_code_is_described_with_its_status(error: type[AsyncJobsError]) -> None:
    status, code, _, _ = problems.PROBLEMS[error]
    assert CODES[code].status == status


def test_every_code_belongs_to_an_operation() -> None:
    assert {code for operation in OPERATIONS for _, code in operation.codes()} == set(CODES)


@pytest.mark.parametrize("kind", ["schemas", "parameters"])
def test_every_component_is_used(kind: str) -> None:
    text = to_json(DOCUMENT)
    assert [name for name in DOCUMENT["components"][kind] if f'"#/components/{kind}/{name}"' not in text] == []


# ── Job types ──────────────────────────────────────────────────────────────────────────────────────


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
    # Input checks cache a validator for each name, forever: the document must neither use nor fill that cache.
    for schema, may_be_left_out in (({"required": ["x"]}, False), ({}, True), ({"required": ["x"]}, False)):
        schemas = document([job_type("had.another", input_schema=schema)])["components"]["schemas"]
        assert component(schemas, "SubmitRequest", {"jobType": "had.another"}) is may_be_left_out


def test_building_the_document_does_not_change_the_job_types() -> None:
    schema = {"$defs": {"X": {"type": "integer"}}, "$ref": "#/$defs/X"}
    before = json.dumps(schema)
    document([job_type("a.b", input_schema=schema)])
    assert json.dumps(schema) == before
