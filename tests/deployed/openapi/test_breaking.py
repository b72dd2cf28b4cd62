"""No change breaks a client of the last release, and each kind of breaking change is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asyncjobs.codegen.openapi import document
from asyncjobs.core.clock import RFC3339
from asyncjobs.http.command_routes import CONTENT_TYPE
from asyncjobs.http.request import IDEMPOTENCY_KEY
from asyncjobs.jobtypes.catalog import OPENAPI, document_path
from tests.deployed.openapi.breaking import breaks
from tests.support.factories import job_type

RELEASED = Path(__file__).with_name("released.json")

INTENDED = (
    # A query of nothing but U+0085 or U+FEFF was accepted, and its job failed.
    "query: pattern is '[^\\\\s\\\\u0085\\\\uFEFF]'",
    "query 'query': pattern is '[^\\\\s\\\\u0085\\\\uFEFF]'",
    # The gateway joins two headers with a comma: only in quotes is a key with a comma one key.
    f"header 'Idempotency-Key': pattern is {IDEMPOTENCY_KEY!r}",
    # It matches every time that the earlier one did and that has an hour, a minute and a second that exist.
    f"/notBefore: pattern is {RFC3339!r}",
    # It matches every type that the earlier one did, and more.
    f"body/contentType: pattern is {CONTENT_TYPE!r}",
    # An empty type was always refused, and the document did not say so.
    "query 'jobType': minLength is 1",
)
"""The ends of lines about intended breaks since the last release, which affect no working client. A release empties it."""

READS = job_type(
    "api.reads",
    input_schema={
        "type": "object",
        "additionalProperties": False,
        "required": ["pages"],
        "properties": {
            "pages": {"type": "integer", "minimum": 1, "maximum": 100},
            "mode": {"enum": ["fast", "good"]},
            "title": {"type": ["string", "null"]},
            "parts": {"type": "array", "items": {"type": "string"}},
            "either": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            "anything": {},
        },
    },
    output_schema={
        "type": "object",
        "required": ["words"],
        "properties": {"words": {"type": "integer"}, "parts": {"type": "array", "items": {"type": "string"}}},
    },
)
OLD = document([READS, job_type("api.counts", input_schema={"type": "object"})])
TEXT = json.dumps(OLD)

Change = Callable[[dict[str, Any]], object]


def changed(change: Change) -> dict[str, Any]:
    new: dict[str, Any] = json.loads(TEXT)  # in a tenth of the time of a deep copy
    change(new)
    assert new != OLD
    return new


def operation(document: dict[str, Any], path: str, method: str = "get") -> Any:
    return document["paths"][path][method]


def parameter(document: dict[str, Any], name: str) -> Any:
    return next(found for found in operation(document, "/jobs")["parameters"] if found["name"] == name)


def problem(document: dict[str, Any]) -> Any:
    return operation(document, "/jobs")["responses"]["400"]["content"]["application/problem+json"]["schema"]


def schema(document: dict[str, Any], name: str) -> Any:
    return document["components"]["schemas"][name]


def inputs(document: dict[str, Any]) -> Any:
    return schema(document, "api.reads.input")["properties"]


def job(document: dict[str, Any]) -> Any:
    return schema(document, "AsyncJob")


BREAKS: dict[str, tuple[Change, str]] = {
    "a path is gone": (lambda d: d["paths"].pop("/health"), "/health: is gone"),
    "an operation is gone": (lambda d: d["paths"]["/jobs"].pop("get"), "GET /jobs: is gone"),
    "an operation has another name": (
        lambda d: operation(d, "/jobs").update(operationId="getJobs"),
        "GET /jobs: is called 'getJobs', which was 'listJobs'",
    ),
    "an open operation needs a token": (lambda d: operation(d, "/health").pop("security"), "GET /health: needs a token"),
    "an answer is gone": (lambda d: operation(d, "/jobs", "post")["responses"].pop("200"), "POST /jobs: 200 is gone"),
    "an answer has another media type": (
        lambda d: operation(d, "/health")["responses"]["200"].update(content={"text/plain": {"schema": {}}}),
        "GET /health: 200: application/json is gone",
    ),
    "a header of an answer is gone": (
        lambda d: operation(d, "/jobs", "post")["responses"]["202"]["headers"].pop("Idempotency-Replayed"),
        "POST /jobs: 202: header Idempotency-Replayed is gone",
    ),
    "a header is no longer always there": (
        lambda d: operation(d, "/jobs", "post")["responses"]["202"]["headers"]["Location"].pop("required"),
        "POST /jobs: 202: header Location is no longer there each time",
    ),
    "a header holds something else": (
        lambda d: d["components"]["headers"]["Retry-After"]["schema"].update(type="string"),
        "GET /jobs/{asyncJobId}: 200: header Retry-After: also string",
    ),
    "a parameter is gone": (
        lambda d: operation(d, "/jobs")["parameters"].pop(),
        "GET /jobs: query 'cursor' is gone",
    ),
    "a new parameter is required": (
        lambda d: operation(d, "/jobs")["parameters"].append(
            {"name": "owner", "in": "query", "required": True, "schema": {"type": "string"}}
        ),
        "GET /jobs: query 'owner' is required",
    ),
    "a parameter becomes required": (
        lambda d: parameter(d, "limit").update(required=True),
        "GET /jobs: query 'limit' is required",
    ),
    "a parameter may be less": (
        lambda d: parameter(d, "limit")["schema"].update(maximum=50),
        "GET /jobs: query 'limit': maximum is 50",
    ),
    "a parameter must look so": (
        lambda d: parameter(d, "cursor")["schema"].update(pattern="^x"),
        "GET /jobs: query 'cursor': pattern is '^x'",
    ),
    "a body becomes required": (
        lambda d: operation(d, "/jobs/{asyncJobId}/cancel", "post").update(
            requestBody={"required": True, "content": {"application/json": {"schema": {}}}}
        ),
        "POST /jobs/{asyncJobId}/cancel: body is required",
    ),
    "a body is gone": (lambda d: operation(d, "/jobs", "post").pop("requestBody"), "POST /jobs: body is gone"),
    "a job type is gone": (
        lambda d: schema(d, "SubmitRequest")["anyOf"].pop(),
        "POST /jobs: body: anyOf #/components/schemas/api.counts.submit is gone",
    ),
    "a new input is required": (
        lambda d: schema(d, "api.reads.input")["required"].append("mode"),
        "/input/mode: is required",
    ),
    "an input is gone": (lambda d: inputs(d).pop("mode"), "/input/mode: is gone"),
    "an input has fewer values": (lambda d: inputs(d)["mode"]["enum"].pop(), "/input/mode: fewer values are allowed"),
    "an input gets an enum": (lambda d: inputs(d)["title"].update(enum=["a"]), "/input/title: fewer values are allowed"),
    "an input has another type": (lambda d: inputs(d)["pages"].update(type="string"), "/input/pages: no longer integer"),
    "an input may no longer be null": (lambda d: inputs(d)["title"].update(type="string"), "/input/title: no longer null"),
    "an input that was anything gets a type": (
        lambda d: inputs(d)["anything"].update(type="array"),
        "/input/anything: no longer boolean, integer, null, number, object, string",
    ),
    "an input must be more": (lambda d: inputs(d)["pages"].update(minimum=2), "/input/pages: minimum is 2"),
    "an input may be less": (
        lambda d: inputs(d)["pages"].pop("maximum") and inputs(d)["pages"].update(maximum=9),
        "maximum is 9",
    ),
    "an input gets a bound": (lambda d: inputs(d)["title"].update(maxLength=9), "/input/title: maxLength is 9"),
    "the parts of an input have another type": (
        lambda d: inputs(d)["parts"]["items"].update(type="integer"),
        "/input/parts/*: no longer string",
    ),
    "an input has one choice less": (lambda d: inputs(d)["either"]["anyOf"].pop(), "/input/either: anyOf integer is gone"),
    "an input gets choices": (
        lambda d: inputs(d)["anything"].update(anyOf=[{"type": "string"}]),
        "/input/anything: anyOf string is new",
    ),
    "an input must fit one more schema": (
        lambda d: inputs(d)["anything"].update(allOf=[{"$ref": "#/components/schemas/Status"}]),
        "/input/anything: allOf #/components/schemas/Status is new",
    ),
    "an input must fit one more schema that is written in place": (
        lambda d: inputs(d)["anything"].update(allOf=[{"type": "string"}]),
        "/input/anything: no longer array, boolean, integer, null, number, object",
    ),
    "a problem has another status": (
        lambda d: problem(d)["properties"].update(status={"const": 422}),
        "GET /jobs: 400/status: const is 422",
    ),
    "an answer is no longer a problem": (
        lambda d: problem(d).pop("allOf"),
        "GET /jobs: 400: allOf #/components/schemas/Problem is gone",
    ),
    "an input is closed": (
        lambda d: schema(d, "api.counts.input").update(additionalProperties=False),
        "/input(#/components/schemas/api.counts.input): no further members are allowed",
    ),
    "an input is forbidden": (lambda d: inputs(d).update(anything=False), "/input/anything: other values are allowed"),
    "a member of an answer is gone": (lambda d: job(d)["properties"].pop("progress"), "/progress: is gone"),
    "a member of an answer is not always there": (
        lambda d: job(d)["required"].remove("progress"),
        "/progress: is no longer there each time",
    ),
    "a member of an answer has another type": (
        lambda d: job(d)["properties"]["progress"].update(type="string"),
        "/progress: also string",
    ),
    "a member of an answer may be null": (
        lambda d: job(d)["properties"]["createdAt"].update(type=["string", "null"]),
        "/createdAt: also null",
    ),
    "a member of an answer loses its format": (
        lambda d: job(d)["properties"]["createdAt"].pop("format"),
        "/createdAt: format is None",
    ),
    "a member of an answer is always something else": (
        lambda d: schema(d, "Health")["properties"]["status"].update(const="fine"),
        "/status: const is 'fine'",
    ),
    "a member of a result is gone": (
        lambda d: schema(d, "api.reads.output")["properties"].pop("words"),
        "/words: is gone",
    ),
    "the parts of a result have another type": (
        lambda d: schema(d, "api.reads.output")["properties"]["parts"]["items"].update(type="integer"),
        "/parts/*: also integer",
    ),
    "a member of a problem is gone": (lambda d: schema(d, "Problem")["properties"].pop("code"), "/code: is gone"),
}

ADDITIONS: dict[str, Change] = {
    "a path": lambda d: d["paths"].update({"/new": d["paths"]["/health"]}),
    "an operation": lambda d: d["paths"]["/health"].update(post={**operation(d, "/health"), "operationId": "new"}),
    "an answer": lambda d: operation(d, "/health")["responses"].update({"204": {"description": "Nothing."}}),
    "a header of an answer": lambda d: operation(d, "/health")["responses"]["200"].update(
        headers={"ETag": {"schema": {"type": "string"}}}
    ),
    "a header that is always there from now on": lambda d: operation(d, "/jobs", "post")["responses"]["202"]["headers"].update(
        {"Idempotency-Replayed": {"required": True, "schema": {"const": "true"}}}
    ),
    "a parameter": lambda d: operation(d, "/jobs")["parameters"].append({"name": "new", "in": "query", "schema": {}}),
    "a wider parameter": lambda d: parameter(d, "limit")["schema"].update(maximum=1000),
    "a job type": lambda d: d.update(document([READS, job_type("api.counts", input_schema={"type": "object"}), job_type("b")])),
    "an input": lambda d: inputs(d).update(new={"type": "string"}),
    "a value of an input": lambda d: inputs(d)["mode"]["enum"].append("best"),
    "a type of an input": lambda d: inputs(d)["pages"].update(type=["integer", "null"]),
    "a choice of an input": lambda d: inputs(d)["either"]["anyOf"].append({"type": "null"}),
    "null for an input": lambda d: inputs(d).update(mode={"anyOf": [inputs(d)["mode"], {"type": "null"}]}),
    "an input that may be left out": lambda d: schema(d, "api.reads.input")["required"].clear(),
    "an input without bounds": lambda d: [inputs(d)["pages"].pop(bound) for bound in ("minimum", "maximum")],
    "a member of an answer": lambda d: job(d)["properties"].update(new={"type": "string"}),
    "a status": lambda d: schema(d, "Status")["enum"].append("PAUSED"),
    "a code": lambda d: problem(d)["properties"]["code"]["enum"].append("NEW"),
    "a part of allOf in its place": lambda d: problem(d).update(
        allOf=[*problem(d)["allOf"], {"properties": problem(d).pop("properties")}]
    ),
    "oneOf for anyOf": lambda d: schema(d, "SubmitRequest").update(oneOf=schema(d, "SubmitRequest").pop("anyOf")),
    "the type of an enum": lambda d: inputs(d)["mode"].update(type="string"),
    "an operation that needs no token any more": lambda d: operation(d, "/jobs").update(security=[]),
    "words": lambda d: job(d).update(description="Other words."),
}


def test_document_breaks_no_client_of_the_last_release() -> None:
    # An intended break needs another version of the API. CONTRIBUTING.md says when released.json changes.
    found = breaks(json.loads(RELEASED.read_text()), json.loads(document_path(OPENAPI).read_text()))
    assert [line for line in found if not line.endswith(INTENDED)] == []


def test_unchanged_document_breaks_nothing() -> None:
    assert breaks(OLD, json.loads(TEXT)) == []


@pytest.mark.parametrize(("change", "line"), BREAKS.values(), ids=BREAKS.keys())
def test_breaking_change_is_found(change: Change, line: str) -> None:
    found = breaks(OLD, changed(change))
    assert [each for each in found if each.endswith(line)], found


@pytest.mark.parametrize("change", ADDITIONS.values(), ids=ADDITIONS.keys())
def test_addition_breaks_nothing(change: Change) -> None:
    assert breaks(OLD, changed(change)) == []
