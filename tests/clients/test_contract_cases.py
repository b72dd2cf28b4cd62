"""The recorded requests and answers of the clients' contract are ones of this server, and of that of the last release."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jsonschema_rs
import pytest

from clients.contract import server
from tests.deployed.openapi.contract import Contract
from tests.template.source import ROOT

NOW = json.loads((ROOT / "layers/jobs/jobs/openapi.json").read_text())
RELEASED = json.loads((ROOT / "tests/deployed/openapi/released.json").read_text())
OF_A_NEWER_SERVER = re.compile("unknown_|live_events_unknown_types")
"""Cases with statuses, members and events that no server has yet."""
SINCE_THE_LAST_RELEASE = {"submit_options", "types", "run_input_rejected_by_the_job", "submit_500_with_code"}
"""Cases with priorities, of jobs and of types, and with codes that this server has, and the last release had not."""
GATEWAY = {401, 403, 404, 429, 500, 502, 503, 504}
"""Statuses of answers that the gateway gives itself."""


def exchanges(name: str) -> Iterator[tuple[str, Mapping[str, Any], server.Answer | None]]:
    """Yield the route, the request and the answer, if one arrives whole, of each exchange with the API."""
    for exchange in server.case(name)["exchanges"]:
        request, described = exchange["request"], exchange["answer"]
        if request["path"].startswith(server.STORAGE):
            continue
        path = request["path"].replace("{job}", "{asyncJobId}")
        is_whole = "fault" not in described and "cut" not in described
        yield f"{request['method']} {path}", request, server.answer_of(described, "http://h") if is_whole else None


def operation(document: Mapping[str, Any], route: str) -> dict[str, Any]:
    method, path = route.split()
    found: dict[str, Any] = document["paths"].get(path, {}).get(method.lower(), {})
    return found


def records(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the records of jobs in the body of an answer."""
    if isinstance(value, dict):
        yield from (record for record in (value, *value.get("jobs", ())) if "recordExpiresAt" in record)


def is_of(document: Mapping[str, Any], name: str) -> bool:
    """Return whether a server with this document has all operations of a case, and numbers records as the case does."""
    has_seq = "seq" in document["components"]["schemas"]["AsyncJob"]["properties"]
    for route, _, answer in exchanges(name):
        if not operation(document, route):
            return False
        found = records(json.loads(answer.body)) if answer and answer.body.startswith(b"{") else ()
        if not has_seq and any("seq" in record for record in found):
            return False
    return True


NAMES = [name for name in server.names() if not OF_A_NEWER_SERVER.match(name)]
OF_THE_LAST_RELEASE = [name for name in NAMES if name not in SINCE_THE_LAST_RELEASE and is_of(RELEASED, name)]
CASES = [("now", name) for name in NAMES] + [("released", name) for name in OF_THE_LAST_RELEASE]
DOCUMENTS = {"now": NOW, "released": RELEASED}


@pytest.fixture(scope="module")
def contracts() -> dict[str, Contract]:
    return {name: Contract(document) for name, document in DOCUMENTS.items()}


@pytest.mark.parametrize(("version", "name"), CASES)
def test_answers_of_a_case_are_documented(contracts: dict[str, Contract], version: str, name: str) -> None:
    for route, _, answer in exchanges(name):
        if answer is None:
            continue
        is_problem = answer.headers.get("content-type") == "application/problem+json"
        if answer.status in GATEWAY and not is_problem:
            continue
        ours = {key: value for key, value in answer.headers.items() if key not in {"content-length", "date"}}
        required = operation(DOCUMENTS[version], route)["responses"][str(answer.status)].get("headers", {})
        added = {key.lower(): "x" for key, header in required.items() if header.get("required")}
        contracts[version].check(route, answer.status, {**added, **ours}, fitted(answer.body.decode(), version))


@pytest.mark.parametrize(("version", "name"), CASES)
def test_requests_of_a_case_are_documented(version: str, name: str) -> None:
    """A client of the last release sends no others, and this one sends no others to a server of the last release."""
    document = DOCUMENTS[version]
    for route, request, _ in exchanges(name):
        found = operation(document, route)
        assert found, route
        parameters = {each["name"]: each for each in map(resolved(document), found.get("parameters", ()))}
        assert request.get("query", {}).keys() <= parameters.keys(), route
        for member, value in request.get("query", {}).items():
            schema = parameters[member]["schema"]
            validator(document, schema).validate(int(value) if schema.get("type") == "integer" else value)
        if "body" in request:
            validator(document, found["requestBody"]["content"]["application/json"]["schema"]).validate(request["body"])


def test_last_release_has_cases_of_what_a_client_of_it_called() -> None:
    routes = {route for name in OF_THE_LAST_RELEASE for route, *_ in exchanges(name)}
    released = {f"{method.upper()} {path}" for path, methods in RELEASED["paths"].items() for method in methods}
    assert released - routes == {"GET /health", "GET /job-types", "GET /openapi.json", "GET /search", "POST /search"}


def fitted(body: str, version: str) -> str:
    """Return an answer of this version. The records of the cases are those of the last release, which clients poll."""
    if version == "released" or not body.startswith("{"):
        return body
    value = json.loads(body)
    for record in records(value):
        record.setdefault("seq", 1)
        record.setdefault("priority", "standard")
    return json.dumps(value)


def resolved(document: Mapping[str, Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return a function that looks a parameter up."""
    return lambda each: document["components"]["parameters"][each["$ref"].rpartition("/")[2]] if "$ref" in each else each


def validator(document: Mapping[str, Any], schema: Mapping[str, Any]) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for({**schema, "components": document["components"]}, offline=True)
