"""Health, the OpenAPI document and the job types. (An event hook of every client checks that each answer is as documented.)"""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.deployed.http.operations import ALL, Call
from tests.support.deployed import Api, Caller, Job


def test_health_needs_no_token(anyone: httpx.Client) -> None:
    answer = anyone.get("/health")
    assert (answer.status_code, answer.json()) == (httpx.codes.OK, {"status": "ok"})


DOCUMENTS = ["openapi.json", "asyncapi.json"]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_document_needs_no_token_and_is_the_built_one(anyone: httpx.Client, tree: Path, name: str) -> None:
    answer = anyone.get(f"/{name}")
    assert (answer.status_code, answer.headers["content-type"]) == (httpx.codes.OK, "application/json")
    assert answer.json() == json.loads((tree / "layers/jobs/jobs" / name).read_text())


@pytest.mark.parametrize("name", DOCUMENTS)
def test_document_is_compressed_and_304_while_it_is_the_same(anyone: httpx.Client, name: str) -> None:
    """RFC 9110 8.4.1.3, 15.4.5."""
    plain = anyone.get(f"/{name}", headers={"accept-encoding": "identity"})
    small = anyone.get(f"/{name}", headers={"accept-encoding": "gzip"})
    assert (small.json(), small.headers["content-encoding"]) == (plain.json(), "gzip")
    assert int(small.headers["content-length"]) < len(plain.content) / 3
    again = anyone.get(f"/{name}", headers={"if-none-match": small.headers["etag"]})
    assert (again.status_code, again.content) == (httpx.codes.NOT_MODIFIED, b"")


def test_document_is_valid_openapi(api: Api) -> None:
    """OpenAPI 3.1."""
    assert api.checker.document["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(api.checker.document).validate()


@pytest.mark.parametrize("call", ALL, ids=str)
def test_document_has_every_operation(api: Api, call: Call) -> None:
    paths = [path for path, methods in api.checker.document["paths"].items() if call.method.lower() in methods]
    assert any(api.checker.matches(path, call.path()) for path in paths)


def test_document_has_the_input_and_output_of_every_job_type(api: Api, alice: Caller) -> None:
    names = {found["jobType"] for found in alice.get("/job-types").json()["jobTypes"]}
    schemas = api.checker.document["components"]["schemas"]
    assert {f"{name}.{part}" for name in names for part in ("submit", "input", "output")} <= schemas.keys()


@pytest.fixture(scope="module")
def job_types(alice: Caller) -> dict[str, Job]:
    return {found["jobType"]: found for found in alice.get("/job-types").json()["jobTypes"]}


def test_job_types_have_a_description_and_schemas(job_types: dict[str, Job]) -> None:
    extract = job_types["document.extract"]
    assert extract["description"].startswith("Read a PDF")
    assert extract["inputSchema"]["properties"].keys() == {"pdf", "key"}
    assert "pageCount" in extract["outputSchema"]["properties"]


def test_job_types_have_durations_retention_and_attempts(job_types: dict[str, Job]) -> None:
    assert (
        job_types["document.extract"].items()
        >= {
            "expectedSeconds": 20,
            "timeoutSeconds": 300,
            "maxAttempts": 3,
            "retentionSeconds": 7 * 24 * 3600,
        }.items()
    )


def test_job_types_show_which_are_tracked(job_types: dict[str, Job]) -> None:
    tracked = {name for name, found in job_types.items() if found["tracked"]}
    assert {"generic", "file_processing", "document_analysis", "llm_agent"} <= tracked
    assert not {"document.extract", "text.search"} & tracked
