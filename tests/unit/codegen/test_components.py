"""The components of every document: valid, used, and as the answers are."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest

from asyncjobs.codegen.components import SCHEMAS
from asyncjobs.codegen.openapi import document, to_json
from asyncjobs.core.job import Result
from asyncjobs.http.render import job_body, job_type_body
from asyncjobs.jobtypes import catalog
from tests.support.factories import NOW, job_type, new_job, running_job

DOCUMENT = json.loads(catalog.document_path(catalog.OPENAPI).read_text())


def faults(name: str, value: Any) -> list[str]:
    """Return what is wrong with the value by the component's schema."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": document([])["components"]}
    return [str(fault) for fault in jsonschema_rs.validator_for(schema, offline=True).iter_errors(value)]


@pytest.mark.parametrize("kind", ["schemas", "parameters", "headers"])
def test_each_component_is_used(kind: str) -> None:
    text = to_json(DOCUMENT)
    assert [name for name in DOCUMENT["components"][kind] if f'"#/components/{kind}/{name}"' not in text] == []


@pytest.mark.parametrize("job", [new_job(), running_job(), running_job().cancelled(now=NOW)], ids=lambda job: job.status.value)
def test_job_has_exactly_the_members_of_its_schema(job: Any) -> None:
    assert faults("AsyncJob", job_body(job, "")) == []
    assert job_body(job, "").keys() == set(SCHEMAS["AsyncJob"]["required"])


def test_job_type_has_exactly_the_members_of_its_schema() -> None:
    assert faults("JobType", job_type_body(job_type("a.b"))) == []
    assert job_type_body(job_type("a.b")).keys() == SCHEMAS["JobType"]["properties"].keys()


def test_result_type_is_one_of_those_named_or_null() -> None:
    body = job_body(running_job().completed(now=NOW, result=Result(location="results/x")), "")
    assert faults("AsyncJob", {**body, "resultType": "TAPE"}) != []
    assert faults("AsyncJob", {**body, "resultType": None}) == []


def test_problem_may_have_a_code_that_is_not_in_the_document() -> None:
    """So that a client that was generated today reads a code of tomorrow."""
    problem = {"type": "urn:x", "title": "t", "status": 400, "code": "OF_TOMORROW", "detail": "d", "requestId": "r"}
    assert faults("Problem", problem) == []
