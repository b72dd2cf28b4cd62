"""The OpenAPI document: valid, and the same as the template's routes and the API's answers."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urljoin

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from asyncjobs.codegen.collect import collect
from asyncjobs.codegen.openapi import OPERATIONS, codes_of, document, name_of, summary_of, to_json
from asyncjobs.http.command_routes import operations_of_job_type
from asyncjobs.http.dialects.api import ROUTE
from asyncjobs.http.error_codes import ERRORS
from asyncjobs.http.operations import Operation
from asyncjobs.jobtypes import catalog
from asyncjobs.jobtypes.catalog import Catalog
from tests.support.factories import job_type
from tests.template.source import resources

DOCUMENT = json.loads(catalog.document_path(catalog.OPENAPI).read_text())
OWN = [operation for type_ in Catalog.read() for operation in operations_of_job_type(type_)]
each_operation = pytest.mark.parametrize("operation", [*OPERATIONS, *OWN], ids=lambda operation: operation.route)


def described(operation: Operation) -> Any:
    """Return the operation in the document."""
    method, path = operation.route.split()
    return DOCUMENT["paths"][path][method.lower()]


def test_document_is_valid_openapi() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_document_of_an_api_without_job_types_is_valid_and_accepts_no_submit() -> None:
    built = document([])
    OpenAPIV31SpecValidator(built).validate()
    whole = {"$ref": "#/components/schemas/SubmitRequest", "components": built["components"]}
    assert not jsonschema_rs.validator_for(whole, offline=True).is_valid({"jobType": "a.b"})


def test_document_depends_on_the_job_types_alone() -> None:
    assert to_json(document(collect())) == to_json(document(Catalog.read()))


def test_document_describes_exactly_the_routes_of_the_template() -> None:
    (server,) = DOCUMENT["servers"]
    base = urljoin("/api/v1/openapi.json", server["url"])
    found = {f"{method.upper()} {base}{path}" for path, methods in DOCUMENT["paths"].items() for method in methods}
    # HEAD has the headers of GET (RFC 9110 9.3.2), so the document does not repeat them.
    found |= {f"HEAD {base}{path}" for path, methods in DOCUMENT["paths"].items() if "get" in methods}
    routed = {
        f"{event['Properties']['Method']} {event['Properties']['Path']}"
        for function in resources("AWS::Serverless::Function").values()
        for event in function["Properties"].get("Events", {}).values()
        # The document of the API that a dialect speaks for is another one: see docs/decisions.md. The console is a page.
        if event["Type"] == "HttpApi"
        and event["Properties"]["Path"] != ROUTE
        and not event["Properties"]["Path"].startswith("/console")
    }
    assert found == routed


def test_operations_without_a_callers_token_are_those_that_the_template_leaves_open() -> None:
    left_open = {
        f"{event['Properties']['Method']} {event['Properties']['Path']}"
        for function in resources("AWS::Serverless::Function").values()
        for event in function["Properties"].get("Events", {}).values()
        if event["Properties"].get("Auth") == {"Authorizer": "NONE"} and not event["Properties"]["Path"].startswith("/console")
    }
    open_routes = {operation.route_key for operation in OPERATIONS if operation.security != "bearer"}
    assert open_routes | {route.replace("GET", "HEAD") for route in open_routes} == left_open


@each_operation
def test_security_and_401_follow_from_the_token_that_is_required(operation: Operation) -> None:
    security: dict[str | None, Any] = {"bearer": None, "workerToken": [{"workerToken": []}], None: []}
    security["ticket"] = [{"ticket": []}, {"ticketInQuery": []}]
    assert described(operation).get("security") == security[operation.security]
    assert ("401" in described(operation)["responses"]) == (operation.security is not None)


@each_operation
def test_each_code_has_its_status_and_the_headers_of_the_table(operation: Operation) -> None:
    for status, code in codes_of(operation):
        answer = described(operation)["responses"][str(status)]
        narrowed = answer["content"]["application/problem+json"]["schema"]["properties"]
        assert narrowed["status"] == {"const": status}
        assert code in narrowed["code"]["enum"]
        assert set(ERRORS[code].headers) <= answer.get("headers", {}).keys()
        assert ERRORS[code].title in answer["description"]


@each_operation
def test_operation_answers_a_bug_with_a_problem(operation: Operation) -> None:
    assert (500, "INTERNAL_ERROR") in codes_of(operation)


def test_servers_url_is_relative_to_the_documents_own() -> None:
    """It is right behind a stage and a prefix, and without a slash at its end, to which tools append a path."""
    (server,) = DOCUMENT["servers"]
    assert urljoin("https://a.example/dev/api/v1/openapi.json", server["url"]) == "https://a.example/dev/api/v1"


@each_operation
def test_summary_is_a_phrase(operation: Operation) -> None:
    assert operation.job_type is not None or not summary_of(operation).endswith(".")
    assert "\n" not in summary_of(operation)


def test_each_operation_has_its_own_name_and_each_link_leads_to_one() -> None:
    names = [name_of(operation) for operation in (*OPERATIONS, *OWN)]
    assert len(set(names)) == len(names)
    links = {link for operation in OPERATIONS for answer in operation.answers.values() for link in answer.links}
    assert {"getJob", "getJobResult", "cancelJob"} <= links <= set(names)


def test_route_of_a_job_type_is_described_by_the_job_type() -> None:
    built = document([job_type("a.b", description="Imports a file.", routes=("POST /import/{name}",))])
    operation = built["paths"]["/import/{name}"]["post"]
    assert (operation["operationId"], operation["summary"]) == ("postImportName", "Imports a file.")


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if each.body], ids=lambda operation: operation.route)
def test_each_body_has_an_example_that_fits(operation: Operation) -> None:
    body = described(operation)["requestBody"]["content"]["application/json"]
    whole = {**body["schema"], "components": DOCUMENT["components"]}
    assert jsonschema_rs.validator_for(whole, offline=True).is_valid(body["example"])


@each_operation
def test_403_begins_with_the_gateways_error_since_a_generated_client_reads_the_first_content(operation: Operation) -> None:
    if operation.security == "bearer":
        assert list(described(operation)["responses"]["403"]["content"]) == ["application/json", "application/problem+json"]
