"""Query parameters are parsed, or rejected with the place of each problem."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from asyncjobs.codegen.openapi import OPERATIONS, document
from asyncjobs.http.request import BASE_PATH
from asyncjobs.jobtypes.json_schema import allows
from tests.support.factories import JOB_ID, new_job, running_job
from tests.support.http_events import JOB, JOBS, TICKET
from tests.unit.http.in_memory_api import InMemoryApi

DOCUMENT = document(())
BY_ROUTE = {each.route_key: each for each in OPERATIONS}
PATH = {"asyncJobId": JOB_ID, "webhookId": JOB_ID, "key": JOB_ID, "priority": "high", "jobType": "api.reads"}


def listed_parameters(route: str) -> list[Mapping[str, Any]]:
    """Return the query parameters of the operation, as the document has them."""
    method, _, path = route.partition(" ")
    operation = DOCUMENT["paths"][path.removeprefix(BASE_PATH)][method.lower()]
    return [each for each in operation.get("parameters", ()) if each.get("in") == "query"]


def parameters_of(route: str) -> dict[str, Mapping[str, Any]]:
    """Return the schema of each query parameter of the operation."""
    return {each["name"]: resolved(each["schema"]) for each in listed_parameters(route)}


def resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    name = schema.get("$ref", "").removeprefix("#/components/schemas/")
    found: Mapping[str, Any] = DOCUMENT["components"]["schemas"][name] if name else schema
    return found


def required(route: str) -> list[str]:
    return [each["name"] for each in listed_parameters(route) if each.get("required")]


def texts_to_try(schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield each value of the schema, texts at the ends of its range and beyond, and texts of other kinds."""
    for limit in (schema[name] for name in ("minimum", "maximum") if name in schema):
        yield from (str(limit - 1), str(limit), str(limit + 1))
    yield from schema.get("enum", ())
    if "maxLength" in schema:
        yield from ("x" * schema["maxLength"], "x" * (schema["maxLength"] + 1))
    yield from ("", "x", "\u00e9", "1.5", "9" * 40, "2026-11-26", "2026-02-30", "2026-11-26T00:00:00Z")


def value_of(text: str, schema: Mapping[str, Any]) -> Any:
    is_number = schema.get("type") == "integer" and re.fullmatch(r"-?[0-9]+([.][0-9]+)?", text)
    return json.loads(text) if is_number else text


# Any text is a valid cursor by its schema; the API accepts only its own, and has a code of its own for others.
DOCUMENTED = [(route, name) for route in BY_ROUTE for name in parameters_of(route) if name != "cursor"]


def is_refused(api: InMemoryApi, route: str, name: str, text: str) -> bool:
    """Return whether the answer names the parameter as invalid. The request has the other parameters that are required."""
    query = {**dict.fromkeys(required(route), "x"), name: text}
    if BY_ROUTE[route].security == "ticket":
        query["ticket"] = api.call(TICKET, body='{"scope": "owner"}').body["ticket"]
    answer = api.call(route, path=PATH, query=query, groups="[admin]")
    return answer.status == 400 and f"/{name}" in [each["pointer"] for each in answer.body.get("errors", ())]


@pytest.mark.parametrize(("query", "pointer"), [("21", "/wait"), ("-1", "/wait"), ("1.5", "/wait"), ("soon", "/wait")])
def test_invalid_wait_is_400(api: InMemoryApi, query: str, pointer: str) -> None:
    api.add_jobs(running_job())
    answer = api.call(JOB, async_job_id=JOB_ID, query={"wait": query})
    assert (answer.status, answer.pointers) == (400, [pointer])


def test_unknown_parameter_is_400(api: InMemoryApi) -> None:
    api.add_jobs(running_job())
    assert api.call(JOB, async_job_id=JOB_ID, query={"wiat": "5"}).pointers == ["/wiat"]


@pytest.mark.parametrize("limit", ["0", "-1", "101", "1000000000", "10.5", "1e1", "true", "", " 5", "5\n", "05", "٣", "0x5"])
def test_page_size_is_1_to_100(api: InMemoryApi, limit: str) -> None:
    answer = api.call(JOBS, query={"limit": limit})
    assert (answer.status, answer.pointers) == (400, ["/limit"])


@pytest.mark.parametrize("status", ["pending", "RUNNING", "", "PENDING,FAILED", "finished", "__class__"])
def test_invalid_status_is_400(api: InMemoryApi, status: str) -> None:
    answer = api.call(JOBS, query={"status": status})
    assert (answer.status, answer.pointers) == (400, ["/status"])


@pytest.mark.parametrize("query", ["jobType=a&jobType=b", "jobType=a&jobType=a", "job%54ype=a&jobType=b"])
def test_parameter_that_is_given_twice_is_400(api: InMemoryApi, query: str) -> None:
    answer = api.call(JOBS, query=query)
    assert (answer.status, answer.pointers) == (400, ["/jobType"])


@pytest.mark.parametrize(
    ("query", "pointer"),
    [("jobType=%00", "/jobType"), ("jobType=%FF", "/jobType"), ("jobType=%ED%A0%80", "/jobType"), ("a%2Fb~=1", "/a~1b~0")],
)
def test_unclean_text_is_400_and_pointers_are_escaped(api: InMemoryApi, query: str, pointer: str) -> None:
    answer = api.call(JOBS, query=query)
    assert (answer.status, answer.pointers) == (400, [pointer])


def test_query_is_decoded_as_forms_encode_it(api: InMemoryApi) -> None:
    api.add_jobs(new_job(job_type="a b+\u00fc"))
    assert len(api.call(JOBS, query="jobType=a+b%2B%c3%bc").body["jobs"]) == 1


@pytest.mark.parametrize("name", ["status", "jobType", "limit"])
@pytest.mark.parametrize("form", ["{}=", "{}"])
def test_empty_parameter_is_400(api: InMemoryApi, name: str, form: str) -> None:
    """It was probably meant to be left out, and an empty list would hide that."""
    answer = api.call(JOBS, query=form.format(name))
    assert (answer.status, answer.pointers) == (400, [f"/{name}"])


def test_each_invalid_parameter_is_named(api: InMemoryApi) -> None:
    answer = api.call(JOBS, query={"owner": "bob", "status": "x", "limit": "x"})
    assert answer.pointers == ["/limit", "/owner", "/status"]


@pytest.mark.parametrize(("route", "name"), DOCUMENTED)
def test_documented_parameter_is_refused_where_its_schema_refuses_it(api: InMemoryApi, route: str, name: str) -> None:
    schema = parameters_of(route)[name]
    texts = list(texts_to_try(schema))
    expected = [text for text in texts if not allows(schema, value_of(text, schema))]
    assert [text for text in texts if is_refused(api, route, name, text)] == expected


@pytest.mark.parametrize("route", BY_ROUTE)
def test_parameter_that_the_document_lacks_is_refused_if_the_operation_has_any(api: InMemoryApi, route: str) -> None:
    """Operations without parameters ignore a query, except those of administrators."""
    assert is_refused(api, route, "undocumented", "1") is (bool(parameters_of(route)) or "/admin/" in route)
